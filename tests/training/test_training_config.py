"""Configuration of models: what cannot be trained is told before anything is."""

import pytest

from xvkd.errors import UserError
from xvkd.nets.models import TEACHERS, BuildRecord, build_network
from xvkd.training.config import check_chunks, load_model_config, load_objective


def check(conf, chunk_frames):
    path = conf / "teachers" / "etdnn.yaml"
    model, _, features, _ = load_model_config(path, [f"training.chunk_frames={chunk_frames}"])
    network = build_network(BuildRecord(TEACHERS, model.network, model.arch, features.dim, 0), str(path))
    check_chunks(model.training, network.min_frames, path)


def test_chunks_shorter_than_the_network_can_read_are_told(conf):
    check(conf, 23)
    with pytest.raises(UserError, match=r"etdnn.yaml: training.chunk_frames: 22 is impossible .the network needs 23"):
        check(conf, 22)


def test_fine_tuning_needs_chunks_that_are_long_enough_too(conf):
    path = conf / "teachers" / "etdnn.yaml"
    tuning = [f"training.fine_tuning.{value}" for value in ("epochs=1", "chunk_frames=22")]
    with pytest.raises(UserError, match="training.fine_tuning.chunk_frames: 22 is impossible .the network needs 23"):
        check_chunks(load_model_config(path, tuning)[0].training, 23, path)
    check_chunks(load_model_config(path, tuning[1:])[0].training, 23, path)


def load(conf, *overrides):
    path = conf / "teachers" / "tdnn.yaml"
    return load_objective(path, load_model_config(path, list(overrides))[0], overrides)


def test_an_objective_and_values_that_replace_its_own(conf):
    assert load(conf)[0] == "aam" and load(conf, "objective=softmax")[0] == "softmax"
    kind, options = load(conf, "objective=aam", "objective.margin=0.3", "training.fine_tuning.margin=0.5")
    assert (kind, options.margin, options.scale) == ("aam", 0.3, 32.0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("objective=arc", r"objectives/arc.yaml: no such configuration file \(there are: aam, softmax\)"),
        ("objective=softmax objective.margin=0.3", r"softmax.yaml: margin: unknown key"),
        ("objective=aam objective.margin=2", r"aam.yaml: margin: 2.0 is impossible"),
        ("objective=aam objective.margin_begins=0.9", r"aam.yaml: margin_whole: 0.5 comes before margin_begins: 0.9"),
        ("objective=softmax training.fine_tuning.margin=0.5",
         r"training.fine_tuning.margin: 0.5 is impossible with objective: softmax, which has no margin"),
        ("training.fine_tuning.margin=2", r"training.fine_tuning: margin: 2.0 is impossible \(expected null, or"),
        ("training.schedule=exponential training.final_share=0", r"final_share: 0 is impossible with schedule: exp"),
        ("training.patience=2", r"patience: 2 counts evaluations, and dev_every: 0 makes none"),
        ("training.patience=2 training.dev_every=1 training.average_epochs=2",
         r"average_epochs: 2 is impossible with patience"),
        ("training.average_epochs=25", r"average_epochs: 25 is more than the 24 epochs that there are"),
        ("training.average_epochs=3 training.fine_tuning.epochs=2", r"average_epochs: 3 is more than the 2 epochs"),
        ("training.spec_augment.time_masks=1", r"time_masks: 1 hides nothing with time_mask_frames: 0"),
        ("training.spec_augment.time_masks=1 training.spec_augment.time_mask_frames=300",
         r"spec_augment.time_mask_frames: 300 is more than chunk_frames: 200"),
        ("training.optimiser=adam", r"optimiser: adam is impossible .*one of adamw, sgd"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told(conf, overrides, message):
    with pytest.raises(UserError, match=message):
        load(conf, *overrides.split())
