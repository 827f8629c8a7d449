"""What a student regresses: the teacher's levels, normalised and perhaps projected.

Each dimension is normalised by its mean and variance over the training set. Without a projection
the student's last layer takes the inverse in when training ends, so that a student of ``segment6``
gives vectors in the teacher's own space. With one (PCA, or LDA from the speaker labels) the student
gives the projected vectors themselves.
"""

from dataclasses import dataclass

import numpy as np

from xvkd.backend.statistics import is_constant
from xvkd.backend.transforms import apply_affine, estimate_lda, estimate_pca, length_normalise
from xvkd.config import choices, limits


@dataclass
class LossConfig:
    """Schema of ``conf/losses/*.yaml``."""

    terms: dict[str, float] = limits(0.0)  # module of xvkd.distillation.losses -> weight
    level_weights: dict[str, float] = limits(0.0)  # level -> weight; "default" for those not named
    projection: str = choices("none", "pca", "lda")
    projection_dim: int = limits(0)  # at most so many dimensions; 0 without a projection
    length_normalise: bool  # targets (after the projection) to the length sqrt(dim)

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        if not any(self.terms.values()):
            return "terms: at least one loss needs a weight above 0"
        if "default" not in self.level_weights:
            return "level_weights: 'default' is missing, the weight of the levels that are not named"
        if (self.projection == "none") != (self.projection_dim == 0):
            return "projection_dim must be 0 without a projection, and at least 1 with one"
        if self.projection != "none" and set(self.level_weights) != {"default"}:
            return "level_weights: a projection mixes the levels, so that only 'default' can have a weight"
        return None


@dataclass
class Targets:
    """Targets of the training utterances.

    Attributes:
        values: float32 (utterances, dim).
        blocks: size and weight of each block of dimensions over which a loss is averaged.
        scale: (dim,) and
        shift: (dim,): ``embedding = values * scale + shift`` gives the teacher's own space; ones and
            zeros with a projection or length normalisation.
    """

    values: np.ndarray
    blocks: list[tuple[int, float]]
    scale: np.ndarray
    shift: np.ndarray

    def normalisation(self) -> tuple[np.ndarray, np.ndarray]:
        """Scale and shift of the inverse, from the teacher's own space to the targets'."""
        inverse = np.where(is_constant(self.scale, self.shift), 0.0, 1 / np.maximum(self.scale, np.finfo(float).tiny))
        return inverse, -self.shift * inverse


def make_targets(
    levels: list[str], embeddings: list[np.ndarray], speakers: np.ndarray, config: LossConfig, pca_dim: int
) -> Targets:
    """Makes the targets of a student.

    Args:
        levels: names of the levels.
        embeddings: (utterances, size) each.
        speakers: (utterances,) index of the speaker; only LDA reads it.
        config: normalisation, projection and weights.
        pca_dim: levels with more dimensions go through a PCA to so many before LDA.
    """
    joined = np.concatenate(embeddings, axis=1).astype(np.float64)
    shift = joined.mean(axis=0)
    scale = joined.std(axis=0)
    # A dimension that never varies (a dead unit) has nothing to teach: it stays at zero.
    values = (joined - shift) / np.where(is_constant(scale, shift), 1.0, scale)
    weights = [config.level_weights.get(level, config.level_weights["default"]) for level in levels]
    blocks = [(part.shape[1], weight) for part, weight in zip(embeddings, weights, strict=True)]
    if config.projection != "none":
        if config.projection == "lda":
            transform = estimate_lda(values, speakers, config.projection_dim, 0.0, pca_dim)
        else:
            transform = estimate_pca(values, config.projection_dim)
        values = apply_affine(transform, values)
        blocks = [(values.shape[1], config.level_weights["default"])]
    if config.length_normalise:
        values = length_normalise(values)
    if config.projection != "none" or config.length_normalise:
        scale, shift = np.ones(values.shape[1]), np.zeros(values.shape[1])
    return Targets(values.astype(np.float32), blocks, scale, shift)
