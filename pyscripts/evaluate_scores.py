#!/usr/bin/env python3
"""Prints the equal error rate and the minimum detection cost of scores, as Kaldi's compute-eer and compute_min_dcf.py.

TRIALS has "enrolment test target|nontarget" lines and SCORES "enrolment test score" lines, in any order; scores of
other trials are passed over. Unlike Kaldi's programs, it takes the scores and their trials as they are (neither
prepare_for_eer.py nor sorting is needed), refuses trials that have no score (--skip-missing leaves them out), and lets
equal scores fall on one side of the threshold of minDCF.
"""

import logging

import numpy as np

from xvkd import cli
from xvkd.errors import UserError
from xvkd.evaluation.metrics import eer, min_dcf
from xvkd.evaluation.report import EvaluationConfig
from xvkd.kaldi.trials import align_scores, read_scores, read_trials

# What Kaldi's compute_min_dcf.py does unless told otherwise.
ABSENT = {"p_targets": [0.01], "c_miss": 1.0, "c_fa": 1.0}


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_schema(parser, EvaluationConfig, list(ABSENT), ABSENT)
    parser.add_argument("--skip-missing", action="store_true", help="leaves out trials that have no score")
    cli.add_pipes(parser)
    parser.add_argument("trials", metavar="TRIALS", help="file or - or, with --allow-pipes, 'command |'")
    parser.add_argument("scores", metavar="SCORES", help="the same")
    args = parser.parse_args()
    options = cli.schema_values(args)
    trials, scores = read_trials(args.trials, args.allow_pipes), read_scores(args.scores, args.allow_pipes)
    rows = align_scores(trials, scores, args.scores)
    missing = rows < 0
    if missing.any():
        what = (
            f"{args.scores}: no score for {np.count_nonzero(missing)} of the {len(trials)} trials of {args.trials}, "
            f"the first of them '{trials.name(int(missing.argmax()))}'"
        )
        if not args.skip_missing:
            raise UserError(f"{what}; score them, or leave such trials out with --skip-missing")
        logging.warning("%s; they are left out", what)
    values = scores.score[rows]
    target, nontarget = values[trials.target & ~missing], values[~trials.target & ~missing]
    try:
        rate, threshold = eer(target, nontarget)
        print(f"EER {100 * rate:.4g} % at threshold {threshold:g}")
        for p_target in options["p_targets"]:
            cost, threshold = min_dcf(target, nontarget, p_target, options["c_miss"], options["c_fa"])
            print(f"minDCF({p_target:g}) {cost:.4f} at threshold {threshold:.4f}")
    except UserError as error:
        raise UserError(f"{args.scores}: {error}") from None


if __name__ == "__main__":
    cli.run(main)
