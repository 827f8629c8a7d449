#!/usr/bin/env python3
"""Trains a student: on levels of a teacher, or, with --levels label, on speaker labels alone.

A random chunk of an utterance regresses the teacher's embedding of the whole utterance. The student
that has labels alone is the same network with a speaker classifier; its embedding has the size of the
teacher's first segment layer, or of its smallest level if none is called segment...
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from xvkd import cli
from xvkd import config as configuration
from xvkd.backend.backend import BackendConfig
from xvkd.distillation.levels import parse_levels, read_levels
from xvkd.distillation.targets import LossConfig, make_targets
from xvkd.distillation.task import Distillation, fold_affine
from xvkd.distillation.teacher import Teacher
from xvkd.errors import UserError
from xvkd.nets.models import STUDENTS
from xvkd.training.checkpoint import checksum
from xvkd.training.setup import TrainingSetup, training_parser


def main() -> None:
    parser = training_parser(__doc__, "students")
    parser.add_argument("--teacher", type=Path, required=True, metavar="MODEL", help="the teacher's folder")
    parser.add_argument("--levels", required=True, help="names joined by +, such as frame+segment6; or label")
    parser.add_argument("--loss", help="conf/losses/<name>.yaml; not with --levels label")
    parser.add_argument(
        "--embeddings", action="append", type=Path, metavar="DIR",
        help="has <level>.scp of a training set; one for each --data-dir, in their order; default: the teacher's",
    )
    args = parser.parse_args()
    teacher = Teacher.read(args.teacher)
    record = {"role": "student", "teacher": args.teacher.name, "teacher_parameters": teacher.parameters}
    setup = TrainingSetup(args)
    if args.levels == "label":
        network = setup.network(STUDENTS, teacher.label_size())
        task = setup.classification(network)
        setup.start(task)
        setup.train(task)
        setup.finish(network, **record, distilled=[], loss=setup.config.objective)
        return
    if not args.loss:
        raise UserError("--loss is missing: which of conf/losses/*.yaml?")
    levels = parse_levels(args.levels)
    loss = configuration.load(LossConfig, args.loss)
    backend = configuration.load(BackendConfig, Path(args.config).parent.parent / "backend.yaml")
    folders = args.embeddings or [args.teacher / "embeddings" / Path(path).name for path in args.data_dir]
    if len(folders) != len(args.data_dir):
        raise UserError(f"--embeddings: {len(folders)} folders for {len(args.data_dir)} of --data-dir")
    names, embeddings = read_levels(folders, levels)
    rows = {name: row for row, name in enumerate(names)}
    setup.keep(np.array([row for row, name in enumerate(setup.utterances) if name in rows], dtype=int))
    if not setup.utterances:
        raise UserError(f"{', '.join(args.data_dir)}: none of the utterances has an embedding of the teacher")
    order = np.array([rows[name] for name in setup.utterances])
    needed = {"teacher_level_parameters": teacher.parameters_for(levels)}
    embeddings = [part[order] for part in embeddings]
    targets = make_targets(levels, embeddings, setup.speakers, loss, backend.pca_dim)
    network = setup.network(STUDENTS, targets.values.shape[1])
    output_layer = network.segment_layers[network.output_level]
    task = Distillation(network, targets, loss)
    if setup.start(task):
        fold_affine(output_layer, *targets.normalisation())
    setup.train(
        task, loss=asdict(loss), pca_dim=backend.pca_dim, levels=levels,
        embeddings=[checksum(part) for part in embeddings],
    )
    fold_affine(output_layer, targets.scale, targets.shift)
    setup.finish(network, **record, distilled=levels, loss=Path(args.loss).stem, **needed)


if __name__ == "__main__":
    cli.run(main)
