"""Vectors of script files that stay on disk: rows are read when they are asked for, as if all were one array."""

import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from xvkd.errors import UserError
from xvkd.kaldi.archives import VECTOR_MARK, load_vectors, read_vectors
from xvkd.kaldi.scripts import Archives, describe, finite_float32, place_of, read_script, select_keys
from xvkd.kaldi.specifiers import RSpecifier

# Tables up to this size are kept in memory.
KEPT_BYTES = 1 << 30


class StoredVectors:
    """The vectors of a script file: of an array it has ``shape``, ``ndim``, ``len()`` and ``[rows]``.

    Args:
        scp: the script file, of archives.
        keys: which vectors and in which order; None is the order of the file.
        allow_pipes: commands are run.

    Attributes:
        keys: of the rows.
        shape: (N, D).

    Raises:
        UserError: as ``read_vectors``; damage of a vector when it is read.
    """

    ndim, dtype = 2, np.dtype(np.float32)

    def __init__(self, scp: str | Path, keys: Sequence[str] | None = None, allow_pipes: bool = False) -> None:
        self._archives = Archives(allow_pipes)
        script = read_script(scp, allow_pipes)
        if keys is not None:
            script = {key: script[key] for key in select_keys(script, keys, scp)}
        if not script:
            raise UserError(f"{scp}: no vectors; run the step that writes it again")
        self.keys = list(script)
        first = self._archives.read(script[self.keys[0]], self.keys[0])
        if first.ndim != 1 or not first.size:
            raise UserError(f"{scp}: key '{self.keys[0]}': has shape {first.shape}; vectors are expected here")
        self.shape = len(self.keys), first.size
        self._head = VECTOR_MARK + struct.pack("<i", first.size)
        numbers: dict[str, int] = {}
        self._number, self._offset = np.empty(len(script), np.int32), np.empty(len(script), np.int64)
        # What is no place in an archive, such as a command, is kept as it is written.
        self._others: dict[int, str] = {}
        for row, entry in enumerate(script.values()):
            path, self._offset[row], ranges = place_of(entry)
            if ranges or path == "-" or path.endswith("|"):
                self._others[row] = entry
            self._number[row] = numbers.setdefault(path, len(numbers))
        self._paths = list(numbers)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """float32 (rows, D): a slice, or rows by number. They are read in the order in which they lie on disk."""
        rows = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        found = np.empty((len(rows), self.shape[1]), np.float32)
        length = len(self._head) + 4 * self.shape[1]
        for place in np.lexsort((self._offset[rows], self._number[rows])).tolist():
            row = int(rows[place])
            path, offset = self._paths[self._number[row]], int(self._offset[row])
            where = describe(path, offset, self.keys[row])
            if row not in self._others:
                data = os.pread(self._archives.descriptor(path, where), length, offset)
                if len(data) == length and data.startswith(self._head):
                    found[place] = np.frombuffer(data, "<f4", offset=len(self._head))
                    continue
            vector = self._archives.read(self._others.get(row, f"{path}:{offset}"), self.keys[row])
            if vector.shape != self.shape[1:]:
                raise UserError(
                    f"{where}: has shape {vector.shape}, the first vector ('{self.keys[0]}') has {self.shape[1:]}; "
                    "do not mix levels or models in one table"
                )
            found[place] = vector
        bad = ~np.isfinite(found).all(axis=1)
        if bad.any():
            row = int(rows[int(bad.argmax())])
            finite_float32(found[bad.argmax()], describe(self._paths[self._number[row]], int(self._offset[row]),
                                                         self.keys[row]))
        return found


class JoinedVectors:
    """Several tables of vectors, arrays or stored, one behind the other; what it has of an array is as above.

    Args:
        parts: of equally many dimensions.
    """

    ndim, dtype = 2, np.dtype(np.float32)

    def __init__(self, parts: "Sequence[Vectors]") -> None:
        self._parts = list(parts)
        self._ends = np.cumsum([len(part) for part in parts])
        self.shape = int(self._ends[-1]), parts[0].shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """float32 (rows, D): a slice, or rows by number."""
        rows = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        found = np.empty((len(rows), self.shape[1]), np.float32)
        of = np.searchsorted(self._ends, rows, side="right")
        for number, part in enumerate(self._parts):
            mine = np.flatnonzero(of == number)
            if mine.size:
                found[mine] = part[rows[mine] - (self._ends[number] - len(part))]
        return found


class MappedVectors:
    """Some of the rows of a table, each after a map of its own; what it has of an array is as above.

    Args:
        vectors: the table.
        rows: (N,) which of its rows.
        function: makes of rows (n, D) what is read, (n, dim).
        dim: its dimensions; 0: D.
    """

    ndim = 2

    def __init__(
        self, vectors: "Vectors", rows: np.ndarray, function: Callable[[np.ndarray], np.ndarray] | None = None,
        dim: int = 0,
    ) -> None:  # fmt: skip
        self._vectors, self._rows, self._function = vectors, rows, function
        self.shape = len(rows), dim or vectors.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """(rows, dim): a slice, or rows by number."""
        found = self._vectors[self._rows[rows]]
        return found if self._function is None else self._function(found)


Vectors = np.ndarray | StoredVectors | JoinedVectors | MappedVectors


def open_vectors(rspecifier: RSpecifier, allow_pipes: bool = False) -> tuple[list[str], np.ndarray | StoredVectors]:
    """The keys and vectors of a table, which stay on disk if they are many; see ``load_vectors``."""
    if rspecifier.kind == "scp" and not rspecifier.permissive:
        stored = _if_large(rspecifier.name, None, allow_pipes)
        if stored is not None:
            return stored.keys, stored
    return load_vectors(rspecifier, allow_pipes)


def select_vectors(scp: str | Path, keys: Sequence[str] | None) -> tuple[list[str], np.ndarray | StoredVectors]:
    """As ``read_vectors``, but they stay on disk if they are many."""
    stored = _if_large(str(scp), keys, False)
    return read_vectors(scp, keys) if stored is None else (stored.keys, stored)


def _if_large(scp: str, keys: Sequence[str] | None, allow_pipes: bool) -> StoredVectors | None:
    # A line takes some bytes, so that a small file has no large table.
    if not os.path.isfile(scp) or os.path.getsize(scp) <= KEPT_BYTES >> 10:
        return None
    stored = StoredVectors(scp, keys, allow_pipes)
    return stored if 4 * stored.shape[0] * stored.shape[1] > KEPT_BYTES else None


def join(parts: Sequence[Vectors]) -> Vectors:
    """Tables of equally many dimensions as one: in memory if they are small."""
    if len(parts) == 1:
        return parts[0]
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if len(arrays) == len(parts) and sum(part.nbytes for part in arrays) <= KEPT_BYTES:
        return np.concatenate(arrays)
    return JoinedVectors(parts)
