"""Relations within a batch: which utterances are alike (Park et al., 2019; Tung and Mori, 2019)."""

import torch
from torch.nn import functional

from xvkd.errors import UserError

COMPARES = "similarities"


def loss(student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Compares the cosines of all pairs.

    Args:
        student: (batch, dim), at least two.
        target: (batch, any).

    Returns:
        the squared difference between student's and target's cosines, averaged over the pairs of different rows.

    Raises:
        UserError: there is no pair.
    """
    size = len(student)
    if size < 2:
        raise UserError("loss relational: compares utterances of a batch, and there is one only; train on more")
    # 16 bits are too few for differences of cosines.
    with torch.autocast(student.device.type, enabled=False):
        difference = _cosines(student) - _cosines(target)
        return difference.fill_diagonal_(0).square().sum() / (size * (size - 1))


def _cosines(vectors: torch.Tensor) -> torch.Tensor:
    """(batch, dim) -> (batch, batch)."""
    unit = functional.normalize(vectors.float(), dim=1)
    return unit @ unit.T
