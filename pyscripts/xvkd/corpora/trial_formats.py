"""Reads trial lists as Kaldi, VoxCeleb and WeSpeaker write them, and finds the utterances that they mean.

==========  ===============================  ==========================================
Kaldi       ``enrolment test target``        ``target`` or ``nontarget``
WeSpeaker   ``enrolment test target``        the same, or 1 and 0
VoxCeleb    ``1 enrolment test``             1 or 0, then paths of files
unlabelled  ``enrolment test``               to be scored; there are no error rates then
==========  ===============================  ==========================================
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from xvkd.corpora.names import Names
from xvkd.corpora.trials import TrialList
from xvkd.errors import UserError
from xvkd.kaldi.tables import read_lines, read_table

_WORDS = {"target": True, "nontarget": False}
_DIGITS = {"1": True, "0": False}
# The label's column, its spellings, and the columns of enrolment and test; the first that fits all lines.
_FORMATS = ((2, _WORDS, 0, 1), (0, _DIGITS, 1, 2), (2, _DIGITS, 0, 1))


def read_trial_list(path: Path, enrolments: Path | None, names: Names, where: str) -> TrialList:
    """Reads a trial list of any of the formats, and its enrolment map if there is one.

    Args:
        path: the trial list.
        enrolments: ``model utterance...`` lines, or None: then models are utterances.
        names: finds the utterances.
        where: what they are utterances of, for messages.

    Returns:
        trials in the order of the file.

    Raises:
        UserError: no such file, malformed lines, trials of one kind only, or unknown utterances or models.
    """
    models = None if enrolments is None else _read_enrolments(enrolments, names, where)
    lines = [(number, words) for number, words in enumerate(map(str.split, read_lines(path)), 1) if words]
    label, values, first, second = _format(path, lines)

    def find_model(name: str) -> str | None:
        return name if name in models else None

    enrols = _find(path, lines, first, names.get if models is None else find_model,
                   f"utterance of {where}" if models is None else f"model of {enrolments}")
    tests = _find(path, lines, second, names.get, f"utterance of {where}")
    if label is None:
        return TrialList([(enrol, test, None) for enrol, test in zip(enrols, tests, strict=True)], models)
    targets = [values[words[label]] for _, words in lines]
    if all(targets) or not any(targets):
        kind = "non-target" if all(targets) else "target"
        raise UserError(f"{path}: no {kind} trials: error rates need trials of both kinds")
    return TrialList(list(zip(enrols, tests, targets, strict=True)), models)


def without(trial_list: TrialList, left_out: Collection[str], where: str) -> TrialList:
    """The list without the trials of utterances that are left out, which are counted; models lose them too.

    Raises:
        UserError: no trial is left.
    """
    models = trial_list.enrolments
    if models is not None:
        models = {model: [name for name in names if name not in left_out] for model, names in models.items()}
        models = {model: names for model, names in models.items() if names}
    trials = [
        trial for trial in trial_list.trials
        if trial[1] not in left_out and (trial[0] not in left_out if models is None else trial[0] in models)
    ]  # fmt: skip
    lost = len(trial_list.trials) - len(trials)
    if lost:
        logging.warning("%s: %d trials of utterances that are left out go too", where, lost)
    if not trials:
        raise UserError(f"{where}: no trial is left without the utterances that cannot be used: mend these recordings")
    return TrialList(trials, models)


def _format(path: Path, lines: list[tuple[int, list[str]]]) -> tuple[int | None, dict[str, bool], int, int]:
    """The format that fits all lines: column and values of the label, if any, columns of enrolment and test."""
    if not lines:
        raise UserError(f"{path}: no trials; the file is empty")
    if all(len(words) == 2 for _, words in lines):
        return None, {}, 0, 1
    for number, words in lines:
        if len(words) != 3:
            raise UserError(
                f"{path}, line {number}: expected 'enrolment test target|nontarget' or '1|0 enrolment test', "
                f"got '{' '.join(words)}'"
            )
    fitting = [entry for entry in _FORMATS if all(words[entry[0]] in entry[1] for _, words in lines)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UserError(f"{path}: the first and the last column are all 0 and 1: write target and nontarget last")
    # The line that breaks the format of the first one.
    first = lines[0][1]
    entry = next((entry for entry in _FORMATS if first[entry[0]] in entry[1]), _FORMATS[0])
    number, words = next((number, words) for number, words in lines if words[entry[0]] not in entry[1])
    raise UserError(
        f"{path}, line {number}: '{words[entry[0]]}' is no label (expected {' or '.join(entry[1])}), in "
        f"'{' '.join(words)}'"
    )


def _find(
    path: Path, lines: Iterable[tuple[int, list[str]]], column: int, find: Callable[[str], str | None], kind: str
) -> Iterator[str]:
    """What the names of a column mean; UserError with the first that means nothing, and how many do."""
    known: dict[str, str] = {}
    unknown: dict[str, int] = {}
    for number, words in lines:
        name = words[column]
        if name not in known and name not in unknown:
            found = find(name)
            if found is None:
                unknown[name] = number
            else:
                known[name] = found
    if unknown:
        name, number = next(iter(unknown.items()))
        more = f" (the first of {len(unknown)} such names)" if len(unknown) > 1 else ""
        raise UserError(f"{path}, line {number}: '{name}' is no {kind}{more}: remove its trials, or add it there")
    return (known[words[column]] for _, words in lines)


def _read_enrolments(path: Path, names: Names, where: str) -> dict[str, list[str]]:
    models = {}
    for model, utterances in read_table(path).items():
        members = [names.get(name) for name in utterances.split()]
        if None in members:
            name = utterances.split()[members.index(None)]
            raise UserError(f"{path}: model '{model}': '{name}' is no utterance of {where}: remove or add it")
        models[model] = members
    return models
