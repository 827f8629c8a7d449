"""The layers that x-vector networks share. All tensors are (batch, frames, channels)."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


class FrameConvolution(nn.Conv1d):
    """Convolution over time, computed as a 2-d one of height 1.

    With the channels last in memory, processors convolve up to twice as fast as Conv1d, which has them before the
    frames and cannot be told otherwise.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, in_channels) -> (batch, frames', out_channels)."""
        x = functional.conv2d(
            as_image(x), self.weight.unsqueeze(2), self.bias, padding=(0, *self.padding), dilation=(1, *self.dilation),
            groups=self.groups,
        )  # fmt: skip
        return as_frames(x)


class FrameNorm(nn.BatchNorm2d):
    """BatchNorm of frames, in the same layout."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, channels) -> the same shape."""
        return as_frames(super().forward(as_image(x)))


def as_image(x: torch.Tensor) -> torch.Tensor:
    """(batch, frames, channels) -> (batch, channels, 1, frames), the same memory."""
    return x.transpose(1, 2).unsqueeze(2)


def as_frames(x: torch.Tensor) -> torch.Tensor:
    """(batch, channels, 1, frames) -> (batch, frames, channels), the same memory."""
    return x.squeeze(2).transpose(1, 2)


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
        self.affine = FrameConvolution(input_dim, output_dim, taps, dilation=spacing)
        self.norm = FrameNorm(output_dim, affine=False)
        self.span = (taps - 1) * spacing
        self.context = context_of(taps, spacing)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, input_dim) -> (batch, frames - span, output_dim)."""
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


def context_of(taps: int, spacing: int) -> str:
    """The frames around its own that a layer reads, as tables of layers write them: {-2..2}, {-3, 0, 3}."""
    offsets = [spacing * (tap - taps // 2) for tap in range(taps)]
    return f"{{{offsets[0]}..{offsets[-1]}}}" if taps > 3 and spacing == 1 else f"{{{', '.join(map(str, offsets))}}}"


def masked_mean(x: torch.Tensor, num_frames: torch.Tensor | None) -> torch.Tensor:
    """The average over time.

    Args:
        x: (batch, frames, ...).
        num_frames: (batch,) how many frames of each row count; None: all.

    Returns:
        float32 (batch, ...).
    """
    x = x.float()
    if num_frames is None:
        return x.mean(dim=1)
    return blank_padding(x, num_frames).sum(dim=1) / num_frames.view(-1, *[1] * (x.dim() - 2))


def blank_padding(
    x: torch.Tensor, num_frames: torch.Tensor | None, value: float = 0.0, axis: int = 1
) -> torch.Tensor:
    """Gives the frames behind each utterance's end one value.

    Zeros are what a convolution's own padding puts there, so that an utterance in a padded batch is treated as it
    is alone.

    Args:
        x: (batch, ...).
        num_frames: (batch,) how many frames of each row count; None: all.
        value: of the others.
        axis: the frames' in x.
    """
    if num_frames is None:
        return x
    behind = torch.arange(x.shape[axis], device=x.device) >= num_frames[:, None]
    shape = [size if i in (0, axis) else 1 for i, size in enumerate(x.shape)]
    return x.masked_fill(behind.view(shape), value)
