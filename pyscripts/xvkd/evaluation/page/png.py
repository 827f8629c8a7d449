"""Plots as PNG files for papers, drawn by matplotlib, which is imported where it is needed.

Places are shares of the axes (``Axis.share``), so that what is linear, logarithmic or probit is said once, in ``plot``.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xvkd.evaluation.page.plot import Plot, Series
from xvkd.evaluation.styles import CLASSES, Style
from xvkd.kaldi.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# In inches. A legend stands right of the panels; its width follows from its longest name.
PANEL, SMALL, FOOT = (3.5, 3.1), (2.4, 1.5), 0.4
HANDLE, LETTER = 0.65, 0.052
MOST_ACROSS, DPI = 3, 200


def draw(plots: Sequence[Plot], names: Mapping[str, str], styles: Mapping[str, Style], path: Path) -> None:
    """Draws plots side by side, with one legend.

    Args:
        plots: at least one, of the same systems.
        names: of the series' keys, in the legend's order.
        styles: of the series' keys.
        path: of the PNG file.
    """
    from matplotlib.lines import Line2D

    drawn = {one.key for plot in plots for one in plot.series}
    labels = {key: _plain(name) for key, name in names.items() if key in drawn}
    legend = HANDLE + LETTER * max(map(len, labels.values()))
    figure, panels = _panels(len(plots), PANEL, legend, 0)
    for panel, plot in zip(panels, plots, strict=True):
        _axes(panel, plot, 7)
        panel.set(xlabel=plot.x.label, ylabel=plot.y.label)
        if len(plots) > 1:
            panel.set_title(plot.title, fontsize=8)
        for one in plot.series:
            _series(panel, plot, one, styles[one.key])
    marked = any(one.shape != "curve" or one.mark for plot in plots for one in plot.series)
    handles = [Line2D([], [], **_look(styles[key], marked)) for key in labels]
    figure.legend(handles, labels.values(), loc="center left", fontsize=6.5, frameon=False, handlelength=3.5,
                  bbox_to_anchor=(1 - legend / figure.get_figwidth(), 0.5))  # fmt: skip
    save(figure, path, DPI)


def draw_histograms(plots: Mapping[str, Plot], path: Path) -> None:
    """Draws a small histogram a system.

    Args:
        plots: by the system's name.
        path: of the PNG file.
    """
    figure, panels = _panels(len(plots), SMALL, 0, FOOT)
    handles = {}
    for panel, (name, plot) in zip(panels, plots.items(), strict=True):
        _axes(panel, plot, 5.5)
        panel.set_title(_plain(name), fontsize=5.5)
        for one in plot.series:
            colour = CLASSES[one.key][0]
            edges, heights = plot.x.share(one.x), plot.y.share(one.y)
            handles[one.key] = panel.stairs(heights, edges, fill=True, facecolor=colour + "70", edgecolor=colour)
        panel.axvline(plot.x.share(plot.rule), color="0.3", linewidth=0.7, linestyle="--")
    labels = [f"{name} trials, percent by score" for name in handles]
    figure.legend(handles.values(), labels, loc="lower center", ncols=2, fontsize=6.5, frameon=False)
    save(figure, path, DPI)


def save(figure: "Figure", path: Path, dpi: int) -> None:
    """Writes a PNG file whose bytes depend on what the figure shows alone."""
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})


def _panels(count: int, size: tuple[float, float], right: float, foot: float) -> tuple["Figure", list["Axes"]]:
    """A figure of panels of a size, with room right of them and below."""
    from matplotlib.figure import Figure

    columns = min(count, MOST_ACROSS)
    rows = math.ceil(count / columns)
    width, height = size[0] * columns + right, size[1] * rows + foot
    figure = Figure(figsize=(width, height))
    left, bottom = 0.17 * size[0], 0.15 * size[1]
    figure.subplots_adjust(
        left / width, (bottom + foot) / height, 1 - (right + 0.04 * size[0]) / width, 1 - 0.13 * size[1] / height,
        0.27, 0.35,
    )  # fmt: skip
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in panels[count:]:
        panel.remove()
    return figure, panels[:count]


def _axes(panel: "Axes", plot: Plot, size: float) -> None:
    """Ticks and what lies behind the series."""
    panel.set_xlim(0, 1)
    panel.set_ylim(0, 1)
    panel.set_xticks([float(plot.x.share(tick)) for tick, _ in plot.x.ticks], [text for _, text in plot.x.ticks])
    panel.set_yticks([float(plot.y.share(tick)) for tick, _ in plot.y.ticks], [text for _, text in plot.y.ticks])
    panel.tick_params(labelsize=size)
    panel.xaxis.label.set_size(size + 1)
    panel.yaxis.label.set_size(size + 1)
    panel.grid(True, color="0.9", linewidth=0.5)
    panel.set_axisbelow(True)
    if plot.diagonal:
        panel.plot([0, 1], [0, 1], color="0.7", linewidth=0.6)


def _series(panel: "Axes", plot: Plot, series: Series, style: Style) -> None:
    x, y = plot.x.share(series.x), plot.y.share(series.y)
    look = _look(style, marked=series.shape != "curve")
    if series.shape == "marks":
        look["linestyle"] = "none"
        for place, ends in zip(x, np.empty((0, 2)) if series.ends is None else plot.y.share(series.ends), strict=False):
            panel.plot([place, place], ends, color=style.light, linewidth=0.8)
    panel.plot(x, y, **look)
    if series.mark is not None:
        place = [float(plot.x.share(series.mark[0]))], [float(plot.y.share(series.mark[1]))]
        panel.plot(*place, **_look(style, marked=True), zorder=3)


def _look(style: Style, marked: bool) -> dict[str, object]:
    """Matplotlib's words for a style."""
    found: dict[str, object] = {"color": style.light, "linewidth": 0.7 * style.width}
    found["linestyle"] = (0, style.dash) if style.dash else "-"
    return found | ({"marker": style.marker, "markersize": 5, "markeredgecolor": "white", "markeredgewidth": 0.4}
                    if marked else {})  # fmt: skip


def _plain(name: str) -> str:
    """A name as it is: a dollar sign would begin a formula."""
    return name.replace("$", r"\$")
