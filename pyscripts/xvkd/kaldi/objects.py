"""Single Kaldi vectors and matrices inside an open file: binary, compressed or text.

Every size that a file claims is held against what the file really has before memory is taken for it, so
that a damaged file gives an error and neither a crash nor a huge allocation.
"""

import math
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from xvkd.errors import UserError
from xvkd.kaldi.compression import HEADER, SIZES, compress_matrix, decompress_matrix
from xvkd.kaldi.streams import DAMAGED_GZIP, open_input

ITEM_TYPES = {"F": np.dtype("<f4"), "D": np.dtype("<f8")}
GREATEST = np.finfo(np.float32).max
LONGEST_TOKEN = 32
LONGEST_KEY = 4096
READ_AHEAD = 1 << 16
_SPACE = re.compile(rb"\s")
# A stream's size is not known beforehand: memory for an object grows by so many bytes as they come.
STREAM_BLOCK = 1 << 22


class Cursor:
    """A position in an open file, read by ``pread``: forked workers can share the descriptor.

    Args:
        descriptor: an open file descriptor.
        offset: where to start, in bytes.
        where: what to call the place in messages, for instance "x.ark: key 'a' at offset 2".
    """

    def __init__(self, descriptor: int, offset: int, where: str) -> None:
        self.descriptor, self.offset, self.where = descriptor, offset, where
        self.size = os.fstat(descriptor).st_size
        if offset >= self.size:
            raise self.error(f"there is nothing: the file ends after {self.size} bytes")

    def error(self, what: str) -> UserError:
        """The exception for damage at this place; the caller raises it."""
        return UserError(f"{self.where}: {what}; write or copy the file again")

    def peek(self, count: int, least: int | None = None) -> bytes:
        """Up to ``count`` bytes from here; the position stays.

        Args:
            count: as many as there are up to the end.
            least: of a pipe, more than these (all by default) are not waited for.
        """
        return os.pread(self.descriptor, count, self.offset)

    def read(self, count: int) -> bytearray:
        """Exactly ``count`` bytes from here."""
        left = self.size - self.offset
        if count > left:
            raise self.error(f"truncated ({count} bytes expected, {left} left)")
        buffer = bytearray(count)
        done = 0
        while done < count:
            # One call gives at most 2 GiB, and nothing if the file has shrunk since it was opened.
            got = os.preadv(self.descriptor, [memoryview(buffer)[done:]], self.offset)
            if not got:
                raise self.error(f"truncated ({count - done} bytes missing)")
            done += got
            self.offset += got
        return buffer

    def read_until(self, end: bytes) -> bytes:
        """The bytes from here to ``end``, which is passed over and not returned."""
        parts: list[bytes] = []
        while True:
            part = self.peek(READ_AHEAD, 1)
            if not part:
                raise self.error(f"truncated (no '{end.decode()}' up to the end of the file)")
            head, found, _ = part.partition(end)
            parts.append(head)
            self.offset += len(head) + len(found)
            if found:
                return b"".join(parts)

    def skip_space(self) -> None:
        """Passes over blanks and line ends."""
        while True:
            part = self.peek(64, 1)
            self.offset += len(part) - len(part.lstrip())
            if not part or part.lstrip():
                return

    def token(self) -> str:
        """Reads a token and the blank behind it, which end every token in Kaldi's binary files."""
        head, found, _ = self._up_to_space(LONGEST_TOKEN).partition(b" ")
        if not found or not head.isascii():
            raise self.error("not a Kaldi object")
        self.offset += len(head) + 1
        return head.decode("ascii")

    def key(self) -> str:
        """Reads a table's key and the blank behind it."""
        head = self._up_to_space(LONGEST_KEY)
        key = head.split(None, 1)[0]
        try:
            text = key.decode()
        except UnicodeDecodeError:
            text = ""
        if not text.isprintable() or not text or len(key) == len(head):
            raise self.error("not an archive of Kaldi's (a key is expected here)")
        self.offset += len(key)
        if head[len(key) : len(key) + 1] in (b" ", b"\t"):
            self.offset += 1
        return text

    def _up_to_space(self, longest: int) -> bytes:
        """Bytes from here with white space in them, if there is any up to ``longest``."""
        head = b""
        while True:
            more = self.peek(longest, len(head) + 1)
            if len(more) == len(head) or _SPACE.search(more, len(head)):
                return more
            head = more

    def integer(self) -> int:
        """Reads a 32-bit integer with its size byte."""
        size, number = struct.unpack("<bi", self.read(5))
        if size != 4:
            raise self.error("damaged header")
        return number


class StreamCursor(Cursor):
    """A position in a stream, which can be a pipe: it only moves forward.

    Args:
        stream: open for binary reading.
        where: what to call it in messages.
    """

    def __init__(self, stream: IO[bytes], where: str) -> None:
        self.where, self.offset = where, 0
        self._stream = stream
        self._ahead, self._start = b"", 0  # bytes read already, and the offset of the first of them

    def peek(self, count: int, least: int | None = None) -> bytes:
        """Up to ``count`` bytes from here; the position stays."""
        at, least = self.offset - self._start, count if least is None else least
        if len(self._ahead) - at < least:
            self._ahead, self._start, at = self._ahead[at:], self.offset, 0
            while len(self._ahead) < least:
                part = self._next(max(READ_AHEAD, count - len(self._ahead)))
                if not part:
                    break
                self._ahead += part
        return self._ahead[at : at + count]

    def read(self, count: int) -> bytearray:
        """Exactly ``count`` bytes from here."""
        at = self.offset - self._start
        buffer = bytearray(self._ahead[at : at + count])
        while len(buffer) < count:
            part = self._next(min(count - len(buffer), STREAM_BLOCK))
            if not part:
                raise self.error(f"truncated ({count} bytes expected, {len(buffer)} left)")
            buffer += part
        self.offset += count
        return buffer

    def _next(self, count: int) -> bytes:
        """Bytes from the stream, up to ``count`` of them; none at its end."""
        try:
            return self._stream.read1(count)  # type: ignore[attr-defined]
        except DAMAGED_GZIP as error:
            raise self.error(f"damaged gzip data ({error})") from None


