"""Kaldi archives (ark) and script files (scp): many vectors or matrices in one file, by key."""

import os
import re
import stat
import struct
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.objects import Cursor, read_object, write_object
from xvkd.kaldi.tables import read_table

MOST_OPEN_FILES = 64
ROWS_PER_CHECK = 1 << 14
# "x.ark:123[4:56]": the archive, the offset of the object and a range of its rows; the last two
# may be missing.
RXSPECIFIER = re.compile(r"(?P<path>.+?)(?::(?P<offset>\d+))?(?:\[(?P<first>\d+):(?P<last>\d+)\])?")
# Kaldi lets a range of frames end this many rows late: edge effects of framing, and rounding.
RANGE_TOLERANCE = 3


def read_script(scp: str | Path) -> dict[str, str]:
    """Reads a script file.

    Args:
        scp: lines ``key rxspecifier``, for instance ``utt1 exp/embeddings.ark:5``.

    Returns:
        Key to rxspecifier, in the order of the file.

    Raises:
        UserError: no such file, a malformed line, a key that stands twice, or a command.
    """
    script = read_table(scp)
    for key, rxspecifier in script.items():
        if rxspecifier.endswith("|"):
            raise UserError(
                f"{scp}: key '{key}': commands ('{rxspecifier}') are not run; write the archive to disk "
                "with Kaldi's copy-feats or copy-vector and name its scp"
            )
    return script


class Archives:
    """Open archives, at most ``MOST_OPEN_FILES`` of them; the one used longest ago is closed.

    Files are opened when first read, and read by position, so that an instance can be pickled or
    forked with its worker.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[str, int] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"_open": OrderedDict()}

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Closes all files; the next ``read`` opens them again."""
        while self._open:
            os.close(self._open.popitem()[1])

    def descriptor(self, path: str, where: str) -> int:
        """An open file's descriptor; ``where`` names the place in messages."""
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        try:
            # Without waiting for a writer, should it be a named pipe.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            seen_from = "" if os.path.isabs(path) else f" (seen from {os.getcwd()})"
            raise UserError(f"{where}: the archive cannot be opened: {error.strerror}{seen_from}") from None
        self._open[path] = descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{where}: not a regular file; archives are read by position")
        if len(self._open) > MOST_OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def read(self, rxspecifier: str, key: str = "") -> np.ndarray:
        """Reads the object that an rxspecifier names.

        Args:
            rxspecifier: ``path``, ``path:offset`` or either with ``[first:last]``, rows counted
                from 0, both ends included.
            key: for messages.

        Returns:
            Float32 (N,) or (T, D), finite.

        Raises:
            UserError: there is no such file or object, it is damaged, or holds NaN or infinity.
        """
        path, offset, rows = split_rxspecifier(rxspecifier)
        where = describe(path, offset, key)
        array = finite_float32(read_object(Cursor(self.descriptor(path, where), offset, where)), where)
        if rows is None:
            return array
        first, last = rows
        if first > last or first >= len(array) or last >= len(array) + RANGE_TOLERANCE:
            raise UserError(f"{where}: has {len(array)} rows, the script asks for {first} to {last}")
        return array[first : last + 1]


def split_rxspecifier(rxspecifier: str) -> tuple[str, int, tuple[int, int] | None]:
    """Splits ``path:offset[first:last]`` into path, offset (0 if not given) and range of rows."""
    parts = RXSPECIFIER.fullmatch(rxspecifier)
    assert parts is not None  # it matches every text but the empty one, which no script line has
    rows = None if parts["first"] is None else (int(parts["first"]), int(parts["last"]))
    return parts["path"], int(parts["offset"] or 0), rows


def describe(path: str, offset: int, key: str) -> str:
    """What messages call the place of an object."""
    return f"{path}: key '{key}' at offset {offset}" if key else path


def finite_float32(array: np.ndarray, where: str) -> np.ndarray:
    """``array`` as float32; a UserError if it holds NaN, or more than float32 can hold."""
    with np.errstate(over="ignore"):
        array = np.asarray(array).astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise UserError(f"{where}: NaN or infinity; compute it again or leave the utterance out")
    return array


