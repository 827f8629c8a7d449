"""Plots as data: axes, and what stands in them. ``svg`` and ``png`` draw them."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

# What an axis is linear in.
SCALES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda values: values,
    "log": np.log10,
    "probit": ndtri,
}
# Rates that a DET curve's axes may have ticks at.
RATES = (1e-5, 1e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
# From so many times the smallest value, an axis of rates is logarithmic.
WIDE = 5


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        label: what it shows, with its unit.
        scale: one of ``SCALES``.
        low: where it begins.
        high: where it ends.
        ticks: values, each with its text.
        percent: whether values are rates, to be told in percent.
    """

    label: str
    scale: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    percent: bool = False

    def share(self, values: float | Sequence[float] | np.ndarray) -> np.ndarray:
        """Where values lie on the way from the axis's beginning (0) to its end (1)."""
        low, high = SCALES[self.scale](np.array([self.low, self.high]))
        return (SCALES[self.scale](np.asarray(values, dtype=np.float64)) - low) / (high - low)


@dataclass(frozen=True, eq=False)
class Series:
    """What a plot shows of one system, or of one class of trials.

    Attributes:
        key: the system, or the class.
        x: (n,), not NaN.
        y: (n,), not NaN.
        shape: "curve"; "marks", a marker a point; "both"; or "area" between the curve and 0.
        ends: (n, 2) of intervals of y, NaN where there is none.
        mark: a further point that is marked, such as that of the EER.
        label: what is to be known of it besides its name; with marks, of each.
    """

    key: str
    x: np.ndarray
    y: np.ndarray
    shape: str = "curve"
    ends: np.ndarray | None = None
    mark: tuple[float, float] | None = None
    label: str | Sequence[str] = ""


@dataclass(frozen=True, eq=False)
class Plot:
    """A plot.

    Attributes:
        title: what it shows.
        x: the axis across.
        y: the axis upwards.
        series: what stands in it; none: the note says why.
        note: what else is to be known.
        diagonal: whether x = y is drawn.
        rule: a value of x that a line stands at, or None.
    """

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    note: str = ""
    diagonal: bool = False
    rule: float | None = None


def linear_axis(label: str, values: Iterable[float], zero: bool = False, most: int = 6) -> Axis:
    """An axis around values, and 0 if that is asked for, with at most about ``most`` ticks."""
    low, high = _ends(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        low, high = (low - 1, high + 1) if not zero else (0.0, high or 1.0)
    margin = 0.05 * (high - low)
    begin = low if zero and low == 0 else low - margin
    return Axis(label, "linear", begin, high + margin, _texts(_even(begin, high + margin, most)))


def log_axis(label: str, values: Iterable[float], text: Callable[[float], str] = "{:g}".format) -> Axis:
    """A logarithmic axis around values, which are all above 0."""
    low, high = (math.log10(end) for end in _ends(values))
    margin = max(0.06 * (high - low), 0.06)
    begin, end = 10 ** (low - margin), 10 ** (high + margin)
    for factors in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        powers = range(math.floor(math.log10(begin)), math.ceil(math.log10(end)) + 1)
        ticks = [factor * 10.0**power for power in powers for factor in factors]
        ticks = [tick for tick in ticks if begin <= tick <= end]
        if len(ticks) >= 4:
            break
    if len(ticks) < 2:
        ticks = _even(begin, end, 4)
    return Axis(label, "log", begin, end, tuple((tick, text(tick)) for tick in ticks[:: len(ticks) // 8 + 1]))


def rate_axis(label: str, values: Iterable[float]) -> Axis:
    """An axis of error rates in percent: logarithmic where they differ much, and none is 0."""
    values = list(values)
    low, high = _ends(values)
    return log_axis(label, values) if low > 0 and high > WIDE * low else linear_axis(label, values, zero=low == 0)


def probit_axis(label: str, low: float, high: float) -> Axis:
    """An axis of rates between 0 and 1, as a DET curve has it."""
    ticks = tuple((rate, f"{100 * rate:g}") for rate in RATES if low <= rate <= high)
    return Axis(label, "probit", low, high, ticks, percent=True)


def category_axis(label: str, names: Sequence[str]) -> Axis:
    """An axis where 0, 1, ... have names."""
    ticks = tuple((float(place), name) for place, name in enumerate(names))
    return Axis(label, "linear", -0.4, max(len(names) - 1, 0) + 0.4, ticks)


def simplified(x: np.ndarray, y: np.ndarray, tolerance: float) -> np.ndarray:
    """Which points of a line suffice for it to stay within ``tolerance`` (Ramer 1972, Douglas and Peucker 1973).

    Args:
        x: (n,) in units of the drawing.
        y: (n,) likewise.
        tolerance: in these units.

    Returns:
        (n,) bool, true at both ends.
    """
    kept = np.zeros(len(x), dtype=bool)
    kept[[0, -1]] = True
    spans = [(0, len(x) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        inner = slice(first + 1, last)
        dx, dy = x[last] - x[first], y[last] - y[first]
        length = math.hypot(dx, dy)
        px, py = x[inner] - x[first], y[inner] - y[first]
        away = np.abs(dx * py - dy * px) / length if length else np.hypot(px, py)
        farthest = int(away.argmax())
        if away[farthest] > tolerance:
            kept[first + 1 + farthest] = True
            spans += [(first, first + 1 + farthest), (first + 1 + farthest, last)]
    return kept


def _ends(values: Iterable[float]) -> tuple[float, float]:
    values = list(values)
    return (float(min(values)), float(max(values))) if values else (1.0, 1.0)


def _even(low: float, high: float, most: int) -> list[float]:
    """Round values between two, at most about so many."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _texts(ticks: list[float]) -> tuple[tuple[float, str], ...]:
    return tuple((tick, f"{round(tick, 10):g}") for tick in ticks)
