"""Kaldi's tables of vectors and matrices: archives (ark), many objects in one file, and their script files (scp)."""

import logging
import os
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from xvkd.blocks import blocks
from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.objects import LONGEST_KEY, Cursor, StreamCursor, open_object, read_object, write_object
from xvkd.kaldi.scripts import Archives, describe, finite_float32, place_of, read_script, select_keys
from xvkd.kaldi.specifiers import RSpecifier
from xvkd.kaldi.streams import open_input
from xvkd.kaldi.writer import ArchiveWriter, open_writer

__all__ = [
    "ArchiveReader", "ArchiveWriter", "MatrixReader", "archive_keys", "load_vectors", "open_random", "open_writer",
    "read_integers", "read_items", "read_matrix", "read_vector", "read_vectors", "skip", "write_matrix", "write_vector",
]  # fmt: skip

ROWS_PER_CHECK = 1 << 14
BLOCK = 1 << 20
# What nearly all vectors look like: the mark, float32, and the size behind its own size byte.
VECTOR_MARK = b"\0BFV \4"


def read_items(rspecifier: RSpecifier, allow_pipes: bool = False) -> Iterator[tuple[str, np.ndarray]]:
    """Reads a table from beginning to end, one object in memory at a time.

    Args:
        rspecifier: the table.
        allow_pipes: commands are run.

    Yields:
        Key and object: float32 (N,) or (T, D), finite. All matrices have as many columns as the first.

    Raises:
        UserError: as ``Archives.read`` and ``read_script``, unless the specifier is permissive: then what cannot be
            read is skipped and logged; an archive ends there.
    """
    width = Width(str(rspecifier))
    if rspecifier.kind == "scp":
        archives = Archives(allow_pipes)
        for key, rxspecifier in read_script(rspecifier.name, allow_pipes).items():
            try:
                array = archives.read(rxspecifier, key)
            except UserError as error:
                skip(rspecifier, error)
                continue
            yield key, width.check(key, array)
        return
    with open_input(rspecifier.name, allow_pipes) as stream:
        cursor = StreamCursor(stream, rspecifier.name)
        try:
            for key in archive_keys(cursor):
                yield key, width.check(key, finite_float32(read_object(cursor), cursor.where))
        except UserError as error:
            skip(rspecifier, error)


def archive_keys(cursor: StreamCursor) -> Iterator[str]:
    """The keys of an archive; the caller reads the object behind each."""
    archive = cursor.where
    while True:
        cursor.where = f"{archive}: at offset {cursor.offset}"
        cursor.skip_space()
        if not cursor.peek(1):
            return
        key = cursor.key()
        cursor.where = describe(archive, cursor.offset, key)
        yield key


def skip(rspecifier: RSpecifier, error: UserError) -> None:
    """Logs what cannot be read of a permissive table; raises it for any other."""
    if not rspecifier.permissive:
        raise error
    logging.warning("skipped: %s", error)


class Width:
    """Holds the matrices of a table against the first of them.

    Args:
        table: its name, for messages.
    """

    def __init__(self, table: str) -> None:
        self._table = table
        self._first: tuple[int, str] | None = None

    def check(self, key: str, array: np.ndarray) -> np.ndarray:
        """Returns the array; UserError if it has another number of columns than those before it."""
        if array.ndim == 2 and array.size:
            columns, earlier = self._first = self._first or (array.shape[1], key)
            if array.shape[1] != columns:
                raise UserError(
                    f"{self._table}: key '{key}' has {array.shape[1]} columns, '{earlier}' has {columns}; "
                    "do not mix kinds of features in one table"
                )
        return array


def load_vectors(rspecifier: RSpecifier, allow_pipes: bool = False) -> tuple[list[str], np.ndarray]:
    """Reads all vectors of a table.

    Args:
        rspecifier: the table.
        allow_pipes: commands are run.

    Returns:
        The keys in the order of the table, and their vectors, float32 (N, D).

    Raises:
        UserError: as ``read_items`` and ``read_vectors``.
    """
    if rspecifier.kind == "scp" and not rspecifier.permissive:
        return read_vectors(rspecifier.name, allow_pipes=allow_pipes)
    keys: list[str] = []
    data = bytearray()
    if rspecifier.permissive:
        for key, vector in read_items(rspecifier, allow_pipes):
            _append(key, vector, f"{rspecifier}: key '{key}'", keys, data)
    else:
        with open_input(rspecifier.name, allow_pipes) as stream:
            cursor = StreamCursor(stream, rspecifier.name)
            for key in archive_keys(cursor):
                _append(key, finite_float32(read_object(cursor), cursor.where), cursor.where, keys, data)
                _read_plain_vectors(cursor, keys, data)
    if not keys:
        raise UserError(f"{rspecifier}: no vectors; run the step that writes it again")
    if len(set(keys)) < len(keys):
        twice = next(key for key, count in Counter(keys).items() if count > 1)
        raise UserError(f"{rspecifier}: '{twice}' stands twice; keys must be unique")
    return keys, np.frombuffer(data, np.float32).reshape(len(keys), -1)


