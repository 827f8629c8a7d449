#!/usr/bin/env python3
"""Scores trials, as Kaldi's ivector-plda-scoring and ivector-compute-dot-products.

TRIALS has "enrolment test" lines, with or without a label behind them (Kaldi's program takes two columns only). ENROL
has each model's mean over its enrolment utterances, not normalised, as Kaldi's ivector-mean makes it, or, with
--enrolments, the utterances themselves; TEST has the test utterances. Writes "enrolment test score" lines.

  --scoring=plda        log-likelihood ratios. With --backend=DIR the vectors are raw embeddings and first go through
                        its mean, LDA and length normalisation; --plda=FILE then replaces its PLDA model, for instance
                        by an adapted one. With --plda=FILE alone the vectors are taken as they are, which is after
                        mean, LDA and length normalisation, as by Kaldi's program.
  --scoring=cosine      cosines, of vectors less the mean of --backend=DIR if it is given, and as they are otherwise.
  --scoring=lda_cosine  cosines after mean and LDA of --backend=DIR.

Unlike Kaldi's program, which leaves out trials of unknown models and utterances with a warning each, it refuses them;
--skip-missing leaves them out with one warning in all. --smoothing is an option of Kaldi's ivector-copy-plda.
"""

import argparse
import logging

import numpy as np

from xvkd import cli
from xvkd.backend.backend import SCORINGS, Backend, BackendConfig, ScoringConfig
from xvkd.backend.plda import Plda
from xvkd.backend.scoring import TRIALS_AT_ONCE, Scorer, average
from xvkd.errors import UserError
from xvkd.kaldi.archives import load_vectors, read_integers
from xvkd.kaldi.plda_format import read_plda
from xvkd.kaldi.specifiers import RSpecifier, rspecifier
from xvkd.kaldi.trials import Pairs, read_enrolments, read_pairs, rows_of, write_scores

# What Kaldi's programs do unless told otherwise.
ABSENT = {"normalize_length": True, "simple_length_normalization": False, "smoothing": 0.0}


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--scoring", required=True, choices=SCORINGS)
    parser.add_argument("--backend", metavar="DIR", help="folder of mean.vec, transform.mat and plda")
    parser.add_argument("--plda", metavar="FILE", help="PLDA model, binary or text")
    parser.add_argument(
        "--num-utts", type=rspecifier, metavar="RSPECIFIER",
        help="table of how many utterances each model is the mean of; 1 where it is not given",
    )
    parser.add_argument(
        "--enrolments", metavar="FILE",
        help="lines 'model utterance...': ENROL has the utterances, and models are their means, as of ivector-mean",
    )
    parser.add_argument("--skip-missing", action="store_true", help="leaves out trials that lack a vector")
    cli.add_schema(parser, BackendConfig, list(ABSENT), ABSENT)
    cli.add_pipes(parser)
    parser.add_argument("trials", metavar="TRIALS", help="file or - or, with --allow-pipes, 'command |'")
    parser.add_argument("enrol", type=rspecifier, metavar="ENROL", help="scp:FILE or ark:FILE of models")
    parser.add_argument("test", type=rspecifier, metavar="TEST", help="scp:FILE or ark:FILE of test utterances")
    parser.add_argument("scores", metavar="SCORES", help="file or - or, with --allow-pipes, '| command'")
    args = parser.parse_args()
    if args.scoring != "plda" and (args.plda or args.num_utts):
        raise UserError(f"--plda, --num-utts: {args.scoring} makes no use of them; leave them out")
    if args.num_utts and args.enrolments:
        raise UserError("--num-utts: --enrolments says it; leave one of them out")
    config = ScoringConfig(**cli.schema_values(args))
    backend = Backend.load(args.backend) if args.backend else None
    plda = Plda(*read_plda(args.plda)) if args.plda else None
    scorer = Scorer.of(args.scoring, backend, plda, config)
    pairs = read_pairs(args.trials, args.allow_pipes)
    # Of the tables' own vectors, which can be large, one is held at a time.
    test_keys, vectors = _load(args.enrol, scorer, args.allow_pipes)
    dim = vectors.shape[1]
    if args.enrolments:
        enrol_keys, averages, num_utts = _averages(args.enrolments, test_keys, vectors, args.enrol)
        models = scorer.models(averages, num_utts)
    else:
        enrol_keys = test_keys
        models = scorer.models(vectors, _num_utts(args.num_utts, enrol_keys, args.enrol, args.allow_pipes))
    if args.test != args.enrol:
        del vectors
        test_keys, vectors = _load(args.test, scorer, args.allow_pipes)
        if vectors.shape[1] != dim:
            raise UserError(f"{args.test}: {vectors.shape[1]}-dimensional vectors; those of {args.enrol} have {dim}")
    tests = scorer.tests(vectors)
    del vectors
    enrol_rows, test_rows = rows_of(pairs.models, enrol_keys), rows_of(pairs.tests, test_keys)
    missing = (enrol_rows[pairs.model] < 0) | (test_rows[pairs.test] < 0)
    if missing.any():
        pairs = _without(pairs, missing, args)
    scores = models.score_trials(tests, enrol_rows[pairs.model], test_rows[pairs.test], TRIALS_AT_ONCE)
    write_scores(args.scores, pairs, scores, args.allow_pipes)
    logging.info("%d trials of %d models and %d test utterances", len(pairs), len(pairs.models), len(pairs.tests))


