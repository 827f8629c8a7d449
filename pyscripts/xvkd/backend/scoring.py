"""Scores of trials between enrolled models and test utterances."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from xvkd.backend.backend import SCORINGS, Backend, ScoringConfig
from xvkd.backend.plda import Models, Plda
from xvkd.backend.products import pair_products
from xvkd.backend.statistics import group_means
from xvkd.backend.transforms import length_normalise
from xvkd.blocks import blocks
from xvkd.errors import UserError

TRIALS_AT_ONCE = 1 << 20
VECTORS_AT_ONCE = 1 << 12


@dataclass(frozen=True, eq=False)
class CosineModels:
    """Enrolled models, ready to be compared by their cosine, as ``plda.Models`` are by PLDA.

    Attributes:
        vectors: (M, D) of length 1 / sqrt(D), for test utterances of length sqrt(D).
    """

    vectors: np.ndarray

    def score_trials(
        self, test: np.ndarray, enrol_index: np.ndarray, test_index: np.ndarray, chunk: int
    ) -> np.ndarray:
        """Cosines of trials, (T,) float64; the arguments are those of ``plda.Models.score_trials``."""
        return pair_products(self.vectors, test, enrol_index, test_index, chunk)

    def score_matrix(self, test: np.ndarray) -> np.ndarray:
        """Cosines of every model (M) and every test utterance (N), (M, N) float64."""
        return self.vectors @ test.T


@dataclass(frozen=True, eq=False)
class Scorer:
    """One way of scoring: what it makes of the vectors of either side.

    Attributes:
        dim: the dimension of the vectors that it takes; None if it takes any.
        project: (N, D) vectors to (N, k) float64, the same for either side.
        plda: compares what ``project`` gives; None is by cosine.
        config: how PLDA does it.
    """

    dim: int | None
    project: Callable[[np.ndarray], np.ndarray]
    plda: Plda | None
    config: ScoringConfig

    @classmethod
    def of(cls, scoring: str, backend: Backend | None, plda: Plda | None, config: ScoringConfig) -> "Scorer":
        """The scorer of a name.

        Args:
            scoring: "cosine", of vectors less the back end's mean; "lda_cosine", after LDA; or "plda", the
                log-likelihood ratio of Kaldi's ``ivector-plda-scoring --num-utts``, after LDA and length
                normalisation.
            backend: of the same model and level as the vectors; without one, they are taken as they are.
            plda: the model; None is that of the back end.
            config: says how PLDA normalises length, and its smoothing.

        Raises:
            UserError: an unknown scoring, or one that lacks a back end.
        """
        if scoring not in SCORINGS:
            raise UserError(f"'{scoring}': no such scoring (there are: {', '.join(SCORINGS)})")
        dim = None if backend is None else len(backend.mean)
        if scoring == "cosine":
            return cls(dim, lambda x: length_normalise(x if backend is None else backend.centre(x)), None, config)
        if scoring == "lda_cosine":
            if backend is None:
                raise UserError("lda_cosine: takes the LDA of a back end, and none is given")
            return cls(dim, backend.project, None, config)
        plda = plda or (backend and backend.plda)
        if plda is None:
            raise UserError("plda: takes a PLDA model or a back end that has one, and none is given")
        if backend is None:
            return cls(len(plda.mean), lambda x: x, plda.smooth(config.smoothing), config)
        if len(backend.transform) != len(plda.mean):
            raise UserError(
                f"{backend.name}: its LDA gives {len(backend.transform)} dimensions, the PLDA model takes "
                f"{len(plda.mean)}; use models that were trained together"
            )
        return cls(dim, backend.project, plda.smooth(config.smoothing), config)

    def models(self, averages: np.ndarray, num_utts: np.ndarray) -> CosineModels | Models:
        """What is enrolled.

        Args:
            averages: (M, D) each model's mean over its enrolment utterances, not normalised.
            num_utts: (M,) how many these are, at least 1; PLDA alone makes use of it.

        Raises:
            UserError: vectors of another dimension.
        """
        projected = self._transform(averages, num_utts)
        if self.plda is not None:
            return self.plda.models(projected, num_utts, overwrite=True)
        # Their length is sqrt(dimension).
        projected /= projected.shape[1]
        return CosineModels(projected)

    def tests(self, vectors: np.ndarray) -> np.ndarray:
        """(N, k) what ``score_trials`` and ``score_matrix`` of the models take for test utterances (N, D)."""
        return self._transform(vectors, np.ones(len(vectors), np.int64))

    def _transform(self, vectors: np.ndarray, num_utts: np.ndarray) -> np.ndarray:
        """(N, k) float64, a block after the other: the vectors alone can fill half of the memory."""
        transformed = np.empty((0, 0))
        for block in blocks(len(vectors), VECTORS_AT_ONCE):
            part = self.project(vectors[block])
            if self.plda is not None:
                part = self.plda.transform_vectors(
                    part, num_utts[block], self.config.normalize_length, self.config.simple_length_normalization
                )
            if block.start == 0:
                transformed = np.empty((len(vectors), part.shape[1]))
            transformed[block] = part
        return transformed


def average(
    enrolments: Sequence[tuple[str, Sequence[int]]], embeddings: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Enrols models: each is the mean of its utterances' raw embeddings, as in Kaldi's recipes.

    Args:
        enrolments: each model's id and the rows of its enrolment utterances in ``embeddings``.
        embeddings: (N, D).

    Returns:
        (M, D) float64, the mean of each model's embeddings; and (M,) how many these are.

    Raises:
        UserError: no model, or one without utterances.
    """
    counts = np.array([len(rows) for _, rows in enrolments], dtype=np.int64)
    if not enrolments:
        raise UserError("no models are enrolled; the list of trials is empty")
    if not counts.all():
        model = enrolments[int(np.argmin(counts))][0]
        raise UserError(f"model '{model}' has no enrolment utterance; give it one or drop its trials")
    members = np.concatenate([np.asarray(rows, dtype=np.int64) for _, rows in enrolments])
    return group_means(embeddings, members, counts), counts