def _append(key: str, vector: np.ndarray, where: str, keys: list[str], data: bytearray) -> None:
    """Adds a vector to the keys and the bytes of those before it; UserError if it is unlike them."""
    _check_vector(vector, len(data) // 4 // len(keys) if keys else vector.size, where, keys[0] if keys else key)
    keys.append(key)
    data += vector.tobytes()


def _read_plain_vectors(cursor: StreamCursor, keys: list[str], data: bytearray) -> None:
    """Reads float32 vectors like those before, in blocks, up to the first object that is something else or unsound."""
    size = len(data) // 4 // len(keys)
    header = VECTOR_MARK + struct.pack("<i", size)
    length = len(header) + 4 * size
    while True:
        block, at = cursor.peek(BLOCK + length, length), 0
        found, values = [], bytearray()
        while (blank := block.find(b" ", at, at + LONGEST_KEY)) > at and block.startswith(header, blank + 1):
            end = blank + 1 + length
            if end > len(block):
                break
            found.append(block[at:blank])
            values += block[end - 4 * size : end]
            at = end
        text = b" ".join(found).decode(errors="replace")
        sound = text.isprintable() and "\ufffd" not in text and np.isfinite(np.frombuffer(values, "<f4")).all()
        if not found or not sound:
            return
        keys += text.split(" ")
        data += values
        cursor.offset += at


def _check_vector(vector: np.ndarray, size: int, where: str, first: str) -> None:
    if vector.ndim != 1 or not vector.size:
        raise UserError(f"{where}: has shape {vector.shape}; vectors are expected here")
    if vector.size != size:
        raise UserError(
            f"{where}: has shape {vector.shape}, the first vector ('{first}') has {(size,)}; "
            "do not mix levels or models in one table"
        )


def read_vectors(
    scp: str | Path, keys: Sequence[str] | None = None, allow_pipes: bool = False
) -> tuple[list[str], np.ndarray]:
    """Reads all vectors of a script file, each archive opened once and read in its order.

    Args:
        scp: the script file.
        keys: which vectors and in which order; None is the order of the file.
        allow_pipes: commands are run.

    Returns:
        The keys, and their vectors, float32 (N, D).

    Raises:
        UserError: a key is missing or stands twice, an archive is missing or damaged, a vector has
            another dimension than the first, or holds NaN or infinity.
    """
    script = read_script(scp, allow_pipes)
    order = list(script) if keys is None else select_keys(script, keys, scp)
    if not order:
        raise UserError(f"{scp}: no vectors; run the step that writes it again")
    archives = Archives(allow_pipes)
    first = archives.read(script[order[0]], order[0])
    _check_vector(first, first.size, f"{scp}: key '{order[0]}'", order[0])
    vectors = np.empty((len(order), first.size), np.float32)
    vectors[0] = first
    # Anything else than plain vectors goes the long way, which also finds errors.
    header = VECTOR_MARK + struct.pack("<i", first.size)
    length = len(header) + 4 * first.size
    places = [place_of(script[key]) for key in order]
    for row in sorted(range(1, len(order)), key=lambda row: places[row]):
        path, offset, ranges = places[row]
        if not ranges and not path.endswith("|") and path != "-":
            descriptor = archives.descriptor(path, describe(path, offset, order[row]))
            data = os.pread(descriptor, length, offset)
            if len(data) == length and data.startswith(header):
                vectors[row] = np.frombuffer(data, "<f4", offset=len(header))
                continue
        vector = archives.read(script[order[row]], order[row])
        _check_vector(vector, first.size, describe(path, offset, order[row]), order[0])
        vectors[row] = vector
    for block in blocks(len(order), ROWS_PER_CHECK):
        finite = np.isfinite(vectors[block]).all(axis=1)
        if not finite.all():
            row = block.start + int(np.argmin(finite))
            finite_float32(vectors[row], describe(*places[row][:2], order[row]))
    return order, vectors


class MatrixReader:
    """Random access to the objects of a script file: ``reader[key]``.

    Can be pickled, and shared with forked workers. All matrices must have as many columns as the
    first one read.

    Args:
        scp: the script file; the archives are opened when first read.
        allow_pipes: commands are run.
        permissive: what cannot be read is logged, and is not ``in`` the reader.
    """

    def __init__(self, scp: str | Path, allow_pipes: bool = False, permissive: bool = False) -> None:
        self.scp, self._permissive = str(scp), permissive
        self._script = read_script(scp, allow_pipes)
        self._archives = Archives(allow_pipes)
        self._width = Width(self.scp)

    def __contains__(self, key: str) -> bool:
        if key in self._script and self._permissive:
            try:
                self[key]
            except UserError as error:
                logging.warning("skipped: %s", error)
                return False
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
        return self._width.check(key, self._archives.read(self._script[key], key))

    def close(self) -> None:
        """Closes the archives; reading goes on as if nothing had happened."""
        self._archives.close()


class ArchiveReader:
    """Random access to the objects of an archive without a script: ``reader[key]``.

    The archive is read as far as needed, and what was read is kept in memory.

    Args:
        rspecifier: of kind "ark".
        allow_pipes: commands are run.
    """

    def __init__(self, rspecifier: RSpecifier, allow_pipes: bool = False) -> None:
        self._name = str(rspecifier)
        self._items = read_items(rspecifier, allow_pipes)
        self._read: dict[str, np.ndarray] = {}

    def __contains__(self, key: object) -> bool:
        while key not in self._read:
            item = next(self._items, None)
            if item is None:
                return False
            self._read[item[0]] = item[1]
        return True

    def __getitem__(self, key: str) -> np.ndarray:
        """The object of a key, float32; UserError if there is none."""
        if key not in self:
            select_keys({}, [key], self._name)
        return self._read[key]


def open_random(rspecifier: RSpecifier, allow_pipes: bool = False) -> MatrixReader | ArchiveReader:
    """Opens a table for ``reader[key]`` and ``key in reader``: a script is read at random, an archive kept."""
    if rspecifier.kind == "scp":
        return MatrixReader(rspecifier.name, allow_pipes, rspecifier.permissive)
    return ArchiveReader(rspecifier, allow_pipes)


def read_integers(rspecifier: RSpecifier, allow_pipes: bool = False) -> dict[str, int]:
    """Reads a table of Kaldi's int32, for instance the utterances of each model (``ark:num_utts.ark``).

    Args:
        rspecifier: the table: text lines ``key 5``, or binary.
        allow_pipes: commands are run.

    Raises:
        UserError: a damaged table, or a key that stands twice.
    """
    numbers: dict[str, int] = {}
    if rspecifier.kind == "scp":
        archives = Archives(allow_pipes)
        for key, rxspecifier in read_script(rspecifier.name, allow_pipes).items():
            path, offset, _ = place_of(rxspecifier)
            numbers[key] = archives.read_with(_read_integer, path, offset, describe(path, offset, key))
        return numbers
    with open_input(rspecifier.name, allow_pipes) as stream:
        cursor = StreamCursor(stream, rspecifier.name)
        for key in archive_keys(cursor):
            if key in numbers:
                raise UserError(f"{rspecifier}: '{key}' stands twice; keys must be unique")
            numbers[key] = _read_integer(cursor)
    return numbers


def _read_integer(cursor: Cursor) -> int:
    if cursor.peek(2) == b"\0B":
        cursor.offset += 2
        return cursor.integer()
    line = cursor.peek(64).partition(b"\n")[0]
    try:
        number = int(line)
    except ValueError:
        raise cursor.error("an integer is expected here") from None
    cursor.offset += len(line)
    return number


def read_vector(path: str | Path, allow_pipes: bool = False) -> np.ndarray:
    """Reads a file that holds one vector (binary or text), float32 (N,); UserError if it does not."""
    return _read_single(path, 1, allow_pipes)


def read_matrix(path: str | Path, allow_pipes: bool = False) -> np.ndarray:
    """Reads a file that holds one matrix (binary or text), float32 (T, D); UserError if it does not."""
    return _read_single(path, 2, allow_pipes)


def _read_single(path: str | Path, dimensions: int, allow_pipes: bool) -> np.ndarray:
    # Not by way of an rxspecifier: the name itself may end in a colon and digits.
    with open_object(path, allow_pipes) as cursor:
        array = read_object(cursor)
    if array.ndim != dimensions:
        kind = "vector" if dimensions == 1 else "matrix"
        raise UserError(f"{path}: expected one {kind}, got the shape {array.shape}")
    return finite_float32(array, str(path))


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
