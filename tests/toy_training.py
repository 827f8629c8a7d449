"""A toy that is trained in a moment, and whose training can be hit at any read."""

from functools import partial

import numpy as np
import torch

from xvkd.nets.models import STUDENTS, BuildRecord, build_network
from xvkd.training.classification import SpeakerClassification
from xvkd.training.config import FineTuningConfig, SpecAugmentConfig, TrainingConfig
from xvkd.training.data import ChunkDataset, UtteranceReader
from xvkd.training.objectives import softmax
from xvkd.training.sampling import Pool
from xvkd.training.trainer import Trainer

SPEAKERS, UTTERANCES = 3, 12


class Fragile(dict):
    """Utterances that can be read so many times before the power fails."""

    reads = 10**9
    chunk = UtteranceReader.chunk

    def __getitem__(self, key):
        if self.reads == 0:
            raise KeyboardInterrupt
        self.reads -= 1
        return super().__getitem__(key)


def utterances(seed=0):
    """Speakers that differ in the mean of their frames."""
    draw = np.random.default_rng(seed)
    means = 2 * draw.standard_normal((SPEAKERS, 4))
    return {
        f"u{i:02d}": (means[i % SPEAKERS] + draw.standard_normal((40, 4))).astype(np.float32)
        for i in range(UTTERANCES)
    }


def toy_config(**changes):
    """A training configuration for toys; keywords replace its values."""
    values = {
        "epochs": 3, "min_frames": 0, "min_utterances": 0, "chunks_per_utterance": 1, "balance": "utterances",
        "batch_size": 4, "chunk_frames": 20,
        "spec_augment": SpecAugmentConfig(0, 0, 0, 0), "optimiser": "adamw", "momentum": 0.9,
        "weight_decay": 0.01, "schedule": "one_cycle", "learning_rate": 0.01, "warmup": 0.2, "final_share": 0.01,
        "max_gradient_norm": 5.0, "precision": "float32", "average_epochs": 1, "dev_every": 0,
        "dev_utterances": 100, "dev_frames": 100, "patience": 0,
        "fine_tuning": FineTuningConfig(0, 40, 0.001, None), "reading": "random", "window_gib": 1.0,
        "cache_gib": 1.0, "reader_workers": 0,
        "checkpoint_minutes": 1e6,
    }  # fmt: skip
    return TrainingConfig(**{**values, **changes})


def make_task(seed=0, kind="softmax", objective=None):
    torch.manual_seed(seed)
    network = build_network(BuildRecord(STUDENTS, "tdnn", {"width": 8}, 4, 6), "toy")
    speakers = torch.arange(UTTERANCES) % SPEAKERS
    return SpeakerClassification(network, speakers, kind, objective or softmax.Config("softmax", 0.0))


def train(folder, config, task, fingerprint="x", reads=10**9, data=None, copies=None, development=None):
    """Trains a task; returns how many utterances were read."""
    reader = data if isinstance(data, Fragile) else Fragile(data or utterances())
    reader.reads = reads
    pool = Pool(list(reader), np.arange(len(reader)) % SPEAKERS, copies or {})
    dataset = partial(ChunkDataset, reader, list(reader))
    about = {"build": {}}
    Trainer(task, dataset, pool, config, folder, 7, fingerprint, about, development).run()
    return reads - reader.reads


def assert_same_weights(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys() and len(one) > 10
    for name in one:
        assert torch.equal(one[name], other[name]), name
