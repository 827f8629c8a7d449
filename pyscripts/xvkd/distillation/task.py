"""Training a student on targets."""

import numpy as np
import torch
from torch import nn

from xvkd.distillation.targets import LossConfig, Targets
from xvkd.nets.network import XvectorNetwork
from xvkd.registry import find


class Distillation(nn.Module):
    """The student's embedding of a random chunk regresses the teacher's of the whole utterance.

    Each loss is averaged within each level, and added over levels with their weights: otherwise the
    largest level would drown the others.

    Args:
        network: the student.
        targets: of the training utterances.
        config: which losses.
    """

    watched = "cosine"

    def __init__(self, network: XvectorNetwork, targets: Targets, config: LossConfig) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("targets", torch.from_numpy(targets.values), persistent=False)
        self._blocks = targets.blocks
        self._terms = [
            (find("xvkd.distillation.losses", name).loss, weight)
            for name, weight in config.terms.items()
            if weight > 0
        ]

    def forward(self, features: torch.Tensor, utterances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, frames, dim) and (batch,) -> loss, and cosine between student and target."""
        embedding = self.network(features)[self.network.output_level]
        target = self.targets[utterances]
        sizes = [size for size, _ in self._blocks]
        pairs = zip(embedding.split(sizes, dim=1), target.split(sizes, dim=1), self._blocks, strict=True)
        loss = sum(
            block_weight * weight * term(student, teacher)
            for student, teacher, (_, block_weight) in pairs
            for term, weight in self._terms
        )
        return loss, torch.cosine_similarity(embedding.detach(), target, dim=1).mean()


@torch.no_grad()
def fold_affine(layer: nn.Linear, scale: np.ndarray, shift: np.ndarray) -> None:
    """Multiplies ``y * scale + shift`` into the affine layer that gives y.

    Args:
        layer: (dim) outputs; changed in place.
        scale: (dim,).
        shift: (dim,).
    """
    weight, bias = layer.weight.double(), layer.bias.double()
    scale, shift = (torch.from_numpy(values).to(weight) for values in (scale, shift))
    layer.weight.copy_(weight * scale[:, None])
    layer.bias.copy_(bias * scale + shift)
