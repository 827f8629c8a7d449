"""Softmax cross-entropy behind ReLU and BatchNorm of the last affine output, as in Kaldi's x-vector recipes."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from xvkd.config import limits
from xvkd.training.objective import Objective


@dataclass
class Config:
    """Schema of ``conf/objectives/softmax.yaml``."""

    kind: str
    label_smoothing: float = limits(0.0, 0.99)  # share of the target that is spread over all speakers


class Classifier(Objective):
    """ReLU, BatchNorm without affine parameters, an affine layer.

    Args:
        config: the smoothing.
        dim: of the embedding.
        speakers: how many are told apart.
    """

    def __init__(self, config: Config, dim: int, speakers: int) -> None:
        super().__init__()
        self._smoothing = config.label_smoothing
        self.norm = nn.BatchNorm1d(dim, affine=False)
        self.affine = nn.Linear(dim, speakers)

    def scores(self, embedding: torch.Tensor) -> torch.Tensor:
        """(batch, dim) -> (batch, speakers), the logits."""
        return self.affine(self.norm(functional.relu(embedding))).float()

    def loss(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(batch, speakers) and (batch,) -> the cross-entropy."""
        return functional.cross_entropy(scores, labels, label_smoothing=self._smoothing)