def _load(table: RSpecifier, scorer: Scorer, allow_pipes: bool) -> tuple[list[str], np.ndarray]:
    """The keys of a table and its vectors, which must be those that the scorer takes."""
    keys, vectors = load_vectors(table, allow_pipes)
    if scorer.dim not in (None, vectors.shape[1]):
        raise UserError(
            f"{table}: {vectors.shape[1]}-dimensional vectors, where the back end or PLDA model takes {scorer.dim}; "
            "use those of the same model and level"
        )
    return keys, vectors


def _averages(
    path: str, keys: list[str], vectors: np.ndarray, enrol: RSpecifier
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The models of an enrolment map, the mean of each one's vectors, and how many they are."""
    places = {key: row for row, key in enumerate(keys)}
    enrolments = []
    for model, utterances in read_enrolments(path).items():
        for utterance in utterances:
            if utterance not in places:
                raise UserError(f"{path}: model '{model}': utterance '{utterance}' has no vector in {enrol}")
        enrolments.append((model, [places[utterance] for utterance in utterances]))
    return [model for model, _ in enrolments], *average(enrolments, vectors)


def _num_utts(table: RSpecifier | None, models: list[str], enrol: RSpecifier, allow_pipes: bool) -> np.ndarray:
    """(M,) how many utterances each model is the mean of."""
    if table is None:
        return np.ones(len(models), np.int64)
    numbers = read_integers(table, allow_pipes)
    counts = np.array([numbers.get(model, 0) for model in models])
    if counts.min() < 1:
        model, wrong = models[counts.argmin()], int((counts < 1).sum())
        raise UserError(
            f"{table}: {wrong} of the {len(models)} models of {enrol}, '{model}' among them, have no number of "
            "utterances that is at least 1"
        )
    return counts


def _without(pairs: Pairs, missing: np.ndarray, args: argparse.Namespace) -> Pairs:
    """The pairs that are not missing, if the user allows that some are and some are left."""
    what = (
        f"{args.trials}: {np.count_nonzero(missing)} of {len(pairs)} trials, the first of them "
        f"'{pairs.name(int(missing.argmax()))}', lack a vector in {args.enrol} or {args.test}"
    )
    if not args.skip_missing or missing.all():
        raise UserError(f"{what}; add the vectors, or leave such trials out with --skip-missing")
    logging.warning("%s and are left out", what)
    return Pairs(pairs.models, pairs.tests, pairs.model[~missing], pairs.test[~missing])


if __name__ == "__main__":
    cli.run(main)
