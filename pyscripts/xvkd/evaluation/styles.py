"""How systems look in figures: a marker a kind, a colour and a dash pattern a system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xvkd.evaluation.results import Record

BLACK, ORANGE, SKY, BLUE = "#000000", "#E69F00", "#56B4E9", "#0072B2"
# Kind -> colour (of Okabe and Ito, of different lightness) and marker: colour is never all that tells them apart.
KINDS = {
    "teacher, best level": (BLACK, "s"),
    "student of labels only": (SKY, "X"),
    "student of a level": (ORANGE, "o"),
    "student of a concatenation": (BLUE, "^"),
}
# Of students, on white and on black: after Okabe and Ito, of enough contrast with their ground for lines of text's
# width.
HUES = (
    ("#0072b2", "#56b4e9"), ("#c84e00", "#ff8a3d"), ("#00805c", "#2fc79a"), ("#a8478a", "#e59ac8"),
    ("#a87900", "#f0c430"), ("#2f8fc6", "#9fd8ff"),
)  # fmt: skip
# Teachers' levels are shades between ink and ground; the best one is ink.
INK, LIGHTEST, DARKEST = ("#1a1a1a", "#f2f2f2"), 0.36, 0.72
# Classes of trials: on white, on black.
CLASSES = {"nontarget": ("#c84e00", "#ff8a3d"), "target": ("#0072b2", "#56b4e9")}
DASHES = ((), (7, 2.5), (2, 2), (8, 2, 2, 2), (4, 2), (10, 3, 2, 3, 2, 3))
# Systems are of about one size where the largest has less than this many times the smallest's parameters; they stand so
# far from each other.
SAME_SIZE, STEP = 1.1, 1.07


@dataclass(frozen=True)
class Style:
    """How a system is drawn.

    Attributes:
        light: its colour on white, #rrggbb.
        dark: its colour on black.
        dash: lengths of strokes and gaps in points; empty for a whole line.
        width: of the line in points.
        marker: in matplotlib's letters, one of ``KINDS``.
    """

    light: str
    dark: str
    dash: tuple[float, ...]
    width: float
    marker: str


def kind(record: Record) -> str:
    """What a system is, in the words of ``KINDS``; a teacher's level as if it were the best."""
    number = len(record["levels"])
    if record["role"] == "teacher":
        return "teacher, best level"
    return "student of " + ("labels only" if number == 0 else "a level" if number == 1 else "a concatenation")


def styles_of(records: Sequence[Record], best: Mapping[str, str]) -> dict[str, Style]:
    """The style of each system.

    Args:
        records: of all systems, as ``results.collect`` orders them.
        best: see ``results.best_levels``.
    """
    systems = {record["system"]: record for record in records}
    levels = [name for name, record in systems.items() if record["role"] == "teacher" and name not in best.values()]
    students = [name for name, record in systems.items() if record["role"] == "student"]
    styles = {}
    for name, record in systems.items():
        marker = KINDS[kind(record)][1]
        if record["role"] == "student":
            number = students.index(name)
            # Every pair of colour and dashes comes once before one comes again.
            dash = DASHES[(number + number // len(HUES)) % len(DASHES)]
            styles[name] = Style(*HUES[number % len(HUES)], dash, 1.5, marker)
        elif name in levels:
            number = levels.index(name)
            share = LIGHTEST + (DARKEST - LIGHTEST) * number / max(len(levels) - 1, 1)
            light, dark = (_mixed(ink, ground, share) for ink, ground in zip(INK, ("#ffffff", "#101418"), strict=True))
            styles[name] = Style(light, dark, DASHES[(number + 1) % len(DASHES)], 1.1, marker)
        else:
            styles[name] = Style(*INK, (), 2.2, marker)
    return styles


def places(sizes: Sequence[float]) -> list[float]:
    """Where systems stand on the axis of sizes, which is logarithmic: those of about one size side by side."""
    order = sorted(range(len(sizes)), key=lambda number: sizes[number])
    groups: list[list[int]] = []
    for number in order:
        if groups and sizes[number] < SAME_SIZE * sizes[groups[-1][0]]:
            groups[-1].append(number)
        else:
            groups.append([number])
    place = [0.0] * len(sizes)
    for group in groups:
        middle = np.exp(np.mean([np.log(sizes[number]) for number in group]))
        for offset, number in enumerate(sorted(group)):
            place[number] = float(middle * STEP ** (offset - (len(group) - 1) / 2))
    return place


def _mixed(colour: str, other: str, share: float) -> str:
    """A colour of which ``share`` is the first."""
    pairs = zip(*(bytes.fromhex(one[1:]) for one in (colour, other)), strict=True)
    return "#" + bytes(round(share * one + (1 - share) * two) for one, two in pairs).hex()
