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
from xvkd.nets.layers import tdnn_layers
from xvkd.nets.network import XvectorNetwork

# (taps, spacing) of frame1 to frame5
CONTEXTS = ((5, 1), (3, 2), (3, 3), (1, 1), (1, 1))
SEGMENTS = ("segment6", "segment7")


@dataclass
class Config:
    """Schema of the section ``arch`` of a teacher's YAML."""

    frame_widths: list[int] = limits(1)  # frame1, frame2, ...
    segment_widths: list[int] = limits(1)  # segment6, segment7; a network can end with segment6

    contexts = CONTEXTS  # no key: what makes this network and etdnn two

    def validate(self) -> str | None:
        """Says which list has a wrong length."""
        frames, segments = len(self.frame_widths), len(self.segment_widths)
        if frames != len(self.contexts):
            return f"frame_widths has {frames} values, expected one for each of the {len(self.contexts)} layers"
        if not 1 <= segments <= len(SEGMENTS):
            return f"segment_widths has {segments} values, expected 1 to {len(SEGMENTS)} ({', '.join(SEGMENTS)})"
        return None


class Network(XvectorNetwork):
    """The x-vector network, or one of other contexts.

    Args:
        config: widths and contexts.
        input_dim: features a frame.
    """

    def __init__(self, config: Config, input_dim: int) -> None:
        layers = tdnn_layers(input_dim, config.frame_widths, config.contexts)
        super().__init__(layers, config.frame_widths, list(zip(SEGMENTS, config.segment_widths, strict=False)))
