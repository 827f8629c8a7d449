"""Training: it learns, it tells when it cannot, and an interrupted run ends as if nothing had happened."""

import csv
import logging
import os
import pickle
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from toy_training import UTTERANCES, assert_same_weights, make_task, train

from xvkd.errors import UserError
from xvkd.training import checkpoint
from xvkd.training.sampling import ChunkSampler, Pool

STEPS = 9  # 3 epochs of 3 batches of 4


def history(folder):
    with open(folder / "log" / "training.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def undisturbed(tmp_path, make_config):
    task = make_task()
    train(tmp_path / "undisturbed", make_config(), task)
    return task


# Where a run can be hit: in the first step, within an epoch, at the edge of one, in the last step.
@pytest.mark.parametrize("steps_done", [0, 1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("checkpoint_minutes", [0.0, 1e6])  # after every step; after every epoch only
def test_an_interrupted_run_ends_as_an_undisturbed_one(
    tmp_path, make_config, undisturbed, steps_done, checkpoint_minutes
):
    config = make_config(checkpoint_minutes=checkpoint_minutes)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "hit", config, make_task(), reads=4 * steps_done + 2)
    task = make_task(seed=5)  # what the new process draws must not matter, once there is a checkpoint
    if not (tmp_path / "hit" / "checkpoints" / "last.pt").exists():
        assert steps_done < (1 if checkpoint_minutes == 0 else 3)
        task = make_task()
    torch.rand(3)
    train(tmp_path / "hit", config, task)
    assert_same_weights(task, undisturbed)


def test_a_run_survives_several_interruptions(tmp_path, make_config, undisturbed):
    config = make_config(checkpoint_minutes=0.0)
    for _ in range(4):
        task = make_task()
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "hit", config, task, reads=10)  # two steps and a half
    task = make_task()
    train(tmp_path / "hit", config, task)
    assert_same_weights(task, undisturbed)
    assert [int(row["epoch"]) for row in history(tmp_path / "hit")] == [1, 2, 3]


def test_it_goes_on_rather_than_begin_anew(tmp_path, make_config, caplog):
    config = make_config(checkpoint_minutes=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, config, make_task(), reads=4 * 5 + 1)
    with caplog.at_level(logging.INFO):
        train(tmp_path, config, make_task(), reads=4 * (STEPS - 5))  # just enough for the rest
    assert f"going on from step 5 of {STEPS}" in caplog.text


def test_a_finished_run_is_not_trained_again(tmp_path, make_config):
    first, again = make_task(), make_task(seed=1)
    train(tmp_path, make_config(), first)
    train(tmp_path, make_config(), again, reads=0)
    assert_same_weights(first, again)


def test_another_fingerprint_begins_anew(tmp_path, make_config, undisturbed, caplog):
    other = make_config(checkpoint_minutes=0.0, learning_rate=0.5)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, other, make_task(), fingerprint="y", reads=20)
    task = make_task()
    with caplog.at_level(logging.INFO):
        train(tmp_path, make_config(), task, fingerprint="x")
    assert_same_weights(task, undisturbed)
    assert "checkpoints are of another configuration or data: training from the beginning" in caplog.text


class Random(nn.Module):
    """A task that draws from every generator, as augmentation or dropout in a task may."""

    watched = "nothing"
    network = SimpleNamespace(constrain=lambda step: None)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(16))

    def forward(self, features, utterances):
        noise = torch.rand(16) + np.random.random() + random.random() + np.random.standard_normal()
        loss = (self.weight - noise).square().mean()
        return loss, loss


@pytest.mark.parametrize("steps_done", [1, 3, 5])
def test_random_numbers_go_on_where_they_were(tmp_path, make_config, steps_done):
    def seeded():
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        return Random()

    config = make_config(checkpoint_minutes=0.0)
    undisturbed = seeded()
    train(tmp_path / "undisturbed", config, undisturbed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "hit", config, seeded(), reads=4 * steps_done + 2)
    torch.manual_seed(9)
    task = Random()
    train(tmp_path / "hit", config, task)
    assert torch.equal(task.weight, undisturbed.weight)


def test_the_log_of_an_interrupted_epoch_is_of_all_of_it(tmp_path, make_config, undisturbed):
    config = make_config(checkpoint_minutes=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "hit", config, make_task(), reads=4 * 5 + 1)
    train(tmp_path / "hit", config, make_task())
    for row, expected in zip(history(tmp_path / "hit"), history(tmp_path / "undisturbed"), strict=True):
        assert all(row[key] == expected[key] for key in ("epoch", "loss", "accuracy", "learning_rate"))


def truncate(data):
    return data[:1000]


