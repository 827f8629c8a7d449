"""Embeddings of whole utterances and of pieces of them, any number of levels in one forward pass."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from xvkd.config import limits
from xvkd.errors import UserError
from xvkd.nets.network import XvectorNetwork
from xvkd.nets.onnx_network import OnnxNetwork

# What is extracted: an utterance, or a piece of one; in messages it is the utterance.
Key = TypeVar("Key")


@dataclass
class ExtractionConfig:
    """Schema of ``conf/extraction.yaml``."""

    min_chunk_frames: int = limits(1)  # a shorter utterance is extended by repeating its edge frames
    max_chunk_frames: int = limits(1)  # a longer one is cut; its chunks are averaged by length
    batch_frames: int = limits(1)  # frames of a batch, padding included
    window_utterances: int = limits(1)  # utterances that are sorted by length together


@dataclass(frozen=True)
class Piece:
    """A piece of an utterance, under all the names that it goes by.

    Attributes:
        utterance: its id.
        names: see ``pieces``.
    """

    utterance: str
    names: tuple[Path, ...]

    def __str__(self) -> str:
        return self.utterance


def pieces(
    utterance: str, frames: np.ndarray, lengths: Mapping[Path, int | None]
) -> Iterator[tuple[Piece, np.ndarray]]:
    """The middle of an utterance at several lengths; equal pieces, as those of a short utterance are, once.

    Args:
        utterance: its id.
        frames: (frames, dim).
        lengths: name of a length, which is where its embeddings go, to frames; None is the whole utterance.
    """
    names: dict[int, list[Path]] = {}
    for name, length in lengths.items():
        names.setdefault(len(frames) if length is None else min(length, len(frames)), []).append(name)
    for length, those in names.items():
        first = (len(frames) - length) // 2
        yield Piece(utterance, tuple(those)), frames[first : first + length]


@dataclass
class _Chunk:
    """A piece of the utterance in row ``row`` of a window."""

    row: int
    frames: np.ndarray


def extract(
    network: XvectorNetwork | OnnxNetwork, utterances: Iterable[tuple[Key, np.ndarray]], levels: Sequence[str],
    config: ExtractionConfig, device: torch.device,
) -> Iterator[tuple[Key, dict[str, np.ndarray]]]:
    """Computes the embeddings of utterances, in their order.

    Args:
        network: in evaluation mode.
        utterances: (id, float32 (frames, dim)), each with at least one frame.
        levels: names of levels.
        config: chunks and batches.
        device: where to compute.

    Yields:
        (id, {level: float32 (size,)}).

    Raises:
        UserError: an utterance without frames.
    """
    network = network.to(device)
    window: list[tuple[Key, np.ndarray]] = []
    for utterance in utterances:
        if len(utterance[1]) == 0:
            raise UserError(f"utterance '{utterance[0]}' has no voiced frame: remove it from the data directory")
        window.append(utterance)
        if len(window) == config.window_utterances:
            yield from _extract_window(network, window, levels, config, device)
            window = []
    yield from _extract_window(network, window, levels, config, device)


def _extract_window(
    network: XvectorNetwork | OnnxNetwork, window: list[tuple[Key, np.ndarray]], levels: Sequence[str],
    config: ExtractionConfig, device: torch.device,
) -> Iterator[tuple[Key, dict[str, np.ndarray]]]:
    """Batches chunks of like length, so that little is padded."""
    shortest = max(config.min_chunk_frames, network.min_frames)
    chunks = [_Chunk(row, frames[first : first + config.max_chunk_frames])
              for row, (_, frames) in enumerate(window)
              for first in range(0, len(frames), config.max_chunk_frames)]
    chunks.sort(key=lambda chunk: len(chunk.frames))
    sums: list[dict[str, np.ndarray]] = [{} for _ in window]
    for batch in _batches(chunks, config.batch_frames):
        found = _forward(network, [_extend(chunk.frames, shortest) for chunk in batch], levels, device)
        for position, chunk in enumerate(batch):
            for level in levels:
                part = found[level][position].astype(np.float64) * len(chunk.frames)
                sums[chunk.row][level] = sums[chunk.row].get(level, 0.0) + part
    for (utterance, frames), total in zip(window, sums, strict=True):
        yield utterance, {level: (value / len(frames)).astype(np.float32) for level, value in total.items()}


def _extend(frames: np.ndarray, shortest: int) -> np.ndarray:
    """Repeats the edge frames of a short chunk, as Kaldi's nnet3-xvector-compute."""
    missing = max(shortest - len(frames), 0)
    return np.pad(frames, ((missing // 2, missing - missing // 2), (0, 0)), mode="edge")


def _batches(
    chunks: list[_Chunk], batch_frames: int
) -> Iterator[list[_Chunk]]:
    """Splits chunks, sorted by length, so that no padded batch exceeds ``batch_frames`` by a chunk."""
    batch: list[_Chunk] = []
    for chunk in chunks:
        if batch and (len(batch) + 1) * len(chunk.frames) > batch_frames:
            yield batch
            batch = []
        batch.append(chunk)
    if batch:
        yield batch


@torch.inference_mode()
def _forward(
    network: XvectorNetwork | OnnxNetwork, chunks: list[np.ndarray], levels: Sequence[str], device: torch.device
) -> dict[str, np.ndarray]:
    num_frames = torch.tensor([len(chunk) for chunk in chunks])
    padded = torch.zeros(len(chunks), int(num_frames.max()), chunks[0].shape[1])
    for row, chunk in enumerate(chunks):
        padded[row, : len(chunk)] = torch.from_numpy(chunk)
    found = network(padded.to(device), num_frames.to(device), levels)
    return {level: embedding.cpu().numpy() for level, embedding in found.items()}
