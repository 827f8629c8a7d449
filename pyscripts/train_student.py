#!/usr/bin/env python3
"""Trains a student: on levels of one or several teachers, or, with --levels label, on speaker labels alone.

A random chunk of an utterance regresses the teachers' embeddings of the whole utterance (or of the same chunk, if the
loss says source: loop). The student that has labels alone is the same network with a speaker classifier; its embedding
has the size of the first teacher's first segment layer, or of its smallest level if none is called segment...
docs/distillation.md says what each loss does.
"""

import argparse
from pathlib import Path

from xvkd import cli
from xvkd import config as configuration
from xvkd.backend.backend import BackendConfig
from xvkd.distillation.assembly import Assembly
from xvkd.distillation.config import LossConfig
from xvkd.distillation.levels import levels_of
from xvkd.distillation.task import fold_affine
from xvkd.distillation.teacher import read_teachers
from xvkd.errors import UserError
from xvkd.nets.models import STUDENTS
from xvkd.training.ranks import joined
from xvkd.training.setup import TrainingSetup, training_parser


def main() -> None:
    args = parse()
    teachers = read_teachers(args.teacher)
    first = teachers[0]
    record = {"role": "student", "teacher": first.folder.name, "teacher_parameters": first.parameters}
    if args.levels == "label":
        if args.unlabelled_dir:
            raise UserError("--unlabelled-dir: a student of labels (--levels label) has no use for it; leave it out")
        setup = TrainingSetup(args)
        network = setup.network(STUDENTS, first.label_size())
        task = setup.classification(network)
        setup.start(task)
        setup.train(task)
        setup.finish(network, **record, distilled=[], loss=setup.config.objective)
        return
    if not args.loss:
        raise UserError("--loss is missing: which of conf/losses/*.yaml?")
    levels = levels_of(args.levels, [teacher.name for teacher in teachers])
    loss = configuration.load(LossConfig, args.loss)
    backend = configuration.load(BackendConfig, Path(args.config).parent.parent / "backend.yaml")
    pca_dim = args.pca_dim or backend.pca_dim
    setup = TrainingSetup(args, args.unlabelled_dir)
    parts = Assembly(setup, teachers, levels, loss, args.embeddings)
    targets = parts.targets(pca_dim)
    network = setup.network(STUDENTS, loss.head_dim or targets.dim)
    task = parts.task(network, targets)
    output_layer = network.segment_layers[network.output_level]
    if setup.start(task) and task.in_target_space:
        fold_affine(output_layer, *targets.normalisation())
    setup.train(task, **parts.identity(pca_dim))
    if task.in_target_space:
        fold_affine(output_layer, targets.scale, targets.shift)
    setup.finish(network, **record, distilled=args.levels.split("+"), loss=Path(args.loss).stem, **parts.record())


def parse() -> argparse.Namespace:
    """The command line."""
    parser = training_parser(__doc__, "students")
    parser.add_argument(
        "--unlabelled-dir", action="append", default=[], metavar="DIR",
        help="a set whose speakers are not known, or not to be used; again for further ones",
    )
    parser.add_argument(
        "--teacher", action="append", required=True, metavar="[NAME=]MODEL",
        help="a teacher's folder; again, with names, for levels of several; the first is the student's own teacher",
    )
    parser.add_argument(
        "--levels", required=True,
        help="names joined by +, such as frame+segment6, or tdnn:frame+ecapa:segment6 of teachers with names; or label",
    )
    parser.add_argument("--loss", metavar="FILE", help="conf/losses/<name>.yaml; not with --levels label")
    parser.add_argument(
        "--embeddings", action="append", type=Path, metavar="DIR",
        help="has <level>.scp of a training set; one for each --data-dir and --unlabelled-dir, in their order; "
        "default: MODEL/embeddings/<set> of each teacher",
    )
    parser.add_argument("--pca-dim", type=int, metavar="N", help="in place of that of conf/backend.yaml")
    return parser.parse_args()


if __name__ == "__main__":
    cli.run(joined(main))
