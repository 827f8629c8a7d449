"""What the classifiers of :mod:`xvkd.training.objectives` have in common."""

from abc import ABC, abstractmethod

import torch
from torch import nn


class Objective(nn.Module, ABC):
    """A classifier of the training speakers, and its loss.

    Attributes:
        margin: the margin of the moment, in radians; None: it has none.
    """

    margin: float | None = None

    def forward(self, embedding: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Judges a batch.

        Args:
            embedding: float32 (batch, dim), the network's last affine output.
            labels: int64 (batch,), indices of the speakers.

        Returns:
            the loss, and what each speaker scores without any margin, (batch, speakers).
        """
        scores = self.scores(embedding)
        return self.loss(scores, labels), scores

    @abstractmethod
    def scores(self, embedding: torch.Tensor) -> torch.Tensor:
        """(batch, dim) -> float32 (batch, speakers): logits, without any margin, of which the softmax is posteriors."""

    @abstractmethod
    def loss(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(batch, speakers), of :meth:`scores`, and (batch,) -> the loss."""

    def schedule(self, share: float) -> None:
        """Tells how much of the training is behind, in [0, 1]: a margin grows with it."""

    def fix_margin(self, margin: float | None) -> None:
        """For fine-tuning: the margin is whole from now on; None: the configuration's own."""
