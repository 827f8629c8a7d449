"""Mean squared error."""

import torch
from torch.nn import functional

COMPARES = "coordinates"


def loss(student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(batch, dim) twice -> the squared error, averaged over batch and dimensions."""
    return functional.mse_loss(student, target)
