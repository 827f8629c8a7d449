"""The results of an experiment folder: one record a system, trial list and scoring, and their table."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from xvkd.errors import UserError

Record = dict[str, Any]


def collect(experiment: str | Path, corpus: str) -> list[Record]:
    """Gathers the figures of every model that has scores.

    Args:
        experiment: ``exp/<corpus>``, with a folder a model.
        corpus: its name.

    Returns:
        records with ``corpus``, ``system``, ``role``, ``teacher``, ``levels``, ``loss``, ``parameters``,
        ``teacher_parameters``, ``reduction_percent``, ``set``, ``scoring``, ``trials``, ``eer_percent``,
        ``mindcf_*`` and ``seed``; teachers first, then by size.

    Raises:
        UserError: no model has scores, or a model's config.yaml is damaged.
    """
    records: list[Record] = []
    for path in sorted(Path(experiment).glob("*/scores/*/metrics.json")):
        folder, level = path.parents[2], path.parent.name
        try:
            system = _system(folder, level, corpus)
            figures = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            raise UserError(
                f"{folder}: config.yaml or metrics.json is damaged ({error}); repeat stages 4 to 9"
            ) from None
        for name, scorings in figures.items():
            records += [{**system, "set": name, "scoring": key, **value} for key, value in scorings.items()]
    if not records:
        raise UserError(f"{experiment}: no scores yet; run stages 4 to 9 first")
    return sorted(records, key=_order)


def _system(folder: Path, level: str, corpus: str) -> Record:
    """What identifies a system: a level of a teacher, or a student."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    student = config["role"] == "student"
    teacher = config["teacher"] if student else folder.name
    parameters = config["parameters"] if student else config["levels"][level]["parameters"]
    whole = config["teacher_parameters"] if student else config["parameters"]
    return {
        "corpus": corpus,
        "system": folder.name if student else f"{folder.name}/{level}",
        "role": config["role"],
        "teacher": teacher,
        "levels": config["distilled"] if student else [level],
        "loss": config["loss"],
        "parameters": parameters,
        "teacher_parameters": whole,
        # What the teacher needs to give these levels; None for a student of labels.
        "teacher_level_parameters": config.get("teacher_level_parameters") if student else parameters,
        "reduction_percent": round(100 * (1 - parameters / whole), 2),
        "seed": config["seed"],
    }


def _order(record: Record) -> tuple[Any, ...]:
    """Teachers first, level by level; then students from small to large."""
    student = record["role"] == "student"
    return (
        record["teacher"], student, record["parameters"], bool(record["levels"]), record["system"], record["set"],
        record["scoring"],
    )


def best_levels(records: Iterable[Record], chosen_on: str, scoring: str) -> dict[str, str]:
    """The best level of each teacher on the set that choices are made on: teacher -> system."""
    best: dict[str, Record] = {}
    for record in records:
        if (record["role"], record["set"], record["scoring"]) == ("teacher", chosen_on, scoring):
            other = best.get(record["teacher"])
            if other is None or record["eer_percent"] < other["eer_percent"]:
                best[record["teacher"]] = record
    return {teacher: record["system"] for teacher, record in best.items()}


def table(records: list[Record], name: str, dcf_names: list[str], best: dict[str, str]) -> list[str]:
    """Markdown lines: one row a system, size against error on the trial list ``name``."""
    chosen = [record for record in records if record["set"] == name]
    scorings = list(dict.fromkeys(record["scoring"] for record in chosen))
    last = scorings[-1]
    header = ["system", "levels", "loss", "seed", "parameters", "smaller by"]
    header += [f"EER {scoring} (%)" for scoring in scorings]
    header += [f"{key.replace('mindcf_', 'minDCF ')} {last}" for key in dcf_names]
    lines = ["| " + " | ".join(header) + " |", "|---|---|---|" + "---:|" * (len(header) - 3)]
    systems: dict[str, dict[str, Record]] = {}
    for record in chosen:
        systems.setdefault(record["system"], {})[record["scoring"]] = record
    for system, by_scoring in systems.items():
        record = next(iter(by_scoring.values()))
        mark = " (best on dev)" if best.get(record["teacher"]) == system else ""
        cells = [
            record["role"], ("+".join(record["levels"]) or "labels only") + mark, record["loss"], str(record["seed"]),
            f"{record['parameters']:,}", f"{record['reduction_percent']:.1f} %",
        ]
        # A system of an earlier run may have been scored in fewer ways.
        cells += [f"{by_scoring[key]['eer_percent']:.2f}" if key in by_scoring else "-" for key in scorings]
        cells += [f"{by_scoring[last][key]:.3f}" if key in by_scoring.get(last, ()) else "-" for key in dcf_names]
        lines.append("| " + " | ".join(cells) + " |")
    return lines
