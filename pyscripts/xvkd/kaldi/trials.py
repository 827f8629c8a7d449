"""Trial lists, enrolment maps and score files, as arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xvkd.blocks import blocks
from xvkd.errors import UserError
from xvkd.kaldi.columns import Lines, Numbering, read_lines
from xvkd.kaldi.decimals import WORDS, print_numbers
from xvkd.kaldi.streams import open_output
from xvkd.kaldi.tables import read_table

LABELLED, UNLABELLED, SCORED = "enrolment test target|nontarget", "enrolment test", "enrolment test score"
LINES_AT_ONCE = 1 << 13
_LAST_NEWLINE = np.uint64(ord("\n") << 56)  # in the last byte of an integer


@dataclass
class Pairs:
    """Pairs of numbered models and test utterances.

    Attributes:
        models: ids of the models, in the order of their first pair.
        tests: ids of the test utterances, likewise.
        model: (T,) int32, index into ``models``.
        test: (T,) int32, index into ``tests``.
    """

    models: list[str]
    tests: list[str]
    model: np.ndarray
    test: np.ndarray

    def __len__(self) -> int:
        return len(self.model)

    def name(self, pair: int) -> str:
        """A pair as messages call it."""
        return f"{self.models[self.model[pair]]} {self.tests[self.test[pair]]}"


@dataclass
class Trials(Pairs):
    """Trials whose answer is known.

    Attributes:
        target: (T,) bool.
    """

    target: np.ndarray

    def only(self, models: np.ndarray, tests: np.ndarray) -> "Trials":
        """The trials between some of the models, (M,) bool, and some of the test utterances, (N,) bool."""
        kept = models[self.model] & tests[self.test]
        model, test = ((np.cumsum(mask) - 1).astype(np.int32) for mask in (models, tests))
        return Trials(
            [name for name, keep in zip(self.models, models, strict=True) if keep],
            [name for name, keep in zip(self.tests, tests, strict=True) if keep],
            model[self.model[kept]], test[self.test[kept]], self.target[kept],
        )  # fmt: skip


@dataclass
class Scores(Pairs):
    """Pairs that have been scored.

    Attributes:
        score: (T,) float64.
    """

    score: np.ndarray


def read_trials(name: str | Path, allow_pipes: bool = False) -> Trials:
    """Reads ``enrolment test target|nontarget`` lines.

    Args:
        name: a file, or what else ``streams.open_input`` takes.
        allow_pipes: see there.

    Raises:
        UserError: no such file, an empty one, or a malformed line.
    """
    return Trials(*_read(name, (3,), LABELLED, _labels, bool, allow_pipes))


def read_pairs(name: str | Path, allow_pipes: bool = False) -> Pairs:
    """As ``read_trials``, of lines that may lack the label, which is not looked at."""
    return Pairs(*_read(name, (2, 3), UNLABELLED, None, bool, allow_pipes)[:4])


def read_scores(name: str | Path, allow_pipes: bool = False) -> Scores:
    """As ``read_trials``, of ``enrolment test score`` lines."""
    return Scores(*_read(name, (3,), SCORED, _numbers, np.float64, allow_pipes))


def _read(
    name: str | Path, columns: Sequence[int], expected: str, third: Callable[[Lines], np.ndarray] | None,
    kind: type, allow_pipes: bool,
) -> tuple[list[str], list[str], np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """The names, numbers and third column of a table."""
    models, tests = Numbering(), Numbering()
    parts: list[tuple[np.ndarray, ...]] = []
    for lines in read_lines(name, columns, expected, allow_pipes):
        parts.append((
            models.number(lines.words(0)), tests.number(lines.words(1)),
            np.zeros(0, kind) if third is None else third(lines),
        ))  # fmt: skip
    if not parts:
        raise UserError(f"{name}: no '{expected}' lines; the file is empty")
    try:
        return models.names(), tests.names(), *map(np.concatenate, zip(*parts, strict=True))
    except UnicodeDecodeError:
        raise UserError(f"{name}: not a text file of '{expected}' lines") from None


def _labels(lines: Lines) -> np.ndarray:
    """The third column's labels, (L,) bool."""
    target = lines.equal(2, b"target")
    wrong = ~(target | lines.equal(2, b"nontarget"))
    if wrong.any():
        raise lines.malformed(int(wrong.argmax()))
    return target


