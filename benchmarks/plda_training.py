#!/usr/bin/env python3
"""PLDA training: 5000 vectors of 500 speakers, 200 dimensions, 10 iterations of EM.

usage: benchmarks/plda_training.py [--repeats N]

Method: the same vectors, in memory, are given to Plda.train and to a plain loop in numpy that goes over the speakers
one by one, as Kaldi's PldaEstimator does (the posterior's covariance is computed once for speakers with as many
utterances). The models are compared first. They take turns, --repeats times; each one's best time counts. Kaldi's
ivector-compute-plda took 0.206 s for such vectors on one core of another machine, reading included; so the time of
ours is also given with that of reading the vectors from an archive.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: one thread, as Kaldi's figure

import numpy as np
from machine import machine, seconds_of
from scoring_files import write_vectors

from xvkd.backend.plda import Plda
from xvkd.kaldi.archives import load_vectors
from xvkd.kaldi.specifiers import rspecifier

SPEAKERS, UTTERANCES, DIM, ITERATIONS, KALDI_SECONDS = 500, 10, 200, 10, 0.206


def loop(vectors: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """EM speaker by speaker; returns the within- and the between-speaker covariance."""
    speakers = [vectors[labels == label].astype(np.float64) for label in np.unique(labels)]
    means = [own.mean(axis=0) for own in speakers]
    centre = np.mean(means, axis=0)
    scatter = sum((own - mean).T @ (own - mean) for own, mean in zip(speakers, means, strict=True))
    within = between = np.eye(DIM)
    for _ in range(ITERATIONS):
        inverse_within, inverse_between, covariances = np.linalg.inv(within), np.linalg.inv(between), {}
        new_within, new_between = scatter.copy(), np.zeros((DIM, DIM))
        for own, mean in zip(speakers, means, strict=True):
            count = len(own)
            if count not in covariances:
                covariances[count] = np.linalg.inv(inverse_between + count * inverse_within)
            covariance = covariances[count]
            speaker = covariance @ (count * (inverse_within @ (mean - centre)))
            rest = mean - centre - speaker
            new_between += covariance + np.outer(speaker, speaker)
            new_within += count * (covariance + np.outer(rest, rest))
        within, between = new_within / len(vectors), new_between / len(speakers)
    return within, between


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="turns of each program (5)")
    args = parser.parse_args()
    print(f"{machine()}, numpy {np.__version__}, {os.environ['OMP_NUM_THREADS']} thread(s)")
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(SPEAKERS), UTTERANCES)
    means, rest = 2 * random.normal(size=(SPEAKERS, DIM)), random.normal(size=(len(labels), DIM))
    vectors = (means[labels] + rest).astype(np.float32)
    model, (within, between) = Plda.train(vectors, labels, ITERATIONS), loop(vectors, labels)
    back = np.linalg.inv(model.transform)
    distance = max(np.abs(back @ back.T - within).max(), np.abs((back * model.psi) @ back.T - between).max())
    with tempfile.TemporaryDirectory() as folder:
        write_vectors(Path(folder, "vectors"), "s", len(vectors), DIM, random)
        table = rspecifier(f"ark:{folder}/vectors.ark")
        ours, plain, reading = [], [], []
        for _ in range(args.repeats):
            ours.append(seconds_of(Plda.train, vectors, labels, ITERATIONS))
            plain.append(seconds_of(loop, vectors, labels))
            reading.append(seconds_of(load_vectors, table))
    whole = min(ours) + min(reading)
    print(
        f"training: ours {min(ours):.3f} s, the loop {min(plain):.3f} s: ours is {min(plain) / min(ours):.1f} times as "
        f"fast; covariances differ by {distance:.1e} at most\n"
        f"with reading: ours {whole:.3f} s, {KALDI_SECONDS / whole:.1f} times as fast as Kaldi's {KALDI_SECONDS} s"
    )


if __name__ == "__main__":
    main()
