"""Random chunks of utterances, drawn so that a run can be resumed at any batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from xvkd.errors import UserError
from xvkd.features.network_input import MOST_FRAMES_APART, InputConfig, network_input
from xvkd.kaldi.archives import MatrixReader
from xvkd.kaldi.datadir import DataDir
from xvkd.training.checkpoint import checksum
from xvkd.training.config import TrainingConfig


class UtteranceReader:
    """Network inputs of a data directory's utterances.

    Args:
        data_dir: with feats.scp and, if the input wants voiced frames only, the scp of its VAD's name.
        config: what a network reads of an utterance.
        cache_bytes: inputs are kept in memory up to this size.
    """

    def __init__(self, data_dir: DataDir, config: InputConfig, cache_bytes: float = 0) -> None:
        self._config = config
        self._features = MatrixReader(data_dir.path / "feats.scp")
        self._vad = MatrixReader(data_dir.path / f"{config.vad}.scp") if config.voiced_only else None
        self._cache: dict[str, np.ndarray] = {}
        self._cache_left = cache_bytes

    def __contains__(self, utterance: object) -> bool:
        """Whether there is all that the input of an utterance is made of."""
        return utterance in self._features and (self._vad is None or utterance in self._vad)

    def __getitem__(self, utterance: str) -> np.ndarray:
        """The input of one utterance: float32 (frames, dim), perhaps without frames."""
        if utterance in self._cache:
            return self._cache[utterance]
        features = self._features[utterance]
        vad = self._vad[utterance] if self._vad is not None else None
        if vad is not None and abs(len(vad) - len(features)) > MOST_FRAMES_APART:
            raise UserError(
                f"{self._vad.scp}: utterance '{utterance}' has {len(vad)} frames, {len(features)} in "
                f"{self._features.scp}; compute both from the same recording"
            )
        frames = network_input(features, vad, self._config)
        if frames.nbytes <= self._cache_left:
            self._cache[utterance] = frames
            self._cache_left -= frames.nbytes
        return frames


@dataclass
class Batch:
    """Which chunks make a batch."""

    utterances: np.ndarray  # (batch,) indices
    offsets: np.ndarray  # (batch,) in [0, 1): where in the utterance the chunk begins


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
        for batch in range(self.first_batch, len(self)):
            rows = slice(batch * self._batch_size, (batch + 1) * self._batch_size)
            yield Batch(order[rows], offsets[rows])


class ChunkDataset(Dataset):
    """Makes a batch of chunks of equal length.

    Args:
        reader: gives the utterances.
        utterances: ids; a batch names them by index.
        chunk_frames: length of a chunk; a shorter utterance is repeated until it is long enough.
    """

    def __init__(self, reader: UtteranceReader, utterances: Sequence[str], chunk_frames: int) -> None:
        self._reader, self._utterances, self._length = reader, utterances, chunk_frames

    def __getitem__(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """float32 (batch, chunk_frames, dim) and int64 (batch,) indices of the utterances."""
        chunks = []
        for index, offset in zip(batch.utterances, batch.offsets, strict=True):
            frames = self._reader[self._utterances[index]]
            first = int(offset * (max(len(frames) - self._length, 0) + 1))
            chunk = frames[first : first + self._length]
            if len(chunk) < self._length:
                chunk = np.resize(chunk, (self._length, frames.shape[1]))
            chunks.append(chunk)
        return torch.from_numpy(np.stack(chunks)), torch.from_numpy(batch.utterances)


def chunk_loader(dataset: ChunkDataset, sampler: ChunkSampler, workers: int) -> DataLoader:
    """A loader of whole batches; ``workers`` processes read ahead."""
    # With a generator of its own it draws nothing from torch's, so that an epoch can be begun in its middle.
    return DataLoader(
        dataset, sampler=sampler, batch_size=None, num_workers=workers, generator=torch.Generator()
    )


def usable_utterances(data_dir: DataDir, reader: UtteranceReader, utterances: Sequence[str]) -> dict[str, int]:
    """Those of the utterances with at least one frame for the network, in order, with their frames' checksums.

    Some may have no features, or no voiced frame: stage 3 has seen to it that they are few enough.

    Raises:
        UserError: none is left.
    """
    inputs = ((utterance, reader[utterance]) for utterance in utterances if utterance in reader)
    usable = {utterance: checksum(frames) for utterance, frames in inputs if len(frames)}
    if not usable:
        raise UserError(f"{data_dir.path}: no utterance has a voiced frame; check its features and VAD")
    return usable
