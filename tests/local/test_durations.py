"""What stages 5, 7 and 9 do for test durations and for trials across models: the commands of a dry run."""

import re

import pytest
from shell import ROOT, run

CROSS = ["teacher_backend", "teacher_enrols", "student_enrols"]
STUDENTS = "label frame frame+segment6 segment6:lda_cosine segment6:relational segment6:kl segment6:heads"


@pytest.fixture
def recipe(tmp_path):
    teacher = tmp_path / "exp" / "tiny" / "teacher_tdnn_tiny_s0" / "embeddings" / "train"
    teacher.mkdir(parents=True)
    (teacher / "levels").write_text("frame\nsegment6\n")

    def start(*options, status=0):
        roots = ["--preset", "tiny", "--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp"]
        done = run([ROOT / "run.sh", *roots, "--dry-run", *options])
        assert done.returncode == status, done.stderr
        return done

    return start


def pairings(done):
    """Folder of scores -> the pairings that are scored."""
    lines = [line for line in done.stdout.splitlines() if "score_sets.py" in line]
    folders = [re.search(r"(\w+_tdnn_tiny\S*)/scores/(\w+)/\.done", line).groups() for line in lines]
    names = [re.findall(r"--pairing eval (\S+)", line) for line in lines]
    return dict(zip(folders, names, strict=True))


def test_pairings_of_each_system(recipe):
    """All have durations. Whose embedding estimates a level of its teacher can stand for it."""
    done = recipe("--stage", "9", "--stop-stage", "9", "--students", STUDENTS)
    seconds = ["1s", "2s", "4s"]
    student = "student_tdnn16_tdnn_tiny_{}_s0".format
    assert pairings(done) == {
        ("teacher_tdnn_tiny_s0", "frame"): seconds, ("teacher_tdnn_tiny_s0", "segment6"): seconds,
        (student("label_softmax"), "embedding"): seconds, (student("frame_mse"), "embedding"): seconds + CROSS,
        (student("frame+segment6_mse"), "embedding"): seconds,
        (student("segment6_lda_cosine"), "embedding"): seconds,
        (student("segment6_relational"), "embedding"): seconds + CROSS,
        (student("segment6_kl"), "embedding"): seconds, (student("segment6_heads"), "embedding"): seconds,
    }  # fmt: skip
    line = next(line for line in done.stdout.splitlines() if "teacher_enrols" in line)
    found = re.search(r"--pairing eval teacher_enrols (\S+) (\S+) (\S+)", line).groups()
    assert [re.sub(r".*/(teacher|student)_[^/]*/", r"\1 ", path) for path in found] == [
        "teacher embeddings/eval/frame.scp", "student embeddings/eval/embedding.scp", "teacher backend/frame"
    ]  # fmt: skip
    # Enrolment is whole.
    found = re.search(r"--pairing eval 2s (\S+) (\S+) ", line).groups()
    assert [re.sub(r".*/embeddings/", "", path) for path in found] == ["eval/embedding.scp", "eval_2s/embedding.scp"]


def test_no_durations(recipe):
    done = recipe("--stage", "9", "--stop-stage", "9", "--students", "label frame", "--durations", "")
    assert list(pairings(done).values()) == [[], [], [], CROSS]


@pytest.mark.parametrize("options, expected", [([], {"eval": "1 2 4"}), (["--durations", "3"], {"eval": "3"}),
                                               (["--durations", ""], {})])  # fmt: skip
def test_only_eval_is_cut(recipe, options, expected):
    done = recipe("--stage", "5", "--stop-stage", "5", *options)
    lines = [line.replace("\\", "") for line in done.stdout.splitlines() if "extract_embeddings.py" in line]
    assert len(lines) == 5
    found = {re.search(r"data/tiny/(\w+) ", line)[1]: re.search(r"--durations ([\d ]+) ", line) for line in lines}
    assert {name: match[1].strip() for name, match in found.items() if match} == expected


@pytest.mark.parametrize("durations", ["soon", "1 0", "-1", "1,2", "0.0"])
def test_impossible_durations(recipe, durations):
    done = recipe("--durations", durations, status=1)
    assert f"--durations '{durations}': expected seconds with spaces between" in done.stderr
