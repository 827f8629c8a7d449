"""Shards: what a network reads of utterances, ready made, in archives of a bounded size that are read from end to end.

A corpus that is larger than memory cannot be read at random from a network file system. Here features are normalised
and their voiced frames chosen once, and utterances are dealt at random to archives, the shards. In an epoch, shards
come in a random order, a window of some of them at a time; chunks are drawn from the window, while that which follows
is read ahead, in large pieces and in order, into the system's cache of files, which all processes of a machine share.
Kaldi's egs and WeSpeaker's shards do the like.

A folder of shards has ``inputs.scp`` (archives of Kaldi's), ``index`` (``utterance frames bytes checksum`` lines) and
``settings.json`` (what they were made with).
"""

import io
import itertools
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from xvkd.errors import UserError
from xvkd.features.extraction import FeatureConfig
from xvkd.features.network_input import InputConfig
from xvkd.features.vad import VadConfig
from xvkd.features.vad_hmm import VadHmmConfig
from xvkd.kaldi.compression import decompress_rows
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.objects import StreamCursor, binary_object, read_object
from xvkd.kaldi.scripts import Archives, describe, place_of
from xvkd.kaldi.tables import read_lines
from xvkd.progress import Progress
from xvkd.schema import limits
from xvkd.training.data import UtteranceReader
from xvkd.training.sampling import Piece, Shards

SHARDS, SCRIPT, INDEX, SETTINGS = "shards", "inputs.scp", "index", "settings.json"
_REMEDY = "make the shards again (./run.sh --reading shards --stage 3 --stop-stage 3, with --force if need be)"
# A job takes so many utterances that follow each other, then leaves out those of the other jobs.
_UTTERANCES_AT_ONCE = 64
# Utterances by whose size the number of shards is chosen, and what they may err.
_SAMPLE, _HEADROOM = 100, 1.05
# Files that a job writes side by side.
_MOST_SHARDS = 256
_PIECE = 1 << 20  # bytes that are read ahead at once


@dataclass
class ShardConfig:
    """Schema of ``conf/shards.yaml``."""

    size_mib: int = limits(1)  # of a shard, about
    compress: bool  # as Kaldi's features: a quarter of the size
    seed: int = limits(0)  # of which utterance goes to which shard


def shard_settings(reads: InputConfig, features: FeatureConfig, vad: VadConfig | VadHmmConfig) -> dict[str, Any]:
    """What the inputs of a network follow from, as ``settings.json`` has it."""
    settings = {"input": asdict(reads), "features": asdict(features), "vad": asdict(vad)}
    return cast(dict[str, Any], json.loads(json.dumps(settings)))


