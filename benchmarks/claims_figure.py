"""The figure of benchmarks/claims_table.py: EER by deployed parameters."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from xvkd.evaluation.page.png import save
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.styles import KINDS, kind, places
from xvkd.evaluation.trainings import Cell, System, mean_rate

FURTHER = ", further speakers"


def draw(cells: list[Cell], lists: tuple[str, ...], options: EvaluationConfig, path: Path) -> None:
    """Draws a row of panels a cell and a column a list.

    Args:
        cells: with their systems.
        lists: of trials.
        options: of the intervals.
        path: of the PNG file; its bytes depend on the figures alone.
    """
    figure, panels = pyplot.subplots(
        len(cells), len(lists), figsize=(5.5 * len(lists), 4 * len(cells) + 0.8), sharex=True, sharey="col",
        squeeze=False,
    )  # fmt: skip
    for row, cell in zip(panels, cells, strict=True):
        systems = [system for system in [cell.teacher, *cell.students] if system]
        for panel, name in zip(row, lists, strict=True):
            for system, place in zip(systems, places([one.deployed for one in systems]), strict=True):
                _add(panel, system, place, name, options)
            panel.set_title(f"{cell.name}, {name}", fontsize=10)
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size / 1e6:g} M"))
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.margins(x=0.1, y=0.25)
            panel.grid(True, color="0.9", linewidth=0.5)
            panel.set_axisbelow(True)
    for panel in panels[-1]:
        panel.set_xlabel("parameters as deployed (those of about one size stand side by side)")
    for panel in panels[:, 0]:
        panel.set_ylabel(f"EER {options.primary_scoring} (%)")
    legend = {}
    for panel in panels.flat:
        handles, labels = panel.get_legend_handles_labels()
        legend |= dict(zip(labels, handles, strict=True))
    order = [name + more for name in KINDS for more in ("", FURTHER) if name + more in legend]
    figure.legend([legend[label] for label in order], order, loc="lower center", ncols=3, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.6 / figure.get_figheight(), 1, 1))
    save(figure, path, dpi=120)
    pyplot.close(figure)


def _add(panel: pyplot.Axes, system: System, place: float, name: str, options: EvaluationConfig) -> None:
    """A system's point, with its interval; open if it had further speakers."""
    rate = mean_rate(system, name, options)
    if rate is None:
        return
    mean, ends = rate
    colour, marker = KINDS[kind(system.about)]
    bars = [[mean - ends[0]], [ends[1] - mean]] if ends else None
    panel.errorbar(
        [place], [mean], yerr=bars, color=colour, marker=marker, markersize=6, capsize=2, elinewidth=0.8,
        markerfacecolor="white" if system.further else colour, linestyle="none",
        label=kind(system.about) + (FURTHER if system.further else ""),
    )  # fmt: skip
    if system.about["levels"]:
        text = system.levels if len(system.about["levels"]) == 1 else ""
        text += f" {system.about['loss']}" if system.about["role"] == "student" else ""
        panel.annotate(text.strip(), (place, ends[1] if ends else mean), (0, 3), textcoords="offset points",
                       rotation=90, ha="center", va="bottom", fontsize=6)  # fmt: skip
