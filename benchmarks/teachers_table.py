#!/usr/bin/env python3
"""The tables of docs/results.md from what benchmarks/teachers.sh has trained.

usage: benchmarks/teachers_table.py FOLDER CELL...

FOLDER/CELL/<experiment> is an experiment with several seeds; the first cell is what others are compared with. Of each
cell and seed the teacher's level is chosen on dev, for each scoring by itself. A figure is the mean over seeds; a ratio
is the geometric mean over the seeds that both cells have, with a 95 % interval over speakers and seeds.
"""

import argparse
from pathlib import Path
from statistics import fmean

import numpy as np
from machine import ROOT

from xvkd import config
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import Record, best_levels, collect
from xvkd.evaluation.strata import Comparison

CONDITIONS = ("gender", "duration", "snr")


class Cell:
    """What has been measured of a cell.

    Args:
        folder: with one experiment, of several seeds.
        options: of the evaluation.
    """

    def __init__(self, folder: Path, options: EvaluationConfig) -> None:
        experiments = sorted({path.parents[3] for path in folder.glob("*/*/scores/*/metrics.json")})
        if len(experiments) != 1:
            raise SystemExit(f"{folder}: {len(experiments)} experiments, expected one: run benchmarks/teachers.sh")
        records, self._draws = collect(experiments[0], experiments[0].name)
        self._records = {(r["system"], r["set"], r["scoring"]): r for r in records}
        self.seeds = {r["seed"]: r["teacher"] for r in records}
        self.levels = list(dict.fromkeys(r["levels"][0] for r in records))
        self.parameters = max(r["parameters"] for r in records)
        scorings = dict.fromkeys(r["scoring"] for r in records)
        self.best = {scoring: best_levels(records, options.dev_set, scoring) for scoring in scorings}

    def record(self, seed: int, data_set: str, scoring: str, level: str = "") -> Record | None:
        """The figures of a level, or of the one that was best on dev."""
        teacher = self.seeds[seed]
        system = f"{teacher}/{level}" if level else self.best[scoring][teacher]
        return self._records.get((system, data_set, scoring))

    def rates(self, data_set: str, scoring: str, level: str = "") -> list[float]:
        """EER in percent of each seed."""
        found = [self.record(seed, data_set, scoring, level) for seed in sorted(self.seeds)]
        return [record["eer_percent"] for record in found if record]

    def draws(self, seed: int, data_set: str, scoring: str) -> np.ndarray:
        """EER of each draw of the bootstrap."""
        return self._draws[self.best[scoring][self.seeds[seed]], data_set, scoring][1]


def ratio(cell: Cell, other: Cell, data_set: str, scoring: str, options: EvaluationConfig) -> str:
    """EER of a cell by that of another, with its interval."""
    seeds = sorted(cell.seeds.keys() & other.seeds.keys())
    rates = [np.array([one.record(seed, data_set, scoring)["eer_percent"] for seed in seeds]) for one in (cell, other)]
    draws = [np.stack([one.draws(seed, data_set, scoring) for seed in seeds]) for one in (cell, other)]
    found = Comparison.of(rates[0], draws[0], rates[1], draws[1], options.confidence, options.bootstrap_seed)
    low, high = found.interval
    return f"{found.ratio:.2f} [{low:.2f}, {high:.2f}]"


def table(header: list[str], rows: list[list[str]]) -> None:
    """Prints a Markdown table."""
    print("| " + " | ".join(header) + " |")
    print("|---" + "|---:" * (len(header) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def mean(values: list[float]) -> str:
    return f"{fmean(values):.2f}" if values else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("cells", nargs="+")
    args = parser.parse_args()
    options = config.load(EvaluationConfig, ROOT / "conf" / "evaluation.yaml")
    primary = options.primary_scoring
    cells = {name: Cell(args.folder / name, options) for name in args.cells}
    first = cells[args.cells[0]]
    sets = [options.dev_set, f"{options.dev_set}_noisy", "eval", "eval_noisy"]

    print(f"### EER of {primary} (%), best level\n")
    rows = []
    for name, cell in cells.items():
        row = [name, f"{cell.parameters / 1e6:.2f} M", str(len(cell.seeds))]
        row += [mean(cell.rates(data_set, primary)) for data_set in sets]
        row += ["-" if cell is first else ratio(cell, first, data_set, primary, options) for data_set in sets[2:]]
        rows.append(row)
    against = [f"{data_set}: ratio to {args.cells[0]}" for data_set in sets[2:]]
    table(["cell", "parameters", "seeds", *sets, *against], rows)

    print("### EER by scoring (%), best level under each, eval\n")
    table(["cell", *first.best], [[name, *(mean(cell.rates("eval", scoring)) for scoring in first.best)]
                                  for name, cell in cells.items()])  # fmt: skip

    print(f"### EER by level (%), {args.cells[0]}\n")
    columns = [(data_set, scoring) for data_set in sets[2:] for scoring in first.best]
    table(["level", *(f"{data_set}, {scoring}" for data_set, scoring in columns)],
          [[level, *(mean(first.rates(*column, level)) for column in columns)] for level in first.levels])  # fmt: skip

    print(f"### EER of {primary} by condition (%), best level\n")
    for data_set in sets[2:]:
        rows, names = [], {}
        for name, cell in cells.items():
            found: dict[tuple[str, str], list[float]] = {}
            for seed in sorted(cell.seeds):
                for condition, classes in (cell.record(seed, data_set, primary) or {}).get("conditions", {}).items():
                    for one, figures in classes.items():
                        found.setdefault((condition, one), []).append(figures["eer_percent"])
            names |= dict.fromkeys(sorted(found, key=lambda key: CONDITIONS.index(key[0])))
            rows.append((name, found))
        header = [f"SNR {one}" if condition == "snr" else one for condition, one in names]
        table([data_set, *header], [[name, *(mean(found.get(key, [])) for key in names)] for name, found in rows])

    print("### Generalisation: scatter on speakers of eval by that on speakers of train\n")
    levels = list(dict.fromkeys(level for cell in cells.values() for level in cell.levels if not level[5:].isdigit()
                                or level.startswith("segment")))  # fmt: skip
    rows = []
    for name, cell in cells.items():
        row = [name]
        for level in levels:
            records = [cell.record(seed, "eval", primary, level) for seed in sorted(cell.seeds)]
            row.append(mean([r["scatter"]["unseen"]["quotient"] for r in records if r and "scatter" in r]))
        rows.append(row)
    table(["cell", *levels], rows)


if __name__ == "__main__":
    main()
