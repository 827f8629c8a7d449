"""--init-model: a teacher's weights go to stage 4, a student's to stage 6, and none to itself."""

import pytest
from shell import ROOT, run


@pytest.fixture
def trains(tmp_path):
    """What stages 4 and 6 would run: the scripts that are given --init-model, and what was said."""

    def start(init, status=0, students="label frame"):
        options = ["--preset", "tiny", "--students", students, "--exp-root", tmp_path / "exp", "--data-root", tmp_path]
        words = ["--stage", "4", "--stop-stage", "6", "--skip-stages", "5", "--dry-run", "--init-model", init]
        done = run([ROOT / "run.sh", *options, *words], cwd=tmp_path)
        assert done.returncode == status, done.stderr
        lines = [line.replace("\\", "") for line in done.stdout.splitlines() if "pyscripts/train_" in line]
        given = [line for line in lines if f"--init-model {init}" in line]
        return [line.split("pyscripts/")[1].split(".py")[0] for line in given], done

    return start


def write_model(folder, role=""):
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    if role:
        (folder / "config.yaml").write_text(f"role: {role}\n")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.pt").touch()
    return folder


@pytest.mark.parametrize("kind", ["folder", "checkpoint"])
def test_weights_go_where_they_belong(trains, tmp_path, kind):
    expected = {"teacher": ["train_teacher"], "student": ["train_student"] * 2}
    for role, scripts in expected.items():
        folder = write_model(tmp_path / f"my {role}", role)
        init = folder if kind == "folder" else folder / "checkpoints" / "last.pt"
        assert trains(init)[0] == scripts
    # One that was not trained to its end has its name alone.
    folder = write_model(tmp_path / "student_of_somebody")
    assert trains(folder / "checkpoints" / "last.pt")[0] == expected["student"]


def test_what_cannot_be_started_from_is_told(trains, tmp_path):
    assert f"--init-model {tmp_path}/nowhere: no such model" in trains(tmp_path / "nowhere", 1)[1].stderr
    nameless = write_model(tmp_path / "x")
    assert "says whether it is a teacher or a student" in trains(nameless, 1)[1].stderr
    name = "student_tdnn16_tdnn_tiny_label_softmax_s0"
    own = write_model(tmp_path / "exp" / "tiny" / name, "student")
    for init in (own, own / "checkpoints" / "last.pt"):
        done = trains(init, 1)[1]
        assert "is the model that is to be trained; copy it to another place first" in done.stderr
    assert trains(own, students="frame")[0] == ["train_student"]
