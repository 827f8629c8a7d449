"""Two-covariance PLDA: training, scoring, smoothing and adaptation as Kaldi's ivector/plda.cc.

A speaker's mean is drawn from N(mean, B), an utterance from N(speaker's mean, W). The model is kept
as a transform after which W is unit and B diagonal, so that all dimensions are independent.
"""

import logging
from dataclasses import dataclass

import numpy as np

from xvkd.backend.products import TABLE_CELLS, pair_products
from xvkd.backend.statistics import SpeakerStatistics, mean_and_covariance
from xvkd.blocks import blocks
from xvkd.errors import UserError


@dataclass(frozen=True, eq=False)
class Plda:
    """A trained model, float64.

    Attributes:
        mean: (D,) the mean of the speakers' means.
        transform: (D, D) takes vectors, less the mean, where W = I and B = diag(psi).
        psi: (D,) between-speaker variances there, at least 0.
    """

    mean: np.ndarray
    transform: np.ndarray
    psi: np.ndarray

    @classmethod
    def train(cls, vectors: np.ndarray, speakers: np.ndarray, num_em_iters: int) -> "Plda":
        """Trains by expectation maximisation from W = B = I, as Kaldi's ``ivector-compute-plda``.

        Each speaker weighs the same in the mean and in B, each utterance the same in W.

        Args:
            vectors: (N, D) embeddings, normally after LDA and length normalisation.
            speakers: (N,) integer speaker labels; numbers of utterances may differ.
            num_em_iters: iterations, at least 1.

        Raises:
            UserError: too few speakers or utterances, NaN or infinity.
        """
        statistics = SpeakerStatistics.collect(vectors, speakers)
        mean = statistics.means.mean(axis=0)
        within = between = np.eye(len(mean))
        for _ in range(num_em_iters):
            within, between = _em_iteration(statistics, mean, within, between)
        transform, _, psi = _diagonalise(within, between)
        logging.info(
            "PLDA: %d utterances of %d speakers, %d dimensions, between-speaker variance %.3g to %.3g",
            statistics.num_utterances, len(statistics.counts), len(mean), psi[0], psi[-1],
        )  # fmt: skip
        return cls(mean, transform, psi)

    def transform_vectors(
        self, vectors: np.ndarray, num_utts: np.ndarray | int, normalize_length: bool,
        simple_length_normalization: bool,
    ) -> np.ndarray:  # fmt: skip
        """Takes vectors where W = I and B = diag(psi), Kaldi's ``Plda::TransformIvector``.

        Args:
            vectors: (N, D); averages over a model's enrolment utterances, or single utterances.
            num_utts: how many utterances each is the average of: (N,) or one for all, at least 1.
            normalize_length: scale each vector to the length expected of it: the sum over
                dimensions of u^2 / (psi + 1/num_utts) becomes D.
            simple_length_normalization: scale to length sqrt(D) instead.

        Returns:
            (N, D) float64.

        Raises:
            UserError: the dimensions do not fit.
        """
        self._check(vectors)
        dim = len(self.mean)
        transformed = (vectors - self.mean) @ self.transform.T
        if not normalize_length:
            return transformed
        if simple_length_normalization:
            square = np.einsum("nd,nd->n", transformed, transformed)
        else:
            square = np.empty(len(transformed))
            counts = np.broadcast_to(num_utts, square.shape)
            for count in _distinct(counts):
                rows = counts == count
                square[rows] = transformed[rows] ** 2 @ (1 / (self.psi + 1 / count))
        # A zero vector has no direction to scale along.
        return transformed * np.sqrt(dim / np.where(square > 0, square, dim))[:, None]

    def models(self, averages: np.ndarray, num_utts: np.ndarray, overwrite: bool = False) -> "Models":
        """What scoring needs of the enrolment side.

        Args:
            averages: (M, D) transformed averages of the models' enrolment utterances, float64.
            num_utts: (M,) number of those utterances, at least 1.
            overwrite: the result may take the memory of ``averages``.
        """
        counts = _distinct(num_utts)
        group = np.searchsorted(counts, num_utts)
        gain = counts[:, None] * self.psi / (counts[:, None] * self.psi + 1)
        variance = 1 + self.psi / (counts[:, None] * self.psi + 1)
        prior = 1 + self.psi
        terms = 0.5 * np.sum(np.log(prior) - np.log(variance), axis=1)[group]
        vectors = averages if overwrite else np.empty(averages.shape)
        for block in blocks(len(averages)):
            expected = averages[block] * gain[group[block]]
            vectors[block] = expected / variance[group[block]]
            terms[block] -= 0.5 * np.einsum("md,md->m", expected, vectors[block])
        return Models(vectors, terms, group, 0.5 * (1 / prior - 1 / variance))

    def smooth(self, factor: float) -> "Plda":
        """Adds ``factor`` of B to W, Kaldi's ``ivector-copy-plda --smoothing``; 0 changes nothing."""
        within = 1 + factor * self.psi
        return Plda(self.mean, self.transform / np.sqrt(within)[:, None], self.psi / within)

    def adapt(
        self, vectors: np.ndarray, within_covar_scale: float, between_covar_scale: float,
        mean_diff_scale: float,
    ) -> "Plda":  # fmt: skip
        """Adapts to unlabelled vectors of another domain, Kaldi's ``ivector-adapt-plda``.

        Where the vectors vary more than the model says, the excess is shared out between W and B;
        their mean replaces the model's.

        Args:
            vectors: (N, D) unlabelled, after LDA and length normalisation.
            within_covar_scale: share of the excess for W, at least 0; Kaldi's default is 0.3.
            between_covar_scale: share for B, at least 0; Kaldi's default is 0.7.
            mean_diff_scale: how far the shift of the mean counts as variance; Kaldi's default is 1.

        Raises:
            UserError: no vectors, or of another dimension.
        """
        self._check(vectors)
        if not len(vectors):
            raise UserError("PLDA adaptation: no vectors to adapt to")
        mean, covariance = mean_and_covariance(vectors)
        covariance += mean_diff_scale * np.outer(mean - self.mean, mean - self.mean)
        # Where the model's own W + B is unit, eigenvalues above 1 are the excess.
        scale = np.sqrt(1 + self.psi)[:, None]
        unit = self.transform / scale
        variances, directions = np.linalg.eigh(unit @ covariance @ unit.T)
        back = np.linalg.inv(self.transform)
        excess = (back * scale.T) @ directions * np.sqrt(np.maximum(variances - 1, 0))
        excess = excess @ excess.T
        within = back @ back.T + within_covar_scale * excess
        between = (back * self.psi) @ back.T + between_covar_scale * excess
        transform, _, psi = _diagonalise(within, between)
        return Plda(mean, transform, psi)

    def _check(self, vectors: np.ndarray) -> None:
        if vectors.shape[1] != len(self.mean):
            raise UserError(
                f"the PLDA model is for {len(self.mean)}-dimensional vectors, these have {vectors.shape[1]}; use "
                "vectors that went through the same mean, LDA and length normalisation as those it was trained on"
            )


