"""Cosine distance."""

import torch
from torch.nn import functional

COMPARES = "coordinates"


def loss(student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(batch, dim) twice -> one minus the cosine, averaged over the batch; in [0, 2]."""
    return 1 - functional.cosine_similarity(student, target, dim=1).mean()
