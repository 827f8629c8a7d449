"""Additive angular margin softmax (AAM; Deng et al., ArcFace, 2019).

The logits are ``scale`` times the cosines between the embedding, the network's last affine output, and a vector of
each speaker; the angle to the right speaker counts as if it were larger by ``margin``. The margin is 0 until
``margin_begins`` and grows until ``margin_whole``: with a whole one from the beginning, large sets do not converge.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from xvkd.config import choices, limits
from xvkd.training.config import MOST_MARGIN
from xvkd.training.objective import Objective

# How near the whole margin an exponential growth comes: 1 less this share of it, and then all of it.
_REST = 1.0e-3
# Under the root of the sine: its slope is finite where an embedding lies upon its speaker's vector.
_FLOOR = 1.0e-8


@dataclass
class Config:
    """Schema of ``conf/objectives/aam.yaml``."""

    kind: str
    scale: float = limits(1.0)
    margin: float = limits(0.0, MOST_MARGIN)  # radians
    margin_begins: float = limits(0.0, 1.0)  # share of the steps without any margin
    margin_whole: float = limits(0.0, 1.0)  # share of the steps after which it is whole
    margin_growth: str = choices("exponential", "linear")
    label_smoothing: float = limits(0.0, 0.99)  # share of the target that is spread over all speakers

    def validate(self) -> str | None:
        """Says if the margin is whole before it begins."""
        if self.margin_whole < self.margin_begins:
            return f"margin_whole: {self.margin_whole} comes before margin_begins: {self.margin_begins}"
        return None


class Classifier(Objective):
    """A vector of each speaker.

    Args:
        config: scale and margin.
        dim: of the embedding.
        speakers: how many are told apart.
    """

    def __init__(self, config: Config, dim: int, speakers: int) -> None:
        super().__init__()
        self._config = config
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(speakers, dim)))
        self.schedule(0.0)

    def schedule(self, share: float) -> None:
        """Sets the margin of the moment."""
        begins, whole = self._config.margin_begins, self._config.margin_whole
        if share >= whole:
            grown = 1.0
        elif share <= begins:
            grown = 0.0
        else:
            grown = (share - begins) / (whole - begins)
            if self._config.margin_growth == "exponential":
                grown = 1 - _REST**grown
        self.margin = self._config.margin * grown

    def fix_margin(self, margin: float | None) -> None:
        """The margin is whole from now on."""
        self.margin = self._config.margin if margin is None else margin

    def scores(self, embedding: torch.Tensor) -> torch.Tensor:
        """(batch, dim) -> (batch, speakers), the scaled cosines."""
        with torch.autocast(embedding.device.type, enabled=False):
            unit = functional.normalize(embedding.float())
            return self._config.scale * functional.linear(unit, functional.normalize(self.weight))

    def loss(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(batch, speakers) and (batch,) -> the cross-entropy with the margin of the moment."""
        assert self.margin is not None
        with torch.autocast(scores.device.type, enabled=False):
            cosines = scores / self._config.scale
            right = cosines.gather(1, labels[:, None])
            sine = (1 - right.square()).clamp(min=_FLOOR).sqrt()
            moved = right * math.cos(self.margin) - sine * math.sin(self.margin)
            # An angle that would pass pi: the cosine rises again there, so a line that only falls takes over.
            beyond = right - self.margin * math.sin(self.margin)
            moved = torch.where(right > -math.cos(self.margin), moved, beyond)
            logits = self._config.scale * cosines.scatter(1, labels[:, None], moved)
            return functional.cross_entropy(logits, labels, label_smoothing=self._config.label_smoothing)
