"""What makes one vector of an utterance's frames. Tensors in are (batch, frames, channels)."""

import torch
from torch import nn

from xvkd.nets.layers import blank_padding, masked_mean


class MeanPooling(nn.Module):
    """The average over time: what a folded network reads of which the level was a frame-level one."""

    def forward(self, x: torch.Tensor, num_frames: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, frames, channels) -> (batch, channels), in float32."""
        return masked_mean(x, num_frames)


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over time (Snyder et al., 2018).

    The variance is floored at 1e-10, as in Kaldi's statistics-pooling component.
    """

    VARIANCE_FLOOR = 1.0e-10

    def forward(self, x: torch.Tensor, num_frames: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, frames, channels) -> (batch, 2 * channels), in float32; mean first."""
        x = x.float()
        mean = masked_mean(x, num_frames)
        variance = masked_mean((x - mean[:, None]).square(), num_frames)
        return torch.cat([mean, variance.clamp(min=self.VARIANCE_FLOOR).sqrt()], dim=1)


class AttentiveStatisticsPooling(StatisticsPooling):
    """Mean and standard deviation over time, each channel with weights of its own (Desplanques et al., 2020).

    A frame's weights depend on the frame and on the utterance: the hidden layer reads the frame beside the plain
    mean and deviation over the whole utterance (global context).

    Args:
        channels: in.
        bottleneck: size of the hidden layer, which all channels share.
    """

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        # An affine map of (frame, mean, deviation), in two parts: the utterance's is computed once, not in each frame.
        self.of_frame = nn.Linear(channels, bottleneck)
        self.of_utterance = nn.Linear(2 * channels, bottleneck, bias=False)
        self.scores = nn.Linear(bottleneck, channels)

    def forward(self, x: torch.Tensor, num_frames: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, frames, channels) -> (batch, 2 * channels), in float32; mean first."""
        whole = self.of_utterance(super().forward(x, num_frames))
        scores = self.scores(torch.tanh(self.of_frame(x) + whole[:, None])).float()
        weights = blank_padding(scores, num_frames, -torch.inf).softmax(dim=1)
        x = x.float()
        mean = (weights * x).sum(dim=1)
        variance = (weights * (x - mean[:, None]).square()).sum(dim=1)
        return torch.cat([mean, variance.clamp(min=self.VARIANCE_FLOOR).sqrt()], dim=1)
