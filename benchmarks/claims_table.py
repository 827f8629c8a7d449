#!/usr/bin/env python3
"""The table, the figure and the verdicts of docs/claims.md from what benchmarks/claims.sh has trained.

usage: benchmarks/claims_table.py [--seeds "0 1 2"] [--figure FILE.png] small|full|real FOLDER CELL...

FOLDER/CELL/<experiment> has a teacher and its students of several seeds; on real speech an experiment is a fold. The
first cell has the main teacher. What is missing is listed, and the rest is shown without it.

A figure of the table is the mean over seeds and folds, a ratio the geometric mean; in brackets is a 95 % interval over
speakers and seeds. Rates of folds are averaged, their trials never pooled.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from machine import ROOT

from xvkd import cli, config
from xvkd.errors import UserError
from xvkd.evaluation.claims import Judge
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import collect
from xvkd.evaluation.trainings import Cell, System, compare, mean_rate, read_cell

LISTS = ("eval", "eval_noisy")
STRATA = {"small": ["synthetic"], "full": ["synthetic"], "real": [f"fold{number}" for number in range(5)]}
TWIN_RATIO = {"small": 0.8, "full": 0.8, "real": 0.9}


# Cells that are students of the first cell's teacher, and lie in its folder: which of them.
PARTS: dict[str, Callable[[System], bool]] = {
    "more_data": lambda system: system.further,
    "redimnet": lambda system: not system.further and shape(system).startswith("student redimnet"),
}


def load(folder: Path, names: list[str], expected: list[str], options: EvaluationConfig) -> list[Cell]:
    """The cells that have figures."""
    cells = []
    for name in names:
        found = {
            stratum: collect(folder / name / stratum, stratum)
            for stratum in expected if any((folder / name / stratum).glob("*/scores/*/metrics.json"))
        }  # fmt: skip
        if found:
            cells.append(read_cell(name, found, options))
    return cells


def missing(cells: list[Cell], names: list[str], expected: list[str], seeds: list[int]) -> list[str]:
    """What a table of all cells would need that is not there: cells, or systems of a cell with the trainings."""
    lines = []
    wanted = {(stratum, seed) for stratum in expected for seed in seeds}
    systems = {cell.name: [one for one in [cell.teacher, *cell.students] if one] for cell in cells}
    for name in names:
        part = name if name in PARTS else None
        there = [one for one in systems.get(names[0] if part else name, []) if part_of(one) == part]
        trained = set().union(*(one.sizes for one in there))
        groups = [(name, wanted - trained)]
        groups += [(f"{name}, {one.describe()}", wanted & trained - set(one.sizes)) for one in there]
        for title, lacking in groups:
            if lacking:
                lines.append(f"{title}: " + "; ".join(f"{stratum}, seed {seed}" for stratum, seed in sorted(lacking)))
    return lines


def part_of(system: System) -> str | None:
    """Which of :data:`PARTS` a system belongs to."""
    return next((name for name, belongs in PARTS.items() if belongs(system)), None)


def rows(cells: list[Cell], expected: list[str], options: EvaluationConfig) -> list[list[str]]:
    """A row a system."""
    found = []
    for cell in cells:
        for system in filter(None, [cell.teacher, *cell.students]):
            student = system.about["role"] == "student"
            row = [
                cell.name, shape(system), system.levels if student else f"{system.levels} (best on {options.dev_set})",
                system.about["loss"] + (", further speakers" if system.further else ""), str(len(system.sizes)),
                f"{system.parameters:,}", f"{system.deployed:,}", f"{system.smaller} %" if student else "-",
            ]  # fmt: skip
            for name in LISTS:
                rate = mean_rate(system, name, options)
                row.append(f"{rate[0]:.2f}{bracket(rate[1])}" if rate else "-")
                compared = compare(system, cell.teacher, name, expected, options) if student and cell.teacher else None
                ratio = compared and compared.found.ratio
                row.append(f"{ratio:.3f}{bracket(compared.found.interval, 3)}" if ratio else "-")
            found.append(row)
    return found


def shape(system: System) -> str:
    """What a network is called in conf/."""
    teacher = system.about["teacher"].removeprefix("teacher_").removesuffix(f"_s{system.about['seed']}")
    if system.about["role"] == "teacher":
        return f"teacher {teacher}"
    return "student " + system.name.removeprefix("student_").partition(f"_{teacher}_")[0]


def bracket(ends: list[float] | None, digits: int = 2) -> str:
    return f" [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]" if ends else ""


def print_table(cells: list[Cell], expected: list[str], options: EvaluationConfig) -> None:
    header = ["cell", "network", "levels", "loss", "trainings", "parameters", "deployed", "smaller by"]
    for name in LISTS:
        header += [f"{name}: EER {options.primary_scoring} (%)", f"{name}: ratio to the teacher's"]
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * 4 + "---:|" * (len(header) - 4))
    for row in rows(cells, expected, options):
        print("| " + " | ".join(row) + " |")
    print()


def print_verdicts(
    cells: list[Cell], main: str, expected: list[str], twin_ratio: float, options: EvaluationConfig
) -> None:  # fmt: skip
    """Lines on the claims, then on what else is asked for, list by list."""
    for name in LISTS:
        judge = Judge(name, expected, twin_ratio, options)
        claims = {cell.name: judge.claims(cell) for cell in cells}
        first = next((cell for cell in cells if cell.name == main), None)
        others = {
            cell.name: claims[cell.name] for cell in cells
            if cell.teacher and first and first.teacher and cell.teacher.name != first.teacher.name
        }  # fmt: skip
        verdicts = [verdict for cell in claims.values() for verdict in cell] + [judge.carries_over(others)]
        for cell in cells:
            verdicts += judge.targets(cell, further=False)
            if any(student.further for student in cell.students):
                verdicts += judge.targets(cell, further=True)
        print("\n".join(f"- {verdict.line()}" for verdict in verdicts))
        print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0 1 2")
    parser.add_argument("--figure", type=Path, metavar="FILE.png")
    parser.add_argument("setting", choices=list(STRATA))
    parser.add_argument("folder", type=Path)
    parser.add_argument("cells", nargs="+", metavar="CELL")
    args = parser.parse_args()
    options = config.load(EvaluationConfig, ROOT / "conf" / "evaluation.yaml")
    expected = STRATA[args.setting]
    cells = load(args.folder, [name for name in args.cells if name not in PARTS], expected, options)
    if not cells:
        raise UserError(f"{args.folder}: nothing has been scored in it; run benchmarks/claims.sh {args.setting}")
    print_table(cells, expected, options)
    print_verdicts(cells, args.cells[0], expected, TWIN_RATIO[args.setting], options)
    for line in missing(cells, args.cells, expected, [int(seed) for seed in args.seeds.split()]):
        print(f"- missing: {line}")
    if args.figure:
        try:
            from claims_figure import draw
        except ModuleNotFoundError as error:
            sys.exit(f"no figure: {error.name} is missing; pip install -r requirements.txt and repeat")
        draw(cells, LISTS, options, args.figure)
        print(f"\n![EER by deployed parameters]({args.figure.name})")


if __name__ == "__main__":
    cli.run(main)
