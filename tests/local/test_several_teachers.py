"""What stage 6 asks of the teachers that the levels of a student name."""

import re

import pytest
from shell import ROOT, run


@pytest.fixture
def stage(tmp_path):
    """Stage 6 with a folder of another teacher, and of what sets it has embeddings."""

    def start(students, *options, status=0):
        (tmp_path / "data" / "tiny" / "train").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "tiny" / "train" / "utt2spk").write_text("u s\n")
        for folder in ("teacher_other_s0", "teacher_other_s12"):
            (tmp_path / "exp" / "tiny" / folder / "embeddings").mkdir(parents=True, exist_ok=True)
        roots = ["--preset", "tiny", "--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp"]
        done = run([ROOT / "local" / "stage_06_distil_students.sh", *roots, "--students", students, *options])
        assert done.returncode == status, done.stderr
        return done

    return start


def test_each_teacher_is_named_with_its_folder(stage):
    several = "segment6 tdnn_tiny:frame tdnn_tiny:frame+other:segment6 other:frame frame+other_s12:frame+other:frame"
    done = stage(several, "--dry-run")
    lines = [line for line in done.stdout.splitlines() if "train_student.py" in line]
    found = [re.findall(r"--teacher=(?:(\w+)=)?\S*/(\w+)", line) for line in lines]
    own, other = ("tdnn_tiny", "teacher_tdnn_tiny_s0"), ("other", "teacher_other_s0")
    seed = ("other_s12", "teacher_other_s12")
    assert found == [[("", own[1])], [own], [own, other], [own, other], [own, seed, other]]


def test_what_another_teacher_lacks_is_told(stage, tmp_path):
    done = stage("tdnn_tiny:frame+other:segment6", status=1)
    assert "teacher_other_s0 has no embeddings of train; stage 5 with that --teacher and all other" in done.stderr
    done = stage("frame+third:segment6", status=1)
    assert "nor is 'third' a teacher: no" in done.stderr
    assert "./run.sh --teacher NAME --students LEVEL --stop-stage 5" in done.stderr
    done = stage("frame+other_s3:segment6", status=1)
    assert "exp/tiny/teacher_other_s3; ./run.sh" in done.stderr and "(NAME_sN: with --seed N)" in done.stderr
