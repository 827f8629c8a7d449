"""The equal-width student: an x-vector network of one width with a single affine layer at its end.

======== ============== ======== ==================
layer    context        width    parameters
======== ============== ======== ==================
frame1   {-2..2}        W        5 F W + W
frame2   {-2, 0, 2}     W        3 W^2 + W
frame3   {-3, 0, 3}     W        3 W^2 + W
frame4   {0}            W        W^2 + W
frame5   {0}            W        W^2 + W
pooling  whole          2 W      0
embedding               D        2 W D + D
======== ============== ======== ==================

In all 8 W^2 + (5 F + 5) W + 2 W D + D for F features a frame. With F = 30 and W = 152, against the
teacher's 4,482,524: 364,552 (91.9 % smaller) for D = 512, 665,892 (85.1 %) for D = 1500.
"""

from dataclasses import dataclass

from xvkd.config import limits
from xvkd.nets.layers import tdnn_layers
from xvkd.nets.network import XvectorNetwork
from xvkd.nets.teachers.tdnn import CONTEXTS


@dataclass
class Config:
    """Schema of the section ``arch`` of a student's YAML."""

    width: int = limits(1)


class Network(XvectorNetwork):
    """The equal-width student.

    Args:
        config: the width.
        input_dim: features a frame.
        output_dim: size of the embedding, which is that of the target.
    """

    def __init__(self, config: Config, input_dim: int, output_dim: int) -> None:
        widths = [config.width] * len(CONTEXTS)
        super().__init__(tdnn_layers(input_dim, widths, CONTEXTS), widths, [("embedding", output_dim)])
