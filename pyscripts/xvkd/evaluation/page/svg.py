"""Plots as SVG. Colours and dashes are the page's: a series has a class, ``page.css`` and the page's head the rest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from xvkd.evaluation.page.markup import Markup, element, number
from xvkd.evaluation.page.plot import Axis, Plot, Series, simplified

# Paths of the markers of ``styles.KINDS``, around 0.
MARKERS = {
    "s": "M-4-4h8v8h-8z", "X": "M-4-4L4 4M-4 4L4-4", "o": "M-4.3 0a4.3 4.3 0 1 0 8.6 0a4.3 4.3 0 1 0-8.6 0z",
    "^": "M0-5L4.8 3.8h-9.6z",
}  # fmt: skip
# How far a line may be from what it stands for, and how much room a tick's text takes, both in units of the drawing.
TOLERANCE, LETTER, LINE = 0.25, 6.2, 15


@dataclass(frozen=True)
class Frame:
    """Where the plot's area lies in a drawing.

    Attributes:
        width: of the drawing; also ``height``.
        left: of the area; also ``top``, ``right`` and ``bottom``: the margins.
    """

    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int

    @property
    def across(self) -> int:
        """The area's width."""
        return self.width - self.left - self.right

    @property
    def upwards(self) -> int:
        """The area's height."""
        return self.height - self.top - self.bottom


LARGE, SMALL = Frame(360, 316, 56, 8, 12, 42), Frame(240, 132, 26, 6, 10, 20)


def draw(plot: Plot, names: Mapping[str, str], classes: Mapping[str, str], markers: Mapping[str, str],
         frame: Frame = LARGE) -> Markup:  # fmt: skip
    """A plot as an element.

    Args:
        plot: with at least one series.
        names: of the series' keys, for people.
        classes: of the series' keys, for the style sheet.
        markers: of the series' keys, in the letters of ``MARKERS``.
        frame: the drawing's size; axes have labels only in a large one.
    """
    area = element(
        "svg", _rule(plot, frame), [_series(one, plot, names, classes, markers, frame) for one in plot.series],
        x=frame.left, y=frame.top, width=frame.across, height=frame.upwards, class_="inside",
    )  # fmt: skip
    described = f"{plot.title}: {plot.y.label} by {plot.x.label}; " + ", ".join(names[one.key] for one in plot.series)
    return element(
        "svg", _grid(plot, frame), area, _labels(plot, frame) if frame is LARGE else None,
        viewBox=f"0 0 {frame.width} {frame.height}", role="img", aria_label=described,
        data_x=_described(plot.x), data_y=_described(plot.y),
    )  # fmt: skip


def marker(letter: str, **attributes: str | float) -> Markup:
    """A marker around 0."""
    return element("path", class_="mark cross" if letter == "X" else "mark", d=MARKERS[letter], **attributes)


def _grid(plot: Plot, frame: Frame) -> list[Markup]:
    """The area's ground, lines at ticks, and their texts."""
    lines, texts = [], []
    bottom = frame.top + frame.upwards
    for place, text in _apart(plot.x, frame.across, lambda text: LETTER * len(text) + 8, frame.right):
        x = frame.left + place
        lines.append(f"M{number(x)} {frame.top}V{bottom}")
        texts.append(element("text", text, x=x, y=bottom + LINE, text_anchor="middle"))
    for place, text in _apart(plot.y, frame.upwards, lambda text: LINE, LINE):
        y = bottom - place
        lines.append(f"M{frame.left} {number(y)}h{frame.across}")
        texts.append(element("text", text, x=frame.left - 6, y=y + 3.5, text_anchor="end"))
    ground = element("rect", class_="ground", x=frame.left, y=frame.top, width=frame.across, height=frame.upwards)
    return [ground, element("path", class_="grid", d="".join(lines)), *texts]


def _apart(axis: Axis, length: float, room: Callable[[str], float], beyond: float) -> list[tuple[float, str]]:
    """The ticks whose texts do not run into each other, nor out of the drawing, and where they stand."""
    kept: list[tuple[float, str]] = []
    for value, text in axis.ticks:
        place = float(axis.share(value)) * length
        inside = place + room(text) / 2 - 4 <= length + beyond
        if inside and (not kept or place - kept[-1][0] >= (room(text) + room(kept[-1][1])) / 2):
            kept.append((place, text))
    return kept


