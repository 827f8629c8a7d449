"""Kaldi's PLDA files, as ``ivector-compute-plda`` writes and ``ivector-plda-scoring`` reads them."""

from pathlib import Path

import numpy as np

from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.objects import Cursor, binary_object, open_object, read_binary, read_text

START, END = "<Plda>", "</Plda>"


def read_plda(path: str | Path, allow_pipes: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads a PLDA model, binary or text.

    Args:
        path: the file, or what else ``streams.open_input`` takes.
        allow_pipes: commands are run.

    Returns:
        Float64: the mean (D,); the transform (D, D) after which the within-speaker covariance is
        unit and the between-speaker covariance diagonal; and that diagonal, psi (D,).

    Raises:
        UserError: the file is missing, damaged or no PLDA model.
    """
    with open_object(path, allow_pipes) as cursor:
        binary = cursor.peek(2) == b"\0B"
        if binary:
            cursor.offset += 2
        _expect(cursor, START)
        read = read_binary if binary else read_text
        mean, transform, psi = (read(cursor).astype(np.float64) for _ in range(3))
        if not binary:
            cursor.skip_space()
        _expect(cursor, END)
    if mean.ndim != 1 or psi.shape != mean.shape or transform.shape != 2 * mean.shape:
        raise cursor.error(
            f"a PLDA model of inconsistent shapes: {mean.shape}, {transform.shape}, {psi.shape}"
        )
    if not all(np.isfinite(part).all() for part in (mean, transform, psi)) or (psi < 0).any():
        raise cursor.error("a PLDA model with NaN, infinity or negative variances")
    return mean, transform, psi


def _expect(cursor: Cursor, expected: str) -> None:
    if cursor.token() != expected:
        raise cursor.error(f"not a PLDA model of Kaldi's ('{expected}' expected)")


def write_plda(
    path: str | Path, mean: np.ndarray, transform: np.ndarray, psi: np.ndarray, precision: type = np.float64
) -> None:
    """Writes a PLDA model in binary, under its name only when whole.

    Args:
        path: the file.
        mean: (D,), see ``read_plda``.
        transform: (D, D).
        psi: (D,).
        precision: np.float64, as Kaldi writes, or np.float32, which Kaldi reads as well: half the size.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic_write(path, "wb") as stream:
        stream.write(b"\0B" + START.encode() + b" ")
        for part in (mean, transform, psi):
            stream.write(binary_object(np.asarray(part, precision)))
        stream.write(END.encode() + b" ")
