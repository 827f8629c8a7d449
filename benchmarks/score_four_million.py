#!/usr/bin/env python3
"""4 million PLDA trials from ark/scp to a score file: under 30 s and 1 GiB.

usage: benchmarks/score_four_million.py [--trials N] [--threads N]

Method: score_trials.py as a user runs it, trials in random order, one run each: of 5000 models and 5000 test
utterances, and of 150,000 and 150,000 (every trial then takes two vectors that lie anywhere), both 200-dimensional as
after LDA; and of the latter as raw embeddings of 512 dimensions with a back end. Wall-clock time and the most memory
that the process held. Kaldi's ivector-plda-scoring takes 9.5 microseconds a trial, 38 s for 4 million (measured with
200,000 trials on one core of another machine).
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from machine import machine
from scoring_files import Cost, score_trials, write_backend, write_trials, write_vectors

DIM, RAW_DIM, KALDI_SECONDS_A_TRIAL, MOST_SECONDS, MOST_MEBIBYTES = 200, 512, 9.5e-6, 30, 1024


def run(folder: Path, utterances: int, dim: int, num_trials: int, threads: int) -> Cost:
    """Scores random trials of as many models as utterances, in files of their own."""
    random = np.random.default_rng(0)
    write_backend(folder / "backend", dim, DIM, random)
    models, tests = (write_vectors(folder / name, name, utterances, dim, random) for name in ("enrol", "test"))
    write_trials(folder / "trials", models, tests, *random.integers(0, utterances, (2, num_trials)))
    how = f"--plda={folder}/backend/plda" if dim == DIM else f"--backend={folder}/backend"
    table = {name: f"scp:{folder}/{name}.scp" for name in ("enrol", "test")}
    return score_trials(
        "--scoring=plda", how, folder / "trials", table["enrol"], table["test"], folder / "scores", threads=threads
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4_000_000, help="how many (4,000,000)")
    parser.add_argument("--threads", type=int, default=1, help="of the matrix products (1)")
    args = parser.parse_args()
    print(f"{machine()}, numpy {np.__version__}, {args.threads} thread(s)")
    for utterances, dim in ((5_000, DIM), (150_000, DIM), (150_000, RAW_DIM)):
        with tempfile.TemporaryDirectory() as folder:
            cost = run(Path(folder), utterances, dim, args.trials, args.threads)
        held = cost.seconds < MOST_SECONDS and cost.mebibytes < MOST_MEBIBYTES
        print(
            f"{args.trials:,} trials of {utterances:,} models and {utterances:,} utterances, {dim} dimensions: "
            f"{cost.seconds:.1f} s ({cost.processor_seconds:.1f} s of processor time), {cost.mebibytes:.0f} MiB: "
            f"{'within' if held else 'NOT within'} {MOST_SECONDS} s and {MOST_MEBIBYTES} MiB; "
            f"{KALDI_SECONDS_A_TRIAL * args.trials / cost.seconds:.1f} times as fast as Kaldi's "
            f"{1e6 * KALDI_SECONDS_A_TRIAL} us a trial"
        )


if __name__ == "__main__":
    main()
