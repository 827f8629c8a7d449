"""The plots of an experiment: DET curves, size against EER, EER against duration, histograms, trainings."""

from collections.abc import Mapping, Sequence

import numpy as np

from xvkd.evaluation.metrics import ErrorCurve
from xvkd.evaluation.page.plot import Axis, Plot, Series, category_axis, linear_axis, log_axis, probit_axis, rate_axis
from xvkd.evaluation.page.sources import Curves, Trainings
from xvkd.evaluation.pairing_tables import durations_of
from xvkd.evaluation.results import Record
from xvkd.evaluation.styles import CLASSES, places
from xvkd.evaluation.tables import with_interval

# DET curves are shown from this share of the least EER, and to so many times the largest.
BELOW, ABOVE, LEAST_END, MOST_END = 1 / 20, 1.4, 0.4, 0.95
# Bins of a histogram, and the share of either class that lies beyond it at most, and is put into its outermost bins.
BINS, BEYOND = 40, 0.001
# Columns of training.csv that are no figures of the training's success; others are named as they are.
NO_CURVES = {"seconds", "times_real_time", "margin"}
MEASURES = {
    "loss": "loss", "accuracy": "accuracy on training speakers", "cosine": "cosine of output and target",
    "dev_eer_percent": "EER on the development set (%)", "learning_rate": "learning rate",
}  # fmt: skip


def det_plot(records: Sequence[Record], curves: Curves) -> Plot:
    """DET curves of one list and scoring, each with its EER marked.

    Args:
        records: of the list and scoring, one a system.
        curves: of all systems.
    """
    found = [(record, curves.get(_key(record))) for record in records]
    drawn = [(record, curve) for record, curve in found if curve is not None]
    rates = [record["eer_percent"] / 100 for record, _ in drawn if record["eer_percent"] > 0]
    low = max(min(rates, default=0.02) * BELOW, 1e-5)
    high = min(max(LEAST_END, ABOVE * max(rates, default=0)), MOST_END)
    series = []
    for record, curve in drawn:
        # Just outside the axes, so that a curve runs to their ends.
        x, y = (np.clip(values, low / 2, (1 + high) / 2) for values in (curve.false_alarms, curve.misses))
        rate = float(np.clip(record["eer_percent"] / 100, low, high))
        series.append(Series(record["system"], x, y, mark=(rate, rate), label=_rate(record)))
    return Plot(
        "DET curves", probit_axis("false alarms (%)", low, high), probit_axis("misses (%)", low, high), tuple(series),
        _missing([record for record, curve in found if curve is None], "no points of the curve; repeat stage 9"),
        diagonal=True,
    )  # fmt: skip


def size_plot(records: Sequence[Record]) -> Plot:
    """EER by parameters as deployed, or as trained where these are not known, of one list and scoring.

    Args:
        records: of the list and scoring, one a system.
    """
    sizes = [record.get("deployed_parameters") or record["parameters"] for record in records]
    drawn = [(record, size) for record, size in zip(records, sizes, strict=True) if size]
    series = []
    for (record, size), place in zip(drawn, places([size for _, size in drawn]), strict=True):
        known = "as deployed" if record.get("deployed_parameters") else "as trained"
        rate, ends = record["eer_percent"], record.get("eer_ci") or [np.nan, np.nan]
        label = f"{_rate(record)}, {size:,} parameters {known}"
        point = np.array([place]), np.array([rate])
        series.append(Series(record["system"], *point, "marks", np.array([ends]), label=[label]))
    return Plot(
        "Size against EER",
        log_axis("parameters as deployed", [place for one in series for place in one.x], _size),
        rate_axis("EER (%)", _extents(series)), tuple(series),
        _missing([record for record, size in zip(records, sizes, strict=True) if not size], "size not known"),
    )  # fmt: skip


def duration_plot(records: Sequence[Record]) -> Plot:
    """EER by the duration of the test utterance, of one list and scoring.

    Args:
        records: of the list and scoring, one a system.
    """
    columns = durations_of(records)
    series = []
    for record in records:
        figures = [*(record.get("pairings", {}).get(column) for column in columns), record]
        known = [(place, one) for place, one in enumerate(figures) if one]
        if len(known) > 1:
            ends = np.array([one.get("eer_ci") or [np.nan, np.nan] for _, one in known])
            x, y = np.array([place for place, _ in known], float), np.array([one["eer_percent"] for _, one in known])
            series.append(Series(record["system"], x, y, "both", ends, label=[_rate(one) for _, one in known]))
    names = [*(f"{column.removesuffix('s')} s" for column in columns), "whole"]
    drawn = {one.key for one in series}
    note = _missing([record for record in records if record["system"] not in drawn], "scored on whole utterances alone")
    if not drawn:
        note = "This list was scored on whole utterances alone, or not so by this scoring."
    return Plot(
        "EER against test duration", category_axis("voiced speech of the test utterance", names),
        rate_axis("EER (%)", [rate for one in series for rate in one.y]), tuple(series), note,
    )  # fmt: skip


