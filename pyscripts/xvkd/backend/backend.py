"""A back end: global mean, LDA and PLDA of one model's level, kept in Kaldi's own files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xvkd.backend.plda import Plda
from xvkd.backend.statistics import mean_of
from xvkd.backend.transforms import apply_affine, estimate_lda, length_normalise
from xvkd.blocks import blocks
from xvkd.errors import UserError
from xvkd.kaldi.archives import read_matrix, read_vector, write_matrix, write_vector
from xvkd.kaldi.plda_format import read_plda, write_plda
from xvkd.kaldi.stored import Vectors
from xvkd.schema import choices, limits

SCORINGS = ("cosine", "lda_cosine", "plda")
# The same scores, normalised with a cohort (score_normalisation.py).
NORMALISED = {f"{scoring}_asnorm": scoring for scoring in SCORINGS}
COHORTS = ("speakers", "utterances")
MEAN, TRANSFORM, PLDA = "mean.vec", "transform.mat", "plda"


@dataclass
class ScoringConfig:
    """How PLDA scores: a part of ``conf/backend.yaml``, which says what each key means."""

    normalize_length: bool
    simple_length_normalization: bool
    smoothing: float = limits(low=0)


@dataclass
class BackendConfig(ScoringConfig):
    """Schema of ``conf/backend.yaml``, which says what each key means."""

    lda_dim: int = limits(low=1)
    pca_dim: int = limits(low=1)
    total_covariance_factor: float = limits(low=0, high=1)
    num_em_iters: int = limits(low=1)
    scorings: list[str] = choices(*SCORINGS, *NORMALISED)
    cohort: str = choices(*COHORTS)
    cohort_top: int = limits(low=2)

    def validate(self) -> str | None:
        """What is wrong with the values taken together, or None."""
        if self.lda_dim > self.pca_dim:
            return f"lda_dim ({self.lda_dim}) cannot exceed pca_dim ({self.pca_dim})"
        if not self.scorings or len(set(self.scorings)) < len(self.scorings):
            return "scorings must name each wanted scoring once, and at least one"
        return None


@dataclass
class AdaptationConfig:
    """Schema of ``conf/adaptation.yaml``, which says what each key means."""

    within_covar_scale: float = limits(low=0)
    between_covar_scale: float = limits(low=0)
    mean_diff_scale: float = limits(low=0)


@dataclass(frozen=True, eq=False)
class Backend:
    """Global mean, LDA and PLDA; the mean and LDA hold what float32 can hold, as their files do.

    Attributes:
        mean: (D,) mean over the training utterances.
        transform: (k, D + 1) affine LDA for mean-subtracted embeddings; (k, D) if it is linear.
        plda: the model of k-dimensional vectors after LDA and length normalisation.
        name: what to call it in messages: its folder.
    """

    mean: np.ndarray
    transform: np.ndarray
    plda: Plda
    name: str = "back end"

    def __post_init__(self) -> None:
        dim = len(self.mean)
        if self.transform.shape[1] not in (dim, dim + 1) or len(self.transform) != len(self.plda.mean):
            raise UserError(
                f"{self.name}: the files do not fit: {MEAN} has {dim} dimensions, {TRANSFORM} is "
                f"{self.transform.shape[0]} x {self.transform.shape[1]}, {PLDA} has {len(self.plda.mean)}; "
                "train the back end again"
            )

    @classmethod
    def train(
        cls, vectors: Vectors, speakers: np.ndarray, lda_dim: int, pca_dim: int | None,
        total_covariance_factor: float, num_em_iters: int,
    ) -> "Backend":  # fmt: skip
        """Trains mean, LDA and PLDA on labelled embeddings.

        Args:
            vectors: (N, D) embeddings, in memory or on disk.
            speakers: (N,) integer speaker labels.
            lda_dim: dimensions after LDA, capped by what the data can give.
            pca_dim: principal directions that LDA sees at most; None is all of them.
            total_covariance_factor: from 0 to 1, see ``estimate_lda``.
            num_em_iters: iterations of PLDA training.

        Raises:
            UserError: too few speakers or utterances, NaN or infinity.
        """
        mean = mean_of(vectors).astype(np.float32)
        transform = estimate_lda(vectors, speakers, lda_dim, total_covariance_factor, pca_dim)
        # The file's transform applies after the mean is subtracted.
        transform = _move_offset(transform, mean).astype(np.float32)
        affine = _move_offset(transform, -mean)
        projected = np.empty((len(vectors), len(affine)))
        for block in blocks(len(vectors)):
            projected[block] = length_normalise(apply_affine(affine, vectors[block]))
        plda = Plda.train(projected, speakers, num_em_iters)
        return cls(mean, transform, plda)

    def save(self, folder: str | Path) -> None:
        """Writes ``mean.vec``, ``transform.mat`` and ``plda``, each of which Kaldi can read."""
        write_vector(Path(folder, MEAN), self.mean)
        write_matrix(Path(folder, TRANSFORM), self.transform)
        write_plda(Path(folder, PLDA), self.plda.mean, self.plda.transform, self.plda.psi)

    @classmethod
    def load(cls, folder: str | Path) -> "Backend":
        """Reads the three files, by ``save`` or by Kaldi.

        Raises:
            UserError: a file is missing or damaged, or they do not fit each other.
        """
        mean, transform = read_vector(Path(folder, MEAN)), read_matrix(Path(folder, TRANSFORM))
        return cls(mean, transform, Plda(*read_plda(Path(folder, PLDA))), str(folder))

    @property
    def affine(self) -> np.ndarray:
        """(k, D + 1) float64: mean subtraction and LDA in one, for raw embeddings."""
        return _move_offset(self.transform, -self.mean)

    def centre(self, vectors: np.ndarray) -> np.ndarray:
        """Subtracts the global mean: (N, D) to (N, D) float64; UserError on another dimension."""
        self._check(vectors)
        return vectors.astype(np.float64) - self.mean

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Global mean, LDA and length normalisation: (N, D) to (N, k) float64 of length sqrt(k).

        Raises:
            UserError: the embeddings have another dimension than the back end.
        """
        self._check(vectors)
        return length_normalise(apply_affine(self.affine, vectors))

    def _check(self, vectors: np.ndarray) -> None:
        if vectors.ndim != 2 or vectors.shape[1] != len(self.mean):
            raise UserError(
                f"{self.name}: made for {len(self.mean)}-dimensional embeddings, these are "
                f"{' x '.join(str(size) for size in vectors.shape)}; use the same model and level"
            )


def _move_offset(transform: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The affine map of x + shift as one of x: (k, D + 1) float64; linear maps become affine."""
    linear = transform[:, : len(shift)].astype(np.float64)
    offset = linear @ shift
    if transform.shape[1] > len(shift):
        offset += transform[:, -1]
    return np.column_stack([linear, offset])