def _labels(plot: Plot, frame: Frame) -> list[Markup]:
    """The axes' labels."""
    across, middle = frame.left + frame.across / 2, frame.top + frame.upwards / 2
    return [
        element("text", plot.x.label, class_="label", x=across, y=frame.height - 6, text_anchor="middle"),
        element("text", plot.y.label, class_="label", text_anchor="middle",
                transform=f"translate(10 {number(middle)}) rotate(-90)"),
    ]  # fmt: skip


def _rule(plot: Plot, frame: Frame) -> Markup | None:
    """A diagonal, or a line at a value."""
    if plot.diagonal:
        return element("path", class_="rule", d=f"M0 {frame.upwards}L{frame.across} 0")
    if plot.rule is not None:
        across = float(plot.x.share(plot.rule)) * frame.across
        return element("path", class_="rule", d=f"M{number(across)} 0v{frame.upwards}")
    return None


def _series(
    series: Series, plot: Plot, names: Mapping[str, str], classes: Mapping[str, str], markers: Mapping[str, str],
    frame: Frame,
) -> Markup:  # fmt: skip
    """A series as a group, which has its name."""
    x = plot.x.share(series.x) * frame.across
    parts: list[Markup | None] = []
    if series.shape == "area":
        y = frame.upwards * (1 - plot.y.share(np.append(series.y, 0)))
        steps = "".join(f"V{number(level)}H{number(end)}" for level, end in zip(y, x[1:], strict=False))
        parts = [element("path", d=f"M{number(x[0])} {number(y[-1])}{steps}V{number(y[-1])}z")]
    else:
        y = frame.upwards * (1 - plot.y.share(series.y))
    if series.shape in ("curve", "both"):
        kept = simplified(x, y, TOLERANCE)
        points = " ".join(f"{number(a)},{number(b)}" for a, b in zip(x[kept], y[kept], strict=True))
        parts.append(element("polyline", points=points))
    if series.shape in ("marks", "both"):
        parts += _marks(series, plot, markers, x, y, frame)
    elif series.mark is not None:
        across, up = (float(axis.share(value)) for axis, value in zip((plot.x, plot.y), series.mark, strict=True))
        parts.append(_marker_at(markers[series.key], across * frame.across, (1 - up) * frame.upwards))
    title = names[series.key] + (f": {series.label}" if series.label and isinstance(series.label, str) else "")
    return element("g", element("title", title), parts, class_=f"series {series.shape} {classes[series.key]}")


def _marks(
    series: Series, plot: Plot, markers: Mapping[str, str], x: np.ndarray, y: np.ndarray, frame: Frame
) -> list[Markup]:  # fmt: skip
    """A marker a point, with its interval and its figures."""
    found = []
    for number_, (a, b) in enumerate(zip(x, y, strict=True)):
        ends = None if series.ends is None else frame.upwards * (1 - plot.y.share(series.ends[number_]))
        if ends is not None and series.shape == "marks" and not np.isnan(ends).any():
            found.append(element("path", class_="ends", d=f"M{number(a)} {number(ends[0])}V{number(ends[1])}"))
        spot = _marker_at(markers[series.key], a, b)
        found.append(element("g", element("title", series.label[number_]), spot, class_="point"))
    return found


def _marker_at(letter: str, x: float, y: float) -> Markup:
    return marker(letter, transform=f"translate({number(x)} {number(y)})")


def _described(axis: Axis) -> str:
    """An axis for the page's script, which tells values by places: scale, both ends, unit and label."""
    return f"{axis.scale}|{axis.low:.6g}|{axis.high:.6g}|{'%' if axis.percent else ''}|{axis.label}"


def swatch(letter: str, classes: str) -> Markup:
    """A piece of a system's line with its marker, for the list of systems."""
    line = element("polyline", points="1,7 33,7")
    return element(
        "svg", element("g", line, marker(letter, transform="translate(17 7)"), class_=f"series both {classes}"),
        class_="swatch", viewBox="0 0 34 14", width=34, height=14, aria_hidden="true",
    )  # fmt: skip


