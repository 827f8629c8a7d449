"""The figures of one system, list by list, and the files that keep them."""

import dataclasses
import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from xvkd.backend.calibration import Calibration
from xvkd.errors import UserError
from xvkd.evaluation.bootstrap import SpeakerBootstrap, interval
from xvkd.evaluation.conditions import Conditions
from xvkd.evaluation.metrics import ErrorCurve
from xvkd.evaluation.report import EvaluationConfig, Figures, report, report_calibrated
from xvkd.kaldi.files import atomic_write

# (list, scoring), or (list, scoring, pairing) -> the bootstrap's key and the EER, a fraction, of each draw.
Draws = dict[tuple[str, ...], tuple[str, np.ndarray]]
METRICS, SCATTER, CALIBRATION, DET, DRAWS = (
    "metrics.json", "scatter.json", "calibration.json", "det.tsv", "draws.npz"
)  # fmt: skip


class SystemReport:
    """Evaluates the scores of a system.

    Args:
        config: what is reported, and how.
    """

    def __init__(self, config: EvaluationConfig) -> None:
        self.config = config
        self.figures: dict[str, dict[str, Figures]] = {}
        self.calibrations: dict[str, dict[str, Calibration]] = {}
        self.curves: dict[tuple[str, str], ErrorCurve] = {}
        self.draws: dict[str, np.ndarray] = {}
        self.scatter: dict[str, Any] = {}

    def add(
        self, data_set: str, name: str, scoring: str, scores: np.ndarray, target: np.ndarray,
        bootstrap: SpeakerBootstrap, conditions: Conditions | None = None,
    ) -> Figures:  # fmt: skip
        """Evaluates one list of scores. Lists of the development set come first: they train the calibration.

        Args:
            data_set: the set that the list belongs to.
            name: the list: the set's name, and what follows it where the set has several.
            scoring: what made the scores.
            scores: (T,).
            target: (T,) bool.
            bootstrap: the draws of the list's speakers.
            conditions: the classes of its trials that have figures of their own; intervals only with the primary
                scoring.

        Raises:
            UserError: target or nontarget trials are missing, or a score is NaN.
        """
        figures, curve = self._report((name, scoring), scores, target, bootstrap)
        if data_set == self.config.dev_set:
            self.calibrations.setdefault(name, {})[scoring] = Calibration.train(
                scores[target], scores[~target], self.config.calibration_prior
            )
        # A list is calibrated on the development set's list of its kind, if there is one.
        for source in (self.config.dev_set + name.removeprefix(data_set), self.config.dev_set):
            if source in self.calibrations:
                ratios = self.calibrations[source][scoring](scores)
                figures["calibrated_on"] = source
                figures |= report_calibrated(ratios, target, self.config, bootstrap)
                break
        if conditions is not None:
            figures["conditions"] = conditions.report(scores, intervals=scoring == self.config.primary_scoring)
        self.figures.setdefault(name, {})[scoring] = figures
        self.curves[name, scoring] = curve
        return figures

    def add_pairing(
        self, name: str, pairing: str, scoring: str, scores: np.ndarray, target: np.ndarray, bootstrap: SpeakerBootstrap
    ) -> None:
        """Adds what another pairing (``evaluation.pairing``) makes of a list to the figures of a scoring that it has.

        Args:
            name: the list, which ``add`` was told of.
            pairing: the pairing's name.
            scoring: what made the scores; also ``scores``, ``target`` and ``bootstrap`` as for ``add``.
        """
        figures, _ = self._report((name, scoring, pairing), scores, target, bootstrap)
        self.figures[name][scoring].setdefault("pairings", {})[pairing] = figures

    def _report(
        self, key: tuple[str, ...], scores: np.ndarray, target: np.ndarray, bootstrap: SpeakerBootstrap
    ) -> tuple[Figures, ErrorCurve]:
        """``report`` with the EER's interval; keeps the draws."""
        figures, curve = report(scores, target, self.config)
        rates = bootstrap.eer(scores)
        figures["eer_ci"] = interval(100 * rates, self.config.confidence)
        # As many digits as comparisons need, in half the space.
        self.draws["/".join(key)] = rates.astype(np.float32)
        self.draws[key[0]] = np.array(bootstrap.key)
        logging.info("%s: EER %.2f %%", ", ".join(key), figures["eer_percent"])
        return figures, curve

    def save(self, folder: Path) -> tuple[str, ...]:
        """Writes what was added: figures, calibrations, points of the DET curves, the EER of each draw.

        Returns:
            the names of the files.
        """
        if not self.calibrations:
            logging.warning("no list of the set '%s': nothing is calibrated, no Cllr and actDCF", self.config.dev_set)
        with atomic_write(folder / METRICS) as file:
            json.dump(self.figures, file, indent=1)
        with atomic_write(folder / SCATTER) as file:
            json.dump(self.scatter, file, indent=1)
        with atomic_write(folder / CALIBRATION) as file:
            calibrations = {
                name: {scoring: dataclasses.asdict(one) for scoring, one in scorings.items()}
                for name, scorings in self.calibrations.items()
            }
            json.dump(calibrations, file, indent=1)
        with atomic_write(folder / DET) as file:
            file.write("list\tscoring\tthreshold\tmisses\tfalse_alarms\n")
            for (name, scoring), curve in self.curves.items():
                points = zip(curve.thresholds, curve.misses, curve.false_alarms, strict=True)
                file.writelines(f"{name}\t{scoring}\t{t:.6g}\t{miss:.6g}\t{alarm:.6g}\n" for t, miss, alarm in points)
        with atomic_write(folder / DRAWS, "wb") as file:
            np.savez(file, **self.draws)
        return METRICS, SCATTER, CALIBRATION, DET, DRAWS


def read_draws(folder: Path) -> Draws:
    """The EER of each draw that ``SystemReport.save`` has kept in a folder of scores.

    Returns:
        Empty for a system that was scored before draws were kept.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / DRAWS
    if not path.exists():
        return {}
    try:
        with np.load(path) as arrays:
            return {
                tuple(entry.split("/")): (str(arrays[entry.split("/")[0]]), arrays[entry].astype(np.float64))
                for entry in arrays.files if "/" in entry
            }  # fmt: skip
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged ({error}); remove it and repeat stage 9") from None
