"""The layers that x-vector networks are made of. All tensors are (batch, channels, frames)."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


class TdnnLayer(nn.Module):
    """Affine over a few spliced frames, ReLU, BatchNorm without affine parameters, as in Kaldi.

    No frame is padded: the output is ``span`` frames shorter than the input.

    Args:
        input_dim: channels in.
        output_dim: channels out.
        taps: frames that are spliced.
        spacing: frames between two taps; {-3, 0, 3} has 3 taps of spacing 3.
    """

    def __init__(self, input_dim: int, output_dim: int, taps: int = 1, spacing: int = 1) -> None:
        super().__init__()
        self.affine = nn.Conv1d(input_dim, output_dim, taps, dilation=spacing)
        self.norm = nn.BatchNorm1d(output_dim, affine=False)
        self.span = (taps - 1) * spacing

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, input_dim, frames) -> (batch, output_dim, frames - span)."""
        return self.norm(functional.relu(self.affine(x)))


def tdnn_layers(input_dim: int, widths: Sequence[int], contexts: Sequence[tuple[int, int]]) -> list[TdnnLayer]:
    """A stack of layers.

    Args:
        input_dim: channels into the first.
        widths: channels out of each.
        contexts: (taps, spacing) of each.
    """
    return [
        TdnnLayer(below, width, taps, spacing)
        for below, width, (taps, spacing) in zip([input_dim, *widths[:-1]], widths, contexts, strict=True)
    ]


def masked_mean(x: torch.Tensor, num_frames: torch.Tensor | None) -> torch.Tensor:
    """The average over time.

    Args:
        x: (batch, channels, frames).
        num_frames: (batch,) how many frames of each row count; None: all.

    Returns:
        float32 (batch, channels).
    """
    x = x.float()
    if num_frames is None:
        return x.mean(dim=2)
    return (x * _mask(x, num_frames)).sum(dim=2) / num_frames[:, None]


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over time (Snyder et al., 2018).

    The variance is floored at 1e-10, as in Kaldi's statistics-pooling component.
    """

    VARIANCE_FLOOR = 1.0e-10

    def forward(self, x: torch.Tensor, num_frames: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, channels, frames) -> (batch, 2 * channels), in float32; mean first."""
        x = x.float()
        mean = masked_mean(x, num_frames)
        deviation = x - mean[:, :, None]
        if num_frames is not None:
            deviation = deviation * _mask(x, num_frames)
            variance = deviation.square().sum(dim=2) / num_frames[:, None]
        else:
            variance = deviation.square().mean(dim=2)
        return torch.cat([mean, variance.clamp(min=self.VARIANCE_FLOOR).sqrt()], dim=1)


def _mask(x: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
    """(batch, 1, frames): 1 where a frame counts."""
    return (torch.arange(x.shape[2], device=x.device) < num_frames[:, None])[:, None].to(x.dtype)