def write_shards(
    data_dir: DataDir, reader: UtteranceReader, folder: Path, config: ShardConfig, settings: Mapping[str, Any],
    part: tuple[int, int],
) -> None:  # fmt: skip
    """Writes a part of the shards of a set: ``inputs.<job>.<number>.ark``, ``inputs.<job>.scp`` and ``index.<job>``.

    Args:
        data_dir: the set.
        reader: gives what a network reads of its utterances.
        folder: of the shards.
        config: their size and form.
        settings: what the inputs follow from; the first part writes it.
        part: of the utterances, for instance (1, 4); the script files and indices of all parts, sorted together,
            are those of the set.

    Raises:
        UserError: no utterance can be read, or there would be too many shards in a part.
    """
    job, jobs = part
    there = [utterance for utterance in data_dir.speakers() if utterance in reader]
    if not there:
        raise UserError(f"{data_dir.path}: no utterance has features and voiced frames; run stage 3 again")
    mine = [name for place, name in enumerate(there) if place // _UTTERANCES_AT_ONCE % jobs == job - 1]
    sample = mine[:: max(1, len(mine) // _SAMPLE)]
    size = sum(len(_record(name, reader[name], config.compress)[0]) for name in sample) / max(len(sample), 1)
    count = int(np.ceil(size * _HEADROOM * len(mine) / (config.size_mib * 2**20)))
    if count > _MOST_SHARDS:
        raise UserError(
            f"{folder}: {count} shards of {config.size_mib} MiB in one part, more than {_MOST_SHARDS}: share them out "
            "among more jobs (--nj), or make them larger (size_mib)"
        )
    rng = np.random.default_rng([config.seed, job, jobs])
    turns = [rng.permutation(count) for _ in range(-(-len(mine) // max(count, 1)))]
    shard_of = np.concatenate([*turns, np.empty(0, int)]).tolist()
    progress = Progress(len(mine), "utterances")
    script, index = [], []
    with ExitStack() as stack:
        paths = [folder / f"inputs.{job}.{number + 1}.ark" for number in range(count)]
        files = [stack.enter_context(atomic_write(path, "wb")) for path in paths]
        offsets = [0] * count
        for name, shard in zip(mine, shard_of, strict=False):
            frames = reader[name]
            progress.update()
            if not len(frames):
                continue
            record, head = _record(name, frames, config.compress)
            files[shard].write(record)
            data = memoryview(record)[head:]
            script.append(f"{name} {paths[shard]}:{offsets[shard] + head}\n")
            index.append(f"{name} {len(frames)} {len(data)} {zlib.crc32(data):08x}\n")
            offsets[shard] += len(record)
    if job == 1:
        with atomic_write(folder / SETTINGS) as file:
            file.write(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    for name, lines in ((f"inputs.{job}.scp", script), (f"{INDEX}.{job}", index)):
        with atomic_write(folder / name) as file:
            file.writelines(lines)


def _record(name: str, frames: np.ndarray, compress: bool) -> tuple[bytes, int]:
    """What an archive has of an utterance, and at which byte of it the object begins."""
    key = name.encode() + b" "
    return key + b"\0B" + binary_object(frames, compress), len(key)


class ShardReader:
    """Chunks of the utterances of data directories, from their shards. Utterances go by their row.

    Args:
        data_dirs: each with a folder of shards that were made with
        settings: what the network reads.

    Attributes:
        names: of the utterances, by row.
        shards: where they lie.

    Raises:
        UserError: there are no such shards, or one is shorter than it was.
    """

    def __init__(self, data_dirs: Sequence[DataDir], settings: Mapping[str, Any]) -> None:
        self.names: list[str] = []
        self._paths: list[str] = []
        self._archives = Archives()
        numbers: dict[str, int] = {}
        shard, offset, rest = [], [], []
        for data_dir in data_dirs:
            folder = _folder_of(data_dir, settings)
            for name, entry, (frames, size, checksum) in _listed(folder):
                place = place_of(entry)
                self.names.append(name)
                shard.append(numbers.setdefault(place.path, len(numbers)))
                offset.append(place.offset)
                rest.append((int(frames), int(size), int(checksum, 16)))
        if not numbers:
            raise UserError(f"{', '.join(str(data_dir.path) for data_dir in data_dirs)}: shards without utterances")
        self._paths = list(numbers)
        self._offset, of = np.array(offset, np.int64), np.array(shard, np.int32)
        self._frames, self._size, self._checksums = (
            np.array(column, np.int64) for column in zip(*rest, strict=True)
        )  # fmt: skip
        ends = np.zeros(len(numbers), np.int64)
        np.maximum.at(ends, of, self._offset + self._size)
        self.shards = Shards(of, ends)
        for path, end in zip(self._paths, ends.tolist(), strict=True):
            there = os.path.getsize(path) if os.path.exists(path) else 0
            if there < end:
                raise UserError(f"{path}: damaged: {there} bytes, where {end} were written; {_REMEDY}")

    def rows(self, utterances: Iterable[str]) -> dict[str, int]:
        """The rows of those of some utterances that are there, in their order."""
        numbers = {name: row for row, name in enumerate(self.names)}
        return {name: numbers[name] for name in utterances if name in numbers}

    def checksums_of(self, utterances: Iterable[str], min_frames: int) -> dict[str, int | None]:
        """The checksums of those of some utterances that are there; None for one with fewer frames than that."""
        long = self._frames >= min_frames
        return {name: int(self._checksums[row]) if long[row] else None for name, row in self.rows(utterances).items()}

    def chunk(self, row: int, length: int, offset: float, seed: int) -> np.ndarray:
        """A piece of the input of one utterance; arguments and result as those of ``UtteranceReader.chunk``.

        Raises:
            UserError: the shard is damaged.
        """
        path, at = self._paths[self.shards.of[row]], int(self._offset[row])
        where = describe(path, at, self.names[row])
        data = os.pread(self._archives.descriptor(path, where), int(self._size[row]), at)
        if len(data) < self._size[row] or zlib.crc32(data) != self._checksums[row]:
            raise UserError(f"{where}: damaged: not what was written there; {_REMEDY}")
        frames = int(self._frames[row])
        first = int(offset * (max(frames - length, 0) + 1))
        chunk = decompress_rows(data, first, length)
        if chunk is None:
            chunk = read_object(StreamCursor(io.BytesIO(data), where))[first : first + length]
        return chunk if len(chunk) == length else np.resize(chunk, (length, chunk.shape[1]))

    def read_ahead(self, pieces: Iterable[Piece]) -> None:
        """Has the system read parts of shards, so that chunks come from memory."""
        for piece in pieces:
            path = self._paths[piece.shard]
            descriptor = self._archives.descriptor(path, path)
            for start in range(piece.first, piece.end, _PIECE):
                os.pread(descriptor, min(_PIECE, piece.end - start), start)


def _listed(folder: Path) -> Iterator[tuple[str, str, list[str]]]:
    """The utterances of a folder of shards: name, place, and what the index says; UserError if the index is damaged."""
    for line, indexed in itertools.zip_longest(read_lines(folder / SCRIPT), read_lines(folder / INDEX), fillvalue=""):
        name, _, entry = line.rstrip("\n").partition(" ")
        again, *rest = indexed.split() or [""]
        if not entry or again != name or len(rest) != 3:
            raise UserError(f"{folder}: damaged: {SCRIPT} and {INDEX} do not agree on '{name or again}'; {_REMEDY}")
        yield name, entry, rest


def _folder_of(data_dir: DataDir, settings: Mapping[str, Any]) -> Path:
    """The folder of shards of a set that were made with these settings; UserError if there is none."""
    for path in sorted(data_dir.path.glob(f"{SHARDS}/*/{SETTINGS}")):
        # The index comes last.
        if (path.parent / INDEX).exists() and json.loads(path.read_text(encoding="utf-8")) == settings:
            return path.parent
    raise UserError(f"{data_dir.path}: no shards of what the network reads (features, VAD, CMN); {_REMEDY}")

