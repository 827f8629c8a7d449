"""What makes a model of the weights: margins, fine-tuning, means of epochs, the best epoch; and what the logs tell."""

import contextlib
import csv
import logging
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer
from toy_training import SPEAKERS, UTTERANCES, assert_same_weights, make_task, train, utterances

from xvkd import config
from xvkd.distillation.config import LossConfig
from xvkd.distillation.sources import Dumped
from xvkd.distillation.targets import TargetMap, Targets
from xvkd.distillation.task import Distillation
from xvkd.nets.extraction import ExtractionConfig
from xvkd.training.config import FineTuningConfig
from xvkd.training.development import DevelopmentSet
from xvkd.training.objectives import aam

AAM = {"kind": "aam", "objective": aam.Config("aam", 16.0, 0.2, 0.3, 0.6, "linear", 0.0)}


def history(folder):
    with open(folder / "log" / "training.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(folder, name):
    return [float(row[name]) if row[name] else None for row in history(folder)]


class Scripted(DevelopmentSet):
    """A development set of which the EERs are known beforehand; it keeps the weights that it has seen."""

    def __init__(self, eers):
        self.eers, self.seen = list(eers), []

    def eer(self, network, device):
        self.seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return self.eers[len(self.seen) - 1]


def same(network, weights):
    return all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


def test_the_margin_of_the_moment_is_in_the_log(tmp_path, make_config):
    config = make_config(epochs=5, fine_tuning=FineTuningConfig(1, 40, 0.001, 0.4))
    train(tmp_path, config, make_task(**AAM))
    margins = column(tmp_path, "margin")
    assert margins[0] == 0.0 and 0 < margins[2] < 0.2 and margins[3:] == [0.2, 0.2, 0.4]
    train(tmp_path / "softmax", make_config(), make_task())
    assert "margin" not in history(tmp_path / "softmax")[0]


def test_fine_tuning_has_longer_chunks_in_smaller_batches(tmp_path, make_config):
    """And a learning rate of its own."""
    task, shapes = make_task(), []
    task.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    train(tmp_path, make_config(fine_tuning=FineTuningConfig(2, 30, 0.005, None), schedule="cosine"), task)
    assert shapes == 9 * [(4, 20, 4)] + 2 * 4 * [(3, 30, 4)]
    assert column(tmp_path, "epoch") == [1, 2, 3, 4, 5]
    assert column(tmp_path, "learning_rate")[2::2] == pytest.approx([0.01 * 0.01, 0.01 * 0.005])


def test_the_mean_of_the_last_epochs(tmp_path, make_config):
    seen, task = Scripted([9.0] * 4), make_task()
    train(tmp_path, make_config(epochs=4, average_epochs=3, dev_every=1), task, development=seen)
    for name, tensor in task.network.state_dict().items():
        expected = torch.stack([weights[name].double() for weights in seen.seen[1:]]).mean(dim=0)
        if "num_batches" in name:
            assert tensor == seen.seen[-1][name]
        else:
            torch.testing.assert_close(tensor.double(), expected, rtol=1e-6, atol=1e-8)
    assert not same(task.network, seen.seen[-1])


def test_training_ends_when_nothing_gets_better_and_the_best_is_the_model(tmp_path, make_config, caplog):
    seen, task = Scripted([30.0, 20.0, 25.0, 20.0, 1.0]), make_task()
    with caplog.at_level(logging.INFO):
        train(tmp_path, make_config(epochs=9, dev_every=1, patience=2), task, development=seen)
    assert column(tmp_path, "dev_eer_percent") == [30, 20, 25, 20]
    assert same(task.network, seen.seen[1]) and not same(task.network, seen.seen[3])
    assert "the model is that of epoch 2, EER 20.00 %, of 4" in caplog.text


def test_without_patience_the_last_epoch_is_the_model(tmp_path, make_config):
    seen, task, alone = Scripted([1.0, 2.0]), make_task(), make_task()
    train(tmp_path, make_config(epochs=4, dev_every=3), task, development=seen)
    assert column(tmp_path, "dev_eer_percent") == [None, None, 1, 2]  # and the last one in any case
    train(tmp_path / "alone", make_config(epochs=4), alone)
    assert_same_weights(task, alone)
    assert "dev_eer_percent" not in history(tmp_path / "alone")[0]


def test_fine_tuning_begins_with_the_best_weights(tmp_path, make_config):
    seen, task = Scripted([30.0, 20.0, 25.0, 24.0, 23.0]), make_task()
    began = []
    task.register_forward_pre_hook(
        lambda task, inputs: began.append(same(task.network, seen.seen[1])) if inputs[0].shape[1] == 30 else None
    )
    tuning = FineTuningConfig(2, 30, 0.005, None)
    train(tmp_path, make_config(epochs=9, dev_every=1, patience=1, fine_tuning=tuning), task, development=seen)
    assert began[0] and not any(began[1:]) and same(task.network, seen.seen[4])


def test_a_student_that_is_distilled_has_a_development_set_too(conf, tmp_path, make_config):
    frames = utterances()
    speakers = {name: f"s{number % 3}" for number, name in enumerate(frames)}
    development = DevelopmentSet(frames, speakers, 12, 40, ExtractionConfig(15, 100, 1000, 100), "dev")
    values = np.eye(SPEAKERS, 6, dtype=np.float32)[np.arange(UTTERANCES) % SPEAKERS]
    targets = Targets(values, [(6, 1.0)], [TargetMap(np.zeros(6), np.ones(6), None, False)])
    loss = config.load(LossConfig, conf / "losses" / "mse.yaml")
    task = Distillation(make_task().network, Dumped(targets, np.arange(UTTERANCES)), targets.blocks, loss)
    train(tmp_path, make_config(epochs=40, dev_every=20, learning_rate=0.03), task, development=development)
    eers = column(tmp_path, "dev_eer_percent")
    assert [eer is not None for eer in eers] == ([False] * 19 + [True]) * 2
    assert eers[-1] < 15 < development.eer(make_task().network, torch.device("cpu"))


def test_the_network_is_constrained_after_each_step(tmp_path, make_config, monkeypatch):
    task, steps = make_task(), []
    monkeypatch.setattr(task.network, "constrain", lambda step: steps.append(step), raising=False)
    train(tmp_path, make_config(fine_tuning=FineTuningConfig(1, 40, 0.001, None)), task)
    assert steps == list(range(9 + 6))


@pytest.mark.parametrize("checkpoint_minutes", [0.0, 1e6])
@pytest.mark.parametrize("slow_s", [0.0, 3600.0])
def test_curves_have_each_step_once(tmp_path, make_config, checkpoint_minutes, slow_s, monkeypatch):
    """Also those that were written after the last checkpoint, and are written again; each time by a slower clock."""
    config = make_config(chunks_per_utterance=10, checkpoint_minutes=checkpoint_minutes)
    train(tmp_path / "undisturbed", config, make_task())
    for run, reads in enumerate((150, 170, 10**9)):
        clock = SimpleNamespace(time=lambda slow_s=run * slow_s: time.time() - slow_s)
        monkeypatch.setattr(event_file_writer, "time", clock)
        with contextlib.nullcontext() if run == 2 else pytest.raises(KeyboardInterrupt):
            train(tmp_path / "hit", config, make_task(), reads=reads)
    curves = []
    for name in ("undisturbed", "hit"):
        events = EventAccumulator(str(tmp_path / name / "log" / "tensorboard")).Reload()
        tags = set(events.Tags()["scalars"])
        assert tags >= {"loss", "learning_rate", "epoch/loss", "epoch/accuracy", "epoch/times_real_time"}
        curves.append({tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in ("loss", "epoch/loss")})
    assert curves[0] == curves[1]
    assert [step for step, _ in curves[1]["loss"]] == list(range(10, 91, 10))
    assert [step for step, _ in curves[1]["epoch/loss"]] == [30, 60, 90]


def test_without_tensorboard_there_is_one_warning(tmp_path, make_config, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    train(tmp_path, make_config(), make_task())
    assert caplog.text.count("tensorboard is not installed: no curves") == 1
    assert len(history(tmp_path)) == 3
