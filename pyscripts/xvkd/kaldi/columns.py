"""Long text tables of a few short columns (trials, scores), read without making a Python object of every word.

A word is a column of 64-bit integers, eight of its bytes each (the first one lowest) and zeros behind its end, so
that comparing, hashing and numbering words is arithmetic on arrays. A table is read in blocks that fit the
processor's cache: memory stays small, and memory that is used again costs nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xvkd.errors import UserError
from xvkd.kaldi.streams import open_input

BLOCK = 1 << 18
LONGEST_WORD = 1 << 10
LONGEST_SHOWN = 200  # of a line in a message
BLANK, NEWLINE = 32, 10  # blanks are this byte and all below it
# What is kept of an integer's bytes, by how many of them are the word's: any number from -LONGEST_WORD to
# LONGEST_WORD, of which 0 to 8 make a difference.
_MASKS = np.repeat(
    np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64), [LONGEST_WORD + 1, *[1] * 7, LONGEST_WORD - 7]
)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Lines:
    """Some lines of a table, all with the same number of words.

    Attributes:
        table: what to call the table in messages.
        expected: what its lines look like, for messages.
        first: the number of the first of these lines, from 1.
        text: (B,) bytes; further bytes stand behind the last word.
        starts: (L, C) place of each word in ``text``.
        lengths: (L, C) its length in bytes.
    """

    table: str
    expected: str
    first: int
    text: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def words(self, column: int) -> np.ndarray:
        """The words of a column, (W, L) uint64 for the longest word's W integers; valid until the next lines are read.

        Raises:
            UserError: a word is too long for an id.
        """
        starts, lengths = self.starts[:, column], self.lengths[:, column]
        longest = int(lengths.max())
        if longest > LONGEST_WORD:
            place = f"{self.table}, line {self.first + int(lengths.argmax())}"
            raise UserError(f"{place}: a word of {longest} bytes, where '{self.expected}' is expected")
        # An integer at every byte, not only at each eighth.
        integers = np.ndarray(len(self.text) - 7, "<u8", self.text, 0, (1,))
        words = np.empty((-(-longest // 8), len(starts)), np.uint64)
        for place, part in enumerate(words):
            part[:] = integers[starts + 8 * place]
            part &= _MASKS[lengths + (LONGEST_WORD - 8 * place)]
        return words

    def equal(self, column: int, word: bytes) -> np.ndarray:
        """Which of a column's words are ``word``, (L,) bool."""
        starts, lengths = self.starts[:, column], self.lengths[:, column]
        equal = lengths == len(word)
        rows = np.flatnonzero(equal)
        equal[rows] = (self.text[starts[rows, None] + np.arange(len(word))] == list(word)).all(axis=1)
        return equal

    def malformed(self, line: int) -> UserError:
        """The exception for a line, counted from 0 here; the caller raises it."""
        last = self.starts[line, -1] + self.lengths[line, -1]
        words = self.text[self.starts[line, 0] : last].tobytes()
        return _malformed(self.table, self.first + line, self.expected, words)


def read_lines(name: str | Path, columns: Sequence[int], expected: str, allow_pipes: bool = False) -> Iterator[Lines]:
    """Reads a table, some lines at a time.

    Args:
        name: a file, or what else ``open_input`` takes.
        columns: how many words a line may have; all lines have as many as the first.
        expected: what a line looks like, for messages.
        allow_pipes: see ``open_input``.

    Raises:
        UserError: no such table, or a line with another number of words.
    """
    # The line end before the first line stands in front; behind the last word, an integer can be read at any byte.
    # ``filled`` bytes are in use.
    buffer = np.zeros(1 + BLOCK + LONGEST_WORD + 8, np.uint8)
    buffer[0] = NEWLINE
    filled, number, width = 1, 1, None
    with open_input(name, allow_pipes) as stream:
        while True:
            # Room for the line end that the last line may lack.
            got = stream.readinto(memoryview(buffer)[filled:BLOCK])  # type: ignore[attr-defined]
            filled += got
            if not got and buffer[filled - 1] != NEWLINE:
                buffer[filled] = NEWLINE
                filled += 1
            end = buffer[:filled].tobytes().rfind(b"\n") + 1
            if end == 1 and filled == BLOCK:
                raise UserError(f"{name}, line {number}: longer than {BLOCK} bytes; expected '{expected}' lines")
            if end > 1:
                lines = _split(str(name), expected, number, buffer, end, columns if width is None else (width,))
                yield lines
                width = lines.starts.shape[1]
                number += len(lines.starts)
                # The last line's beginning goes to the front.
                buffer[1 : 1 + filled - end] = buffer[end:filled].copy()
                filled = 1 + filled - end
            if not got:
                return


