"""ResNet34, the r-vector network (Zeinali et al., 2019): residual 2-d convolutions over frequency and time.

======== ================ ===== =============== ==========
layer    context          width input           parameters
======== ================ ===== =============== ==========
frame1   3 x 3             2560 1 x 80                 352
frame2   6 x (3 x 3)       2560 32 x 80             55,680
frame3   8 x (3 x 3) / 2   2560 32 x 80            279,680
frame4   12 x (3 x 3) / 2  2560 64 x 40          1,707,264
frame5   6 x (3 x 3) / 2   2560 128 x 20         3,280,384
pooling  whole             5120 mean, deviation          0
segment6                    256 5120             1,310,976
======== ================ ===== =============== ==========

The widths are those of ``conf/teachers/resnet34.yaml``: 6,634,336 parameters. A width is channels times frequencies;
"/ 2" says that frequencies and frames are halved, rounded up, so that a frame of frame5 stands for 8 of the input.
Convolutions are padded with zeros and have no bias; BatchNorm follows each, ReLU comes after that.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from xvkd.config import limits
from xvkd.nets.layers import blank_padding
from xvkd.nets.network import XvectorNetwork

# Blocks and stride of frame2 to frame5; each has twice the channels of the one before it.
STAGES = ((3, 1), (4, 2), (6, 2), (3, 2))


@dataclass
class Config:
    """Schema of the section ``arch`` of a teacher's YAML."""

    channels: int = limits(1)  # of frame1 and frame2
    segment_width: int = limits(1)  # segment6


def strided(size: int | torch.Tensor, stride: int) -> int | torch.Tensor:
    """Frames or frequencies that a strided convolution leaves."""
    return (size - 1) // stride + 1


class Convolution(nn.Module):
    """3 x 3 convolution (or 1 x 1) and BatchNorm.

    Args:
        input_dim: channels in.
        output_dim: channels out.
        taps: 3 or 1.
        stride: of frequencies and of frames, or of each.
    """

    span, context = 2, "3 x 3"

    def __init__(
        self, input_dim: int, output_dim: int, taps: int = 3, stride: int | tuple[int, int] = 1
    ) -> None:
        super().__init__()
        self.affine = nn.Conv2d(input_dim, output_dim, taps, stride, padding=taps // 2, bias=False)
        self.norm = nn.BatchNorm2d(output_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, input_dim, frequencies, frames) -> (batch, output_dim, ...), both axes strided."""
        return self.norm(self.affine(x))


class Block(nn.Module):
    """Two convolutions and a residual connection.

    Args:
        input_dim: channels in.
        output_dim: channels out.
        stride: of the first convolution.
    """

    def __init__(self, input_dim: int, output_dim: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.first = Convolution(input_dim, output_dim, stride=stride)
        self.second = Convolution(output_dim, output_dim)
        same = stride == 1 and input_dim == output_dim
        self.shortcut = nn.Identity() if same else Convolution(input_dim, output_dim, taps=1, stride=stride)

    def forward(
        self, x: torch.Tensor, num_frames: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(batch, input_dim, frequencies, frames) -> (batch, output_dim, ...), and how many frames count.

        Frames that do not count are zero, in and out.
        """
        num_frames = None if num_frames is None else strided(num_frames, self.stride)
        inner = blank_padding(functional.relu(self.first(x)), num_frames, axis=3)
        x = functional.relu(self.second(inner) + self.shortcut(x))
        return blank_padding(x, num_frames, axis=3), num_frames


class Stage(nn.Module):
    """Blocks of equal width, the first of which may be strided.

    Args:
        input_dim: channels in.
        output_dim: channels out.
        blocks: how many.
        stride: of the first.
        spacing: frames of the network's input between two frames of this stage's.
    """

    def __init__(self, input_dim: int, output_dim: int, blocks: int, stride: int, spacing: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(output_dim if i else input_dim, output_dim, 1 if i else stride) for i in range(blocks)
        )
        self.span = 2 * spacing + 2 * spacing * stride * (2 * blocks - 1)
        self.context = f"{2 * blocks} x (3 x 3)" + (f" / {stride}" if stride > 1 else "")

    def forward(
        self, x: torch.Tensor, num_frames: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As :meth:`Block.forward`."""
        for block in self.blocks:
            x, num_frames = block(x, num_frames)
        return x, num_frames


class Network(XvectorNetwork):
    """ResNet34.

    Args:
        config: widths.
        input_dim: features a frame.
    """

    padded = True

    def __init__(self, config: Config, input_dim: int) -> None:
        channels, frequencies, spacing = config.channels, input_dim, 1
        layers: list[nn.Module] = [Convolution(1, channels)]
        widths = [channels * frequencies]
        for number, (blocks, stride) in enumerate(STAGES):
            below, channels = channels, config.channels * 2**number
            layers.append(Stage(below, channels, blocks, stride, spacing))
            frequencies, spacing = strided(frequencies, stride), spacing * stride
            widths.append(channels * frequencies)
        super().__init__(layers, widths, [("segment6", config.segment_width)])

    def frame_outputs(
        self, x: torch.Tensor, num_frames: torch.Tensor | None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """As :meth:`XvectorNetwork.frame_outputs`."""
        first, *stages = self.frame_layers
        # Channels last: what processors and GPUs convolve fastest.
        x = blank_padding(x, num_frames).transpose(1, 2)[:, None].contiguous(memory_format=torch.channels_last)
        x = blank_padding(functional.relu(first(x)), num_frames, axis=3)
        yield x.permute(0, 3, 1, 2), num_frames
        for stage in stages:
            x, num_frames = stage(x, num_frames)
            yield x.permute(0, 3, 1, 2), num_frames
