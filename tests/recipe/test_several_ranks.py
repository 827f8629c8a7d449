"""Stages 4 and 6 with several ranks: a rank is killed, and a plain run reaches the weights of an undisturbed one."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from shell import ROOT, environment, run, wait_for

pytestmark = pytest.mark.slow

OPTIONS = [
    "--preset", "tiny", "--nj", "2", "--students", "segment6", "--stop-stage", "6", "--noisy-sets", "",
    "--augmentation", "none", "--teacher-set", "training.epochs=8 training.checkpoint_minutes=0",
    "--corpus-set", " ".join(f"options.sets.{name}.speakers=4" for name in ("train", "dev", "eval")),
]  # fmt: skip
TEACHER = "tiny-none/teacher_tdnn_tiny_s0"
STUDENT = "tiny-none/student_tdnn16_tdnn_tiny_segment6_mse_s0"


def command(root: Path, exp: str, *options: str) -> list[str]:
    roots = ["--data-root", root / "data", "--exp-root", root / exp]
    return list(map(str, [ROOT / "run.sh", *OPTIONS, *roots, *options]))


def ranks_below(folder: Path) -> list[int]:
    """The processes that train a model in a folder, without those that have started them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
            variables = (process / "environ").read_bytes().decode().split("\0")
            if str(folder) in words and any(variable.startswith("LOCAL_RANK=") for variable in variables):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def assert_same_model(one: Path, other: Path) -> None:
    expected, found = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert expected.keys() == found.keys() and len(found) > 10
    assert all((expected[name] == found[name]).all() for name in expected)


def test_a_killed_rank(tmp_path):
    teacher = tmp_path / "killed" / TEACHER
    process = subprocess.Popen(
        command(tmp_path, "killed", "--nproc", "2"), cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: (teacher / "checkpoints" / "previous.pt").exists(), "the training to begin", seconds=600)
    trained = ranks_below(teacher)
    assert len(trained) == 2
    os.kill(trained[-1], signal.SIGKILL)
    said = process.communicate()[1]
    assert process.returncode == 1 and "killed by SIGKILL" in said and "stage 4 (train teacher) failed" in said
    assert not ranks_below(teacher) and not (teacher / ".done").exists()
    done = run(command(tmp_path, "killed", "--nproc", "2"))
    assert done.returncode == 0, done.stderr
    assert "going on from step" in (teacher / "log" / "train.1.log").read_text()
    # Two machines with a rank each, on this one, are no different; nor is it anything that another run would redo.
    done = run(command(tmp_path, "undisturbed", "--nnodes", "2"))
    assert done.returncode == 0, done.stderr
    for model in (TEACHER, STUDENT):
        assert_same_model(tmp_path / "undisturbed" / model, tmp_path / "killed" / model)
    done = run(command(tmp_path, "killed"))
    assert done.returncode == 0 and "up to date: train the teacher" in done.stderr