def _split(table: str, expected: str, first: int, buffer: np.ndarray, end: int, columns: Sequence[int]) -> Lines:
    """The words of ``buffer[1:end]``, which begins and ends with whole lines."""
    blanks = np.flatnonzero(buffer[:end] <= BLANK)
    line_ends = np.flatnonzero(buffer[blanks] == NEWLINE)
    starts, lengths = blanks[:-1] + 1, np.diff(blanks) - 1
    # How many words stand before each line end, the one in front included: one behind every blank, unless another
    # blank follows.
    before = line_ends
    if not lengths.all():
        words = lengths > 0
        before = np.append(0, np.cumsum(words))[line_ends]
        starts, lengths = starts[words], lengths[words]
    count = len(line_ends) - 1
    width = len(starts) // count
    if width not in columns or (before != width * np.arange(count + 1)).any():
        raise _first_malformed(table, expected, first, buffer[1 : end - 1].tobytes(), columns)
    return Lines(table, expected, first, buffer, starts.reshape(count, width), lengths.reshape(count, width))


def _first_malformed(table: str, expected: str, first: int, text: bytes, columns: Sequence[int]) -> UserError:
    """The exception for the first line with another number of words."""
    one_blank = bytes(max(byte, BLANK) for byte in range(256))
    lines = text.split(b"\n")
    counts = [len(line.translate(one_blank).split()) for line in lines]
    wrong = next(place for place, count in enumerate(counts) if count not in columns or count != counts[0])
    return _malformed(table, first + wrong, expected, lines[wrong])


def _malformed(table: str, number: int, expected: str, line: bytes) -> UserError:
    shown = line.decode(errors="replace").strip()
    shown = shown if len(shown) <= LONGEST_SHOWN else shown[:LONGEST_SHOWN] + "..."
    return UserError(f"{table}, line {number}: expected '{expected}', got '{shown}'")


class Numbering:
    """Numbers words from 0, in the order in which they are first seen: a hash table in arrays.

    Words are told apart by all of their bytes; what the hash is worth changes the speed alone.
    """

    def __init__(self) -> None:
        self._words = np.zeros((0, 0), np.uint64)  # (W, capacity)
        self._table = np.zeros(0, np.int32)  # the number of the word at each place, or -1
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def number(self, words: np.ndarray) -> np.ndarray:
        """The number of each word, (L,) int32; new words get the next ones.

        Args:
            words: (W, L) uint64, as ``Lines.words`` gives them.
        """
        words = self._make_room(words)
        numbers = np.empty(words.shape[1], np.int32)
        rows, places = np.arange(words.shape[1]), self._places(words)
        old, new_rows, new_places = self._count, [], []
        while len(rows):
            owners = self._table[places]
            free = np.flatnonzero(owners < 0)
            if len(free):
                # The first row that wants a free place gets it, for its word.
                claims = self._count + np.arange(len(free))
                self._table[places[free[::-1]]] = claims[::-1]
                free = free[self._table[places[free]] == claims]
                self._table[places[free]] = claims[: len(free)]
                self._words[:, self._count : self._count + len(free)] = words[:, free]
                self._count += len(free)
                new_rows.append(rows[free])
                new_places.append(places[free])
                owners = self._table[places]
            same = np.ones(len(rows), bool)
            for known, integers in zip(self._words, words, strict=True):
                same &= known[owners] == integers
            numbers[rows] = owners
            # Those that have met another word try the next place.
            other = np.flatnonzero(~same)
            rows, places, words = rows[other], (places[other] + 1) & (len(self._table) - 1), words[:, other]
        if len(new_rows) > 1:
            # Those that had to try again got theirs late; in the order of their rows they are numbered anew.
            order = np.argsort(np.concatenate(new_rows))
            rank = np.argsort(order).astype(np.int32)
            self._words[:, old : self._count] = self._words[:, old + order]
            self._table[np.concatenate(new_places)] = old + rank
            new = numbers >= old
            numbers[new] = old + rank[numbers[new] - old]
        return numbers

    def names(self) -> list[str]:
        """All words, by number; UnicodeDecodeError if they are not UTF-8."""
        integers = np.ascontiguousarray(self._words[:, : self._count].T)
        words = integers.view(f"S{8 * integers.shape[1]}").ravel().tolist() if integers.size else []
        return b"\n".join(words).decode().split("\n") if words else []

    def _make_room(self, words: np.ndarray) -> np.ndarray:
        """Makes room for words that may all be new; returns them, as wide as the widest one seen."""
        width, most = max(len(self._words), len(words)), self._count + words.shape[1]
        if width > len(self._words) or most > self._words.shape[1]:
            known = self._words[:, : self._count]
            self._words = np.zeros((width, 2 * most), np.uint64)
            self._table = np.full(1 << (4 * most).bit_length(), -1, np.int32)
            self._count = 0
            # In their order they get the numbers that they had.
            self.number(known)
        return np.pad(words, ((0, width - len(words)), (0, 0))) if len(words) < width else words

    def _places(self, words: np.ndarray) -> np.ndarray:
        """(L,) a place in the table for each word, equal ones for equal words."""
        mixed = np.zeros(words.shape[1], np.uint64)
        for integers in words:
            mixed ^= integers
            mixed *= _MULTIPLIER
            mixed ^= mixed >> np.uint64(32)
        return (mixed & np.uint64(len(self._table) - 1)).astype(np.intp)
