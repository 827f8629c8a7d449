"""Trial lists, enrolment maps and score files, as arrays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.tables import read_table

_LABELS = {"target": True, "nontarget": False}


@dataclass
class Trials:
    """A trial list over numbered models and utterances.

    Attributes:
        models: ids of the models, in the order of their first trial.
        tests: ids of the test utterances, likewise.
        model: (T,) index into ``models``.
        test: (T,) index into ``tests``.
        target: (T,) bool.
    """

    models: list[str]
    tests: list[str]
    model: np.ndarray
    test: np.ndarray
    target: np.ndarray


def read_trials(path: str | Path) -> Trials:
    """Reads ``enrolment test target|nontarget`` lines.

    Raises:
        UserError: no such file, an empty one, or a malformed line.
    """
    try:
        words = Path(path).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        raise UserError(f"{path}: no such trial list") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file of 'enrolment test target|nontarget' lines") from None
    labels = words[2::3]
    if len(words) % 3 or not set(labels) <= _LABELS.keys():
        _complain(path)
    if not words:
        raise UserError(f"{path}: no trials")
    models = {name: index for index, name in enumerate(dict.fromkeys(words[0::3]))}
    tests = {name: index for index, name in enumerate(dict.fromkeys(words[1::3]))}
    count = len(labels)
    return Trials(
        list(models), list(tests),
        np.fromiter((models[name] for name in words[0::3]), np.int64, count),
        np.fromiter((tests[name] for name in words[1::3]), np.int64, count),
        np.fromiter((_LABELS[label] for label in labels), bool, count),
    )


def _complain(path: str | Path) -> None:
    """Names the malformed line."""
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split()
        if len(fields) != 3 or fields[2] not in _LABELS:
            raise UserError(f"{path}, line {number}: expected 'enrolment test target|nontarget', got '{line}'")


def read_enrolments(path: str | Path) -> dict[str, list[str]]:
    """Reads ``model utterance...`` lines."""
    return {model: utterances.split() for model, utterances in read_table(path).items()}


def write_scores(path: str | Path, trials: Trials, scores: np.ndarray) -> None:
    """Writes ``enrolment test score`` lines, in the order of the trials."""
    with atomic_write(path) as file:
        names = zip(trials.model.tolist(), trials.test.tolist(), scores.tolist(), strict=True)
        file.writelines(f"{trials.models[m]} {trials.tests[t]} {score:.6g}\n" for m, t, score in names)