def _numbers(lines: Lines) -> np.ndarray:
    """The third column's numbers, (L,) float64, finite."""
    words = np.ascontiguousarray(lines.words(2).T)
    texts = words.view(f"S{words.itemsize * words.shape[1]}").ravel()
    try:
        numbers = texts.astype(np.float64)
    except ValueError:
        numbers = np.array([_number(text) for text in texts.tolist()])
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        raise lines.malformed(int(wrong.argmax()))
    return numbers


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def align_scores(trials: Pairs, scores: Scores, name: str | Path) -> np.ndarray:
    """Finds the score of each trial, whatever their orders.

    Args:
        trials: T of them.
        scores: of these trials, and perhaps of others.
        name: of the scores, for messages.

    Returns:
        (T,) rows of ``scores``, -1 for a trial that has none.

    Raises:
        UserError: a pair has two different scores.
    """
    models, tests = rows_of(scores.models, trials.models), rows_of(scores.tests, trials.tests)
    known = np.flatnonzero((models[scores.model] >= 0) & (tests[scores.test] >= 0))
    wanted = trials.model.astype(np.int64) * len(trials.tests) + trials.test
    given = models[scores.model[known]].astype(np.int64) * len(trials.tests) + tests[scores.test[known]]
    if np.array_equal(wanted, given):
        return known
    order = np.argsort(given, kind="stable")
    given, known = given[order], known[order]
    twice = (given[1:] == given[:-1]) & (scores.score[known[1:]] != scores.score[known[:-1]])
    if twice.any():
        raise UserError(f"{name}: '{scores.name(known[int(twice.argmax())])}' has two different scores; remove one")
    # What is wanted stands at this place or nowhere; the last place is one more, of nothing.
    place = np.searchsorted(given, wanted)
    return np.where(np.append(given, -1)[place] == wanted, np.append(known, -1)[place], -1)


def rows_of(names: Sequence[str], keys: Sequence[str]) -> np.ndarray:
    """The place of each name among the keys, (N,) int32, -1 where it is missing."""
    places = {key: row for row, key in enumerate(keys)}
    return np.array([places.get(name, -1) for name in names], np.int32)


def read_enrolments(path: str | Path) -> dict[str, list[str]]:
    """Reads ``model utterance...`` lines."""
    return {model: utterances.split() for model, utterances in read_table(path).items()}


def write_scores(name: str | Path, pairs: Pairs, scores: np.ndarray, allow_pipes: bool = False) -> None:
    """Writes ``enrolment test score`` lines as Kaldi does, in the order of the pairs.

    Args:
        name: a file, or what else ``streams.open_output`` takes.
        pairs: T of them.
        scores: (T,).
        allow_pipes: see ``open_output``.

    Raises:
        UserError: the file cannot be written.
    """
    if scores.shape != (len(pairs),):
        raise ValueError(f"{scores.shape} scores of {len(pairs)} pairs")
    models, tests = (_integers(names) for names in (pairs.models, pairs.tests))
    text = np.empty((LINES_AT_ONCE, len(models) + len(tests) + WORDS), np.uint64)
    with open_output(name, allow_pipes) as stream:
        for part in blocks(len(pairs), LINES_AT_ONCE):
            lines = text[: len(scores[part])]
            for column, integers in enumerate(models):
                lines[:, column] = integers[pairs.model[part]]
            for column, integers in enumerate(tests, len(models)):
                lines[:, column] = integers[pairs.test[part]]
            print_numbers(scores[part], lines[:, -WORDS:])
            lines[:, -1] |= _LAST_NEWLINE
            stream.write(lines.astype("<u8", copy=False).tobytes().translate(None, b"\0"))


def _integers(names: Sequence[str]) -> np.ndarray:
    """(W, N) uint64: each name and the blank behind it, as ``columns`` keeps words."""
    array = np.array([f"{name} ".encode() for name in names])
    width = -(-array.itemsize // 8)
    words = array.astype(f"S{8 * width}").view("<u8").reshape(len(names), width)
    return np.ascontiguousarray(words.T, np.uint64)
