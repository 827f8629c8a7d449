"""ECAPA-TDNN (Desplanques et al., 2020): residual multi-scale blocks, squeeze-excitation, attentive statistics.

======== ============== ===== =================== ==========
layer    context        width input               parameters
======== ============== ===== =================== ==========
frame1   {-2..2}          512 5 x 80                 206,336
frame2   7 x {-2, 0, 2}   512 512                    746,432
frame3   7 x {-3, 0, 3}   512 512: frame1 + 2        746,432
frame4   7 x {-4, 0, 4}   512 512: frame1 + 2 + 3    746,432
frame5   {0}             1536 1536: frame2, 3, 4   2,360,832
pooling  whole           3072 mean, deviation        788,096
segment6                  192 3072                   596,160
======== ============== ===== =================== ==========

The widths are those of ``conf/teachers/ecapa512.yaml``: 6,190,720 parameters; with the 1024 channels of
``conf/teachers/ecapa1024.yaml``, 14,657,088. Frame2 to frame4 are blocks, whose dilated convolutions follow each
other; each block reads the sum of all outputs before it. Convolutions are padded with zeros, so that there are as many
frames out as in, and ReLU comes before BatchNorm. A block's gates and the attention see the whole utterance.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from xvkd.config import limits
from xvkd.nets.layers import FrameConvolution, FrameNorm, blank_padding, context_of, masked_mean
from xvkd.nets.network import XvectorNetwork
from xvkd.nets.pooling import AttentiveStatisticsPooling

DILATIONS = (2, 3, 4)  # of the blocks, frame2 to frame4


@dataclass
class Config:
    """Schema of the section ``arch`` of a teacher's YAML."""

    channels: int = limits(1)  # frame1 to frame4
    scale: int = limits(2)  # groups of channels in a block's dilated convolutions
    bottleneck: int = limits(1)  # hidden layer of the gates and of the attention
    last_width: int = limits(1)  # frame5
    segment_width: int = limits(1)  # segment6

    def validate(self) -> str | None:
        """Says which width is impossible."""
        if self.channels % self.scale:
            return f"channels: {self.channels} is no multiple of scale, {self.scale}"
        return None


class ConvolutionLayer(nn.Module):
    """Convolution, ReLU, BatchNorm; as many frames out as in.

    Args:
        input_dim: channels in.
        output_dim: channels out.
        taps: odd number of frames that it reads.
        spacing: frames between two of them.
    """

    def __init__(self, input_dim: int, output_dim: int, taps: int = 1, spacing: int = 1) -> None:
        super().__init__()
        self.span = (taps - 1) * spacing
        self.context = context_of(taps, spacing)
        self.affine = FrameConvolution(input_dim, output_dim, taps, dilation=spacing, padding=self.span // 2)
        self.norm = FrameNorm(output_dim)

    def forward(self, x: torch.Tensor, num_frames: torch.Tensor | None) -> torch.Tensor:
        """(batch, frames, input_dim) -> (batch, frames, output_dim)."""
        if self.span:
            x = blank_padding(x, num_frames)
        return self.norm(functional.relu(self.affine(x)))


class Gates(nn.Module):
    """Squeeze-excitation: scales each channel by a gate that reads the time average of all of them.

    Args:
        channels: in and out.
        bottleneck: size of the hidden layer.
    """

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, bottleneck)
        self.excite = nn.Linear(bottleneck, channels)

    def forward(self, x: torch.Tensor, num_frames: torch.Tensor | None) -> torch.Tensor:
        """(batch, frames, channels) -> the same shape."""
        hidden = functional.relu(self.squeeze(masked_mean(x, num_frames)))
        return x * torch.sigmoid(self.excite(hidden))[:, None].to(x.dtype)


class Block(nn.Module):
    """SE-Res2Block: two dense layers with a multi-scale dilated one between them, gates, and a residual connection.

    The dilated layer cuts the channels into groups. The first passes as it is; each other one is convolved
    together with the result of the one before it, so that the last group has seen most context.

    Args:
        config: widths.
        dilation: frames between two taps.
    """

    def __init__(self, config: Config, dilation: int) -> None:
        super().__init__()
        channels, group = config.channels, config.channels // config.scale
        self.enter = ConvolutionLayer(channels, channels)
        self.groups = nn.ModuleList(ConvolutionLayer(group, group, 3, dilation) for _ in range(config.scale - 1))
        self.leave = ConvolutionLayer(channels, channels)
        self.gates = Gates(channels, config.bottleneck)
        self.span = sum(layer.span for layer in self.groups)
        self.context = f"{len(self.groups)} x {context_of(3, dilation)}"

    def forward(self, x: torch.Tensor, num_frames: torch.Tensor | None) -> torch.Tensor:
        """(batch, frames, channels) -> the same shape."""
        first, *others = self.enter(x, num_frames).chunk(len(self.groups) + 1, dim=2)
        convolved = [first]
        for layer, group in zip(self.groups, others, strict=True):
            convolved.append(layer(group + convolved[-1] if len(convolved) > 1 else group, num_frames))
        return x + self.gates(self.leave(torch.cat(convolved, dim=2), num_frames), num_frames)


class AggregationLayer(nn.Module):
    """A dense layer with ReLU over the outputs of all blocks.

    Args:
        input_dim: channels of them together.
        output_dim: channels out.
    """

    span, context = 0, context_of(1, 1)

    def __init__(self, input_dim: int, output_dim: int) -> None:
        super().__init__()
        self.affine = FrameConvolution(input_dim, output_dim, 1)

    def forward(self, outputs: list[torch.Tensor]) -> torch.Tensor:
        """(batch, frames, channels) each -> (batch, frames, output_dim)."""
        return functional.relu(self.affine(torch.cat(outputs, dim=2)))


class Network(XvectorNetwork):
    """ECAPA-TDNN.

    Args:
        config: widths.
        input_dim: features a frame.
    """

    padded = True

    def __init__(self, config: Config, input_dim: int) -> None:
        channels, last = config.channels, config.last_width
        first = ConvolutionLayer(input_dim, channels, taps=5)
        blocks = [Block(config, dilation) for dilation in DILATIONS]
        layers = [first, *blocks, AggregationLayer(len(blocks) * channels, last)]
        widths = [*[channels] * (1 + len(blocks)), last]
        pooling = AttentiveStatisticsPooling(last, config.bottleneck)
        super().__init__(layers, widths, [("segment6", config.segment_width)], pooling)
        self.segment_norms["segment6"] = nn.BatchNorm1d(2 * last)

    def frame_outputs(
        self, x: torch.Tensor, num_frames: torch.Tensor | None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """As :meth:`XvectorNetwork.frame_outputs`."""
        first, *others = self.frame_layers
        total = first(x, num_frames)
        yield total, num_frames
        outputs = []
        for block in others[: len(DILATIONS)]:
            outputs.append(block(total, num_frames))
            total = total + outputs[-1]
            yield outputs[-1], num_frames
        for last in others[len(DILATIONS) :]:  # a folded network can end before it
            yield last(outputs), num_frames
