"""Which chunks of which utterances make a batch, drawn so that a run can be resumed at any batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from xvkd.errors import UserError
from xvkd.training import ranks


@dataclass(frozen=True, eq=False)
class Shards:
    """In which shards (:mod:`.shards`) utterances lie.

    Attributes:
        of: (utterances,) the number of each one's shard.
        sizes: (shards,) bytes.
    """

    of: np.ndarray
    sizes: np.ndarray


@dataclass(frozen=True)
class Piece:
    """A piece of a shard, in bytes."""

    shard: int
    first: int
    end: int


@dataclass
class Batch:
    """Which chunks make a batch."""

    utterances: np.ndarray  # (batch,) indices
    offsets: np.ndarray  # (batch,) in [0, 1): where in the utterance the chunk begins
    seeds: np.ndarray  # (batch,) int64: of whatever else is random about the chunk
    part: slice  # those that this rank reads
    ahead: Sequence[Piece] = ()  # what it reads for the batches to come


class Pool:
    """What chunks are drawn from: original utterances, each of which may have copies.

    An original and its copies (noisy, reverberant) are its variants; one of them is drawn whenever the original
    is. An original that is not there is represented by its copies.

    Args:
        utterances: ids.
        speakers: (utterances,) an index of the speaker of each.
        copies: copy -> its original (Kaldi's utt2uniq); utterances that it does not name are originals.
        shards: where they lie; None: each is read by itself.

    Raises:
        UserError: variants of one utterance are of different speakers.
    """

    def __init__(
        self, utterances: Sequence[str], speakers: np.ndarray, copies: Mapping[str, str], shards: Shards | None = None
    ) -> None:
        self.shards = shards
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
        window_bytes: of a pool in shards: chunks are drawn from a window of about half of it, while the next is read.

    Raises:
        UserError: a batch has fewer chunks than there are ranks.
    """

    def __init__(
        self, pool: Pool, chunks_per_utterance: int, batch_size: int, balance: str, seed: int, window_bytes: float = 0
    ) -> None:
        self._pool, self._window_bytes = pool, window_bytes / 2
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
        windows = None
        if self._pool.shards:
            windows = Windows(self._pool.shards, self._window_bytes, random)
            utterances = windows.arrange(utterances, self._batch_size)
        for batch in range(self.first_batch, len(self)):
            rows = slice(batch * self._batch_size, (batch + 1) * self._batch_size)
            ahead = windows.ahead(rows, batch == self.first_batch) if windows else ()
            yield Batch(utterances[rows], offsets[rows], seeds[rows], part, ahead)

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


class Windows:
    """The shards of an epoch in a random order, and the windows of some of them that follow each other.

    Args:
        shards: where the utterances lie.
        window_bytes: of a window, which may be larger by a shard.
        random: the epoch's generator.
    """

    def __init__(self, shards: Shards, window_bytes: float, random: np.random.Generator) -> None:
        self._of, self._order = shards.of, random.permutation(len(shards.sizes))
        self._ends = np.cumsum(shards.sizes[self._order])  # in the epoch's order, all shards in a row
        self._place = np.argsort(self._order)
        begins = self._ends - shards.sizes[self._order]
        window = np.unique(begins // max(window_bytes, 1), return_inverse=True)[1]
        self._window = window[self._place]  # of each shard
        # Where each window begins and ends, in that row.
        self._bounds = np.append(begins[np.flatnonzero(np.diff(window, prepend=-1))], self._ends[-1])

    def arrange(self, utterances: np.ndarray, batch_size: int) -> np.ndarray:
        """Puts an epoch's utterances, (chunks,) in random order, into that of their windows, in which it stays random.

        Within a batch, whose order makes no difference, shards follow each other, so that ranks read different ones.
        """
        arranged = utterances[np.argsort(self._window[self._of[utterances]], kind="stable")]
        drawn = np.bincount(self._window[self._of[arranged]], minlength=len(self._bounds) - 1)
        self._chunks = np.append(0, np.cumsum(drawn))  # where the chunks of each window begin
        batch = np.arange(len(arranged)) // batch_size
        return arranged[np.lexsort((self._place[self._of[arranged]], batch))]

    def ahead(self, rows: slice, first: bool) -> list[Piece]:
        """What this rank is to read, together with a batch, of the window behind that of the batch.

        By the end of a window, the next one has been read; each rank has read its part of it.

        Args:
            rows: the batch's chunks, in the epoch's order.
            first: nothing has been read yet: the batch's own window is read as well.
        """
        # Windows that have been read when a window begins; fractions of them in between.
        read = np.minimum(np.arange(1, len(self._chunks) + 1), len(self._bounds) - 1)
        done, due = (np.interp(row, self._chunks, read) for row in (rows.start, rows.stop))
        if first:
            done = np.floor(done) - 1
        pieces = []
        for window in range(int(done), int(np.ceil(due))):
            begin, size = int(self._bounds[window]), int(self._bounds[window + 1] - self._bounds[window])
            mine = ranks.part(size)
            shares = (min(max(value - window, 0), 1) for value in (done, due))
            pieces += self._pieces(*(begin + mine.start + int((mine.stop - mine.start) * share) for share in shares))
        return pieces

    def _pieces(self, start: int, stop: int) -> list[Piece]:
        """Bytes of the shards in a row, shard by shard."""
        pieces = []
        for place in range(int(np.searchsorted(self._ends, start, side="right")), len(self._ends)):
            begin = int(self._ends[place - 1]) if place else 0
            if begin >= stop:
                break
            end = int(self._ends[place])
            pieces.append(Piece(int(self._order[place]), max(start, begin) - begin, min(stop, end) - begin))
        return [piece for piece in pieces if piece.first < piece.end]
