"""Trainings as the ranks that --ngpu, --nproc and --nnodes ask for: how the launchers start them."""

import re

import pytest
import torch
from shell import ROOT, run

PRELUDE = """
set -euo pipefail
. local/common.sh
"""
# Two toys, each a training of its own.
TOYS = """
for i in 1 2; do
  queue "$W/$i/.done" "toy $i" -- python3 tests/rank_training.py "$W/$i" plain
done
run_training "$W/log" toys local/launch/run_local --max-jobs-run 2
echo went on
"""


@pytest.fixture
def steps(tmp_path):
    """Runs a script with the recipe's functions; W is the test's folder."""

    def start(script, *options, **changes):
        roots = ["--preset", "tiny", "--exp-root", tmp_path / "exp"]
        changes = {"W": str(tmp_path), "PYTHONPATH": str(ROOT / "tests"), **changes}
        return run(["bash", "-c", PRELUDE + script, "recipe", *roots, *options], **changes)

    return start


def weights(folder):
    """Of two ranks."""
    return [torch.load(folder / "plain" / f"weights.{rank}.pt") for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "logs"),
    [
        (["--nproc", "2"], ["toys.1.log", "toys.2.log"]),
        (["--nnodes", "2"], ["toys.1.1.log", "toys.1.2.log", "toys.2.1.log", "toys.2.2.log"]),
    ],
)
def test_trainings_as_ranks(steps, tmp_path, options, logs):
    """On one machine, or on two, which here are two jobs of an array on this one: the same weights."""
    done = steps(TOYS, *options)
    assert done.returncode == 0 and "went on" in done.stdout, done.stderr
    assert sorted(path.name for path in (tmp_path / "log").glob("*.log")) == logs
    said = "".join((tmp_path / "log" / log).read_text() for log in logs)
    assert said.count("training on cpu, 2 ranks, in float32") == 2  # the first of each training
    first, second = weights(tmp_path / "1")
    for other in (second, *weights(tmp_path / "2")):
        assert all(torch.equal(first[name], other[name]) for name in first)
    assert (tmp_path / "1" / ".done").exists() and not (tmp_path / "1" / ".done.new").exists()
    # The result is the same: the number of ranks is nothing that a mark knows of.
    again = steps(TOYS)
    assert again.returncode == 0 and again.stderr.count("up to date") == 2


@pytest.mark.slow
def test_a_rank_that_dies_on_one_of_two_machines_ends_both(steps, tmp_path):
    done = steps(TOYS, "--nnodes", "2", XVKD_DIE="1 3 raises")
    assert done.returncode == 1 and "went on" not in done.stdout
    assert "2 of 2 jobs failed" in done.stderr
    said = [(tmp_path / "log" / f"toys.1.{node}.log").read_text() for node in (1, 2)]
    assert any(re.search(r"\nZeroDivisionError: a defect\nrun_ranks.py: error: rank 1 failed", log) for log in said)
    assert not (tmp_path / "1" / ".done").exists() and not (tmp_path / "2" / "plain").exists()
    assert steps(TOYS, "--nnodes", "2").returncode == 0


@pytest.mark.parametrize(
    ("options", "memory", "requeued"),
    [([], "1.5G", ""), (["--nproc", "2"], "3G", ""), (["--nnodes", "2"], "1.5G", "1")],
)
def test_what_launchers_are_asked_for(steps, tmp_path, options, memory, requeued):
    """Memory for all ranks of a machine; of several machines, none that SLURM starts anew by itself."""
    launcher = tmp_path / "launcher"
    launcher.write_text('#!/bin/sh\nprintf "%s\\n" "${SBATCH_NO_REQUEUE-}" "$@" >"$W/asked"\n')
    launcher.chmod(0o755)
    done = steps('queue "$W/.done" toy -- true; run_training "$W/log" toys "$W/launcher" --mem 1.5G', *options)
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text().split("\n")
    assert asked[:3] == [requeued, "--mem", memory]


def test_gpus_that_are_not_there_are_told(steps):
    done = steps(TOYS, "--ngpu", "2", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 1
    told = "error: 2 ranks need a GPU each, and there are 0 here: give --ngpu no more than that; without a GPU, --nproc"
    assert told in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--nnodes", "0"], "--nnodes 0: a training needs a machine"),
        (["--ngpu", "2", "--nproc", "2"], "--ngpu 2, --nproc 2: a training is either on GPUs or on the processor"),
        (["--nproc", "two"], "--nproc 'two': expected a whole number"),
    ],
)
def test_mistakes_are_told(steps, options, told):
    done = steps("echo went on", *options)
    assert done.returncode == 1 and told in done.stderr and "went on" not in done.stdout