def flip(data):
    """One bit in the middle, where the weights are: the file still has its form."""
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize("damage", [truncate, flip, lambda data: b""])
@pytest.mark.parametrize("names", [["last.pt"], ["last.pt", "previous.pt"]])
def test_a_damaged_checkpoint_does_not_end_the_night(tmp_path, make_config, undisturbed, caplog, damage, names):
    config = make_config(checkpoint_minutes=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "hit", config, make_task(), reads=4 * 5 + 1)
    for name in names:
        path = tmp_path / "hit" / "checkpoints" / name
        path.write_bytes(damage(path.read_bytes()))
    task = make_task()
    with caplog.at_level(logging.INFO):
        train(tmp_path / "hit", config, task)
    assert_same_weights(task, undisturbed)
    for name in names:
        assert f"checkpoints/{name}: damaged, or not a checkpoint (" in caplog.text
        assert (tmp_path / "hit" / "checkpoints" / name).with_suffix(".damaged").exists()
    assert ("going on from step 4 of 9" in caplog.text) == (len(names) == 1)


class Code:
    """Leaves a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (exec, (f"open({str(self.mark)!r}, 'w')",))


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (torch.save, "it holds other than tensors and plain values"),
        (lambda value, path: path.write_bytes(pickle.dumps(value)), "File is not a zip file"),
    ],
)
def test_code_in_a_checkpoint_is_not_run(tmp_path, make_config, undisturbed, caplog, write, reason):
    mark = tmp_path / "code was run"
    folder = tmp_path / "hit" / "checkpoints"
    folder.mkdir(parents=True)
    write({"fingerprint": "x", "task": Code(mark)}, folder / "last.pt")
    with pytest.raises(UserError, match=rf"last\.pt: damaged, or not a checkpoint \({reason}\)"):
        checkpoint.read(folder / "last.pt")
    task = make_task()
    train(tmp_path / "hit", make_config(), task)
    assert_same_weights(task, undisturbed)
    assert not mark.exists() and "last.pt: damaged" in caplog.text


def test_an_interrupted_checkpoint_leaves_the_one_before(tmp_path, monkeypatch):
    state = {"fingerprint": "x", "task": {}}
    checkpoint.save(tmp_path, {**state, "step": 1})

    def killed(state, file):
        file.write(b"half of a")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(tmp_path, {**state, "step": 2})
    assert checkpoint.newest(tmp_path)["step"] == 1
    assert checkpoint.newest(tmp_path / "none") is None
    # Between two renamings, the older one stands under its second name.
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        renamed = []
        rename = os.replace

        def once(old, new):
            if renamed:
                raise KeyboardInterrupt
            renamed.append(new)
            rename(old, new)

        patch.setattr(os, "replace", once)
        checkpoint.save(tmp_path, {**state, "step": 2})
    # Killed while it wrote: what it left is of no use to anyone.
    half, other = tmp_path / ".last.pt.0123abcd.tmp", tmp_path / ".last.pt.mine.tmp"
    half.write_bytes(b"half of a")
    other.write_bytes(b"")
    assert checkpoint.newest(tmp_path)["step"] == 1
    assert not half.exists() and other.exists()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_learns(tmp_path, make_config, precision):
    task = make_task()
    train(tmp_path, make_config(epochs=40, batch_size=6, learning_rate=0.05, precision=precision), task)
    rows = history(tmp_path)
    assert [int(row["epoch"]) for row in rows] == list(range(1, 41))
    first, last = (np.mean([float(row["loss"]) for row in part]) for part in (rows[:3], rows[-3:]))
    assert last < 0.3 * first
    assert float(rows[-1]["accuracy"]) > 0.9
    assert float(rows[-1]["learning_rate"]) < 0.01 * 0.05  # the cycle has come to its end
    assert not task.training


class Weight(nn.Module):
    """A task whose loss is one weight times a number."""

    watched = "nothing"
    network = SimpleNamespace(constrain=lambda step: None)

    def __init__(self, loss):
        super().__init__()
        self.weight, self._loss = nn.Parameter(torch.ones(1)), loss
        self.seen, self.modes = [], set()

    def forward(self, features, utterances):
        self.seen.append(utterances.tolist())
        self.modes.add(self.training)
        loss = self.weight.sum() * self._loss
        return loss, loss


def test_each_epoch_has_its_own_order(tmp_path, make_config):
    task = Weight(1.0).eval()
    train(tmp_path, make_config(), task)
    pool = Pool([f"u{i:02d}" for i in range(UTTERANCES)], np.zeros(UTTERANCES, int), {})
    sampler = ChunkSampler(pool, 1, 4, "utterances", seed=7)
    expected = []
    for sampler.epoch in range(3):
        expected += [batch.utterances.tolist() for batch in sampler]
    assert task.seen == expected and task.seen[:3] != task.seen[3:6]
    assert task.modes == {True} and not task.training  # trained as such, whatever it was before


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_told(tmp_path, make_config, loss):
    with pytest.raises(UserError, match=r"the loss became nan at step 3: lower training.learning_rate \(now 0.01"):
        train(tmp_path, make_config(), Weight(loss))
    assert not (tmp_path / "checkpoints" / "last.pt").exists()


@pytest.mark.parametrize("most", [0.0, 5.0])
def test_gradients_are_clipped(tmp_path, make_config, most):
    """To nothing, if that is asked for: then nothing moves."""
    task = Weight(1.0)
    train(tmp_path, make_config(epochs=1, weight_decay=0.0, max_gradient_norm=most), task)
    assert (task.weight.item() == 1.0) == (most == 0.0)
