"""Kullback-Leibler divergence between posteriors of speakers: distillation of labels (Hinton et al., 2015).

The task divides both logits by the temperature, and multiplies the loss by its square, so that gradients keep their
size whatever the temperature.
"""

import torch
from torch.nn import functional

COMPARES = "posteriors"


def loss(student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(batch, speakers) twice, logits -> KL(target || student) of their softmax, averaged over the batch."""
    student, target = student.float().log_softmax(dim=1), target.float().log_softmax(dim=1)
    return functional.kl_div(student, target, reduction="batchmean", log_target=True)
