"""The depthwise-separable student: residual blocks, each of which splices frames channel by channel.

======== ============== ======== ======================
layer    context        width    parameters
======== ============== ======== ======================
frame1   {-2..2}        W        5 F W + 3 W
block    T taps         W        W^2 + T W + 3 W
pooling  whole          2 W      0, or 4 W A + A + W
embedding               D        2 W D + D
======== ============== ======== ======================

for F features a frame and A hidden units of attention. A block is a layer of the x-vector (affine over spliced frames,
ReLU, BatchNorm) whose affine part is cut in two, as in QuartzNet (Kriman et al., 2020) and MatchboxNet (Majumdar and
Ginsburg, 2020): each channel is convolved over time by itself, then channels are mixed in each frame; what it reads is
added to what it gives. T taps so cost T W in place of T W^2 parameters, which buys depth and a wider context.
Convolutions are padded with zeros, so that there are as many frames out as in, and BatchNorm has affine parameters.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from xvkd.config import limits
from xvkd.nets.layers import FrameConvolution, blank_padding, context_of
from xvkd.nets.network import XvectorNetwork
from xvkd.nets.pooling import AttentiveStatisticsPooling
from xvkd.nets.teachers.ecapa import ConvolutionLayer


@dataclass
class Config:
    """Schema of the section ``arch`` of a student's YAML."""

    width: int = limits(1)
    taps: list[int] = limits(1)  # of each block, odd
    spacings: list[int] = limits(1)  # frames between two taps, of each block
    attention: int = limits(0)  # hidden units of attentive pooling; 0: plain statistics

    def validate(self) -> str | None:
        """Says which blocks are impossible."""
        if len(self.taps) != len(self.spacings):
            return f"spacings: {len(self.spacings)} values, expected one for each of the {len(self.taps)} taps"
        even = next((taps for taps in self.taps if taps % 2 == 0), None)
        return None if even is None else f"taps: {even} is even; only an odd number has a frame in its middle"


class Block(nn.Module):
    """Depthwise convolution, pointwise convolution, ReLU, BatchNorm, and a residual connection.

    Args:
        channels: in and out.
        taps: odd number of frames that each channel is convolved with.
        spacing: frames between two of them.
    """

    def __init__(self, channels: int, taps: int, spacing: int) -> None:
        super().__init__()
        self.span = (taps - 1) * spacing
        self.context = context_of(taps, spacing)
        self.depthwise = FrameConvolution(
            channels, channels, taps, dilation=spacing, padding=self.span // 2, groups=channels, bias=False
        )
        self.mix = ConvolutionLayer(channels, channels)

    def forward(self, x: torch.Tensor, num_frames: torch.Tensor | None) -> torch.Tensor:
        """(batch, frames, channels) -> the same shape."""
        return x + self.mix(self.depthwise(blank_padding(x, num_frames)), num_frames)


class Network(XvectorNetwork):
    """The depthwise-separable student.

    Args:
        config: width and blocks.
        input_dim: features a frame.
        output_dim: size of the embedding, which is that of the target.
    """

    padded = True

    def __init__(self, config: Config, input_dim: int, output_dim: int) -> None:
        width = config.width
        blocks = [Block(width, taps, spacing) for taps, spacing in zip(config.taps, config.spacings, strict=True)]
        layers = [ConvolutionLayer(input_dim, width, taps=5), *blocks]
        pooling = AttentiveStatisticsPooling(width, config.attention) if config.attention else None
        super().__init__(layers, [width] * len(layers), [("embedding", output_dim)], pooling)

    def frame_outputs(
        self, x: torch.Tensor, num_frames: torch.Tensor | None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """As :meth:`XvectorNetwork.frame_outputs`."""
        for layer in self.frame_layers:
            x = layer(x, num_frames)
            yield x, num_frames
