"""What LDA and PLDA need to know of labelled embeddings, gathered in bounded memory."""

from dataclasses import dataclass

import numpy as np

from xvkd.blocks import blocks
from xvkd.errors import UserError
from xvkd.kaldi.stored import Vectors

# A standard deviation of this share of the largest, or of the dimension's own mean, is rounding.
CONSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class SpeakerStatistics:
    """Counts, means and scatter of embeddings by speaker, float64.

    Attributes:
        counts: (S,) utterances of each speaker, at least 1.
        means: (S, D) each speaker's mean.
        within_scatter: (D, D) sum over utterances of the outer product of the utterance's
            difference from its speaker's mean.
    """

    counts: np.ndarray
    means: np.ndarray
    within_scatter: np.ndarray

    @classmethod
    def collect(cls, vectors: Vectors, speakers: np.ndarray) -> "SpeakerStatistics":
        """Gathers the statistics.

        Args:
            vectors: (N, D) embeddings, any floating type.
            speakers: (N,) integer speaker labels, any values.

        Raises:
            UserError: vectors and labels differ in number, hold NaN or infinity, come from one
                speaker only, or no speaker has two utterances.
        """
        if vectors.ndim != 2 or speakers.shape != vectors.shape[:1]:
            raise UserError(f"back end: {vectors.shape} vectors and {speakers.shape} speaker labels")
        _, labels, counts = np.unique(speakers, return_inverse=True, return_counts=True)
        if len(counts) < 2 or len(labels) == len(counts):
            raise UserError(
                f"back end: {len(labels)} utterances of {len(counts)} speakers; it takes at least two "
                "speakers, and at least one of them with two utterances"
            )
        members = np.argsort(labels, kind="stable")
        means = group_means(vectors, members, counts)
        if not np.isfinite(means).all():
            raise UserError("back end: embeddings with NaN or infinity; compute them again")
        scatter = np.zeros((vectors.shape[1],) * 2)
        for block in blocks(len(labels)):
            difference = vectors[block] - means[labels[block]]
            scatter += difference.T @ difference
        return cls(counts, means, scatter)

    @property
    def num_utterances(self) -> int:
        """The number of utterances, N."""
        return int(self.counts.sum())

    @property
    def mean(self) -> np.ndarray:
        """(D,) the mean over utterances."""
        return self.counts @ self.means / self.num_utterances

    def between_scatter(self) -> np.ndarray:
        """(D, D) sum over utterances of the outer product of (speaker's mean - mean)."""
        centred = (self.means - self.mean) * np.sqrt(self.counts)[:, None]
        return centred.T @ centred


def group_means(vectors: Vectors, members: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The means of groups of vectors, in bounded memory.

    Args:
        vectors: (N, D), any floating type.
        members: (R,) rows of ``vectors``: those of the first group, then those of the second, ...
        counts: (G,) how many rows each group has, at least 1; R in all.

    Returns:
        (G, D) float64.
    """
    means = np.zeros((len(counts), vectors.shape[1]))
    group = np.repeat(np.arange(len(counts)), counts)
    for block in blocks(len(members)):
        first = np.flatnonzero(np.diff(group[block], prepend=-1))
        means[group[block][first]] += np.add.reduceat(vectors[members[block]].astype(np.float64), first)
    return means / counts[:, None]


def mean_of(vectors: Vectors) -> np.ndarray:
    """The mean (D,) of vectors (N, D), float64, in bounded memory: row after row, whatever the blocks."""
    total = np.zeros((1, vectors.shape[1]))
    for block in blocks(len(vectors)):
        rows = vectors[block].astype(np.float64)
        total = np.add.reduce(np.concatenate([total, rows]), axis=0, keepdims=True)
    return total[0] / len(vectors)


def mean_and_covariance(vectors: Vectors) -> tuple[np.ndarray, np.ndarray]:
    """The mean (D,) and covariance (D, D) of vectors (N, D), float64, in bounded memory."""
    mean = mean_of(vectors)
    if not np.isfinite(mean).all():
        raise UserError("back end: embeddings with NaN or infinity; compute them again")
    covariance = np.zeros((len(mean),) * 2)
    for block in blocks(len(vectors)):
        centred = vectors[block] - mean
        covariance += centred.T @ centred
    return mean, covariance / len(vectors)


def is_constant(deviation: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(D,) bool: dimensions that never vary, by their standard deviations and means; in float32 rounding varies."""
    return deviation <= CONSTANT * np.maximum(deviation.max(), np.abs(mean))
