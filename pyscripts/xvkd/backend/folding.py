"""Folding: what follows a network's last affine layer, multiplied into it (docs/folding.md has the algebra).

The layer gives y = A s + b. It is written here as the matrix [A b], (D, N + 1), and so is what it becomes.
"""

import numpy as np

from xvkd.backend.backend import Backend
from xvkd.backend.plda import Plda
from xvkd.errors import UserError

# What of a mean lies outside the space that a network's embeddings can fill, as a share of the mean's and the layer's
# size, is rounding if it is less: float32 leaves 1e-7, averaging some more; a cosine changes by the share's square.
OUTSIDE_TOLERANCE = 1e-4
# Singular values below this share of the largest are rounding of float32 weights.
RANK_TOLERANCE = float(np.finfo(np.float32).eps)


def fold_rank(layer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Splits a layer into one with as many outputs as its rank can be, and a rotation: [A b] = Q R.

    Embeddings y = Q z keep their inner products, and so do they less any mean in Q's span.

    Args:
        layer: (D, N + 1).

    Returns:
        Q (D, r) with orthonormal columns, r = min(D, N + 1), and R (r, N + 1), the layer that gives z. A layer with
        no more outputs than that stays as it is, and Q is the unit matrix.
    """
    layer = layer.astype(np.float64)
    if len(layer) <= layer.shape[1]:
        return np.eye(len(layer)), layer
    return np.linalg.qr(layer)


def rotate_backend(backend: Backend, basis: np.ndarray, folded: np.ndarray) -> Backend:
    """A back end of y = Q z as one of z.

    LDA(y) is affine in y, and so in z: that is exact whatever the mean. Plain cosine is of y - m, which is a rotation
    of z - Q'm if m = QQ'm, as the mean of any such y is.

    Args:
        backend: of embeddings y.
        basis: Q, (D, r), of ``fold_rank``.
        folded: (r, N + 1), the layer that gives z.

    Raises:
        UserError: the back end is of other embeddings: its mean is none that these can have.
    """
    mean = basis.T @ backend.mean.astype(np.float64)
    outside = np.linalg.norm(backend.mean - basis @ mean)
    if outside > OUTSIDE_TOLERANCE * (np.linalg.norm(mean) + np.linalg.norm(folded)):
        raise UserError(
            f"{backend.name}: of its mean, {outside / np.linalg.norm(backend.mean):.1%} lies where this network has no "
            "embedding, so that plain cosines would change; use the back end that was trained on this network's "
            "embeddings, or none, and train one on the folded network's"
        )
    mean = mean.astype(np.float32)
    linear = backend.affine[:, :-1] @ basis
    transform = np.column_stack([linear, backend.affine[:, -1] + linear @ mean])
    return Backend(mean, transform, backend.plda, backend.name)


def fold_lda(layer: np.ndarray | None, backend: Backend) -> tuple[np.ndarray, Backend]:
    """Multiplies mean subtraction and LDA into a layer.

    Args:
        layer: (D, N + 1); None: the embeddings are no layer's output, and LDA becomes the layer.
        backend: of the layer's output.

    Returns:
        (k, N + 1), the layer that gives what LDA gave; and the back end of its output, the same PLDA with no mean to
        subtract and the unit matrix for LDA.

    Raises:
        UserError: LDA has more dimensions than the embeddings fill.
    """
    linear, offset = backend.affine[:, :-1], backend.affine[:, -1]
    dim = len(linear)
    # Of the directions that LDA reads: how many does the layer fill?
    directions = np.linalg.qr(linear.T)[0]
    spread = np.linalg.svd(directions.T if layer is None else directions.T @ layer[:, :-1], compute_uv=False)
    rank = np.sum(spread > RANK_TOLERANCE * spread[0])
    if rank < dim:
        raise UserError(
            f"{backend.name}: its LDA gives {dim} dimensions, but in what it reads this network's embeddings fill "
            f"{rank}: the others are noise; train the back end with --lda-dim={rank} or less"
        )
    if layer is None:
        folded = backend.affine
    else:
        folded = linear @ layer
        folded[:, -1] += offset
    plain = Backend(np.zeros(dim, np.float32), np.eye(dim, dtype=np.float32), backend.plda, backend.name)
    return folded, plain


def check_size(backend: Backend, dim: int) -> None:
    """UserError if a back end is of embeddings of another size than ``dim``."""
    if len(backend.mean) != dim:
        raise UserError(
            f"{backend.name}: made for {len(backend.mean)}-dimensional embeddings, this network's have {dim}; use the "
            "back end of the same model and level"
        )


def deployed_parameters(parameters: int, size: int, fan_in: int | None, lda_dim: int) -> int:
    """Parameters of a network after ``fold_lda``.

    Args:
        parameters: that the level needs before.
        size: the level's.
        fan_in: inputs of the affine layer that gives the level; None: there is none, and LDA becomes one.
        lda_dim: what LDA gives.
    """
    return parameters + (lda_dim * (size + 1) if fan_in is None else (lda_dim - size) * (fan_in + 1))


def plda_parameters(plda: Plda) -> int:
    """How many numbers a PLDA model has: its mean, its transform and the between-speaker variances."""
    return plda.mean.size + plda.transform.size + plda.psi.size
