"""The factorised x-vector network, F-TDNN (Povey et al., 2018; as an x-vector: Villalba et al., 2020).

======== ============== ===== ====================== ==========
layer    context        width input                  parameters
======== ============== ===== ====================== ==========
frame1   {-2..2}          512 5 x 30                     77,312
frame2   {-2, 0} {0, 2}  1024 2 x 512                   787,456
frame3   {0}             1024 1024                      525,312
frame4   {-3, 0} {0, 3}  1024 2 x 1024                1,049,600
frame5   {0}             1024 1024                      525,312
frame6   {-3, 0} {0, 3}  1024 2 x 1024                1,049,600
frame7   {-3, 0} {0, 3}  1024 2 x 3072: frame6, 2, 4  2,098,176
frame8   {-3, 0} {0, 3}  1024 2 x 1024                1,049,600
frame9   {0}             1024 3072: frame8, 4, 6      1,049,600
frame10  {0}             2048 1024                    2,099,200
pooling  whole           4096 mean, deviation                 0
segment6                  512 4096                    2,097,664
segment7                  512 512                       262,656
======== ============== ===== ====================== ==========

The widths are those of ``conf/teachers/ftdnn.yaml``: 12,408,832 parameters up to segment6, 12,671,488 up to segment7.
A factorised layer is two convolutions with nothing between them: the first, without bias, splices the frames
(t - o, t) and narrows them to the bottleneck, 256; the second splices (t, t + o) of that. The first is held
semi-orthogonal (:func:`make_more_orthogonal`), so that little is lost in the narrow place. Frame7 and frame9 read
further layers beside the one below them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from xvkd.config import limits
from xvkd.nets.layers import FrameConvolution, FrameNorm, TdnnLayer
from xvkd.nets.network import XvectorNetwork
from xvkd.nets.teachers.tdnn import SEGMENTS

OFFSETS = {2: 2, 3: 0, 4: 3, 5: 0, 6: 3, 7: 3, 8: 3, 9: 0}  # of the factorised layers, frame2 to frame9
SKIPS = {7: (2, 4), 9: (4, 6)}  # layers whose outputs a layer reads beside that of the one below it
CONSTRAINED_STEPS = 4  # one in so many; Kaldi draws one in four at random


@dataclass
class Config:
    """Schema of the section ``arch`` of a teacher's YAML."""

    first_width: int = limits(1)  # frame1
    width: int = limits(1)  # frame2 to frame9
    bottleneck: int = limits(1)
    last_width: int = limits(1)  # frame10
    segment_widths: list[int] = limits(1)  # segment6, segment7; a network can end with segment6

    def validate(self) -> str | None:
        """Says which width is impossible."""
        if not 1 <= len(self.segment_widths) <= len(SEGMENTS):
            return f"segment_widths has {len(self.segment_widths)} values, expected 1 to {len(SEGMENTS)}"
        if self.bottleneck > min(self.first_width, self.width):
            return f"bottleneck: {self.bottleneck} is wider than the layers, {min(self.first_width, self.width)}"
        return None


class FactorisedLayer(nn.Module):
    """Two factors, ReLU, BatchNorm without affine parameters. No frame is padded.

    Args:
        input_dim: channels in.
        bottleneck: channels between the factors.
        output_dim: channels out.
        offset: frames between the two that each factor splices; 0: it reads one.
    """

    def __init__(self, input_dim: int, bottleneck: int, output_dim: int, offset: int) -> None:
        super().__init__()
        taps, spacing = (2, offset) if offset else (1, 1)
        self.factor = FrameConvolution(input_dim, bottleneck, taps, dilation=spacing, bias=False)
        self.affine = FrameConvolution(bottleneck, output_dim, taps, dilation=spacing)
        self.norm = FrameNorm(output_dim, affine=False)
        self.span = 2 * offset
        self.context = f"{{-{offset}, 0}} {{0, {offset}}}" if offset else "{0}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, input_dim) -> (batch, frames - span, output_dim)."""
        return self.norm(functional.relu(self.affine(self.factor(x))))


class Network(XvectorNetwork):
    """The factorised x-vector network.

    Args:
        config: widths.
        input_dim: features a frame.
    """

    def __init__(self, config: Config, input_dim: int) -> None:
        below, width = config.first_width, config.width
        layers: list[nn.Module] = [TdnnLayer(input_dim, below, taps=5)]
        for number, offset in OFFSETS.items():
            inputs = below + width * len(SKIPS.get(number, ()))
            layers.append(FactorisedLayer(inputs, config.bottleneck, width, offset))
            below = width
        layers.append(TdnnLayer(below, config.last_width))
        widths = [config.first_width, *[width] * len(OFFSETS), config.last_width]
        super().__init__(layers, widths, list(zip(SEGMENTS, config.segment_widths, strict=False)))

    def frame_outputs(
        self, x: torch.Tensor, num_frames: torch.Tensor | None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """As :meth:`XvectorNetwork.frame_outputs`; skipped outputs are cut to the frames that are left."""
        outputs: dict[int, torch.Tensor] = {}
        for number, layer in enumerate(self.frame_layers, 1):
            skipped = [outputs[below] for below in SKIPS.get(number, ())]
            # Every layer reads as far to the left as to the right, so frames are missing at both ends alike.
            frames = x.shape[1]
            cut = [other.narrow(1, (other.shape[1] - frames) // 2, frames) for other in skipped]
            x = layer(torch.cat([*cut, x], dim=2) if cut else x)
            num_frames = None if num_frames is None else num_frames - layer.span
            outputs[number] = x
            yield x, num_frames

    def constrain(self, step: int) -> None:
        """Every fourth step, moves the first factor of each factorised layer towards a semi-orthogonal matrix."""
        if step % CONSTRAINED_STEPS == 0:
            for layer in self.frame_layers:
                if isinstance(layer, FactorisedLayer):
                    make_more_orthogonal(layer.factor.weight)


@torch.no_grad()
def make_more_orthogonal(weight: torch.Tensor) -> None:
    """One step towards rows that are orthogonal and equally long (Povey et al., 2018, section 2).

    How long is free, as in Kaldi's ConstrainOrthonormal with the setting -1: it is chosen so that the step is
    orthogonal to the matrix, which leaves the size of the weights to the training. As there, the step has the speed
    1/8, with which the error is squared in each once it is small, and less while it is large, when the step might
    overshoot.

    Args:
        weight: float32 (rows, ...), changed in place; all that follows the rows is one axis, at least as long.
    """
    with torch.autocast(weight.device.type, enabled=False):
        M = weight.view(len(weight), -1)
        P = M @ M.T
        trace, trace_of_square = P.trace(), P.square().sum()
        scale = trace_of_square / trace  # squared length of a row
        ratio = trace_of_square * len(M) / trace**2  # 1 where M is semi-orthogonal, else more
        speed = 0.125 * torch.where(ratio > 1.02, 0.5, 1.0) * torch.where(ratio > 1.1, 0.5, 1.0)
        P.diagonal().sub_(scale)
        M.sub_(4 * speed / scale * (P @ M))
