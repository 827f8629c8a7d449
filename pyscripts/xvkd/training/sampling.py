"""Which chunks of which utterances make a batch, drawn so that a run can be resumed at any batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from xvkd.errors import UserError
from xvkd.training import ranks


@dataclass
class Batch:
    """Which chunks make a batch."""

    utterances: np.ndarray  # (batch,) indices
    offsets: np.ndarray  # (batch,) in [0, 1): where in the utterance the chunk begins
    seeds: np.ndarray  # (batch,) int64: of whatever else is random about the chunk
    part: slice  # those that this rank reads


class Pool:
    """What chunks are drawn from: original utterances, each of which may have copies.

    An original and its copies (noisy, reverberant) are its variants; one of them is drawn whenever the original
    is. An original that is not there is represented by its copies.

    Args:
        utterances: ids.
        speakers: (utterances,) an index of the speaker of each.
        copies: copy -> its original (Kaldi's utt2uniq); utterances that it does not name are originals.

    Raises:
        UserError: variants of one utterance are of different speakers.
    """

    def __init__(self, utterances: Sequence[str], speakers: np.ndarray, copies: Mapping[str, str]) -> None:
        names, original = np.unique([copies.get(name, name) for name in utterances], return_inverse=True)
        self._variants = np.argsort(original, kind="stable")  # grouped by their original
        self._count = np.bincount(original)
        self._first = np.cumsum(self._count) - self._count
        self.speakers = speakers[self._variants[self._first]]  # of the originals
        other = np.flatnonzero(self.speakers[original] != speakers)
        if other.size:
            copy = utterances[other[0]]
            raise UserError(f"utt2uniq: '{copy}' and other variants of '{names[original[other[0]]]}' differ in speaker")

    def __len__(self) -> int:
        """Original utterances."""
        return len(self._count)

    def draw(self, originals: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """An utterance for each original: one of its variants, all equally likely."""
        chosen = (random.random(len(originals)) * self._count[originals]).astype(int)
        return self._variants[self._first[originals] + chosen]


class ChunkSampler(Sampler[Batch]):
    """The batches of one epoch, a function of seed and epoch alone.

    Args:
        pool: what to draw from.
        chunks_per_utterance: chunks of each original in an epoch; with speakers in balance, on average.
        batch_size: chunks.
        balance: "utterances": each original has equally many chunks; "speakers": each speaker has.
        seed: of the run.

    Raises:
        UserError: a batch has fewer chunks than there are ranks.
    """

    def __init__(self, pool: Pool, chunks_per_utterance: int, batch_size: int, balance: str, seed: int) -> None:
        self._pool = pool
        self._chunks = len(pool) * chunks_per_utterance
        self._batch_size = min(batch_size, self._chunks)
        if self._batch_size < ranks.count():
            raise UserError(
                f"training.batch_size: {self._batch_size} chunks are too few for {ranks.count()} ranks, of which each "
                "reads a part of a batch; raise it, or give fewer of --ngpu, --nproc or --nnodes"
            )
        self._order = {"utterances": self._by_utterance, "speakers": self._by_speaker}[balance]
        self._seed = seed
        self.epoch = 0
        self.first_batch = 0

    def __len__(self) -> int:
        """Batches of an epoch; chunks that do not fill the last one are left to the next epochs."""
        return self._chunks // self._batch_size

    def __iter__(self) -> Iterator[Batch]:
        random = np.random.default_rng([self._seed, self.epoch])
        utterances = self._pool.draw(self._order(random), random)
        offsets = random.random(len(utterances))
        seeds = random.integers(2**63, size=len(utterances))
        part = ranks.part(self._batch_size)
        for batch in range(self.first_batch, len(self)):
            rows = slice(batch * self._batch_size, (batch + 1) * self._batch_size)
            yield Batch(utterances[rows], offsets[rows], seeds[rows], part)

    def _by_utterance(self, random: np.random.Generator) -> np.ndarray:
        """The originals of an epoch's chunks, each as often as any other."""
        return random.permutation(np.arange(self._chunks) % len(self._pool))

    def _by_speaker(self, random: np.random.Generator) -> np.ndarray:
        """The same, each speaker as often as any other, and in a batch at most once if there are enough speakers.

        Round after round, all speakers come in a new order; each gives the originals that it has in turn.
        """
        speakers = self._pool.speakers
        shuffled = np.lexsort((random.random(len(speakers)), speakers))  # grouped by speaker
        count = np.bincount(speakers)
        first = np.cumsum(count) - count
        order = np.empty(0, int)
        originals = []
        for number in range(-(-self._chunks // len(count))):
            # Whoever is in the batch that the last round has begun comes after all others.
            begun = order[max(len(order) - number * len(count) % self._batch_size, 0) :]
            order = random.permutation(len(count))
            late = np.isin(order, begun)
            order = np.concatenate([order[~late], order[late]])
            originals.append(shuffled[first[order] + number % count[order]])
        return np.concatenate(originals)[: self._chunks]