def select_keys(script: dict[str, str], keys: Sequence[str], scp: str | Path) -> list[str]:
    """``keys`` as a list, all of which stand in the script.

    Raises:
        UserError: some do not; the message names the first and how many.
    """
    missing = [key for key in keys if key not in script]
    if missing:
        raise UserError(
            f"{scp}: no entry for '{missing[0]}' ({len(missing)} of {len(keys)} keys asked for are missing); "
            "run the step that writes it again, or correct the list of utterances"
        )
    return list(keys)


def read_vectors(scp: str | Path, keys: Sequence[str] | None = None) -> tuple[list[str], np.ndarray]:
    """Reads all vectors of a script file, each archive opened once and read in its order.

    Args:
        scp: the script file.
        keys: which vectors and in which order; None is the order of the file.

    Returns:
        The keys, and their vectors, float32 (N, D).

    Raises:
        UserError: a key is missing or stands twice, an archive is missing or damaged, a vector has
            another dimension than the first, or holds NaN or infinity.
    """
    script = read_script(scp)
    order = list(script) if keys is None else select_keys(script, keys, scp)
    if not order:
        raise UserError(f"{scp}: no vectors; run the step that writes it again")
    archives = Archives()
    first = archives.read(script[order[0]], order[0])
    if first.ndim != 1 or not first.size:
        raise UserError(f"{scp}: key '{order[0]}' has the shape {first.shape}; vectors are expected here")
    vectors = np.empty((len(order), first.size), np.float32)
    # What nearly all entries look like; anything else goes the long way, which also finds errors.
    header = b"\0BFV \4" + struct.pack("<i", first.size)
    length = len(header) + 4 * first.size
    places = [split_rxspecifier(script[key]) for key in order]
    for row in sorted(range(len(order)), key=lambda row: places[row][:2]):
        path, offset, rows = places[row]
        if rows is None:
            descriptor = archives.descriptor(path, describe(path, offset, order[row]))
            data = os.pread(descriptor, length, offset)
            if len(data) == length and data.startswith(header):
                vectors[row] = np.frombuffer(data, "<f4", offset=len(header))
                continue
        vector = archives.read(script[order[row]], order[row])
        if vector.shape != first.shape:
            raise UserError(
                f"{describe(path, offset, order[row])}: has shape {vector.shape}, the first vector of "
                f"{scp} ('{order[0]}') has {first.shape}; do not mix levels or models in one script"
            )
        vectors[row] = vector
    for start in range(0, len(order), ROWS_PER_CHECK):
        finite = np.isfinite(vectors[start : start + ROWS_PER_CHECK]).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            finite_float32(vectors[row], describe(*places[row][:2], order[row]))
    return order, vectors


class MatrixReader:
    """Random access to the objects of a script file: ``reader[key]``.

    Can be pickled, and shared with forked workers. All matrices must have as many columns as the
    first one read.

    Args:
        scp: the script file; the archives are opened when first read.
    """

    def __init__(self, scp: str | Path) -> None:
        self.scp = str(scp)
        self._script = read_script(scp)
        self._archives = Archives()
        self._columns: tuple[int, str] | None = None

    def __contains__(self, key: object) -> bool:
        return key in self._script

    def __iter__(self) -> Iterator[str]:
        return iter(self._script)

    def __len__(self) -> int:
        return len(self._script)

    def keys(self) -> list[str]:
        """The keys, in the order of the script file."""
        return list(self._script)

    def __getitem__(self, key: str) -> np.ndarray:
        """Reads one object, float32: (T, D), or (T,) for a vector (VAD decisions).

        Raises:
            UserError: no such key, a missing or damaged archive, another number of columns than
                the matrices before it, NaN or infinity.
        """
        if key not in self._script:
            select_keys(self._script, [key], self.scp)
        array = self._archives.read(self._script[key], key)
        if array.ndim == 2 and array.size:
            columns, earlier = self._columns = self._columns or (array.shape[1], key)
            if array.shape[1] != columns:
                raise UserError(
                    f"{self.scp}: key '{key}' has {array.shape[1]} columns, '{earlier}' has {columns}; "
                    "do not mix kinds of features in one script"
                )
        return array

    def close(self) -> None:
        """Closes the archives; reading goes on as if nothing had happened."""
        self._archives.close()


