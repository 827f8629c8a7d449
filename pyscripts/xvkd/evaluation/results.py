"""The results of an experiment folder: one record a system, trial list and scoring; students compared to teachers."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from xvkd.backend.backend import PLDA
from xvkd.backend.folding import deployed_parameters, plda_parameters
from xvkd.backend.plda import Plda
from xvkd.errors import UserError
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.strata import Comparison
from xvkd.evaluation.system import METRICS, SCATTER, read_draws
from xvkd.kaldi.plda_format import read_plda

Record = dict[str, Any]
# (system, list, scoring), or (system, list, scoring, pairing) -> the bootstrap's key and the EER, a fraction, of each
# draw.
AllDraws = dict[tuple[str, ...], tuple[str, np.ndarray]]


def collect(experiment: str | Path, corpus: str) -> tuple[list[Record], AllDraws]:
    """Gathers the figures of every model that has scores.

    Args:
        experiment: ``exp/<corpus>``, with a folder a model.
        corpus: its name.

    Returns:
        records with ``corpus``, ``system``, ``role``, ``teacher``, ``levels``, ``loss``, ``network``, ``unlabelled``,
        ``parameters``, ``teacher_parameters``, ``reduction_percent``, ``deployed_parameters``, ``plda_parameters``,
        ``seed``, ``set``, ``scoring`` and the figures of ``metrics.json``; teachers first, then by size. Those of the
        list that is named as its set have ``scatter``, what ``scatter.json`` tells of speakers that were ``seen`` in
        training and, ``unseen``, of the set's. And the draws of their bootstrap.

    Raises:
        UserError: no model has scores, or a model's config.yaml or figures are damaged.
    """
    records: list[Record] = []
    draws: AllDraws = {}
    for path in sorted(Path(experiment).glob(f"*/scores/*/{METRICS}")):
        folder, level = path.parents[2], path.parent.name
        try:
            system = describe_system(folder, level, corpus)
            figures = json.loads(path.read_text(encoding="utf-8"))
            lists = [(name, scoring, one) for name, scorings in figures.items() for scoring, one in scorings.items()]
            scatter = _scatter(path.with_name(SCATTER))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            raise UserError(
                f"{folder}: config.yaml, metrics.json or scatter.json is damaged ({error}); repeat stages 4 to 9"
            ) from None
        records += [
            {**system, "set": name, "scoring": scoring, **one, **scatter.get(name, {})} for name, scoring, one in lists
        ]  # fmt: skip
        draws |= {(system["system"], *key): value for key, value in read_draws(path.parent).items()}
    if not records:
        raise UserError(f"{experiment}: no scores yet; run stages 4 to 9 first")
    return sorted(records, key=_order), draws


def _scatter(path: Path) -> dict[str, Record]:
    """What the records of each set get of scatter.json; nothing where an earlier version scored."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    others = found.get("unseen", {})
    return {name: {"scatter": {"seen": found["seen"], "unseen": about}} for name, about in others.items()}


def describe_system(folder: Path, level: str, corpus: str) -> Record:
    """What identifies a system: a level of a teacher, or a student; raises what its config.yaml makes impossible."""
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
        # The kind of network; "" where only embeddings were left.
        "network": (config.get("build") or {}).get("network", ""),
        "unlabelled": config.get("unlabelled", {}).get("sets", []),
        "parameters": parameters,
        "teacher_parameters": whole,
        # What the teacher needs to give these levels; None for a student of labels.
        "teacher_level_parameters": config.get("teacher_level_parameters") if student else parameters,
        # A teacher from elsewhere may have left its embeddings only.
        "reduction_percent": None if None in (parameters, whole) else round(100 * (1 - parameters / whole), 2),
        **_deployed(folder, level, config),
        "seed": config["seed"],
    }


def _deployed(folder: Path, level: str, config: Record) -> Record:
    """Parameters of the network with mean and LDA folded into its last layer, and those of PLDA.

    None without a back end, or of a network whose layers are not known (an ONNX file, embeddings only) or were not
    recorded (by an earlier version).
    """
    found: Record = {"deployed_parameters": None, "plda_parameters": None}
    about = config.get("levels", {}).get(level, {})
    model = folder / "backend" / level / PLDA
    if "fan_in" in about and model.exists():
        plda = Plda(*read_plda(model))
        found["deployed_parameters"] = deployed_parameters(
            about["parameters"], about["size"], about["fan_in"], len(plda.mean)
        )  # fmt: skip
        found["plda_parameters"] = plda_parameters(plda)
    return found


