"""LDA, PCA, affine maps and length normalisation, as Kaldi defines them."""

import logging

import numpy as np

from xvkd.backend.statistics import SpeakerStatistics, mean_and_covariance
from xvkd.blocks import blocks
from xvkd.errors import UserError
from xvkd.kaldi.stored import Vectors

# Within-speaker variances below this share of the largest one are raised to it; Kaldi's
# --covariance-floor of ivector-compute-lda.
COVARIANCE_FLOOR = 1e-6
# A direction whose standard deviation is below this share of the largest one is rounding noise of
# float32 embeddings, whose own share is 1e-7 to 1e-6.
RANK_TOLERANCE = 1e-5


def estimate_lda(
    vectors: Vectors, speakers: np.ndarray, dim: int, total_covariance_factor: float, pca_dim: int | None
) -> np.ndarray:
    """Estimates LDA as Kaldi's ``ivector-compute-lda``, in the space that the vectors fill.

    The vectors are first projected on their principal directions: those with any variance, and at
    most ``pca_dim``. There within-speaker covariance is made unit and the directions of most
    between-speaker variance are kept. Without that projection, vectors of lower rank than
    dimension (a student's) would have noise blown up to unit variance.

    Args:
        vectors: (N, D) embeddings.
        speakers: (N,) integer speaker labels.
        dim: dimensions to keep; capped, with a warning, by speakers - 1, D, ``pca_dim`` and the
            vectors' numerical rank.
        total_covariance_factor: share, from 0 to 1, of the total covariance in what is made unit;
            the rest is within-speaker covariance.
        pca_dim: principal directions to keep before LDA; None is all of them, as in Kaldi.

    Returns:
        (k, D + 1) float64: a linear map and, last column, an offset that takes the vectors' mean
        to 0. Rows are defined up to their sign.

    Raises:
        UserError: too few speakers or utterances, NaN or infinity, or no variance at all.
    """
    statistics = SpeakerStatistics.collect(vectors, speakers)
    within = statistics.within_scatter / statistics.num_utterances
    between = statistics.between_scatter() / statistics.num_utterances
    pca_dim = pca_dim or vectors.shape[1]
    basis = _principal_directions(within + between, pca_dim)
    rank, num_speakers = basis.shape[1], len(statistics.counts)
    used = min(dim, num_speakers - 1, rank)
    if used < dim:
        logging.warning(
            "LDA: %d dimensions asked for, %d used (%d speakers; the %d-dimensional embeddings "
            "span %d of at most %d principal directions)",
            dim, used, num_speakers, vectors.shape[1], rank, pca_dim,
        )  # fmt: skip
    within, between = basis.T @ within @ basis, basis.T @ between @ basis
    variances, directions = np.linalg.eigh(within + total_covariance_factor * between)
    if variances[-1] <= RANK_TOLERANCE**2 * np.trace(between):
        raise UserError(
            "LDA: each speaker's utterances are all the same, which leaves nothing to tell speakers from; are they "
            "copies of each other?"
        )
    floor = COVARIANCE_FLOOR * variances[-1]
    if variances[0] < floor:
        logging.warning(
            "LDA: %d of %d directions have next to no within-speaker variance and are floored; with "
            "%d utterances of %d speakers a smaller pca_dim is safer",
            np.sum(variances < floor), rank, statistics.num_utterances, num_speakers,
        )  # fmt: skip
    whiten = directions / np.sqrt(np.maximum(variances, floor))
    _, discriminants = np.linalg.eigh(whiten.T @ between @ whiten)
    linear = (basis @ whiten @ discriminants[:, ::-1][:, :used]).T
    return np.column_stack([linear, -linear @ statistics.mean])


def estimate_pca(vectors: Vectors, dim: int) -> np.ndarray:
    """Estimates a PCA with whitening: the principal directions, each with unit variance.

    Args:
        vectors: (N, D) embeddings.
        dim: directions to keep; capped, with a warning, by the vectors' numerical rank.

    Returns:
        (k, D + 1) float64: a linear map, most variance first, and, last column, an offset that takes
        the vectors' mean to 0. Rows are defined up to their sign.

    Raises:
        UserError: NaN or infinity, or no variance at all.
    """
    mean, covariance = mean_and_covariance(vectors)
    basis = _principal_directions(covariance, dim)
    if basis.shape[1] < dim:
        logging.warning(
            "PCA: %d dimensions asked for, %d used: the %d-dimensional embeddings span no more",
            dim, basis.shape[1], vectors.shape[1],
        )  # fmt: skip
    linear = (basis / np.sqrt(np.einsum("dk,dk->k", basis, covariance @ basis))).T
    return np.column_stack([linear, -linear @ mean])


def _principal_directions(covariance: np.ndarray, most: int) -> np.ndarray:
    """(D, r) orthonormal: the directions of most variance, without those that hold none."""
    # scipy takes longer to import than scoring takes, which has no need of it.
    from scipy.linalg import eigh

    size = len(covariance)
    variances, directions = eigh(covariance, subset_by_index=[max(0, size - most), size - 1])
    if variances[-1] <= 0:
        raise UserError("LDA or PCA: all embeddings are the same; the network that made them has not learnt")
    return directions[:, variances > RANK_TOLERANCE**2 * variances[-1]][:, ::-1]


def apply_affine(transform: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Applies a linear or affine map, as Kaldi's ``transform-vec``.

    Args:
        transform: (k, D), or (k, D + 1) with the offset as last column.
        vectors: (N, D).

    Returns:
        (N, k) float64.

    Raises:
        UserError: the dimensions do not fit.
    """
    dim = vectors.shape[1]
    if transform.shape[1] not in (dim, dim + 1):
        raise UserError(
            f"the transform is made for {transform.shape[1] - 1}-dimensional embeddings, these have "
            f"{dim}; use the back end of the same model and level"
        )
    linear = transform[:, :dim].T.astype(np.float64)
    result = np.empty((len(vectors), len(transform)))
    for block in blocks(len(vectors)):
        result[block] = vectors[block].astype(np.float64) @ linear
    if transform.shape[1] > dim:
        result += transform[:, dim]
    return result


def length_normalise(vectors: np.ndarray) -> np.ndarray:
    """Scales each vector to length sqrt(D), as Kaldi's ``ivector-normalize-length``.

    Args:
        vectors: (N, D); zero vectors stay, and are counted in a warning.

    Returns:
        (N, D) float64.
    """
    vectors = vectors.astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    zeros = lengths == 0
    if zeros.any():
        logging.warning("length normalisation: %d zero vectors are left as they are", zeros.sum())
        lengths[zeros] = 1.0
    vectors *= (np.sqrt(vectors.shape[1]) / lengths)[:, None]
    return vectors
