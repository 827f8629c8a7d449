"""Whatever is switched on, a training that is hit at any moment ends with the weights of an undisturbed one."""

import pytest
import torch
from toy_training import assert_same_weights, make_task, train, utterances

from xvkd.nets.extraction import ExtractionConfig
from xvkd.training.config import FineTuningConfig, SpecAugmentConfig
from xvkd.training.development import DevelopmentSet
from xvkd.training.objectives import aam

AAM = {"kind": "aam", "objective": aam.Config("aam", 16.0, 0.2, 0.1, 0.6, "exponential", 0.0)}
# Utterances 6 to 11 are copies of 0 to 5.
COPIES = {f"u{i + 6:02d}": f"u{i:02d}" for i in range(6)}
TUNING = FineTuningConfig(2, 40, 0.003, 0.4)
HIDING = SpecAugmentConfig(2, 5, 1, 2)
CASES = {
    "a margin that grows": (AAM, {}),
    "sgd, exponential": ({}, {"optimiser": "sgd", "schedule": "exponential", "learning_rate": 0.1}),
    "sgd without momentum, cosine": ({}, {"optimiser": "sgd", "momentum": 0.0, "schedule": "cosine"}),
    "fine-tuning": (AAM, {"fine_tuning": TUNING}),
    "averaging": ({}, {"average_epochs": 2}),
    "averaging, fine-tuning": (AAM, {"average_epochs": 2, "fine_tuning": TUNING}),
    "speakers in balance": ({}, {"balance": "speakers", "chunks_per_utterance": 2}),
    "SpecAugment": ({}, {"spec_augment": HIDING}),
    "copies": ({}, {"chunks_per_utterance": 2}),
    "float16": (AAM, {"precision": "float16"}),
    "bfloat16": (AAM, {"precision": "bfloat16"}),
    "early stopping": ({}, {"dev_every": 1, "patience": 1, "epochs": 6, "learning_rate": 0.3}),
    "all of it": (AAM, {
        "dev_every": 1, "patience": 1, "epochs": 6, "learning_rate": 0.05, "fine_tuning": TUNING,
        "balance": "speakers", "chunks_per_utterance": 2, "spec_augment": HIDING, "optimiser": "sgd",
        "precision": "float16",
    }),
}  # fmt: skip


@pytest.fixture(scope="module")
def development():
    frames = utterances(seed=1)
    speakers = {name: f"s{number % 3}" for number, name in enumerate(frames)}
    return DevelopmentSet(frames, speakers, 12, 40, ExtractionConfig(15, 100, 1000, 100), "dev")


@pytest.mark.parametrize("checkpoint_minutes", [0.0, 1e6])  # after every step; after every epoch only
@pytest.mark.parametrize("case", CASES)
def test_a_training_that_was_hit_ends_as_an_undisturbed_one(
    tmp_path, make_config, development, case, checkpoint_minutes
):
    objective, changes = CASES[case]
    config = make_config(**changes, checkpoint_minutes=checkpoint_minutes)
    options = {"copies": COPIES if changes.get("chunks_per_utterance") else None, "development": development}
    undisturbed = make_task(**objective)
    reads = train(tmp_path / "undisturbed", config, undisturbed, **options)
    for share in (0.1, 0.3, 0.55, 0.8, 0.999):
        folder = tmp_path / str(share)
        with pytest.raises(KeyboardInterrupt):
            train(folder, config, make_task(**objective), reads=int(share * reads), **options)
        task = make_task(seed=5, **objective)  # what the new process draws must not matter, once there is a checkpoint
        if not (folder / "checkpoints" / "last.pt").exists():
            task = make_task(**objective)
        else:
            torch.rand(3)
        train(folder, config, task, **options)
        assert_same_weights(task, undisturbed)
        again = make_task(seed=6, **objective)
        assert train(folder, config, again, **options) == 0
        assert_same_weights(again, undisturbed)