@dataclass(frozen=True, eq=False)
class Models:
    """Enrolled models, ready to be compared with test utterances: Kaldi's ``Plda::LogLikelihoodRatio``.

    Given a model u of n utterances, a test utterance t follows N(a u, v) with
    a = n psi / (n psi + 1), v = 1 + psi / (n psi + 1); without it, N(0, 1 + psi). The ratio's
    logarithm is a term of (u, n), one of (t, n), and the inner product of a u / v and t.

    Attributes:
        vectors: (M, D) a u / v.
        terms: (M,) the term of (u, n).
        group: (M,) each model's row in ``weights``.
        weights: (K, D) the squares of t add up with these weights to the term of (t, n), for each
            of the K different n.
    """

    vectors: np.ndarray
    terms: np.ndarray
    group: np.ndarray
    weights: np.ndarray

    def score_trials(
        self, test: np.ndarray, enrol_index: np.ndarray, test_index: np.ndarray, chunk: int
    ) -> np.ndarray:
        """Log-likelihood ratios of trials.

        Args:
            test: (N, D) transformed test utterances.
            enrol_index: (T,) each trial's model.
            test_index: (T,) each trial's row in ``test``.
            chunk: trials that are worked on together, which bounds the memory.

        Returns:
            (T,) float64.
        """
        scores = pair_products(self.vectors, test, enrol_index, test_index, chunk)
        # The term of (t, n) is a table; with very many n, it is made for some of them at a time.
        at_once = max(1, TABLE_CELLS // max(1, len(test)))
        for first in range(0, len(self.weights), at_once):
            table = _weighted_squares(test, self.weights[first : first + at_once])
            for part in blocks(len(scores), chunk):
                models, tests = enrol_index[part], test_index[part]
                if first == 0:
                    scores[part] += self.terms[models]
                row = self.group[models] - first
                if at_once >= len(self.weights):
                    scores[part] += table[row, tests]
                else:
                    here = (row >= 0) & (row < at_once)
                    scores[part][here] += table[row[here], tests[here]]
        return scores

    def score_matrix(self, test: np.ndarray) -> np.ndarray:
        """Log-likelihood ratios of every model and every test utterance.

        Args:
            test: (N, D) transformed test utterances.

        Returns:
            (M, N) float64; the caller sees to it that as much fits into memory, with as much again
            to work in.
        """
        scores = self.vectors @ test.T
        scores += self.terms[:, None]
        scores += _weighted_squares(test, self.weights)[self.group]
        return scores


def _em_iteration(
    statistics: SpeakerStatistics, mean: np.ndarray, within: np.ndarray, between: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One step of EM; returns the new (W, B).

    In the space where W = I and B = diag(psi), the posterior of the mean of a speaker with n
    utterances averaging m is N(n psi m / (n psi + 1), psi / (n psi + 1)), dimension by dimension.
    """
    transform, back, psi = _diagonalise(within, between)
    counts = statistics.counts[:, None]
    means = (statistics.means - mean) @ transform.T
    variance = psi / (counts * psi + 1)
    speaker = counts * variance * means
    channel = (means - speaker) * np.sqrt(counts)
    new_between = np.diag(variance.sum(axis=0)) + speaker.T @ speaker
    new_within = np.diag((counts * variance).sum(axis=0)) + channel.T @ channel
    within = statistics.within_scatter + back @ new_within @ back.T
    between = back @ new_between @ back.T
    return within / statistics.num_utterances, between / len(counts)


def _diagonalise(within: np.ndarray, between: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The transform V with V W V' = I and V B V' = diag(psi), its inverse, and psi, descending."""
    try:
        lower = np.linalg.cholesky(within)
    except np.linalg.LinAlgError:
        raise UserError(
            "PLDA: the within-speaker covariance is singular; apply LDA first, or to fewer dimensions"
        ) from None
    unit = np.linalg.inv(lower)
    projected = unit @ between @ unit.T
    psi, directions = np.linalg.eigh((projected + projected.T) / 2)
    psi, directions = np.maximum(psi[::-1], 0), directions[:, ::-1]
    return directions.T @ unit, lower @ directions, psi


def _distinct(counts: np.ndarray) -> np.ndarray:
    """The different values of an array of integers, ascending (np.unique takes 10 ms to import what it needs)."""
    return np.array(sorted(set(counts.tolist())))


def _weighted_squares(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(K, N): for each row of ``weights`` (K, D), the weighted sum of squares of each vector."""
    sums = np.empty((len(weights), len(vectors)))
    for block in blocks(len(vectors)):
        sums[:, block] = weights @ (vectors[block] ** 2).T
    return sums
