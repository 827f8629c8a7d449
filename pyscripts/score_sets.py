#!/usr/bin/env python3
"""Scores every trial list of some data directories with one level of one model.

Writes <list>.<scoring>.txt, "enrolment test score" lines, for each list and each scoring of the back
end's configuration, and the figures of all of them to metrics.json.
"""

import json
import logging
from pathlib import Path

import numpy as np

from xvkd import cli, config
from xvkd.backend.backend import Backend, BackendConfig
from xvkd.backend.scoring import score
from xvkd.errors import UserError
from xvkd.evaluation.report import EvaluationConfig, report
from xvkd.kaldi.archives import read_vectors
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.trials import read_enrolments, read_trials, write_scores


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/backend.yaml")
    parser.add_argument("--evaluation", required=True, help="conf/evaluation.yaml")
    parser.add_argument("--backend", required=True, help="folder of mean.vec, transform.mat and plda")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of <set>/<level>.scp")
    parser.add_argument("--level", required=True)
    parser.add_argument("folder", type=Path, help="gets the scores")
    parser.add_argument("data_dirs", nargs="+", help="data directories with trials")
    args = parser.parse_args()
    options = config.load(BackendConfig, args.config)
    evaluation = config.load(EvaluationConfig, args.evaluation)
    backend = Backend.load(args.backend)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for data_dir in map(DataDir, args.data_dirs):
        utterances, vectors = read_vectors(args.embeddings / data_dir.path.name / f"{args.level}.scp")
        rows = {utterance: row for row, utterance in enumerate(utterances)}
        for name, (path, enrol) in data_dir.trial_lists().items():
            trials = read_trials(path)
            members = read_enrolments(enrol) if enrol else {model: [model] for model in trials.models}
            try:
                enrolments = [(model, [rows[u] for u in members[model]]) for model in trials.models]
                test_rows = [rows[utterance] for utterance in trials.tests]
            except KeyError as error:
                raise UserError(f"{path}: {error} has no embedding of the level '{args.level}'; remove its trials, "
                                f"or add it to {data_dir.path} and repeat from stage 3") from None
            tests = np.array(test_rows)[trials.test]
            for scoring in options.scorings:
                scores = score(scoring, backend, options, enrolments, vectors, trials.model, tests)
                write_scores(args.folder / f"{name}.{scoring}.txt", trials, scores)
                figures.setdefault(name, {})[scoring] = report(scores, trials.target, evaluation)
                logging.info("%s, %s: EER %.2f %%", name, scoring, figures[name][scoring]["eer_percent"])
    with atomic_write(args.folder / "metrics.json") as file:
        json.dump(figures, file, indent=1)


if __name__ == "__main__":
    cli.run(main)