class ArchiveWriter:
    """Writes an archive and its script file, which appear when the block ends without exception.

    Args:
        ark: the archive; the script names it as given here.
        scp: the script file.
        compress: matrices are stored as by Kaldi's ``copy-feats --compress=true``: an error of at
            most a few thousandths of a column's range, a quarter of the size.
    """

    def __init__(self, ark: str | Path, scp: str | Path, compress: bool) -> None:
        self.ark, self.scp, self.compress = str(ark), str(scp), compress
        self._stack = ExitStack()
        self._data: IO[bytes]
        self._lines: IO[str]
        self._keys: set[str] = set()
        self._offset = 0

    def __enter__(self) -> "ArchiveWriter":
        # Left in the reverse order: the archive gets its name first, so no script names what is
        # not there.
        with ExitStack() as stack:
            self._lines = stack.enter_context(atomic_write(self.scp))
            self._data = stack.enter_context(atomic_write(self.ark, "wb"))
            stack.enter_context(self._without_old_script())
            self._stack = stack.pop_all()
        return self

    @contextmanager
    def _without_old_script(self) -> Iterator[None]:
        """Removes an older script before the new archive has its name: it would misread that one."""
        yield
        self._data.flush()
        self._lines.flush()
        Path(self.scp).unlink(missing_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, key: str, array: np.ndarray) -> None:
        """Appends one object.

        Args:
            key: the utterance, without white space.
            array: (N,) or (T, D); stored as float32.

        Raises:
            UserError: a key that Kaldi cannot take or that stands twice, NaN or infinity, or a
                disk that is full.
        """
        if not key or len(key.split()) != 1 or key != key.strip():
            raise UserError(f"{self.ark}: the key '{key}' must be one word without white space")
        if key in self._keys:
            raise UserError(f"{self.ark}: the key '{key}' is written twice; keys must be unique")
        array = finite_float32(array, f"{self.ark}: key '{key}'")
        self._keys.add(key)
        self._offset += self._data.write(key.encode() + b" ")
        self._lines.write(f"{key} {self.ark}:{self._offset}\n")
        self._offset += write_object(self._data, array, self.compress)


def read_vector(path: str | Path) -> np.ndarray:
    """Reads a file that holds one vector (binary or text), float32 (N,); UserError if it does not."""
    return _read_single(path, 1)


def read_matrix(path: str | Path) -> np.ndarray:
    """Reads a file that holds one matrix (binary or text), float32 (T, D); UserError if it does not."""
    return _read_single(path, 2)


def _read_single(path: str | Path, dimensions: int) -> np.ndarray:
    # Not by way of an rxspecifier: the name itself may end in a colon and digits.
    where = str(path)
    archives = Archives()
    array = read_object(Cursor(archives.descriptor(where, where), 0, where))
    if array.ndim != dimensions:
        kind = "vector" if dimensions == 1 else "matrix"
        raise UserError(f"{path}: expected one {kind}, got the shape {array.shape}")
    return finite_float32(array, where)


def write_vector(path: str | Path, vector: np.ndarray) -> None:
    """Writes a vector (N,) in binary float32, under its name only when whole."""
    _write_single(path, vector, 1)


def write_matrix(path: str | Path, matrix: np.ndarray) -> None:
    """Writes a matrix (T, D) in binary float32, under its name only when whole."""
    _write_single(path, matrix, 2)


def _write_single(path: str | Path, array: np.ndarray, dimensions: int) -> None:
    array = finite_float32(array, str(path))
    if array.ndim != dimensions:
        raise ValueError(f"{path}: {array.ndim} dimensions, expected {dimensions}")
    with atomic_write(path, "wb") as stream:
        write_object(stream, array)