def _order(record: Record) -> tuple[Any, ...]:
    """Teachers first, level by level; then students from small to large."""
    student = record["role"] == "student"
    return (
        record["teacher"], student, record["parameters"] or 0, bool(record["levels"]), record["system"], record["set"],
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


def compare_with_teachers(
    records: list[Record], draws: AllDraws, best: Mapping[str, str], config: EvaluationConfig
) -> None:
    """Compares each student with its teacher's best level, list by list and scoring by scoring.

    Args:
        records: those of students get ``compared_with``, the teacher's level, ``eer_ratio``, ``eer_ratio_ci`` and
            ``eer_ratio_upper``, the one-sided bound.
        draws: of the bootstrap; a ratio without draws that belong together has no interval.
        best: see ``best_levels``.
        config: the intervals' confidence.
    """
    by_key = {_key(record): record for record in records}
    for record in records:
        other = by_key.get((best.get(record["teacher"], ""), record["set"], record["scoring"]))
        if record["role"] == "student" and other is not None:
            record["compared_with"] = other["system"]
            record |= compare_two(record, other, draws, config)


def compare_pairings(records: list[Record], draws: AllDraws, config: EvaluationConfig) -> None:
    """Compares each pairing of a system with the system as it is, list by list and scoring by scoring.

    Args:
        records: each of their ``pairings`` gets ``eer_ratio``, ``eer_ratio_ci`` and ``eer_ratio_upper``.
        draws: of the bootstrap.
        config: the intervals' confidence.
    """
    for record in records:
        for name, figures in record.get("pairings", {}).items():
            figures |= compare_two({**record, **figures, "pairing": name}, record, draws, config)


def compare_over_seeds(
    records: list[Record], draws: AllDraws, config: EvaluationConfig
) -> dict[tuple[str, str, str], tuple[list[Record], Comparison]]:
    """The same over several training seeds of a student and of its teacher.

    Args:
        records: as ``compare_with_teachers`` leaves them.
        draws: of the bootstrap.
        config: the intervals' confidence, and the seed of the draws.

    Returns:
        (system without its seed, list, scoring) -> its records, a seed each, and how they compare; of
        students that have been trained with more than one seed.
    """
    by_key = {_key(record): record for record in records}
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        if "compared_with" in record:
            name = record["system"].removesuffix(f"_s{record['seed']}")
            groups.setdefault((name, record["set"], record["scoring"]), []).append(record)
    compared = {}
    for (name, *where), group in groups.items():
        if len(group) > 1:
            pairs = [(record, by_key[(record["compared_with"], *where)]) for record in group]
            compared[(name, *where)] = group, _compare(pairs, draws, config)
    return compared


def no_worse(upper: float | None, config: EvaluationConfig) -> bool | None:
    """Whether a system counts as no worse than another; None where the ratio's upper bound is not known."""
    return None if upper is None else upper < config.no_worse_ratio


def _key(record: Record) -> tuple[str, ...]:
    pairing = [record["pairing"]] if "pairing" in record else []
    return record["system"], record["set"], record["scoring"], *pairing


def compare_two(record: Record, other: Record, draws: AllDraws, config: EvaluationConfig) -> Record:
    """How the EER of one record compares with another's on the same list: ratio, interval and one-sided bound."""
    found = _compare([(record, other)], draws, config)
    return {"eer_ratio": found.ratio, "eer_ratio_ci": found.interval, "eer_ratio_upper": found.upper}


def _compare(pairs: list[tuple[Record, Record]], draws: AllDraws, config: EvaluationConfig) -> Comparison:
    """Compares the first of each pair, a seed each, with the second."""
    found = [[draws.get(_key(record), ("", np.empty(0))) for record in pair] for pair in pairs]
    if len({(key, len(values)) for pair in found for key, values in pair}) > 1:
        # Other draws, or other speakers: nothing can be compared draw by draw.
        found = [[("", np.empty(0)) for _ in pair] for pair in pairs]
    rates = np.array([[record["eer_percent"] for record in pair] for pair in pairs])
    sides = [np.stack([pair[side][1] for pair in found]) for side in (0, 1)]
    return Comparison.of(rates[:, 0], sides[0], rates[:, 1], sides[1], config.confidence, config.bootstrap_seed)
