#!/usr/bin/env python3
"""PLDA scoring: 200,000 trials, all pairs of 1000 models and 200 test utterances, 200 dimensions.

usage: benchmarks/plda_scoring.py [--repeats N] [--threads N]

Method: the core is what remains when vectors and trials are in memory: PLDA's transform of either side with length
normalisation by the number of utterances (1 to 5), and the log-likelihood ratios. Its peer is a plain loop in numpy,
trial after trial, of Kaldi's Plda::LogLikelihoodRatio; it is timed over every tenth trial. The scores are compared
first; both take turns, --repeats times, and each one's best time counts. The command is score_trials.py as a user
runs it, from Kaldi's files to a score file, Python's start included, its trials in random order; the best of as many
runs. Kaldi's ivector-plda-scoring took 1.9 s for that on one core of another machine: 9.5 microseconds a trial,
reading and writing included.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

PARSER = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
PARSER.add_argument("--repeats", type=int, default=10, help="turns of each program (10)")
PARSER.add_argument("--threads", type=int, default=1, help="of the matrix products (1)")
ARGS = PARSER.parse_args()
os.environ["OMP_NUM_THREADS"] = str(ARGS.threads)  # before numpy is imported

import numpy as np  # noqa: E402
from machine import machine  # noqa: E402
from scoring_files import random_plda, score_trials, write_trials, write_vectors  # noqa: E402

from xvkd.backend.backend import ScoringConfig  # noqa: E402
from xvkd.backend.plda import Plda  # noqa: E402
from xvkd.backend.scoring import TRIALS_AT_ONCE, Scorer  # noqa: E402
from xvkd.kaldi.plda_format import write_plda  # noqa: E402

MODELS, TESTS, DIM, KALDI_SECONDS, EVERY = 1000, 200, 200, 1.9, 10


def loop(plda: Plda, enrol: np.ndarray, num_utts: np.ndarray, test: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """One trial after the other, as Kaldi's LogLikelihoodRatio, of vectors that have been transformed."""
    scores = np.empty(len(pairs))
    for trial, (model, utterance) in enumerate(pairs):
        n, t = num_utts[model], test[utterance]
        mean = n * plda.psi / (n * plda.psi + 1) * enrol[model]
        variance = 1 + plda.psi / (n * plda.psi + 1)
        given = -0.5 * (np.log(variance).sum() + ((t - mean) ** 2 / variance).sum())
        variance = 1 + plda.psi
        scores[trial] = given + 0.5 * (np.log(variance).sum() + (t**2 / variance).sum())
    return scores


def main() -> None:
    print(f"{machine()}, numpy {np.__version__}, {ARGS.threads} thread(s)")
    random = np.random.default_rng(0)
    plda, num_utts = random_plda(DIM, random), random.integers(1, 6, MODELS)
    enrol, test = random.normal(size=(MODELS, DIM)), random.normal(size=(TESTS, DIM))
    order = random.permutation(MODELS * TESTS)
    model, utterance = (order // TESTS).astype(np.int32), (order % TESTS).astype(np.int32)
    scorer = Scorer.of("plda", None, plda, ScoringConfig(True, False, 0.0))
    sides = plda.transform_vectors(enrol, num_utts, True, False), plda.transform_vectors(test, 1, True, False)
    some = np.column_stack([model, utterance])[::EVERY]
    core, plain = [], []
    for _ in range(ARGS.repeats):
        start = time.perf_counter()
        ours = scorer.models(enrol, num_utts).score_trials(scorer.tests(test), model, utterance, TRIALS_AT_ONCE)
        core.append((time.perf_counter() - start) / len(order))
        start = time.perf_counter()
        expected = loop(plda, sides[0], num_utts, sides[1], some)
        plain.append((time.perf_counter() - start) / len(some))
        distance = np.abs(ours[::EVERY] - expected).max()
    kaldi = KALDI_SECONDS / len(order)
    print(
        f"core: ours {1e6 * min(core):.3f} us a trial, the loop {1e6 * min(plain):.1f} us: ours is "
        f"{min(plain) / min(core):.0f} times as fast, and {kaldi / min(core):.0f} times as Kaldi's "
        f"{1e6 * kaldi:.1f} us; scores differ by {distance:.1e} at most"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        models, tests = (
            write_vectors(path / name, name, count, DIM, random) for name, count in (("enrol", MODELS), ("test", TESTS))
        )
        write_plda(path / "plda", plda.mean, plda.transform, plda.psi)
        write_trials(path / "trials", models, tests, model, utterance)
        (path / "num_utts").write_text("".join(f"{key} {n}\n" for key, n in zip(models, num_utts, strict=True)))
        arguments = (
            "--scoring=plda", f"--plda={path}/plda", f"--num-utts=ark:{path}/num_utts", "--normalize-length=true",
            path / "trials", f"scp:{path}/enrol.scp", f"scp:{path}/test.scp", path / "scores",
        )  # fmt: skip
        costs = [score_trials(*arguments, threads=ARGS.threads) for _ in range(ARGS.repeats + 1)][1:]
    seconds = min(cost.seconds for cost in costs)
    print(
        f"command: {seconds:.3f} s ({min(cost.processor_seconds for cost in costs):.3f} s of processor time), "
        f"{KALDI_SECONDS / seconds:.1f} times as fast as Kaldi's {KALDI_SECONDS} s"
    )


if __name__ == "__main__":
    main()
