"""Training on speaker labels: teachers, and students without a teacher."""

import torch
from torch import nn
from torch.nn import functional

from xvkd.nets.network import XvectorNetwork


class SpeakerClassification(nn.Module):
    """Softmax cross-entropy over the training speakers.

    The classifier stands on ReLU and BatchNorm of the network's output level, as in Kaldi, and is
    dropped when training ends.

    Args:
        network: what is trained.
        speakers: int64 (utterances,), the speaker's index of each utterance.
        label_smoothing: in [0, 1).
    """

    watched = "accuracy"

    def __init__(self, network: XvectorNetwork, speakers: torch.Tensor, label_smoothing: float) -> None:
        super().__init__()
        self.network = network
        self.classifier = nn.Sequential(
            nn.ReLU(),
            nn.BatchNorm1d(network.output_dim, affine=False),
            nn.Linear(network.output_dim, int(speakers.max()) + 1),
        )
        self.register_buffer("speakers", speakers, persistent=False)
        self._smoothing = label_smoothing

    def forward(self, features: torch.Tensor, utterances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, frames, dim) and (batch,) -> cross-entropy and share of right speakers."""
        logits = self.classifier(self.network(features)[self.network.output_level]).float()
        labels = self.speakers[utterances]
        loss = functional.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        return loss, (logits.argmax(dim=1) == labels).float().mean()
