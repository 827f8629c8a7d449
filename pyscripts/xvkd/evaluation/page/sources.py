"""What figures are made of besides the records of results: points of DET curves, and the logs of trainings."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from xvkd.errors import UserError
from xvkd.evaluation.metrics import ErrorCurve
from xvkd.evaluation.results import Record
from xvkd.evaluation.system import DET

# (system, list, scoring) -> points of the curve.
Curves = dict[tuple[str, str, str], ErrorCurve]
# Folder of a model -> column -> (n,) epochs and (n,) values.
Trainings = dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]
TRAINING, CONFIG = Path("log", "training.csv"), "config.yaml"


def read_curves(experiment: Path, records: Iterable[Record]) -> Curves:
    """The points of all systems' DET curves; an earlier version may not have kept them.

    Args:
        experiment: ``exp/<corpus>``.
        records: of all systems.

    Raises:
        UserError: a file is damaged.
    """
    systems = {record["system"] for record in records}
    curves: Curves = {}
    for path in sorted(experiment.glob(f"*/scores/*/{DET}")):
        folder, level = path.parents[2].name, path.parent.name
        system = f"{folder}/{level}" if f"{folder}/{level}" in systems else folder
        points: dict[tuple[str, str], list[list[float]]] = {}
        try:
            for row in path.read_text(encoding="utf-8").splitlines()[1:]:
                name, scoring, *values = row.split("\t")
                threshold, misses, alarms = map(float, values)
                points.setdefault((name, scoring), []).append([threshold, misses, alarms])
        except ValueError as error:
            raise UserError(f"{path}: damaged ({error}); remove it and repeat stage 9") from None
        curves |= {(system, *key): ErrorCurve(*np.array(rows).T) for key, rows in points.items()}
    return curves


def read_trainings(experiment: Path, folders: Iterable[str]) -> Trainings:
    """What was measured after each epoch; nothing of models that came from elsewhere.

    Args:
        experiment: ``exp/<corpus>``.
        folders: the models' names.

    Raises:
        UserError: a log is damaged.
    """
    trainings: Trainings = {}
    for folder in folders:
        path = experiment / folder / TRAINING
        if not path.is_file():
            continue
        columns: dict[str, list[tuple[float, float]]] = {}
        try:
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    epoch = float(row["epoch"])
                    for name, text in row.items():
                        # What was not measured after an epoch is empty; a loss may have run away.
                        if name != "epoch" and text and math.isfinite(float(text)):
                            columns.setdefault(name, []).append((epoch, float(text)))
        except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
            raise UserError(f"{path}: damaged ({error}); mend or remove it, and repeat stage 10") from None
        trainings[folder] = {name: tuple(np.array(pairs).T) for name, pairs in columns.items()}
    return trainings
