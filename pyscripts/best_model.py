#!/usr/bin/env python3
"""Prints which of several models is best on the development set, by the primary scoring of conf/evaluation.yaml.

Of models that are equally good, and where none has been scored on that set, the first. Kaldi has no such program.
"""

import json
import logging
import math
from pathlib import Path

from xvkd import cli, config
from xvkd.errors import UserError
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.system import METRICS


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--evaluation", required=True, help="conf/evaluation.yaml")
    cli.add_overrides(parser, "evaluation")
    parser.add_argument("--level", default="embedding", help="default: embedding")
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="a finished model's folder, with scores")
    args = parser.parse_args()
    evaluation = config.load(EvaluationConfig, args.evaluation, args.evaluation_set)
    errors = {model: error_of(model / "scores" / args.level / METRICS, evaluation) for model in args.models}
    best = min(errors, key=errors.__getitem__)
    if math.isinf(errors[best]):
        logging.warning("no model has been scored on '%s': the first is taken", evaluation.dev_set)
    print(best)


def error_of(path: Path, evaluation: EvaluationConfig) -> float:
    """The EER in percent; infinite if there is none."""
    if not path.exists():
        return math.inf
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
        scored = figures.get(evaluation.dev_set, {}).get(evaluation.primary_scoring, {})
        return float(scored.get("eer_percent", math.inf))
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({error}); remove it and repeat stage 9") from None


if __name__ == "__main__":
    cli.run(main)
