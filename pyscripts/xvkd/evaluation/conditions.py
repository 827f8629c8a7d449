"""EER by condition: of trials of women and of men, of short and of long utterances, of noisy and of clean ones."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xvkd.evaluation.bootstrap import SpeakerBootstrap, interval
from xvkd.evaluation.metrics import eer
from xvkd.evaluation.report import EvaluationConfig, Figures
from xvkd.kaldi.datadir import GENDERS, DataDir
from xvkd.kaldi.tables import numbers
from xvkd.kaldi.trials import Trials

# condition -> class -> (T,) bool, the trials that belong to it
Classes = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Properties:
    """What is known of the utterances of a set; a table may lack some of them, or all.

    Attributes:
        gender: utterance to "f" or "m".
        seconds: utterance to its duration.
        snr: utterance to its signal-to-noise ratio in dB.
    """

    gender: Mapping[str, str]
    seconds: Mapping[str, float]
    snr: Mapping[str, float]

    @classmethod
    def read(cls, data_set: DataDir) -> "Properties":
        """Reads spk2gender, utt2dur and utt2snr of a data directory, where they are there.

        Raises:
            UserError: a duration or a ratio is not a number.
        """
        genders = data_set.table_if_any("spk2gender")
        seconds, snr = (numbers(data_set.path / name, data_set.table_if_any(name)) for name in ("utt2dur", "utt2snr"))
        speakers = data_set.speakers()
        return cls({name: genders[who] for name, who in speakers.items() if who in genders}, seconds, snr)


def classes_of(
    known: Properties, members: Mapping[str, Sequence[str]], trials: Trials, config: EvaluationConfig
) -> Classes:
    """Which trials belong to which class. A trial of which a side is not known belongs to none.

    - gender: both sides are female, or both male.
    - duration: by the shorter side; a model is as long as its enrolment utterances together.
    - snr: by the noisier side; a model has the mean of its enrolment utterances, in dB.

    Args:
        known: of the set's utterances.
        members: the enrolment utterances of each model.
        trials: T of them.
        config: the edges between classes.

    Returns:
        classes, some of them empty, of the conditions that are known and asked for.
    """
    sides = [[members[model] for model in trials.models], [[test] for test in trials.tests]]
    places = trials.model, trials.test
    found: Classes = {}
    if known.gender:
        left, right = (
            np.array([known.gender.get(utterances[0], "") for utterances in side])[place]
            for side, place in zip(sides, places, strict=True)
        )
        found["gender"] = {name: (left == letter) & (right == letter) for letter, name in GENDERS.items()}
    for condition, table, edges, unit, combine in (
        ("duration", known.seconds, config.duration_edges, "s", sum),
        ("snr", known.snr, config.snr_edges, "dB", statistics.fmean),
    ):
        if table and edges:
            left, right = (
                np.array([combine([table.get(name, np.nan) for name in utterances]) for utterances in side])[place]
                for side, place in zip(sides, places, strict=True)
            )
            found[condition] = _between(np.minimum(left, right), edges, unit)
    return found


def _between(values: np.ndarray, edges: Sequence[float], unit: str) -> dict[str, np.ndarray]:
    """Classes between ascending edges, each with its lower edge; NaN falls into none."""
    names = [f"{low:g} to {high:g} {unit}" for low, high in zip(edges, edges[1:], strict=False)]
    names = [f"below {edges[0]:g} {unit}", *names, f"from {edges[-1]:g} {unit}"]
    place = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))
    return {name: place == number for number, name in enumerate(names)}


class Conditions:
    """The classes of a list's trials that are large enough, each with the draws of the speakers that it has.

    Args:
        classes: see ``classes_of``.
        target: (T,) bool.
        bootstrap: the draws of the list's speakers.
        config: how many trials are enough, and the intervals' confidence.
    """

    def __init__(
        self, classes: Classes, target: np.ndarray, bootstrap: SpeakerBootstrap, config: EvaluationConfig
    ) -> None:  # fmt: skip
        self._confidence = config.confidence
        self._classes: dict[tuple[str, str], tuple[np.ndarray, np.ndarray, SpeakerBootstrap]] = {}
        for condition, masks in classes.items():
            for name, mask in masks.items():
                targets = np.count_nonzero(target[mask])
                if min(targets, np.count_nonzero(mask) - targets) >= config.condition_trials:
                    # For instance draws of as many women as there are, not of women and men.
                    self._classes[condition, name] = mask, target[mask], bootstrap.only(mask)

    def report(self, scores: np.ndarray, intervals: bool) -> dict[str, dict[str, Figures]]:
        """The number of trials and of target trials, and the EER in percent, class by class.

        Args:
            scores: (T,) of the list's trials.
            intervals: whether to add the EER's interval, which takes the most time.

        Returns:
            condition -> class -> figures.
        """
        found: dict[str, dict[str, Figures]] = {}
        for (condition, name), (mask, target, bootstrap) in self._classes.items():
            part = scores[mask]
            figures: Figures = {"trials": len(part), "targets": int(np.count_nonzero(target))}
            figures["eer_percent"] = 100 * eer(part[target], part[~target])[0]
            if intervals:
                figures["eer_ci"] = interval(100 * bootstrap.eer(part), self._confidence)
            found.setdefault(condition, {})[name] = figures
        return found
