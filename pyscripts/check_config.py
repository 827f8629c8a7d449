#!/usr/bin/env python3
"""Checks every configuration file of a run before anything is computed.

A mistake in a student's file is found in the first second, not after the teacher has been trained.
"""

from pathlib import Path

from xvkd import cli, config
from xvkd.backend.backend import BackendConfig
from xvkd.corpora.prepare import load_corpus
from xvkd.distillation.levels import parse_levels
from xvkd.distillation.targets import LossConfig
from xvkd.errors import UserError
from xvkd.evaluation.report import EvaluationConfig
from xvkd.nets.extraction import ExtractionConfig
from xvkd.nets.models import STUDENTS, TEACHERS, BuildRecord, build_network
from xvkd.nets.network import XvectorNetwork
from xvkd.registry import find
from xvkd.training.config import load_model_config


def main() -> None:
    parser = cli.parser(__doc__)
    for kind in ("corpus", "teacher", "student"):
        parser.add_argument(f"--{kind}", required=True, help=f"conf/.../<{kind}>.yaml")
        parser.add_argument(f"--{kind}-set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--students", nargs="*", default=[], metavar="LEVELS")
    parser.add_argument("--losses", nargs="*", default=[], metavar="FILE")
    args = parser.parse_args()
    load_corpus(args.corpus, args.corpus_set)
    network = _network(args.teacher, args.teacher_set, TEACHERS)
    _network(args.student, args.student_set, STUDENTS)
    for path in args.losses:
        for term in config.load(LossConfig, path).terms:
            find("xvkd.distillation.losses", term)
    folder = Path(args.teacher).parent.parent
    config.load(BackendConfig, folder / "backend.yaml")
    config.load(EvaluationConfig, folder / "evaluation.yaml")
    config.load(ExtractionConfig, folder / "extraction.yaml")
    for levels in args.students:
        for level in parse_levels(levels) if levels != "label" else []:
            if level not in network.levels:
                known = ", ".join(network.levels)
                raise UserError(f"--students {levels}: {args.teacher} has no level '{level}' (there are: {known})")


def _network(path: str, overrides: list[str], package: str) -> XvectorNetwork:
    """Builds the network of a configuration, which checks all that the configuration names."""
    model, _, features, _ = load_model_config(path, overrides)
    return build_network(BuildRecord(package, model.network, model.arch, features.dim, 1), path)


if __name__ == "__main__":
    cli.run(main)
