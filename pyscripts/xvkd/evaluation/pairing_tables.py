"""What shorter test utterances cost, and another model on one side of the trial, as tables."""

import re
from collections.abc import Mapping, Sequence

from xvkd.evaluation.report import EvaluationConfig, Figures
from xvkd.evaluation.results import Record
from xvkd.evaluation.tables import Table, chosen_records, system_cells, with_interval

# Pairings of a student with the teacher that it was distilled from, as stage 9 calls them.
ACROSS = {
    "teacher_backend": "teacher's back end", "teacher_enrols": "enrolled by the teacher",
    "student_enrols": "tested by the teacher",
}  # fmt: skip
DURATION = re.compile(r"\d+(\.\d+)?s")


def duration_table(
    records: list[Record], name: str, best: Mapping[str, str], config: EvaluationConfig
) -> Table:  # fmt: skip
    """EER of the primary scoring by the duration of the test utterance on the trial list ``name``: one row a system,
    that is the best level of each teacher and each student. Empty if none of them has such figures.

    Arguments as for ``tables.error_table``.
    """
    chosen = chosen_records(records, name, best, config)
    columns = durations_of(chosen)
    rows = []
    for record in chosen:
        figures = [*(_pairings(record).get(column, {}) for column in columns), record]
        rows.append([*system_cells(record, best, config), *(with_interval(one, "eer_percent") for one in figures)])
    header = ["system", "loss", "seed", *(f"{column.removesuffix('s')} s" for column in columns), "whole"]
    return Table(header, rows if columns else [], left=2)


def durations_of(records: Sequence[Record]) -> list[str]:
    """The pairings of records that are test durations, such as 1s, from short to long."""
    durations = {pairing for record in records for pairing in _pairings(record) if DURATION.fullmatch(pairing)}
    return sorted(durations, key=lambda pairing: float(pairing.removesuffix("s")))


def across_table(
    records: list[Record], name: str, best: Mapping[str, str], config: EvaluationConfig
) -> Table:  # fmt: skip
    """EER of the primary scoring where a student has its teacher's back end, or the teacher on one side of the trial:
    one row a student that can. Empty if none can. Arguments as for ``tables.error_table``."""
    header = ["system", "loss", "seed", "own"]
    for title in ACROSS.values():
        header += [title, "ratio to own"]
    rows = []
    for record in chosen_records(records, name, best, config):
        if not ACROSS.keys().isdisjoint(_pairings(record)):
            row = [*system_cells(record, best, config), with_interval(record, "eer_percent")]
            for pairing in ACROSS:
                figures = _pairings(record).get(pairing, {})
                row += [with_interval(figures, "eer_percent"), with_interval(figures, "eer_ratio")]
            rows.append(row)
    return Table(header, rows, left=2)


def _pairings(record: Record) -> dict[str, Figures]:
    return record.get("pairings", {})