@contextmanager
def open_object(name: str | Path, allow_pipes: bool = False, where: str = "") -> Iterator[StreamCursor]:
    """Opens a file (or whatever else ``open_input`` takes) that holds one object; gives a cursor at its head."""
    with open_input(name, allow_pipes) as stream:
        yield StreamCursor(stream, where or str(name))


def read_object(cursor: Cursor) -> np.ndarray:
    """Reads one vector or matrix, with its ``\\0B`` mark if it is binary.

    Args:
        cursor: stands at the object; is moved behind it.

    Returns:
        A vector (N,) or a matrix (T, D), float32 or float64 as stored.

    Raises:
        UserError: the bytes are no such object, or some are missing.
    """
    if cursor.peek(2) == b"\0B":
        cursor.offset += 2
        return read_binary(cursor)
    return read_text(cursor)


def read_binary(cursor: Cursor) -> np.ndarray:
    """As ``read_object``, from behind the binary mark."""
    kind = cursor.token()
    if kind in SIZES:
        return _read_compressed(cursor, kind)
    if len(kind) != 2 or kind[0] not in ITEM_TYPES or kind[1] not in "VM":
        raise cursor.error(f"'{kind}' is neither a vector nor a matrix of Kaldi's")
    shape = [cursor.integer() for _ in range(1 if kind[1] == "V" else 2)]
    item = ITEM_TYPES[kind[0]]
    count = _num_items(cursor, shape)
    return np.frombuffer(cursor.read(count * item.itemsize), item).reshape(shape)


def _num_items(cursor: Cursor, shape: list[int]) -> int:
    """How many elements an array has; rows without columns, which would take no byte, are no array."""
    if min(shape) < 0 or (shape[-1] == 0 and shape[0] != 0):
        raise cursor.error("damaged header")
    return math.prod(shape)


def _read_compressed(cursor: Cursor, kind: str) -> np.ndarray:
    least, span, rows, columns = HEADER.unpack(cursor.read(HEADER.size))
    count = _num_items(cursor, [rows, columns])
    if not count:
        return np.zeros((rows, columns), np.float32)
    per_column, per_item = SIZES[kind]
    body = cursor.read(columns * per_column + count * per_item)
    return decompress_matrix(kind, least, span, rows, columns, body)


def read_text(cursor: Cursor) -> np.ndarray:
    """As ``read_object``, of text: `` [ 1 2 ]`` is a vector, line breaks make a matrix."""
    cursor.skip_space()
    if cursor.peek(1) != b"[":
        raise cursor.error("neither a vector nor a matrix of Kaldi's")
    cursor.offset += 1
    body = cursor.read_until(b"]")
    try:
        rows = [np.array(line.split(), np.float64) for line in body.split(b"\n") if line.strip()]
    except ValueError:
        raise cursor.error("holds something that is not a number") from None
    if b"\n" not in body:
        return rows[0] if rows else np.zeros(0)
    if len({row.size for row in rows}) > 1:
        raise cursor.error("rows of unequal lengths")
    return np.stack(rows) if rows else np.zeros((0, 0))


def write_object(stream: IO[bytes], array: np.ndarray, compress: bool = False, text: bool = False) -> int:
    """Writes one vector or matrix, its mark included if it is binary; returns the number of bytes.

    Args:
        stream: a file open for binary writing.
        array: (N,) or (T, D), float32 or float64, stored as such.
        compress: a matrix is stored as Kaldi's ``copy-feats --compress=true`` does it (one byte
            an element above 8 rows, two below); vectors, empty matrices and those whose range is beyond float32 are
            not compressed.
        text: it is written as text, which knows no compression.
    """
    if text:
        return stream.write(_as_text(array).encode())
    return stream.write(b"\0B" + binary_object(array, compress))


def binary_object(array: np.ndarray, compress: bool = False) -> bytes:
    """As ``write_object``, without the mark, which stands once before several objects."""
    if compress and array.ndim == 2 and array.size and np.float64(array.max()) - array.min() < GREATEST:
        kind, data = compress_matrix(array)
        return kind.encode() + b" " + data
    kind = ("F" if array.dtype == np.float32 else "D") + ("V" if array.ndim == 1 else "M")
    # Kaldi knows one empty matrix only, of no rows and no columns.
    shape = array.shape if array.size else (0,) * array.ndim
    sizes = b"".join(struct.pack("<bi", 4, size) for size in shape)
    return kind.encode() + b" " + sizes + np.ascontiguousarray(array, ITEM_TYPES[kind[0]]).tobytes()


def _as_text(array: np.ndarray) -> str:
    if array.ndim == 1:
        return f" [ {_numbers(array)}]\n"
    if not array.size:
        return " [ ]\n"
    return " [" + "".join(f"\n  {_numbers(row)}" for row in array) + "]\n"


def _numbers(row: np.ndarray) -> str:
    """The numbers with a blank behind each: seven digits as Kaldi has it, all of them where that would lose some."""
    words = ("%.7g " * row.size % tuple(row.tolist())).split(" ")[:-1]
    digits = 9 if row.dtype == np.float32 else 17
    for place in np.flatnonzero(np.array(words, row.dtype) != row):
        words[place] = f"{row[place]:.{digits}g}"
    return "".join(f"{word} " for word in words)
