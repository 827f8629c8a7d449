"""AS-norm: scores measured by what either side of a trial scores against a cohort of other speakers.

Source: Karam, Campbell, Dehak, Towards reduced false-alarms using cohorts, 2011; Matějka et al., Analysis of score
normalization in multilingual speaker recognition, 2017 (there: AS-norm1).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xvkd.backend.scoring import Scorer
from xvkd.backend.statistics import group_means
from xvkd.blocks import blocks
from xvkd.errors import UserError
from xvkd.kaldi.stored import Vectors

# Cohort scores that are in memory together.
CELLS = 1 << 21


@dataclass(frozen=True, eq=False)
class Cohort:
    """Speakers, or utterances, that are in no trial.

    Attributes:
        vectors: (C, D) raw embeddings, averages over ``num_utts`` utterances each.
        num_utts: (C,) at least 1.
        top: how many of the highest cohort scores of either side of a trial count, from 2 to C.
    """

    vectors: np.ndarray
    num_utts: np.ndarray
    top: int

    @classmethod
    def of(cls, kind: str, top: int, embeddings: Vectors, speakers: np.ndarray) -> "Cohort":
        """A cohort of labelled utterances.

        Args:
            kind: "speakers": the mean of each speaker's embeddings; "utterances": each of them.
            top: how many are asked for; with a warning all, if the cohort is smaller.
            embeddings: (N, D) raw embeddings.
            speakers: (N,) integer speaker labels.
        """
        counts = np.ones(len(embeddings), np.int64)
        if kind == "speakers":
            counts = np.unique(speakers, return_counts=True)[1]
            embeddings = group_means(embeddings, np.argsort(speakers, kind="stable"), counts)
        if top > len(counts):
            logging.warning("AS-norm: the cohort has %d members; all count, not %d", len(counts), top)
        return cls(embeddings, counts, min(top, len(counts)))

    def normalise(
        self, scores: np.ndarray, scorer: Scorer, averages: np.ndarray, num_utts: np.ndarray, tests: np.ndarray,
        enrol_index: np.ndarray, test_index: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """Adaptive symmetric normalisation: ``((s - m_e) / d_e + (s - m_t) / d_t) / 2``.

        m and d are mean and standard deviation of the highest scores of the trial's model (e), or test
        utterance (t), against the cohort. A member of the cohort is a model to a test utterance, and the
        test to a model.

        Args:
            scores: (T,) of the trials.
            scorer: what made them.
            averages: (M, D) each model's mean over its enrolment utterances.
            num_utts: (M,) how many these are.
            tests: (N, k) test utterances, as ``scorer.tests`` gives them.
            enrol_index: (T,) each trial's model.
            test_index: (T,) each trial's row in ``tests``.

        Returns:
            (T,) float64.

        Raises:
            UserError: cohort scores of a model or test utterance that do not vary.
        """
        as_tests, as_models = scorer.tests(self.vectors), scorer.models(self.vectors, self.num_utts)

        def of_models(block: slice) -> np.ndarray:
            return scorer.models(averages[block], num_utts[block]).score_matrix(as_tests)

        def of_tests(block: slice) -> np.ndarray:
            return as_models.score_matrix(tests[block]).T

        normalised = np.zeros(len(scores))
        for rows, size, index in ((of_models, len(averages), enrol_index), (of_tests, len(tests), test_index)):
            mean, deviation = self._statistics(rows, size)
            normalised += (scores - mean[index]) / (2 * deviation[index])
        return normalised

    def _statistics(self, rows: Callable[[slice], np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, (size,) each, of the highest of each row's scores against the cohort."""
        mean, deviation = np.empty(size), np.empty(size)
        at_once = max(1, CELLS // len(self.vectors))
        for block in blocks(size, at_once):
            highest = np.partition(rows(block), -self.top, axis=1)[:, -self.top :]
            mean[block], deviation[block] = highest.mean(axis=1), highest.std(axis=1)
        if not deviation.all():
            raise UserError(
                f"AS-norm: the {self.top} highest cohort scores of a model or test utterance are equal; use a larger "
                "cohort and cohort_top, or a network that has learnt"
            )
        return mean, deviation
