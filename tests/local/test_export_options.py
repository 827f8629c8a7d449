"""Which students stage 11 exports: the commands of a dry run."""

import re

import pytest
from shell import ROOT, run

STUDENTS = "label frame segment6:lda_cosine"


@pytest.fixture
def exported(tmp_path):
    def start(*options, status=0):
        roots = ["--preset", "tiny", "--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp"]
        stages = ["--stage", "11", "--students", STUDENTS, "--dry-run"]
        done = run([ROOT / "run.sh", *roots, *stages, *options], ROOT)
        assert done.returncode == status, done.stderr
        return done if status else re.findall(r"export_model\.py .*/student_tdnn16_tdnn_tiny_(\S+)/export", done.stdout)

    return start


def test_all_some_or_none(exported):
    assert exported("--export", "all") == ["label_softmax_s0", "frame_mse_s0", "segment6_lda_cosine_s0"]
    assert exported("--export", "segment6:lda_cosine label") == ["segment6_lda_cosine_s0", "label_softmax_s0"]
    assert exported("--export", "") == []


def test_the_best_student(exported, tmp_path):
    """Before stage 9 nobody knows it; then it is what stands in the file."""
    assert len(exported()) == 1
    exp = tmp_path / "exp" / "tiny"
    exp.mkdir(parents=True)
    (exp / "best_student").write_text(f"{exp}/student_tdnn16_tdnn_tiny_frame_mse_s0\n")
    assert exported() == ["frame_mse_s0"]


def test_a_student_that_is_not_in_the_run(exported):
    done = exported("--export", "frame stats", status=1)
    assert "--export 'frame stats': no student of stats mse in this run; name some of --students, or" in done.stderr


def files_measured(vad):
    done = run(
        [ROOT / "run.sh", "--preset", "tiny", "--stage", "11", "--students", "frame", "--export", "all", "--dry-run",
         "--data-root", "/nowhere/data", "--exp-root", "/nowhere/exp", "--vad", vad], ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {path.rsplit("/", 1)[1] for path in re.findall(r"--model (\S+)", done.stdout)}


def test_waveforms_are_read_where_the_vad_is_in_the_network():
    features = {"student.features.onnx", "student.features.int8.onnx"}
    assert files_measured("energy") == features | {"student.onnx", "student.int8.onnx"}
    assert files_measured("hmm") == features
