"""Which chunks of which utterances make a batch, drawn so that a run can be resumed at any batch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from xvkd.training.config import TrainingConfig


@dataclass
class Batch:
    """Which chunks make a batch."""

    utterances: np.ndarray  # (batch,) indices
    offsets: np.ndarray  # (batch,) in [0, 1): where in the utterance the chunk begins
    seeds: np.ndarray  # (batch,) int64: of whatever else is random about the chunk


class ChunkSampler(Sampler[Batch]):
    """The batches of one epoch, a function of seed and epoch alone.

    Args:
        num_utterances: utterances to draw from.
        config: batch size and chunks an utterance.
        seed: of the run.
    """

    def __init__(self, num_utterances: int, config: TrainingConfig, seed: int) -> None:
        self._chunks = np.tile(np.arange(num_utterances), config.chunks_per_utterance)
        self._batch_size = min(config.batch_size, len(self._chunks))
        self._seed = seed
        self.epoch = 0
        self.first_batch = 0

    def __len__(self) -> int:
        """Batches of an epoch; chunks that do not fill the last one are left to the next epochs."""
        return len(self._chunks) // self._batch_size

    def __iter__(self) -> Iterator[Batch]:
        random = np.random.default_rng([self._seed, self.epoch])
        order = random.permutation(self._chunks)
        offsets = random.random(len(order))
        seeds = random.integers(2**63, size=len(order))
        for batch in range(self.first_batch, len(self)):
            rows = slice(batch * self._batch_size, (batch + 1) * self._batch_size)
            yield Batch(order[rows], offsets[rows], seeds[rows])
