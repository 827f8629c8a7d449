"""Training on speaker labels: teachers, and students without a teacher."""

from typing import Any

import torch
from torch import nn

from xvkd.nets.network import XvectorNetwork
from xvkd.registry import find


class SpeakerClassification(nn.Module):
    """A classifier of the training speakers stands on the network's output level, and is dropped when training ends.

    Args:
        network: what is trained.
        speakers: int64 (utterances,), the speaker's index of each utterance.
        kind: the classifier's module in :mod:`xvkd.training.objectives`.
        objective: its Config.
    """

    watched = "accuracy"

    def __init__(self, network: XvectorNetwork, speakers: torch.Tensor, kind: str, objective: Any) -> None:
        super().__init__()
        self.network = network
        module = find("xvkd.training.objectives", kind)
        self.classifier = module.Classifier(objective, network.output_dim, int(speakers.max()) + 1)
        self.register_buffer("speakers", speakers, persistent=False)

    def forward(self, features: torch.Tensor, utterances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, frames, dim) and (batch,) -> loss, and share of speakers that are right without any margin."""
        labels = self.speakers[utterances]
        loss, scores = self.classifier(self.network(features)[self.network.output_level], labels)
        return loss, (scores.argmax(dim=1) == labels).float().mean()
