#!/usr/bin/env python3
"""Gathers the figures of all models of an experiment: results.json and RESULTS.md.

Each student is compared with its teacher's best level, speaker draw by speaker draw (docs/evaluation.md).
"""

import json
import logging
import time
from pathlib import Path

from xvkd import cli, config
from xvkd.corpora.prepare import CorpusConfig
from xvkd.evaluation.pairing_tables import across_table, duration_table
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import best_levels, collect, compare_over_seeds, compare_pairings, compare_with_teachers
from xvkd.evaluation.tables import condition_table, cost_table, error_table, scatter_table, seed_table
from xvkd.kaldi.files import atomic_write

NOTES = (
    "Sizes are compared with the whole teacher without its classifier; a level's parameters are those of the layers "
    "that it needs. Deployed: with mean subtraction and LDA folded into the last layer, which leaves the scores of "
    "lda_cosine and plda as they are (docs/folding.md); PLDA has further parameters. The teacher's best level is "
    "chosen on {dev_set}, by {primary_scoring}; students are compared with "
    "it. In brackets: {percent:g} % intervals of a bootstrap over speakers, which say nothing about other training "
    "seeds. No worse: the one-sided {percent:g} % upper bound of the ratio lies below {no_worse_ratio:g}. Cllr and "
    "actDCF are those of scores calibrated on {dev_set}, so that they flatter on {dev_set} itself.\n"
)
SCATTER_NOTES = (
    "Variance of embeddings within speakers by that between speakers, each dimension normalised as targets are: on the "
    "speakers of train, on others, and how many times as large it is on these. 1: new speakers are treated as known "
    "ones; the larger, the more of its speakers the teacher has memorised, and the less its targets on them teach.\n"
)


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--evaluation", required=True, help="conf/evaluation.yaml")
    parser.add_argument("--corpus", type=Path, required=True, help="conf/corpora/<name>.yaml")
    parser.add_argument("experiment", type=Path, help="exp/<corpus>, with a folder a model")
    parser.add_argument("folder", type=Path, help="gets RESULTS.md and results.json")
    args = parser.parse_args()
    about = config.load(CorpusConfig, args.corpus).about
    options = config.load(EvaluationConfig, args.evaluation)
    records, draws = collect(args.experiment, args.experiment.name)
    best = best_levels(records, options.dev_set, options.primary_scoring)
    compare_with_teachers(records, draws, best, options)
    compare_pairings(records, draws, options)
    old = dict.fromkeys(record["system"] for record in records if "eer_ci" not in record)
    if old:
        logging.warning(
            "without intervals and calibrated costs, because an earlier version scored them: %s; repeat stage 9 "
            "with the options that they were trained with", ", ".join(old),
        )  # fmt: skip
    with atomic_write(args.folder / "results.json") as file:
        json.dump(records, file, indent=1)
    over_seeds = compare_over_seeds(records, draws, options)
    names = sorted({record["set"] for record in records}, key=lambda name: (name.startswith(options.dev_set), name))
    with atomic_write(args.folder / "RESULTS.md") as file:
        file.write(f"# Results: {args.experiment.name}\n\n{time.strftime('%Y-%m-%d')}. {about}\n\n")
        file.write(NOTES.format(percent=100 * options.confidence, **vars(options)))
        for name in names:
            trials = next(record["trials"] for record in records if record["set"] == name)
            file.write(f"\n## {name} ({trials:,} trials)\n\n")
            tables = [
                ("", error_table(records, name, best, options)),
                (f"Costs of {options.primary_scoring}:\n\n", cost_table(records, name, best, options)),
                (f"EER of {options.primary_scoring} (%) by condition: gender of both sides, duration of the shorter, "
                 "signal-to-noise ratio of the noisier.\n\n", condition_table(records, name, best, options)),
                (f"EER of {options.primary_scoring} (%) by test duration: the middle so many seconds of the test "
                 "utterance's voiced frames; models are enrolled from whole utterances.\n\n",
                 duration_table(records, name, best, options)),
                (f"EER of {options.primary_scoring} (%) across models: a student with its teacher's back end, and "
                 "with the teacher's embeddings for models or for test utterances.\n\n",
                 across_table(records, name, best, options)),
                ("Over training seeds, which the intervals here count as well:\n\n",
                 seed_table(over_seeds, name, options)),
            ]  # fmt: skip
            file.write("\n".join(title + "\n".join(lines) + "\n" for title, lines in tables if lines))
        generalisation = scatter_table(records, options)
        if generalisation:
            file.write(f"\n## Generalisation of the teacher's levels\n\n{SCATTER_NOTES}\n")
            file.write("\n".join(generalisation) + "\n")


if __name__ == "__main__":
    cli.run(main)
