"""A small ReDimNet (Yakovlev et al., 2024): one sequence of features seen as vectors and as images in turn.

======== ============================== ======== ===================================================
layer    context                        width    parameters
======== ============================== ======== ===================================================
frame1   3 x 3                          C F      B F + F + 11 C
stage    blocks x 2 x (3 x 3), T taps   C F      see below
last     {0}                            W        C F W + 3 W
pooling  whole                          2 W      0, or 4 W A + A + W
embedding                               D        2 W D + D
======== ============================== ======== ===================================================

for B coefficients a frame, F frequencies, C channels and A hidden units of attention. C F is the same in all stages:
each but the first halves F and doubles C. A stage has

- C F weights for each of the layers before it, of which it reads the mean with these weights, channel by channel
  (those of a channel come from a softmax); none in the first stage, which has frame1 alone before it;
- C^2 + C in the strided convolution that halves the frequencies; none in the first stage;
- 18 C^2 + 4 C in each 2-d block: two 3 x 3 convolutions with BatchNorm, as in ResNet;
- 2 C F H + T H^2 + 3 (2 H + C F) in its 1-d block: from C F channels down to H, T taps over time, up again.

The network reads cepstra, as other students do. Frame1 scales them to unit variance and makes a spectrum of them by an
affine map that begins as the inverse of the cosine transform: 2-d convolutions want neighbours that belong together.
What differs from the paper: 1-d blocks are convolutions without attention, 2-d blocks are those of ResNet34, and the
last layer, which is there to have fewer channels behind it, reads the last stage alone.
Convolutions are padded with zeros. That of frame1 may have a stride over time, and the others fewer frames to work on.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from xvkd.config import limits
from xvkd.nets.layers import FrameConvolution, FrameNorm, blank_padding, context_of
from xvkd.nets.network import XvectorNetwork
from xvkd.nets.pooling import AttentiveStatisticsPooling
from xvkd.nets.teachers.ecapa import ConvolutionLayer
from xvkd.nets.teachers.resnet34 import Block, Convolution, strided


@dataclass
class Config:
    """Schema of the section ``arch`` of a student's YAML."""

    channels: int = limits(1)  # of the first stage
    frequencies: int = limits(1)  # of the first stage
    blocks: list[int] = limits(0)  # 2-d blocks of each stage
    taps: list[int] = limits(1)  # of each stage's 1-d block, odd
    hidden: int = limits(1)  # channels inside the 1-d blocks
    stride: int = limits(1)  # frames of the input between two of the network's
    last_width: int = limits(1)  # what the pooling reads
    attention: int = limits(0)  # hidden units of attentive pooling; 0: plain statistics

    def validate(self) -> str | None:
        """Says which stages are impossible."""
        if not self.blocks or len(self.taps) != len(self.blocks):
            return f"taps: {len(self.taps)} values, expected one for each of the {len(self.blocks)} stages in blocks"
        even = next((taps for taps in self.taps if taps % 2 == 0), None)
        if even is not None:
            return f"taps: {even} is even; only an odd number has a frame in its middle"
        halvings = len(self.blocks) - 1
        if self.frequencies % 2**halvings:
            return f"frequencies: {self.frequencies} cannot be halved {halvings} times"
        return None


def as_frames(x: torch.Tensor) -> torch.Tensor:
    """(batch, channels, frequencies, frames) -> (batch, frames, channels * frequencies)."""
    return x.permute(0, 3, 1, 2).flatten(2)


def as_images(x: torch.Tensor, channels: int) -> torch.Tensor:
    """(batch, frames, channels * frequencies) -> (batch, channels, frequencies, frames)."""
    # Channels last: what processors and GPUs convolve fastest.
    return x.unflatten(2, (channels, -1)).permute(0, 2, 3, 1).contiguous(memory_format=torch.channels_last)


def inverse_cosines(frequencies: int, coefficients: int) -> torch.Tensor:
    """(frequencies, coefficients): makes a spectrum of cepstra of unit variance, of about unit variance as well."""
    angles = torch.outer(torch.arange(frequencies) + 0.5, torch.arange(coefficients) * math.pi / frequencies)
    return angles.cos() * math.sqrt(2 / coefficients)


