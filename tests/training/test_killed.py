"""Training that is killed with kill -9 again and again ends with the very bytes of an undisturbed one."""

import csv
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from shell import ROOT, environment

UTTERANCES, BATCHES, EPOCHS = 48, 12, 20  # batches an epoch
CHANGES = [
    f"training.epochs={EPOCHS}", "training.batch_size=4", "training.chunk_frames=30", "training.precision=float32",
]  # fmt: skip


@pytest.fixture
def command(write_data_dir, conf, tmp_path):
    """The command that trains a teacher in a folder, with a checkpoint after so many minutes."""
    draw = np.random.default_rng(0)
    data = write_data_dir({
        f"s{number % 6}-{number:02d}": draw.standard_normal((50, 30)).astype(np.float32) for number in range(UTTERANCES)
    })

    def words(folder, minutes):
        options = ["--config", conf / "teachers" / "tdnn_tiny.yaml", "--data-dir", data, "--seed", "3"]
        for change in [*CHANGES, f"training.checkpoint_minutes={minutes}"]:
            options += ["--set", change]
        return list(map(str, [sys.executable, ROOT / "pyscripts" / "train_teacher.py", *options, tmp_path / folder]))

    return words


def start(command):
    return subprocess.Popen(
        command, env=environment(PYTHONPATH=str(ROOT / "pyscripts")), start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def time_of(path):
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@pytest.mark.slow
@pytest.mark.parametrize(("minutes", "checkpoints"), [(0.0, BATCHES * EPOCHS), (1e6, EPOCHS)])
def test_killed_again_and_again(command, tmp_path, minutes, checkpoints):
    """In the course of training, up to a third of it later each time."""
    assert start(command("undisturbed", 1e6)).wait() == 0
    draw, killed = random.Random(checkpoints), 0
    checkpoint = tmp_path / "killed" / "checkpoints" / "last.pt"
    while not (tmp_path / "killed" / "model.safetensors").exists():
        process = start(command("killed", minutes))
        for _ in range(draw.randint(1, checkpoints // 3)):
            before = time_of(checkpoint)
            while process.poll() is None and time_of(checkpoint) in (0, before):
                time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.01))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        assert process.wait() in (0, -signal.SIGKILL)
    assert killed >= 2
    expected, found = (tmp_path / name / "model.safetensors" for name in ("undisturbed", "killed"))
    assert found.read_bytes() == expected.read_bytes()
    logs = [list(csv.DictReader((path.parent / "log" / "training.csv").open())) for path in (expected, found)]
    for one, other in zip(*logs, strict=True):
        assert all(one[key] == other[key] for key in ("epoch", "loss", "accuracy", "learning_rate"))
