"""Single Kaldi vectors and matrices inside an open file: binary, compressed or text.

Every size that a file claims is held against the file's length before a byte of it is read, so
that a damaged file gives an error and neither a crash nor a huge allocation.
"""

import io
import os
import struct
from typing import IO

import numpy as np
from kaldiio import matio

from xvkd.errors import UserError

ITEM_TYPES = {"F": np.dtype("<f4"), "D": np.dtype("<f8")}
# Bytes per column and per element of Kaldi's compressed matrices.
COMPRESSED = {"CM": (8, 1), "CM2": (0, 2), "CM3": (0, 1)}
LONGEST_TOKEN = 32
READ_AHEAD = 1 << 16


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

    def peek(self, count: int) -> bytes:
        """Up to ``count`` bytes from here; the position stays."""
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
        start, parts = self.offset, []
        while True:
            part = self.peek(READ_AHEAD)
            if not part:
                self.offset = start
                raise self.error(f"truncated (no '{end.decode()}' up to the end of the file)")
            head, found, _ = part.partition(end)
            parts.append(head)
            self.offset += len(head) + len(found)
            if found:
                return b"".join(parts)

    def skip_space(self) -> None:
        """Passes over blanks and line ends."""
        while True:
            part = self.peek(64)
            self.offset += len(part) - len(part.lstrip())
            if not part or part.lstrip():
                return

    def token(self) -> str:
        """Reads a token and the blank behind it, which end every token in Kaldi's binary files."""
        head, found, _ = self.peek(LONGEST_TOKEN).partition(b" ")
        if not found or not head.isascii():
            raise self.error("not a Kaldi object")
        self.offset += len(head) + 1
        return head.decode("ascii")

    def integer(self) -> int:
        """Reads a non-negative 32-bit integer with its size byte."""
        size, number = struct.unpack("<bi", self.read(5))
        if size != 4 or number < 0:
            raise self.error("damaged header")
        return number


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
    if kind in COMPRESSED:
        return _read_compressed(cursor, kind)
    if len(kind) != 2 or kind[0] not in ITEM_TYPES or kind[1] not in "VM":
        raise cursor.error(f"'{kind}' is neither a vector nor a matrix of Kaldi's")
    shape = [cursor.integer() for _ in range(1 if kind[1] == "V" else 2)]
    item = ITEM_TYPES[kind[0]]
    count = int(np.prod(shape, dtype=object))
    return np.frombuffer(cursor.read(count * item.itemsize), item).reshape(shape)


def _read_compressed(cursor: Cursor, kind: str) -> np.ndarray:
    header = cursor.read(16)
    rows, columns = struct.unpack_from("<ii", header, 8)
    if rows < 0 or columns < 0:
        raise cursor.error("damaged header")
    per_column, per_item = COMPRESSED[kind]
    body = cursor.read(columns * per_column + rows * columns * per_item)
    if not body:
        return np.zeros((rows, columns), np.float32)
    # A damaged column header can ask for inf - inf; the caller's check for NaN then speaks.
    with np.errstate(all="ignore"):
        return matio.read_matrix_or_vector(io.BytesIO(b"\0B" + kind.encode() + b" " + header + body))


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


def write_object(stream: IO[bytes], array: np.ndarray, compress: bool = False) -> int:
    """Writes one vector or matrix in binary, mark included; returns the number of bytes.

    Args:
        stream: a file open for binary writing.
        array: (N,) or (T, D), float32 or float64, stored as such.
        compress: a matrix is stored as Kaldi's ``copy-feats --compress=true`` does it (one byte
            an element above 8 rows, two below); vectors and empty matrices are not compressed.
    """
    automatic = 1  # kAutomaticMethod in Kaldi's compressed-matrix.h
    method = automatic if compress and array.ndim == 2 and array.size else None
    buffer = io.BytesIO()
    matio.write_array(buffer, array, compression_method=method)
    return stream.write(buffer.getbuffer())