class Stem(nn.Module):
    """Cepstra to a spectrum, then a 3 x 3 convolution with BatchNorm and ReLU.

    Args:
        input_dim: cepstral coefficients.
        channels: of the convolution.
        frequencies: of the spectrum.
        stride: of frames.
    """

    span = 2

    def __init__(self, input_dim: int, channels: int, frequencies: int, stride: int) -> None:
        super().__init__()
        self.context = "3 x 3" + (f" / {stride}" if stride > 1 else "")
        self.scale = FrameNorm(input_dim, affine=False)
        self.spectrum = FrameConvolution(input_dim, frequencies, 1)
        with torch.no_grad():
            self.spectrum.weight.copy_(inverse_cosines(frequencies, input_dim)[:, :, None])
        self.convolution = Convolution(1, channels, stride=(1, stride))

    def forward(self, x: torch.Tensor, num_frames: torch.Tensor | None) -> torch.Tensor:
        """(batch, frames, input_dim) -> (batch, frames / stride, rounded up, channels * frequencies)."""
        x = blank_padding(self.spectrum(self.scale(x)), num_frames)
        return as_frames(functional.relu(self.convolution(as_images(x, 1))))


class Stage(nn.Module):
    """Reads the layers before it as an image, and what that becomes as a sequence of vectors.

    Args:
        inputs: layers before it.
        below: channels of the stage before it; as many as ``channels`` in the first.
        channels: of its images.
        frequencies: of its images.
        blocks: 2-d ones.
        hidden: channels inside its 1-d block.
        taps: of its 1-d block.
        spacing: frames of the network's input between two of this stage's.
    """

    def __init__(
        self, inputs: int, below: int, channels: int, frequencies: int, blocks: int, hidden: int, taps: int,
        spacing: int,
    ) -> None:  # fmt: skip
        super().__init__()
        width, stride = channels * frequencies, channels // below
        self.below = below
        self.shares = nn.Parameter(torch.zeros(inputs, width)) if inputs > 1 else None
        self.enter = nn.Conv2d(below, channels, (stride, 1), (stride, 1)) if stride > 1 else nn.Identity()
        self.images = nn.ModuleList(Block(channels, channels, 1) for _ in range(blocks))
        self.vectors = nn.ModuleList(
            [ConvolutionLayer(width, hidden), ConvolutionLayer(hidden, hidden, taps), ConvolutionLayer(hidden, width)]
        )
        self.span = spacing * (4 * blocks + taps - 1)
        self.context = f"{2 * blocks} x (3 x 3), {context_of(taps, 1)}"

    def forward(self, outputs: Sequence[torch.Tensor], num_frames: torch.Tensor | None) -> torch.Tensor:
        """(batch, frames, channels * frequencies) of each layer before it -> the same shape."""
        x = outputs[-1]
        if self.shares is not None:
            x = sum(share * output for share, output in zip(self.shares.softmax(dim=0), outputs, strict=True))
        image = blank_padding(self.enter(as_images(x, self.below)), num_frames, axis=3)
        for block in self.images:
            image, _ = block(image, num_frames)
        x = vectors = as_frames(image)
        for layer in self.vectors:
            vectors = layer(vectors, num_frames)
        return x + vectors


class LastLayer(ConvolutionLayer):
    """A dense layer on the last stage."""

    def forward(self, outputs: Sequence[torch.Tensor], num_frames: torch.Tensor | None) -> torch.Tensor:
        """(batch, frames, input_dim) of each layer before it -> (batch, frames, output_dim)."""
        return super().forward(outputs[-1], num_frames)


class Network(XvectorNetwork):
    """A small ReDimNet.

    Args:
        config: stages and widths.
        input_dim: cepstral coefficients.
        output_dim: size of the embedding, which is that of the target.
    """

    padded = True

    def __init__(self, config: Config, input_dim: int, output_dim: int) -> None:
        channels, frequencies, last = config.channels, config.frequencies, config.last_width
        width = channels * frequencies
        layers: list[nn.Module] = [Stem(input_dim, channels, frequencies, config.stride)]
        for number, (blocks, taps) in enumerate(zip(config.blocks, config.taps, strict=True)):
            below = channels
            if number:
                channels, frequencies = 2 * channels, frequencies // 2
            layers.append(
                Stage(number + 1, below, channels, frequencies, blocks, config.hidden, taps, config.stride)
            )
        layers.append(LastLayer(width, last))
        pooling = AttentiveStatisticsPooling(last, config.attention) if config.attention else None
        widths = [*[width] * (len(layers) - 1), last]
        super().__init__(layers, widths, [("embedding", output_dim)], pooling)
        self._stride = config.stride

    def frame_outputs(
        self, x: torch.Tensor, num_frames: torch.Tensor | None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """As :meth:`XvectorNetwork.frame_outputs`."""
        stem, *others = self.frame_layers
        outputs = [stem(x, num_frames)]
        num_frames = None if num_frames is None else strided(num_frames, self._stride)
        yield outputs[0], num_frames
        for layer in others:
            outputs.append(layer(outputs, num_frames))
            yield outputs[-1], num_frames
