"""The figure of benchmarks/claims_table.py: EER by deployed parameters."""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.trainings import Cell, System, mean_rate
from xvkd.kaldi.files import atomic_write

# Kind -> colour (of Okabe and Ito, of different lightness) and marker: colour is never all that tells them apart.
STYLES = {
    "teacher, best level": ("#000000", "s"),
    "student of labels only": ("#56B4E9", "X"),
    "student of a level": ("#E69F00", "o"),
    "student of a concatenation": ("#0072B2", "^"),
}
FURTHER = ", further speakers"
# Systems are of about one size where the largest has less than this many times the smallest's parameters; they stand so
# far from each other.
SAME_SIZE, STEP = 1.1, 1.07


def kind(system: System) -> str:
    """What a system is, in the legend's words."""
    number = len(system.about["levels"])
    if system.about["role"] == "teacher":
        return "teacher, best level"
    return "student of " + ("labels only" if number == 0 else "a level" if number == 1 else "a concatenation")


def places(systems: list[System]) -> list[float]:
    """Where systems stand on the axis: by deployed parameters, those of about one size side by side."""
    order = sorted(range(len(systems)), key=lambda number: systems[number].deployed)
    groups: list[list[int]] = []
    for number in order:
        if groups and systems[number].deployed < SAME_SIZE * systems[groups[-1][0]].deployed:
            groups[-1].append(number)
        else:
            groups.append([number])
    place = [0.0] * len(systems)
    for group in groups:
        middle = np.exp(np.mean([np.log(systems[number].deployed) for number in group]))
        for offset, number in enumerate(sorted(group)):
            place[number] = float(middle * STEP ** (offset - (len(group) - 1) / 2))
    return place


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
            for system, place in zip(systems, places(systems), strict=True):
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
    order = [kind + more for kind in STYLES for more in ("", FURTHER) if kind + more in legend]
    figure.legend([legend[label] for label in order], order, loc="lower center", ncols=3, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.6 / figure.get_figheight(), 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=120, metadata={"Software": None})
    pyplot.close(figure)


def _add(panel: pyplot.Axes, system: System, place: float, name: str, options: EvaluationConfig) -> None:
    """A system's point, with its interval; open if it had further speakers."""
    rate = mean_rate(system, name, options)
    if rate is None:
        return
    mean, ends = rate
    colour, marker = STYLES[kind(system)]
    bars = [[mean - ends[0]], [ends[1] - mean]] if ends else None
    panel.errorbar(
        [place], [mean], yerr=bars, color=colour, marker=marker, markersize=6, capsize=2, elinewidth=0.8,
        markerfacecolor="white" if system.further else colour, linestyle="none",
        label=kind(system) + (FURTHER if system.further else ""),
    )  # fmt: skip
    if system.about["levels"]:
        text = system.levels if len(system.about["levels"]) == 1 else ""
        text += f" {system.about['loss']}" if system.about["role"] == "student" else ""
        panel.annotate(text.strip(), (place, ends[1] if ends else mean), (0, 3), textcoords="offset points",
                       rotation=90, ha="center", va="bottom", fontsize=6)  # fmt: skip
