#!/usr/bin/env python3
"""Writes calibration.json and README.md, a model card, beside exported networks that have been scored.

FOLDER is that of export_model.py, with scores/<name>/, what score_sets.py has made of each file. Calibration and
thresholds are those of the file that is meant to be shipped, the one in eight bits that reads waveforms, on the
development set; the others' scores hardly differ.
"""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import onnx

from xvkd import cli, config
from xvkd.backend.backend import BackendConfig
from xvkd.corpora.prepare import CorpusConfig
from xvkd.deployment.card import Card, decision_rule, shipped
from xvkd.errors import UserError
from xvkd.evaluation.exports import SCORING
from xvkd.evaluation.report import EvaluationConfig
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.trials import align_scores, read_scores, read_trials
from xvkd.nets.record import read_record

SYNTHETIC = "synthetic"  # the source of a corpus


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--evaluation", required=True, help="conf/evaluation.yaml")
    cli.add_overrides(parser, "evaluation")
    parser.add_argument("--config", required=True, help="conf/backend.yaml")
    cli.add_overrides(parser)
    parser.add_argument("--corpus", required=True, help="conf/corpora/<name>.yaml")
    parser.add_argument("--data-dir", type=Path, action="append", required=True, help="what the network was trained on")
    parser.add_argument("--dev-dir", type=Path, help="the development set; without it there is no calibration.json")
    parser.add_argument("model", type=Path, metavar="MODEL", help="the folded model's folder")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="gets the files")
    args = parser.parse_args()
    record, corpus = read_record(args.model), config.load(CorpusConfig, args.corpus)
    evaluation = config.load(EvaluationConfig, args.evaluation, args.evaluation_set)
    try:
        files = (args.folder / "files").read_text(encoding="utf-8").split()
    except FileNotFoundError:
        raise UserError(f"{args.folder}: no exported network; run export_model.py first") from None
    properties = {entry.key: entry.value for entry in onnx.load(args.folder / files[0]).metadata_props}
    rule = None
    if args.dev_dir:
        scores, target = development_scores(args, files)
        backend = config.load(BackendConfig, args.config, args.set)
        rule = decision_rule(scores, target, evaluation, backend)
        with atomic_write(args.folder / "calibration.json") as file:
            json.dump(rule, file, indent=1)
    else:
        logging.warning("%s: no calibration.json, as there is no development set: nothing can be verified", args.folder)
    card = Card(
        record, properties, corpus.about, corpus.source == SYNTHETIC, training_data(args.data_dir), rule, evaluation
    )  # fmt: skip
    with atomic_write(args.folder / "README.md") as file:
        file.write(card.text(args.folder, files))


def development_scores(args: argparse.Namespace, files: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(T,) scores of the development set's first list, and whether each trial is a target one."""
    name, (path, _) = next(iter(DataDir(args.dev_dir).trial_lists().items()))
    folder = args.folder / "scores" / shipped(files).removesuffix(".onnx")
    scores = read_scores(folder / f"{name}.{SCORING}.txt")
    trials = read_trials(path)
    rows = align_scores(trials, scores, path)
    known = rows >= 0
    return scores.score[rows[known]], trials.target[known]


def training_data(folders: list[Path]) -> str:
    """The training sets, in words."""
    sets = []
    for data_dir in map(DataDir, folders):
        utt2spk, durations = data_dir.speakers(), data_dir.table_if_any("utt2dur")
        hours = sum(map(float, durations.values())) / 3600
        size = f"{len(utt2spk):,} utterances of {len(set(utt2spk.values())):,} speakers"
        sets.append(f"{data_dir.path.name} ({size}{f', {hours:.1f} h' if durations else ''})")
    return f"Trained on {', '.join(sets)}."


if __name__ == "__main__":
    cli.run(main)
