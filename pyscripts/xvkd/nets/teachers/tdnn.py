"""The x-vector network (Snyder et al., 2018; Kaldi's egs/voxceleb/v2).

======== ============== ===== ================= ==========
layer    context        width input             parameters
======== ============== ===== ================= ==========
frame1   {-2..2}          512 5 x 30                77,312
frame2   {-2, 0, 2}       512 3 x 512              786,944
frame3   {-3, 0, 3}       512 3 x 512              786,944
frame4   {0}              512 512                  262,656
frame5   {0}             1500 512                  769,500
pooling  whole           3000 mean, deviation            0
segment6                  512 3000               1,536,512
segment7                  512 512                  262,656
======== ============== ===== ================= ==========

The widths are those of ``conf/teachers/tdnn.yaml``: 4,219,868 parameters up to segment6, 4,482,524
up to segment7. Frame2 and frame3 have three taps each.
"""

from dataclasses import dataclass

from xvkd.config import limits
from xvkd.nets.layers import TdnnLayer
from xvkd.nets.network import XvectorNetwork

# (taps, spacing) of frame1 to frame5
CONTEXTS = ((5, 1), (3, 2), (3, 3), (1, 1), (1, 1))


@dataclass
class Config:
    """Schema of the section ``arch`` of a teacher's YAML."""

    width: int = limits(1)  # frame1 to frame4
    frame5_width: int = limits(1)
    segment_width: int = limits(1)  # segment6 and segment7


def frame_layers(input_dim: int, widths: list[int]) -> list[TdnnLayer]:
    """The five frame-level layers with the x-vector's contexts and any widths."""
    return [
        TdnnLayer(below, width, taps, spacing)
        for below, width, (taps, spacing) in zip([input_dim, *widths[:-1]], widths, CONTEXTS, strict=True)
    ]


class Network(XvectorNetwork):
    """The x-vector network.

    Args:
        config: widths.
        input_dim: features a frame.
    """

    def __init__(self, config: Config, input_dim: int) -> None:
        widths = [config.width] * 4 + [config.frame5_width]
        segments = [("segment6", config.segment_width), ("segment7", config.segment_width)]
        super().__init__(frame_layers(input_dim, widths), widths, segments)
