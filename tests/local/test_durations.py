"""What stages 5, 7 and 9 do for test durations and for trials across models: the commands of a dry run."""

import re
import shutil

import pytest
from shell import ROOT, run

CROSS = ["teacher_backend", "teacher_enrols", "student_enrols"]
STUDENTS = "label frame tdnn_tiny:frame frame+segment6 " + " ".join(
    f"segment6:{loss}" for loss in ("lda_cosine", "relational", "kl", "heads")
)


@pytest.fixture
def recipe(tmp_path):
    teacher = tmp_path / "exp" / "tiny" / "teacher_tdnn_tiny_s0" / "embeddings" / "train"
    teacher.mkdir(parents=True)
    (teacher / "levels").write_text("frame\nsegment6\n")

    def start(*options, status=0, root=ROOT):
        roots = ["--preset", "tiny", "--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp"]
        done = run([root / "run.sh", *roots, "--dry-run", *options], root)
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
        (student("tdnn_tiny.frame_mse"), "embedding"): seconds + CROSS,
    }  # fmt: skip
    line = next(line for line in done.stdout.splitlines() if "teacher_enrols" in line)
    found = re.search(r"--pairing eval teacher_enrols (\S+) (\S+) (\S+)", line).groups()
    assert [re.sub(r".*/(teacher|student)_[^/]*/", r"\1 ", path) for path in found] == [
        "teacher embeddings/eval/frame.scp", "student embeddings/eval/embedding.scp", "teacher backend/frame"
    ]  # fmt: skip
    # Enrolment is whole.
    found = re.search(r"--pairing eval 2s (\S+) (\S+) ", line).groups()
    assert [re.sub(r".*/embeddings/", "", path) for path in found] == ["eval/embedding.scp", "eval_2s/embedding.scp"]


def test_a_loss_regresses_what_the_one_that_it_stands_on_does(recipe, tmp_path):
    """As its terms are added to those below; posteriors alone leave the space open, whatever else a file changes."""
    root = tmp_path / "project"
    shutil.copytree(ROOT / "conf", root / "conf")
    for name in ("run.sh", "local", "pyscripts", "path.sh", "cmd.sh", "requirements.txt", "requirements-min.txt"):
        (root / name).symlink_to(ROOT / name)
    terms = {"warm": ("kl", ""), "more": ("kl", "terms: {mse: 0.5}\n"), "mild": ("mse", "terms: {relational: 1.0}\n"),
             "like": ("mse", "terms: {base: null, relational: 1.0}  # beside mse it is relational.yaml\n")}  # fmt: skip
    for name, (base, more) in terms.items():
        (root / "conf" / "losses" / f"{name}.yaml").write_text(f"base: {base}\n{more}temperature: 4.0\n")
    students = " ".join(f"segment6:{loss}" for loss in terms)
    done = recipe("--stage", "9", "--stop-stage", "9", "--students", students, "--durations", "", root=root)
    found = {folder.split("_")[5]: names for (folder, level), names in pairings(done).items() if level == "embedding"}
    assert found == {"warm": [], "more": CROSS, "mild": CROSS, "like": []}


def test_levels_that_nobody_scores(recipe, tmp_path):
    """They are dumped of what students are trained on and stay, or all that stands on it would be done again."""
    levels = tmp_path / "exp" / "tiny" / "teacher_tdnn_tiny_s0" / "embeddings" / "train" / "levels"
    for before, student, expected in [("", "frame+stats3", "all+stats3"), ("", "stats10+stats3", "all+stats10+stats3"),
                                      ("stats2\n", "frame", "all+stats2"), ("stats3\n", "stats3", "all+stats3")]:
        levels.write_text(f"frame\nsegment6\n{before}")
        done = recipe("--stage", "5", "--stop-stage", "5", "--students", student)
        found = re.findall(r"--levels (\S+) .*data/tiny/(\w+) ", done.stdout)
        wanted = {name: words for words, name in found}
        assert wanted.pop("train") == wanted.pop("train_copies") == expected and set(wanted.values()) == {"all"}
    # Nor is the teacher scored with such a level, so that a student of it has no counterpart.
    done = recipe("--stage", "9", "--stop-stage", "9", "--students", "stats3", "--durations", "")
    assert list(pairings(done).values()) == [[], [], []]


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
