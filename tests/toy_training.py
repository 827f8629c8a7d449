"""A toy that is trained in a moment, and whose training can be hit at any read."""

from functools import partial

import numpy as np
import torch

from xvkd.nets.models import STUDENTS, BuildRecord, build_network
from xvkd.training.classification import SpeakerClassification
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


def make_task(seed=0, kind="softmax", objective=None):
    torch.manual_seed(seed)
    network = build_network(BuildRecord(STUDENTS, "tdnn", {"width": 8}, 4, 6), "toy")
    speakers = torch.arange(UTTERANCES) % SPEAKERS
    return SpeakerClassification(network, speakers, kind, objective or softmax.Config("softmax", 0.0))


def train(folder, config, task, fingerprint="x", reads=10**9, data=None, copies=None, development=None):
    """Trains a task; returns how many utterances were read."""
    reader = Fragile(data or utterances())
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