def histogram_plot(record: Record, curves: Curves) -> Plot:
    """Histogram of the scores of one system, list and scoring, with the threshold of the EER.

    Args:
        record: its figures.
        curves: of all systems.
    """
    curve, label = curves.get(_key(record)), "percent of the class"
    if curve is None:
        return Plot("", Axis("score", "linear", 0, 1, ()), Axis(label, "linear", 0, 1, ()), (),
                    "Scored by an earlier version: repeat stage 9.")  # fmt: skip
    edges, target, nontarget = histogram(curve)
    crossing = int(np.argmax(curve.misses >= curve.false_alarms))
    series = tuple(
        Series(name, edges, 100 * shares, "area") for name, shares in zip(CLASSES, (nontarget, target), strict=True)
    )
    across = Axis("score", "linear", edges[0], edges[-1], linear_axis("", edges[[0, -1]], most=5).ticks)
    upwards = linear_axis(label, [0, 100 * max(target.max(), nontarget.max())], zero=True, most=3)
    return Plot("", across, upwards, series, rule=float(curve.thresholds[crossing]))


def histogram(curve: ErrorCurve) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Histograms of target and nontarget scores from points of their DET curve, between which they count as even.

    Args:
        curve: points, ascending.

    Returns:
        (BINS + 1,) edges, and (BINS,) shares of the target and of the nontarget trials, which add up to 1.
    """
    below = np.stack([curve.misses, 1 - curve.false_alarms])
    first, last = np.argmax(below.max(axis=0) > BEYOND), np.argmax(below.min(axis=0) >= 1 - BEYOND)
    low, high = curve.thresholds[[first, last]]
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    shares = []
    for cumulated in below:
        at_edges = np.interp(edges, curve.thresholds[1:], cumulated[1:])
        at_edges[[0, -1]] = 0, 1
        shares.append(np.diff(at_edges))
    return edges, shares[0], shares[1]


def training_plots(trainings: Trainings, systems: Mapping[str, str]) -> list[Plot]:
    """One plot a measure that trainings have logged.

    Args:
        trainings: by folder.
        systems: folder -> the system that stands for the model.
    """
    columns = [*MEASURES, *dict.fromkeys(name for columns in trainings.values() for name in columns)]
    plots = []
    for column in dict.fromkeys(columns):
        series = tuple(
            # The marker at the end shows a training of one epoch as well.
            Series(systems[folder], *columns[column], mark=tuple(one[-1] for one in columns[column]))
            for folder, columns in trainings.items() if column in columns
        )  # fmt: skip
        if series and column not in NO_CURVES:
            title = MEASURES.get(column, column.replace("_", " "))
            values = np.concatenate([one.y for one in series])
            wide = column in ("loss", "dev_eer_percent")
            note = "Losses of different kinds cannot be compared with each other." if column == "loss" else ""
            plots.append(Plot(
                title[0].upper() + title[1:], linear_axis("epoch", [0, max(one.x.max() for one in series)], zero=True),
                rate_axis(title, values) if wide else linear_axis(title, values), series, note,
            ))  # fmt: skip
    return plots


def _key(record: Record) -> tuple[str, str, str]:
    return record["system"], record["set"], record["scoring"]


def _rate(figures: Record) -> str:
    rate, space, interval = with_interval(figures, "eer_percent").partition(" ")
    return f"EER {rate} %{space}{interval}"


def _size(parameters: float) -> str:
    return f"{parameters / 1e6:g} M" if parameters >= 1e5 else f"{parameters / 1e3:g} k"


def _extents(series: Sequence[Series]) -> list[float]:
    """All values, and the ends of their intervals."""
    values = np.concatenate([np.append(one.y, one.ends) for one in series]) if series else np.empty(0)
    return values[~np.isnan(values)].tolist()


def _missing(records: Sequence[Record], why: str) -> str:
    """A note on systems that are not drawn."""
    return f"Not drawn, {why}: {', '.join(record['system'] for record in records)}." if records else ""
