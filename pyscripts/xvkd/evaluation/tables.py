"""Results as tables."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import Record, no_worse
from xvkd.evaluation.strata import Comparison

NOTHING = "-"


@dataclass(frozen=True)
class Table:
    """Cells as text; false without rows.

    Attributes:
        header: of each column.
        rows: of cells, as many as there are columns.
        left: the first columns, so many, are words; the others are numbers.
    """

    header: list[str]
    rows: list[list[str]]
    left: int

    def __bool__(self) -> bool:
        return bool(self.rows)

    def markdown(self) -> list[str]:
        """Its lines."""
        rule = "|" + "---|" * self.left + "---:|" * (len(self.header) - self.left)
        return ["| " + " | ".join(self.header) + " |", rule, *("| " + " | ".join(row) + " |" for row in self.rows)]


def error_table(records: list[Record], name: str, best: Mapping[str, str], config: EvaluationConfig) -> Table:
    """Size against error on the trial list ``name``: one row a system.

    Args:
        records: all that there are; a figure that a record lacks, such as one of an earlier run, is a dash.
        name: the list.
        best: see ``results.best_levels``.
        config: says which scoring has its interval shown and is compared with the teacher's.
    """
    primary = config.primary_scoring
    scorings = list(dict.fromkeys(record["scoring"] for record in records if record["set"] == name))
    header = ["system", "levels", "loss", "seed", "parameters", "smaller by", "deployed + PLDA"]
    header += [f"EER {scoring} (%)" for scoring in scorings]
    header += [f"{primary}: ratio to the teacher's", "no worse"]
    rows = []
    for by_scoring in _by_system(records, name):
        record = next(iter(by_scoring.values()))
        row = [
            _kind(record), _levels(record, best, config), record["loss"], str(record["seed"]),
            NOTHING if record["parameters"] is None else f"{record['parameters']:,}",
            NOTHING if record["reduction_percent"] is None else f"{record['reduction_percent']:.1f} %",
            _deployed(record),
        ]  # fmt: skip
        for scoring in scorings:
            one = by_scoring.get(scoring, {})
            row.append(_figure(one, "eer_percent", 2) + (_interval(one.get("eer_ci")) if scoring == primary else ""))
        rows.append(row + ratio_cells(by_scoring.get(primary, {}), config))
    return Table(header, rows, left=3)


def cost_table(records: list[Record], name: str, best: Mapping[str, str], config: EvaluationConfig) -> Table:
    """Costs of the primary scoring on the trial list ``name``, the least possible beside the calibrated: one row a
    system. Arguments as for ``error_table``."""
    pairs = [*zip(config.dcf_names("mindcf"), config.dcf_names("actdcf"), strict=True), ("min_cllr", "cllr")]
    header = ["system", "loss", "seed"]
    for least, actual in pairs:
        header += [_title(least), _title(actual)]
    rows = []
    for by_scoring in _by_system(records, name):
        record = next(iter(by_scoring.values()))
        one = by_scoring.get(config.primary_scoring, {})
        row = system_cells(record, best, config)
        for least, actual in pairs:
            row += [_figure(one, least, 3), _figure(one, actual, 3)]
        rows.append(row)
    return Table(header, rows, left=2)


def condition_table(
    records: list[Record], name: str, best: Mapping[str, str], config: EvaluationConfig
) -> Table:  # fmt: skip
    """EER of the primary scoring by condition on the trial list ``name``: one row a system, that is the best level of
    each teacher and each student; one column a class. Empty if none of them has such figures.

    Arguments as for ``error_table``.
    """
    chosen = chosen_records(records, name, best, config)
    found = [record.get("conditions", {}) for record in chosen]
    classes = list(dict.fromkeys((condition, one) for each in found for condition in each for one in each[condition]))
    if not classes:
        return Table([], [], left=2)
    figures = [[each.get(condition, {}).get(one, {}) for condition, one in classes] for each in found]
    # The trials of a class are those of the list, whatever the system.
    targets = [next(one["targets"] for one in column if one) for column in zip(*figures, strict=True)]
    trials = [next(one["trials"] for one in column if one) for column in zip(*figures, strict=True)]
    counts = [f"{target:,} + {both - target:,}" for target, both in zip(targets, trials, strict=True)]
    rows = [["trials: target + nontarget", "", "", *counts]]
    for record, row in zip(chosen, figures, strict=True):
        rows.append([*system_cells(record, best, config), *(with_interval(one, "eer_percent") for one in row)])
    header = ["system", "loss", "seed", *(f"SNR {one}" if condition == "snr" else one for condition, one in classes)]
    return Table(header, rows, left=2)


def scatter_table(records: list[Record], config: EvaluationConfig) -> Table:
    """The ratio of scatter within speakers to that between speakers: one row a teacher's level; empty if none has it.

    Args:
        records: all that there are.
        config: names the primary scoring, any one of a level being enough.
    """
    levels: dict[str, dict[str, Record]] = {}
    for record in records:
        if record["role"] == "teacher" and "scatter" in record:
            levels.setdefault(record["system"], {})[record["set"]] = record
    names = list(dict.fromkeys(name for sets in levels.values() for name in sets))
    # The development set first, as it was used first.
    names.sort(key=lambda name: (name != config.dev_set, name))
    header = ["teacher", "level", "known speakers"]
    for name in names:
        header += [name, f"{name} / known"]
    rows = []
    for sets in levels.values():
        record = next(iter(sets.values()))
        row = [record["teacher"], record["levels"][0], with_interval(record["scatter"]["seen"], "ratio")]
        for name in names:
            about = sets.get(name, {}).get("scatter", {}).get("unseen", {})
            row += [with_interval(about, "ratio"), with_interval(about, "quotient")]
        rows.append(row)
    return Table(header, rows, left=2)


def seed_table(
    compared: Mapping[tuple[str, str, str], tuple[list[Record], Comparison]], name: str, config: EvaluationConfig
) -> Table:
    """Students of several training seeds on the trial list ``name``; empty if there are none.

    Args:
        compared: see ``results.compare_over_seeds``.
        name: the list.
        config: names the primary scoring, which is what is shown.
    """
    header = ["student", "loss", "seeds", f"EER {config.primary_scoring} (%)", "ratio to the teacher's", "no worse"]
    rows = []
    for (_, trial_list, scoring), (group, found) in compared.items():
        if (trial_list, scoring) == (name, config.primary_scoring):
            rates = ", ".join(f"{record['eer_percent']:.2f}" for record in group)
            row = [_levels(group[0], {}, config), group[0]["loss"], str(len(group)), rates]
            rows.append(row + _comparison(found.ratio, found.interval, found.upper, config))
    return Table(header, rows, left=2)


def chosen_records(
    records: list[Record], name: str, best: Mapping[str, str], config: EvaluationConfig
) -> list[Record]:  # fmt: skip
    """Those of the trial list ``name`` and the primary scoring, of the best level of each teacher and each student."""
    return [
        record for record in records
        if (record["set"], record["scoring"]) == (name, config.primary_scoring)
        and (record["role"] == "student" or best.get(record["teacher"]) == record["system"])
    ]  # fmt: skip


def system_cells(record: Record, best: Mapping[str, str], config: EvaluationConfig) -> list[str]:
    """What a system is called in the three columns system, loss and seed."""
    return [f"{_kind(record)}, {_levels(record, best, config)}", record["loss"], str(record["seed"])]


def names_of(records: list[Record], best: Mapping[str, str], config: EvaluationConfig) -> dict[str, tuple[str, str]]:
    """What each system is called in figures: the kind of network, and what tells it from others of its kind.

    Args:
        records: of all systems.
        best: see ``results.best_levels``.
        config: names the development set.
    """
    systems = {record["system"]: record for record in records}
    seeds = len({record["seed"] for record in systems.values()}) > 1
    names = {}
    for system, record in systems.items():
        name = _levels(record, best, config) + (f", {record['loss']}" if record["role"] == "student" else "")
        names[system] = _kind(record), name + (f", seed {record['seed']}" if seeds else "")
    # Students of several shapes or teachers may still share theirs; no two share a folder.
    shared = {name for name, count in Counter(names.values()).items() if count > 1}
    return {
        system: (group, f"{name} ({system.split('/')[0]})") if (group, name) in shared else (group, name)
        for system, (group, name) in names.items()
    }


def _by_system(records: list[Record], name: str) -> list[dict[str, Record]]:
    """The records of a trial list, system by system: scoring -> record."""
    systems: dict[str, dict[str, Record]] = {}
    for record in records:
        if record["set"] == name:
            systems.setdefault(record["system"], {})[record["scoring"]] = record
    return list(systems.values())


def _levels(record: Record, best: Mapping[str, str], config: EvaluationConfig) -> str:
    mark = f" (best on {config.dev_set})" if best.get(record["teacher"]) == record["system"] else ""
    further = record.get("unlabelled", [])
    # Copies of a set go without saying.
    further = [name for name in further if not any(name.startswith(f"{other}_") for other in further)]
    if further:
        mark += ", also on " + ", ".join(name.removeprefix("distill_") for name in further)
    return ("+".join(record["levels"]) or "labels only") + mark


def _kind(record: Record) -> str:
    """Teacher or student, and the kind of network where it is known."""
    return f"{record['role']} {record.get('network', '')}".rstrip()


def _deployed(record: Record) -> str:
    sizes = record.get("deployed_parameters"), record.get("plda_parameters")
    return NOTHING if None in sizes else f"{sizes[0]:,} + {sizes[1]:,}"


def _figure(record: Record, key: str, digits: int) -> str:
    value = record.get(key)
    return NOTHING if value is None else f"{value:.{digits}f}"


def with_interval(about: Record, key: str) -> str:
    """A figure and, if it has one, its interval: that of ``eer_percent`` is ``eer_ci``."""
    return _figure(about, key, 2) + _interval(about.get(f"{key.removesuffix('_percent')}_ci"))


def _interval(ends: list[float] | None) -> str:
    return f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else ""


def ratio_cells(record: Record, config: EvaluationConfig) -> list[str]:
    """Two cells: how a record's EER compares with another's, and the verdict."""
    return _comparison(record.get("eer_ratio"), record.get("eer_ratio_ci"), record.get("eer_ratio_upper"), config)


def _comparison(
    ratio: float | None, ends: list[float] | None, upper: float | None, config: EvaluationConfig
) -> list[str]:  # fmt: skip
    """Two cells: the ratio with its interval, and the verdict."""
    verdict = {None: NOTHING, True: "yes", False: "no"}[no_worse(upper, config)]
    return [NOTHING if ratio is None else f"{ratio:.2f}{_interval(ends)}", verdict]


def _title(key: str) -> str:
    """mindcf_0.01 -> minDCF 0.01, min_cllr -> minCllr."""
    return key.replace("dcf_", "DCF ").replace("min_cllr", "minCllr").replace("cllr", "Cllr")
