"""verify.py as users and their scripts run it, and the same from the installed package."""

import importlib.util
import json
import shutil
import subprocess
import sys

import kaldiio
import numpy as np
import pytest
import soundfile
from backend_files import command
from deployed_files import DIM, RATE, voice, write_model, write_voice
from shell import ROOT, environment, run

from xvkd.deployment.command import run as run_command

ACCEPTED, ERROR, USAGE, REJECTED = 0, 1, 2, 3


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model, recordings of two speakers, and a store with both."""
    folder = tmp_path_factory.mktemp("files")
    write_model(folder / "model")
    for speaker, name in enumerate(("alice", "bob", "carol")):
        for take in range(3):
            write_voice(folder / f"{name}{take}.wav", speaker, take)
    for name in ("alice", "bob"):
        verify(folder, "enrol", "--model", "model/student.onnx", "--name", name.upper(), f"{name}0.wav", f"{name}1.wav")
    return folder


@pytest.fixture
def copy(files, tmp_path):
    """The same, to be changed."""
    shutil.copytree(files, tmp_path / "copy")
    return tmp_path / "copy"


def verify(folder, *arguments, status=ACCEPTED, **options):
    """Runs the command in a folder; returns what it prints."""
    done = subprocess.run(
        [sys.executable, ROOT / "pyscripts" / "verify.py", *map(str, arguments)], cwd=folder, capture_output=True,
        env=environment(PYTHONPATH=str(ROOT / "pyscripts")), timeout=60, **options,
    )  # fmt: skip
    said = done.stderr.decode()
    assert done.returncode == status, said
    if status == ERROR:
        assert not done.stdout and "Traceback" not in said and said.splitlines()[-1].startswith("verify.py: error: ")
        return said
    return done.stdout.decode()


def test_a_speaker_is_accepted_and_another_rejected(files):
    said = verify(files, "verify", "--name", "ALICE", "alice2.wav")
    assert said.startswith("alice2.wav is ALICE: probability > 99.9 % (prior 50.0 %), score ")
    assert said.endswith(", above -2.00 (operating point eer)\n")
    said = verify(files, "verify", "--name", "ALICE", "bob2.wav", status=REJECTED)
    assert said.startswith("bob2.wav is not ALICE: probability < 0.1 %") and ", not above -2.00" in said


def test_programs_get_json(files):
    found = json.loads(verify(files, "verify", "--json", "--name", "ALICE", "--operating-point=0.01", "alice2.wav"))
    assert found["accepted"] is True and found["score"] > found["threshold"] == 4.0
    assert found["operating_point"] == "0.01" and found["prior"] == 0.01 and 0.5 < found["probability"] < 1
    listed = json.loads(verify(files, "list", "--json"))
    assert listed["speakers"] == {"ALICE": 2, "BOB": 2} and listed["model"]["embedding_dim"] == DIM


def test_who_is_it(files):
    lines = verify(files, "identify", "bob2.wav").splitlines()
    assert lines[0].startswith("bob2.wav is BOB: ") and [line.split()[-1] for line in lines[1:]] == ["BOB", "ALICE"]
    assert len(verify(files, "identify", "--top=1", "bob2.wav").splitlines()) == 2
    assert "is none of those who are enrolled: " in verify(files, "identify", "carol0.wav", status=REJECTED)
    found = json.loads(verify(files, "identify", "--json", "carol0.wav", status=REJECTED))
    assert found["name"] is None and found["enrolled"] == len(found["ranking"]) == 2


def test_speakers_come_and_go(copy):
    assert verify(copy, "enrol", "--name", "CAROL", "carol0.wav") == "CAROL: enrolled with 1 recording\n"
    assert verify(copy, "enrol", "--add", "--name", "CAROL", "carol1.wav") == "CAROL: enrolled with 2 recordings\n"
    assert verify(copy, "list") == "ALICE: 2 recordings\nBOB: 2 recordings\nCAROL: 2 recordings\n"
    verify(copy, "verify", "--name", "CAROL", "carol2.wav")
    assert verify(copy, "remove", "--name", "ALICE") == "ALICE: removed\n"
    assert "nobody is enrolled as 'ALICE'" in verify(copy, "verify", "--name", "ALICE", "alice2.wav", status=ERROR)


def test_enrolments_at_once_are_all_kept(copy):
    """Five processes, of which each reads and writes the store."""
    command_line = [sys.executable, ROOT / "pyscripts" / "verify.py", "enrol", "carol0.wav", "--name"]
    started = [
        subprocess.Popen([*command_line, f"C{number}"], cwd=copy, env=environment(PYTHONPATH=str(ROOT / "pyscripts")))
        for number in range(5)
    ]
    assert [process.wait(60) for process in started] == [0] * 5
    enrolled = json.loads(verify(copy, "list", "--json"))["speakers"]
    assert list(enrolled) == ["ALICE", "BOB", *(f"C{number}" for number in range(5))]


def test_embeddings_are_a_kaldi_table(files, tmp_path):
    names = [f"{name}{take}.wav" for name in ("alice", "bob") for take in range(3)]
    (tmp_path / "text").write_text(verify(files, "embed", *names))
    verify(files, "embed", f"--output=ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp", *names)
    binary = dict(kaldiio.load_scp(str(tmp_path / "x.scp")))
    assert list(binary) == [name.removesuffix(".wav") for name in names]
    text = [line.split() for line in (tmp_path / "text").read_text().splitlines()]
    assert {key: [float(value) for value in values] for key, _, *values, _ in text} == {
        key: pytest.approx(vector.tolist(), rel=1e-7) for key, vector in binary.items()
    }


def test_many_recordings_show_how_far_it_is(files):
    done = run(
        ["python3", ROOT / "pyscripts" / "verify.py", "embed", *(f"alice{take}.wav" for take in range(3))], files,
        PYTHONPATH=str(ROOT / "pyscripts"),
    )  # fmt: skip
    assert "progress 3/3 recordings" in done.stderr


def test_a_recording_can_come_from_a_pipe(files):
    said = verify(files, "verify", "--name", "ALICE", "-", input=(files / "alice2.wav").read_bytes())
    assert said.startswith("standard input is ALICE: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "--name", "ALICE", "none.wav"], "none.wav: no such file"),
        (["verify", "--name", "ALICE", "model"], "model: a folder; name the files in it"),
        (["verify", "--name", "ALICE", "quiet.wav"], "quiet.wav: no speech is found in its 1.0 s"),
        (["verify", "--name", "ALICE", "short.wav"], "short.wav: 0.10 s is too short: at least 0.40 s is needed"),
        (["verify", "--name", "ALICE", "cut.wav"], "cut.wav: truncated"),
        (["verify", "--name", "DAVE", "bob2.wav"], "nobody is enrolled as 'DAVE' (there are: ALICE, BOB)"),
        (["verify", "--name", "BOB", "--operating-point=0.5", "bob2.wav"], "no such operating point"),
        (["verify", "--name", "BOB", "--prior=2", "bob2.wav"], "prior 2.0: a probability has to be above 0"),
        (["verify", "--name", "BOB", "--store=none.json", "bob2.wav"], "none.json: no such speaker store"),
        (["list", "--store=none.json"], "none.json: no such speaker store"),
        (["list", "--store=model"], "model: cannot be opened: Is a directory"),
        (["list", "--store=bob2.wav"], "bob2.wav: no speaker store, or damaged"),
        (["enrol", "--name", "ALICE", "bob2.wav"], "'ALICE' is enrolled already; add to it with --add"),
        (["enrol", "--name", "DAVE", "bob2.wav", "quiet.wav"], "quiet.wav: no speech"),
        (["enrol", "--model=other/student.onnx", "--name", "DAVE", "bob2.wav"], "enrolled with another network"),
        (["remove", "--name", "DAVE"], "nobody is enrolled as 'DAVE'"),
        (["embed", "bob2.wav", "folder/bob2.flac"], "bob2.wav and folder/bob2.flac would both be called 'bob2'"),
        (["embed", "--model=none.onnx", "bob2.wav"], "none.onnx: cannot be opened: No such file or directory"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(copy, arguments, message, monkeypatch, capsys):
    """In this process: to start one for each would take most of the time."""
    soundfile.write(copy / "quiet.wav", np.zeros(RATE), RATE)
    soundfile.write(copy / "short.wav", voice(0, 0)[:1600], RATE)
    (copy / "cut.wav").write_bytes((copy / "alice2.wav").read_bytes()[:9000])
    write_model(copy / "other", seed=1)
    before = (copy / "speakers.json").read_bytes()
    monkeypatch.chdir(copy)
    monkeypatch.setattr(sys, "argv", ["verify.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        run_command()
    # sys.exit with a text prints it, and the status is 1.
    assert ended.value.code.startswith("verify.py: error: ") and message in ended.value.code
    assert "\n" not in ended.value.code and not capsys.readouterr().out
    assert (copy / "speakers.json").read_bytes() == before


def test_a_network_without_calibration_is_refused(copy):
    """As one that was trained without a development set is exported."""
    (copy / "model" / "calibration.json").unlink()
    said = verify(copy, "verify", "--model=model/student.onnx", "--name", "ALICE", "alice2.wav", status=ERROR)
    assert "calibration.json: no such file" in said and "a development set" in said


def test_a_network_that_was_moved_is_named(copy):
    (copy / "model").rename(copy / "moved")
    # The store's copy still names the folder that it was made in.
    content = json.loads((copy / "speakers.json").read_text())
    content["model"]["file"] = str(copy / "model" / "student.onnx")
    (copy / "speakers.json").write_text(json.dumps(content))
    said = verify(copy, "verify", "--name", "ALICE", "alice2.wav", status=ERROR)
    assert "student.onnx is not there any more; give --model" in said
    verify(copy, "verify", "--model=moved/student.onnx", "--name", "ALICE", "alice2.wav")


def test_wrong_usage_is_told_apart(files):
    for arguments in ([], ["verify", "alice2.wav"], ["listen"], ["enrol", "--name", "X"]):
        verify(files, *arguments, status=USAGE)


def test_only_what_is_needed_is_imported(copy):
    """Neither the recipe's packages nor scipy, whatever is done, resampling included: that is the start-up's time."""
    write_voice(copy / "rate.wav", 0, 5, rate=44100)
    code = (
        "import sys; from xvkd.deployment.command import main; sys.argv[0] = 'verify.py'; main(); "
        "print(' '.join({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    for arguments in (
        ["enrol", "--name", "DAVE", "alice0.wav"], ["verify", "--name", "ALICE", "rate.wav"], ["identify", "bob2.wav"],
        ["embed", "alice0.wav"], ["list"],
    ):  # fmt: skip
        done = run([sys.executable, "-c", code, *arguments], copy, PYTHONPATH=str(ROOT / "pyscripts"))
        assert done.returncode == 0, done.stderr
        imported = set(done.stderr.splitlines()[-1].split())
        assert "numpy" in imported
        assert imported.isdisjoint({"torch", "lhotse", "scipy", "kaldiio", "yaml", "omegaconf", "onnx", "tqdm"})


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("pip", "setuptools"))), reason="this environment has no pip or setuptools"
)
def test_the_package_can_be_installed_without_the_recipe(files, tmp_path):
    """pip makes it of a copy of the project, without its network; the command runs from there."""
    project = tmp_path / "project"
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "pyscripts", project / "pyscripts", ignore=left_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project)
    how = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--no-build-isolation"]
    done = run([sys.executable, "-m", "pip", "install", *how, "--target", tmp_path / "site", project], tmp_path)
    assert done.returncode == 0, done.stderr
    xvkd = tmp_path / "site" / "bin" / "xvkd"
    where = {"PYTHONPATH": str(tmp_path / "site")}
    found = run([sys.executable, "-c", "import xvkd; print(xvkd.__file__)"], tmp_path, **where)
    assert found.stdout.startswith(str(tmp_path / "site"))
    assert "enrols a speaker" in run([xvkd, "--help"], tmp_path, **where).stdout
    enrolled = run(
        [xvkd, "enrol", "--model", files / "model" / "student.onnx", "--name", "A", files / "alice0.wav"], tmp_path,
        **where,
    )  # fmt: skip
    assert enrolled.returncode == 0 and (tmp_path / "speakers.json").exists(), enrolled.stderr
    for name, status in (("alice1.wav", ACCEPTED), ("bob1.wav", REJECTED)):
        assert run([xvkd, "verify", "--name", "A", files / name], tmp_path, **where).returncode == status


def test_help_tells_the_exit_codes():
    said = command("verify.py", "--help").stdout
    assert "3 rejected" in said and "speakers.json" in said
