#!/usr/bin/env python3
"""Checks every configuration file of a run before anything is computed.

A mistake in a student's file is found in the first second, not after the teacher has been trained.
"""

from collections.abc import Collection
from pathlib import Path

from xvkd import cli, config
from xvkd.augmentation.config import AugmentationConfig, NoiseConfig
from xvkd.backend.backend import BackendConfig
from xvkd.corpora.prepare import load_corpus
from xvkd.distillation.assembly import check_sequences, imitated_level
from xvkd.distillation.config import LossConfig
from xvkd.distillation.levels import level_names, levels_of, parse_levels
from xvkd.distillation.task import losses_of
from xvkd.errors import UserError
from xvkd.evaluation.report import EvaluationConfig
from xvkd.nets import onnx_import
from xvkd.nets.extraction import ExtractionConfig
from xvkd.nets.kaldi_import import import_network
from xvkd.nets.models import STUDENTS, TEACHERS, BuildRecord, build_network
from xvkd.nets.network import XvectorNetwork, plain_level
from xvkd.training.config import check_chunks, load_input_config, load_model_config, load_objective
from xvkd.training.shards import ShardConfig


def main() -> None:
    parser = cli.parser(__doc__)
    for kind in ("corpus", "teacher", "student"):
        parser.add_argument(f"--{kind}", required=True, help=f"conf/.../<{kind}>.yaml")
        parser.add_argument(f"--{kind}-set", action="append", default=[], metavar="KEY=VALUE")
    for kind in ("noise", "backend", "evaluation"):
        cli.add_overrides(parser, kind)
    parser.add_argument("--teacher-nnet3", metavar="FINAL_RAW", help="a network of Kaldi's in the teacher's place")
    parser.add_argument("--teacher-onnx", metavar="MODEL", help="a network in an ONNX file in the teacher's place")
    parser.add_argument("--levels", default="", metavar="LEVEL=NODE,...", help="where that network has its levels")
    parser.add_argument("--teacher-input", metavar="FILE", help="conf/inputs/<name>.yaml: what that network reads")
    parser.add_argument("--teacher-embeddings", metavar="DIR", help="a teacher's embeddings in its place")
    parser.add_argument("--augmentation", nargs="*", default=[], metavar="FILE", help="conf/augmentation/<name>.yaml")
    parser.add_argument("--teacher-name", default="", metavar="NAME", help="as --students have it, NAME:LEVEL")
    parser.add_argument(
        "--distil", nargs=2, action="append", default=[], metavar=("LEVELS", "FILE"),
        help="what a student is made of: levels, and conf/losses/<name>.yaml",
    )  # fmt: skip
    args = parser.parse_args()
    source_options = load_corpus(args.corpus, args.corpus_set)[2]
    if getattr(source_options, "train_dir", "generated") == "":
        raise UserError("which training set? Give --train-dir DIR (or --apply MODEL, to apply a finished model)")
    output_level = None
    if args.teacher_embeddings:
        teacher = f"{args.teacher_embeddings}/train"
        levels = level_names(teacher)
    elif args.teacher_nnet3:
        teacher = args.teacher_nnet3
        levels = import_network(teacher, load_input_config(args.teacher_input)[1].dim)[1].levels
    elif args.teacher_onnx:
        teacher, nodes = args.teacher_onnx, onnx_import.parse_nodes(args.levels)
        levels = onnx_import.import_network(teacher, nodes, load_input_config(args.teacher_input)[1].dim)[1].levels
    else:
        teacher = args.teacher
        network = _network(teacher, args.teacher_set, TEACHERS)
        levels, output_level = network.levels, network.output_level
    _network(args.student, args.student_set, STUDENTS)
    for path in args.augmentation:
        config.load(AugmentationConfig, path)
    folder = Path(args.teacher).parent.parent
    config.load(NoiseConfig, folder / "noise.yaml", args.noise_set)
    scorings = config.load(BackendConfig, folder / "backend.yaml", args.backend_set).scorings
    primary = config.load(EvaluationConfig, folder / "evaluation.yaml", args.evaluation_set).primary_scoring
    if primary not in scorings:
        raise UserError(
            f"primary_scoring: {primary} (conf/evaluation.yaml, --evaluation-set) is not among the scorings "
            f"{', '.join(scorings)} (conf/backend.yaml, --backend-set); add it there"
        )
    config.load(ExtractionConfig, folder / "extraction.yaml")
    config.load(ShardConfig, folder / "shards.yaml")
    for text, path in args.distil:
        _check_student(text, config.load(LossConfig, path), args.teacher_name, teacher, levels, output_level)


def _check_student(
    text: str, loss: LossConfig, name: str, teacher: str, known: Collection[str], output_level: str | None
) -> None:
    """What can be told of a student before its teacher is there; stage 6 looks other teachers' levels up."""
    others = {part.rpartition(":")[0] for part in parse_levels(text)} - {"", name}
    levels = levels_of(text, [name, *sorted(others)])
    for level in levels:
        if level.teacher == 0 and plain_level(level.name) not in known:
            there = ", ".join(known) or "none"
            raise UserError(f"--students {text}: {teacher} has no level '{level.name}' (there are: {there})")
    check_sequences(levels, loss)
    if losses_of(loss, "posteriors"):
        if output_level is None:
            raise UserError(f"--students {text}: {teacher} has no classifier for kl; choose another loss")
        imitated_level(levels, loss, output_level, teacher)


def _network(path: str, overrides: list[str], package: str) -> XvectorNetwork:
    """Builds the network of a configuration, which checks all that the configuration names."""
    model, _, features, _ = load_model_config(path, overrides)
    network = build_network(BuildRecord(package, model.network, model.arch, features.dim, 1), path)
    check_chunks(model.training, network.min_frames, path)
    load_objective(path, model, overrides)
    return network


if __name__ == "__main__":
    cli.run(main)
