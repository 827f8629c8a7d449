#!/usr/bin/env python3
"""Tells with what a finished model is applied: prints the level, or writes FOLDER/features.yaml and vad.yaml.

Features and VAD are as the model's config.yaml recorded them when it was trained, not as conf/ says today; only keys
that are newer than the model are taken from there. The level is the given one; else a student's output; else the
teacher's best level on the development set, where the model has scores, or its output.
"""

import json
import logging
from pathlib import Path
from typing import Any

import yaml

from xvkd import cli, config
from xvkd.errors import UserError
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.system import METRICS
from xvkd.kaldi.files import atomic_write
from xvkd.nets.record import read_record


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--conf", type=Path, required=True, help="conf/")
    cli.add_overrides(parser, "evaluation")
    parser.add_argument("--level", default="", help="default: chosen as said above")
    parser.add_argument("model", type=Path, help="a finished model's folder")
    parser.add_argument("folder", type=Path, nargs="?", help="gets the files")
    args = parser.parse_args()
    record = read_record(args.model)
    try:
        sections = {name: (record["input"][name], record[name]) for name in ("features", "vad")}
        evaluation = config.load(EvaluationConfig, args.conf / "evaluation.yaml", args.evaluation_set)
        level = args.level or best_level(args.model, record, evaluation)
        known = ", ".join(record["levels"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{args.model / 'config.yaml'}: {error} is missing: this is no model of this recipe") from None
    if level not in record["levels"]:
        raise UserError(f"--level {level}: {args.model} has no such level (there are: {known})")
    if args.folder:
        for name, (file, values) in sections.items():
            write(args.folder / f"{name}.yaml", complete(args.model, args.conf / "features" / f"{file}.yaml", values))
    else:
        print(level)


def best_level(model: Path, record: dict[str, Any], evaluation: EvaluationConfig) -> str:
    """The level that was best on the development set, or the network's output."""
    errors = {}
    # In the network's order: of levels that are equally good, the first, as in the table of results.
    paths = {level: model / "scores" / level / METRICS for level in record["levels"]}
    for level, path in paths.items():
        if record["role"] != "teacher" or not path.exists():
            continue
        try:
            figures = json.loads(path.read_text(encoding="utf-8"))
            errors[level] = figures[evaluation.dev_set][evaluation.primary_scoring]["eer_percent"]
        except (ValueError, KeyError, TypeError) as error:
            logging.warning("%s: not counted: damaged, or without %s (%s)", path, evaluation.dev_set, error)
    output = list(record["levels"])[-1]
    level = min(errors, key=errors.__getitem__) if errors else output
    why = f"best on {evaluation.dev_set}, by {evaluation.primary_scoring}" if errors else "its output"
    logging.info("%s: level %s (%s)", model, level, why)
    return level


def complete(model: Path, path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Adds the keys that the model's time did not know."""
    today = config.read_tree(path) if path.exists() else {}
    newer = {key: value for key, value in today.items() if key not in values}
    if newer:
        logging.info("%s: recorded nothing of %s: as in %s", model, ", ".join(newer), path)
    return {**values, **newer}


def write(path: Path, values: dict[str, Any]) -> None:
    """Writes a configuration file."""
    with atomic_write(path) as file:
        yaml.safe_dump(values, file, sort_keys=False)


if __name__ == "__main__":
    cli.run(main)
