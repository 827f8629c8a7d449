"""What a network reads of utterances, whole or in chunks of equal length."""

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from xvkd.errors import UserError
from xvkd.features.network_input import MOST_FRAMES_APART, InputConfig, network_input
from xvkd.kaldi.archives import MatrixReader
from xvkd.kaldi.datadir import DataDir
from xvkd.training import ranks
from xvkd.training.checkpoint import checksum
from xvkd.training.sampling import Batch, ChunkSampler

# What a reader knows utterances by.
Name = TypeVar("Name", contravariant=True)


class ChunkReader(Protocol[Name]):
    """Gives chunks of utterances."""

    def chunk(self, utterance: Name, length: int, offset: float, seed: int) -> np.ndarray: ...


class Reader(ChunkReader[str], Protocol):
    """Gives the input of utterances: from their features, or, degraded, from their audio (training/augmented.py)."""

    def __contains__(self, utterance: object) -> bool: ...

    def __getitem__(self, utterance: str) -> np.ndarray: ...


class UtteranceReader:
    """Network inputs of the utterances of data directories.

    Args:
        data_dirs: each with the features and, if the input wants voiced frames only, the VAD that ``config`` names;
            none of their utterances has the name of another.
        config: what a network reads of an utterance.
        cache_bytes: inputs are kept in memory up to this size.
    """

    def __init__(self, data_dirs: Sequence[DataDir], config: InputConfig, cache_bytes: float = 0) -> None:
        self._config = config
        self._where = ", ".join(str(data_dir.path) for data_dir in data_dirs)
        self._features: dict[str, MatrixReader] = {}
        self._vad: dict[str, MatrixReader] = {}
        for data_dir in data_dirs:
            features = MatrixReader(data_dir.path / f"{config.feats_name}.scp")
            self._features |= dict.fromkeys(features, features)
            if config.voiced_only:
                vad = MatrixReader(data_dir.path / f"{config.vad}.scp")
                self._vad |= dict.fromkeys(vad, vad)
        self._cache: dict[str, np.ndarray] = {}
        self._cache_left = cache_bytes

    def __contains__(self, utterance: object) -> bool:
        """Whether there is all that the input of an utterance is made of."""
        return utterance in self._features and (not self._config.voiced_only or utterance in self._vad)

    def __getitem__(self, utterance: str) -> np.ndarray:
        """The input of one utterance: float32 (frames, dim), perhaps without frames."""
        if utterance in self._cache:
            return self._cache[utterance]
        if utterance not in self:
            raise UserError(f"{self._where}: no features, or no VAD, of '{utterance}'")
        features = self._features[utterance][utterance]
        vad = self.marks(utterance)
        if vad is not None and abs(len(vad) - len(features)) > MOST_FRAMES_APART:
            raise UserError(
                f"{self._vad[utterance].scp}: utterance '{utterance}' has {len(vad)} frames, {len(features)} in "
                f"{self._features[utterance].scp}; compute both from the same recording"
            )
        frames = network_input(features, vad, self._config)
        if frames.nbytes <= self._cache_left:
            self._cache[utterance] = frames
            self._cache_left -= frames.nbytes
        return frames

    def marks(self, utterance: str) -> np.ndarray | None:
        """(frames,), 1 where the network reads a frame of an utterance; None: everywhere."""
        return self._vad[utterance][utterance] if self._config.voiced_only else None

    def chunk(self, utterance: str, length: int, offset: float, seed: int) -> np.ndarray:
        """A piece of the input of one utterance.

        Args:
            utterance: one with frames.
            length: frames; a shorter utterance is repeated until it is long enough.
            offset: in [0, 1): where in the utterance the piece begins.
            seed: has no part in it; a reader that augments draws from it.

        Returns:
            float32 (length, dim).
        """
        frames = self[utterance]
        first = int(offset * (max(len(frames) - length, 0) + 1))
        chunk = frames[first : first + length]
        return chunk if len(chunk) == length else np.resize(chunk, (length, frames.shape[1]))


class ChunkDataset(Dataset):
    """Makes this rank's part of a batch of chunks of equal length.

    Args:
        reader: gives the utterances; one that reads ahead has a method for that (:mod:`.shards`).
        utterances: what it knows them by; a batch names them by index.
        chunk_frames: length of a chunk; a shorter utterance is repeated until it is long enough.
    """

    def __init__(self, reader: ChunkReader, utterances: Sequence, chunk_frames: int) -> None:
        self._reader, self._utterances, self._length = reader, utterances, chunk_frames

    def __getitem__(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """float32 (part, chunk_frames, dim), and int64 (batch,) indices of the utterances of the whole batch."""
        if batch.ahead:
            self._reader.read_ahead(batch.ahead)
        own = (values[batch.part] for values in (batch.utterances, batch.offsets, batch.seeds))
        rows = zip(*own, strict=True)
        chunks = [self._reader.chunk(self._utterances[row], self._length, *random) for row, *random in rows]
        return torch.from_numpy(np.stack(chunks)), torch.from_numpy(batch.utterances)


def chunk_loader(dataset: ChunkDataset, sampler: ChunkSampler, workers: int, pinned: bool = False) -> DataLoader:
    """A loader of batches; ``workers`` processes read ahead, into pinned memory if a GPU is to fetch them there."""
    # With a generator of its own it draws nothing from torch's, so that an epoch can be begun in its middle.
    return DataLoader(
        dataset, sampler=sampler, batch_size=None, num_workers=workers, generator=torch.Generator(), pin_memory=pinned,
        persistent_workers=workers > 0,
    )


def usable_utterances(
    reader: Reader, utterances: Sequence[str], where: str, min_frames: int = 1
) -> dict[str, int]:
    """Those of the utterances with enough frames for the network, in order, with their frames' checksums.

    Some may have no features, or no voiced frame: stage 3 has seen to it that they are few enough. Each rank reads its
    part of them.

    Args:
        reader: gives their frames.
        utterances: ids.
        where: their data directories, for messages.
        min_frames: utterances of fewer frames are left out, which is logged; at least 1.

    Raises:
        UserError: none is left.
    """
    own = utterances[ranks.part(len(utterances))]
    inputs = ((utterance, reader[utterance]) for utterance in own if utterance in reader)
    sums = {utt: checksum(frames) if len(frames) >= min_frames else None for utt, frames in inputs if len(frames)}
    return long_enough(ranks.union(sums), where, min_frames)


def long_enough(found: Mapping[str, int | None], where: str, min_frames: int) -> dict[str, int]:
    """Utterances with their checksums, less those of too few frames, which are logged.

    Args:
        found: utterances with a frame or more; None for one of fewer than ``min_frames``.
        where: their data directories, for messages.
        min_frames: as it was asked for.

    Raises:
        UserError: none is left.
    """
    if not found:
        raise UserError(f"{where}: no utterance has a voiced frame; check its features and VAD")
    usable = {utterance: number for utterance, number in found.items() if number is not None}
    if not usable:
        raise UserError(f"{where}: no utterance has training.min_frames: {min_frames}; lower it")
    if len(usable) < len(found):
        logging.info("%s: %d of %d utterances left out: fewer than %d frames (training.min_frames)", where,
                     len(found) - len(usable), len(found), min_frames)
    return usable
