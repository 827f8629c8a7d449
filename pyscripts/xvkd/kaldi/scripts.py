"""Script files (scp) and the objects that their entries name: files at an offset, ranges, commands."""

import os
import re
import stat
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from xvkd.errors import UserError
from xvkd.kaldi.objects import Cursor, open_object, read_object
from xvkd.kaldi.streams import GZIP, cannot_be_opened
from xvkd.kaldi.tables import read_table

T = TypeVar("T")

MOST_OPEN_FILES = 64
LONGEST_OFFSET = 18  # digits: what 64 bits can hold
# "x.ark:123[4:56,0:9]": the archive, the offset of the object, and a range of its rows and one of its columns.
_ENTRY = re.compile(
    rf"(?P<path>.+?)(?::(?P<offset>[0-9]{{1,{LONGEST_OFFSET}}}))?(?:\[(?P<ranges>[0-9:,]+)\])?", re.DOTALL
)
_RANGE = re.compile("([0-9]{1,9}):([0-9]{1,9})")
# Kaldi lets a range of frames end this many rows late: edge effects of framing, and rounding.
RANGE_TOLERANCE = 3


class Place(NamedTuple):
    """Where an object is: ``path:offset[ranges]``, of which the last two may be missing."""

    path: str
    offset: int
    ranges: str


def read_script(scp: str | Path, allow_pipes: bool = False) -> dict[str, str]:
    """Reads a script file.

    Args:
        scp: lines ``key rxspecifier``, for instance ``utt1 exp/embeddings.ark:5``.
        allow_pipes: the file and its entries may be commands.

    Returns:
        Key to rxspecifier, in the order of the file.

    Raises:
        UserError: no such file, a malformed line, a key that stands twice, or a command.
    """
    script = read_table(scp, allow_pipes)
    for key, rxspecifier in script.items():
        if rxspecifier.endswith("|") and not allow_pipes:
            raise UserError(
                f"{scp}: key '{key}': commands ('{rxspecifier}') are run with --allow-pipes only; give it, or write "
                "the archive to disk and name its scp"
            )
    return script


def place_of(rxspecifier: str) -> Place:
    """Splits ``path:offset[ranges]``; the offset is 0 and the ranges are empty if not given."""
    path, _, offset = rxspecifier.rpartition(":")
    if path and len(offset) <= LONGEST_OFFSET and offset.isdecimal() and offset.isascii():  # nearly all entries
        return Place(path, int(offset), "")
    parts = _ENTRY.fullmatch(rxspecifier)
    assert parts is not None  # it matches every text but the empty one, which no script line has
    return Place(parts["path"], int(parts["offset"] or 0), parts["ranges"] or "")


def describe(path: str, offset: int, key: str) -> str:
    """What messages call the place of an object."""
    return f"{path}: key '{key}' at offset {offset}" if key else path


def finite_float32(array: np.ndarray, where: str) -> np.ndarray:
    """``array`` as float32; a UserError if it holds NaN, or more than float32 can hold."""
    with np.errstate(over="ignore", invalid="ignore"):
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


class Archives:
    """Open archives, at most ``MOST_OPEN_FILES`` of them; the one used longest ago is closed.

    Files are opened when first read, and read by position, so that an instance can be pickled or
    forked with its worker.

    Args:
        allow_pipes: entries that are commands are run.
    """

    def __init__(self, allow_pipes: bool = False) -> None:
        self._allow_pipes = allow_pipes
        self._open: OrderedDict[str, int] = OrderedDict()
        # The object that a range was last cut from: the ranges of one recording follow each other.
        self._whole: tuple[str, int, np.ndarray] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_allow_pipes": self._allow_pipes, "_open": OrderedDict(), "_whole": None}

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
            raise cannot_be_opened(path, error, where) from None
        except ValueError as error:
            raise UserError(f"{where!r}: no name of a file: {error}") from None
        self._open[path] = descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{where}: not a regular file; archives are read by position")
        if len(self._open) > MOST_OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def read_with(self, reader: Callable[[Cursor], T], path: str, offset: int, where: str) -> T:
        """What ``reader`` makes of an object; commands, standard input and packed files begin with it."""
        if path != "-" and not path.endswith("|"):
            descriptor = self.descriptor(path, where)
            if offset or os.pread(descriptor, 2, 0) != GZIP:
                return reader(Cursor(descriptor, offset, where))
        with open_object(path, self._allow_pipes, where) as cursor:
            return reader(cursor)

    def read(self, rxspecifier: str, key: str = "") -> np.ndarray:
        """Reads the object that an rxspecifier names.

        Args:
            rxspecifier: ``path``, ``path:offset`` or ``command |``, each of which may have a range of rows and one
                of columns behind it: ``[first:last,first:last]``, counted from 0, both ends included.
            key: for messages.

        Returns:
            Float32 (N,) or (T, D), finite.

        Raises:
            UserError: there is no such file or object, it is damaged, or holds NaN or infinity.
        """
        path, offset, ranges = place_of(rxspecifier)
        where = describe(path, offset, key)
        if ranges and self._whole and self._whole[:2] == (path, offset):
            return _cut(self._whole[2], ranges, where)
        array = finite_float32(self.read_with(read_object, path, offset, where), where)
        if not ranges:
            return array
        self._whole = path, offset, array
        return _cut(array, ranges, where)


def _cut(array: np.ndarray, ranges: str, where: str) -> np.ndarray:
    """A range of rows and one of columns, as Kaldi's ExtractObjectRange."""
    texts = ranges.split(",")
    if len(texts) > array.ndim:
        raise UserError(f"{where}: has the shape {array.shape}, the script asks for [{ranges}]")
    chosen = []
    for text, size, tolerance, what in zip(texts, array.shape, (RANGE_TOLERANCE, 0), ("rows", "columns"), strict=False):
        ends = _RANGE.fullmatch(text) or _RANGE.fullmatch(f"0:{size - 1}" if text == ":" else "")
        if ends is None:
            raise UserError(f"{where}: [{ranges}] is no range such as [0:99] or [0:99,2:5]")
        first, last = int(ends[1]), int(ends[2])
        if first > last or first >= size or last >= size + tolerance:
            raise UserError(f"{where}: has {size} {what}, the script asks for {first} to {last}")
        chosen.append(slice(first, last + 1))
    return array[tuple(chosen)]
