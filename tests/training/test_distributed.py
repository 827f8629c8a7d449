"""Several ranks train as one process does: the same chunks, the same weights; and one that dies ends them all."""

import re
import shutil
import subprocess
import sys

import pytest
import rank_training
import torch
from shell import ROOT, environment, run, running, wait_for

# Of the largest value of a tensor. AdamW makes steps of gradients that are little more than rounding.
TOLERANCES = {"frozen": 1e-5, "all of it": 1e-5, "bfloat16": 0.3, "float16": 0.03}
OTHERWISE = 1e-3


PATH = f"{ROOT / 'pyscripts'}:{ROOT / 'tests'}"


def command(folder, *cases, ranks=2):
    words = [sys.executable, ROOT / "pyscripts" / "run_ranks.py", "--ranks", ranks]
    return list(map(str, [*words, ROOT / "tests" / "rank_training.py", folder, *cases]))


def as_ranks(folder, *cases, ranks=2, **changes):
    """Trains cases as ranks; returns what has come of it."""
    return run(command(folder, *cases, ranks=ranks), PYTHONPATH=PATH, **changes)


def weights(folder, ranks=2):
    """Those of the first rank; the others' are the same."""
    first, *others = (torch.load(folder / f"weights.{rank}.pt") for rank in range(ranks))
    for other in others:
        assert first.keys() == other.keys() and all(torch.equal(first[name], other[name]) for name in first)
    return first


def assert_close(found, expected, tolerance):
    assert found.keys() == expected.keys() and len(found) > 10
    for name, value in expected.items():
        off = (found[name].double() - value.double()).abs().max() / value.double().abs().max().clamp(min=1e-3)
        assert off <= tolerance, f"{name}: {off}"


def losses(folder):
    lines = [line.split(",")[1] for line in (folder / "log" / "training.csv").read_text().splitlines()[1:]]
    return torch.tensor(list(map(float, lines)))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """All cases by two ranks; the folder, and what the first rank said."""
    folder = tmp_path_factory.mktemp("two")
    done = as_ranks(folder, *rank_training.CASES)
    assert done.returncode == 0, done.stderr
    return folder, done.stderr


@pytest.mark.parametrize("case", rank_training.CASES)
def test_losses_and_weights_are_those_of_one_process(two, tmp_path, case):
    """BatchNorm's statistics, frozen or not, are those of the whole batch."""
    expected = rank_training.run(tmp_path, case).state_dict()
    tolerance = TOLERANCES.get(case, OTHERWISE)
    assert_close(weights(two[0] / case), expected, tolerance)
    torch.testing.assert_close(losses(two[0] / case), losses(tmp_path / case), rtol=tolerance, atol=0)


@pytest.mark.slow
def test_three_ranks_are_no_different(tmp_path):
    """Of a batch of four they have one, one and two chunks, of a batch of five one, two and two."""
    cases = ["plain", "odd", "resnet34", "frozen"]
    assert as_ranks(tmp_path / "three", *cases, ranks=3).returncode == 0
    for case in cases:
        expected = rank_training.run(tmp_path / "one", case).state_dict()
        assert_close(weights(tmp_path / "three" / case, ranks=3), expected, TOLERANCES.get(case, OTHERWISE))


def test_each_example_is_read_once_an_epoch(two):
    """By one rank or the other, as in the one process."""
    own = [(two[0] / "plain" / f"read.{rank}.txt").read_text().split() for rank in range(2)]
    assert [len(names) for names in own] == [18, 18]  # of three epochs of twelve
    for epoch in range(3):
        read = [name for names in own for name in names[6 * epoch : 6 * epoch + 6]]
        assert sorted(read) == sorted(rank_training.utterances())


def test_the_first_rank_speaks_for_all(two):
    """One line an epoch in the log, one checkpoint, one set of curves."""
    folder, said = two
    assert said.count("training on cpu, 2 ranks, in bfloat16: 3 epochs of 3 batches") == 1
    assert len(re.findall(r"epoch 1; loss", said)) == len(rank_training.CASES)
    assert len(list((folder / "plain" / "log" / "tensorboard").iterdir())) == 1
    assert sorted(path.name for path in (folder / "plain" / "checkpoints").iterdir()) == ["last.pt", "previous.pt"]


@pytest.mark.slow
def test_a_rank_that_dies_ends_all_and_the_next_start_goes_on(two, tmp_path):
    """Whatever it died of is the last word; then the training comes to the same weights, with as many ranks or one.

    The first rank may be ended while it writes the last checkpoint.
    """
    case = "every step"
    done = as_ranks(tmp_path, case, XVKD_DIE="1 5 raises")
    assert done.returncode == 1
    assert re.search(
        r"\nrank 1 on \S+: Traceback [^\0]*\n    raise [^\0]*\nZeroDivisionError: a defect\n"
        r"run_ranks.py: error: rank 1 failed, and all ranks were ended; started again, the training goes on from its "
        r"last checkpoint\n$", done.stderr,
    )  # fmt: skip
    done = as_ranks(tmp_path, case, XVKD_DIE="0 7 killed")
    assert done.returncode == 1 and re.search("going on from step [12] of 9", done.stderr)
    assert re.search(r"\nrank 0 on \S+: killed by SIGKILL\nrun_ranks.py: error: rank 0 failed", done.stderr)
    shutil.copytree(tmp_path / case, tmp_path / "alone" / case)
    done = as_ranks(tmp_path, case)
    assert done.returncode == 0 and re.search("going on from step [45] of 9", done.stderr)
    expected = weights(two[0] / case)
    found = weights(tmp_path / case)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert_close(rank_training.run(tmp_path / "alone", case).state_dict(), expected, OTHERWISE)


@pytest.mark.slow
def test_what_the_user_can_mend_is_told_in_a_sentence(tmp_path):
    done = as_ranks(tmp_path, "plain", XVKD_DIE="1 0 told")
    assert done.returncode == 1 and re.search(r"\nrank 1 on \S+: error: enough read\nrun_ranks.py: error:", done.stderr)
    done = as_ranks(tmp_path, "plain", ranks=5)
    assert done.returncode == 1 and "error: training.batch_size: 4 chunks are too few for 5 ranks" in done.stderr


@pytest.mark.slow
def test_ranks_end_with_what_has_started_them(tmp_path):
    """Or they would train on beside their successors."""
    process = subprocess.Popen(
        command(tmp_path, "every step"), env=environment(PYTHONPATH=PATH, XVKD_DIE="1 7 sleeps"),
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for((tmp_path / "asleep").exists, "the training to come so far", seconds=300)
    rank = int((tmp_path / "asleep").read_text())
    process.kill()
    process.wait()
    wait_for(lambda: not running(rank), "the rank to end")
    done = as_ranks(tmp_path, "every step")
    assert done.returncode == 0 and re.search("going on from step [23] of 9", done.stderr)
