"""What a student regresses: the teachers' levels, normalised and perhaps projected.

Each dimension is normalised by its mean and variance over the training set. Without a projection
the student's last layer takes the inverse in when training ends, so that a student of ``segment6``
gives vectors in the teacher's own space. With one (PCA, or LDA from the speaker labels) the student
gives the projected vectors themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xvkd.backend.statistics import is_constant, mean_of
from xvkd.backend.transforms import apply_affine, estimate_lda, estimate_pca, length_normalise
from xvkd.blocks import blocks
from xvkd.distillation.config import LossConfig
from xvkd.kaldi.stored import MappedVectors, Vectors

# Bytes of targets: more are made of the embeddings, batch by batch.
MOST_IN_MEMORY = 8 << 30


@dataclass(frozen=True, eq=False)
class TargetMap:
    """From embeddings to targets: normalises each dimension, then projects, then scales to the length sqrt(dim).

    Attributes:
        mean: (size,) and
        deviation: (size,) standard deviation of the embeddings.
        projection: (dim, size + 1) affine, the offset in the last column; None: none.
        length_normalise: whether the length is normalised.
    """

    mean: np.ndarray
    deviation: np.ndarray
    projection: np.ndarray | None
    length_normalise: bool

    @classmethod
    def estimate(
        cls, embeddings: Vectors, speakers: np.ndarray, config: LossConfig, pca_dim: int
    ) -> "TargetMap":
        """Estimates it from embeddings, (utterances, size); the rest as :func:`make_targets`."""
        mean = mean_of(embeddings)
        squares = MappedVectors(embeddings, np.arange(len(embeddings)), lambda rows: (rows - mean) ** 2)
        plain = cls(mean, np.sqrt(mean_of(squares)), None, False)
        projection = None
        if config.projection == "lda":
            known = np.flatnonzero(speakers >= 0)
            values = MappedVectors(embeddings, known, plain.normalise)
            projection = estimate_lda(values, speakers[known], config.projection_dim, 0.0, pca_dim)
        elif config.projection == "pca":
            values = MappedVectors(embeddings, np.arange(len(embeddings)), plain.normalise)
            projection = estimate_pca(values, config.projection_dim)
        return cls(mean, plain.deviation, projection, config.length_normalise)

    @property
    def divisor(self) -> np.ndarray:
        """(size,): a dimension that never varies (a dead unit) has nothing to teach, and stays at zero."""
        return np.where(is_constant(self.deviation, self.mean), 1.0, self.deviation)

    @property
    def keeps_space(self) -> bool:
        """Whether a scale and a shift of each dimension lead back to the embeddings."""
        return self.projection is None and not self.length_normalise

    def normalise(self, embeddings: np.ndarray) -> np.ndarray:
        """(N, size) -> the same, each dimension with mean 0 and variance 1."""
        return (embeddings.astype(np.float64) - self.mean) / self.divisor

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """float64 (N, size) -> float64 (N, dim)."""
        values = self.normalise(embeddings)
        if self.projection is not None:
            values = apply_affine(self.projection, values)
        return length_normalise(values) if self.length_normalise else values


@dataclass
class Targets:
    """Targets of the training utterances.

    Attributes:
        values: float32 (utterances, dim); those that would take too much memory are made when they are read.
        blocks: size and weight of each block of dimensions over which a loss is averaged.
        maps: by which they were made: one of all levels side by side, or one of each level.
    """

    values: Vectors
    blocks: list[tuple[int, float]]
    maps: list[TargetMap]

    @property
    def keeps_space(self) -> bool:
        """Whether ``values * scale + shift`` leads back to the teacher's own space."""
        return all(part.keeps_space for part in self.maps)

    @property
    def scale(self) -> np.ndarray:
        """(dim,); ones where nothing leads back."""
        return np.concatenate([part.deviation for part in self.maps]) if self.keeps_space else np.ones(self.dim)

    @property
    def shift(self) -> np.ndarray:
        """(dim,); zeros where nothing leads back."""
        return np.concatenate([part.mean for part in self.maps]) if self.keeps_space else np.zeros(self.dim)

    @property
    def dim(self) -> int:
        """Dimensions of a target."""
        return self.values.shape[1]

    def normalisation(self) -> tuple[np.ndarray, np.ndarray]:
        """Scale and shift of the inverse, from the teacher's own space to the targets'."""
        if not self.keeps_space:
            return self.scale, self.shift
        constant = np.concatenate([is_constant(part.deviation, part.mean) for part in self.maps])
        inverse = np.where(constant, 0.0, 1 / np.maximum(self.scale, np.finfo(float).tiny))
        return inverse, -self.shift * inverse


def make_targets(
    levels: list[str], embeddings: list[Vectors], speakers: np.ndarray, config: LossConfig, pca_dim: int
) -> Targets:
    """Makes the targets of a student.

    Args:
        levels: names of the levels.
        embeddings: (utterances, size) each.
        speakers: (utterances,) index of the speaker, -1 where none is known; only LDA reads it.
        config: normalisation, projection and weights.
        pca_dim: levels with more dimensions go through a PCA to so many before LDA.
    """
    maps, parts = [], []
    for group in [embeddings] if config.joint else [[part] for part in embeddings]:
        joined = _side_by_side(group)
        maps.append(TargetMap.estimate(joined, speakers, config, pca_dim))
        parts.append(_mapped(maps[-1], joined))
    values = _side_by_side(parts)
    if isinstance(values, MappedVectors) and 4 * values.shape[0] * values.shape[1] <= MOST_IN_MEMORY:
        values = values[:]
    if config.joint and config.projection != "none":
        blocks = [(values.shape[1], config.level_weights["default"])]  # a projection mixes the levels
    else:
        of_levels = embeddings if config.joint else parts
        blocks = [(part.shape[1], config.weight_of(level)) for level, part in zip(levels, of_levels, strict=True)]
    return Targets(values, blocks, maps)


def _side_by_side(group: Sequence[Vectors]) -> Vectors:
    """Levels (utterances, size) each as one of all their dimensions; nothing is read yet."""
    if len(group) == 1:
        return group[0]
    rows = np.arange(len(group[0]))
    return MappedVectors(
        rows[:, None], rows, lambda chosen: np.concatenate([part[chosen[:, 0]] for part in group], axis=1),
        sum(part.shape[1] for part in group),
    )  # fmt: skip


def _mapped(target_map: TargetMap, embeddings: Vectors) -> Vectors:
    """float32 (utterances, dim): the targets of embeddings, in little more memory than they take, or made when read."""
    dim = target_map(embeddings[:1]).shape[1]
    rows = np.arange(len(embeddings))
    targets = MappedVectors(embeddings, rows, lambda some: target_map(some).astype(np.float32), dim)
    if 4 * len(embeddings) * dim > MOST_IN_MEMORY:
        return targets
    values = np.empty(targets.shape, np.float32)
    for block in blocks(len(values)):
        values[block] = targets[block]
    return values
