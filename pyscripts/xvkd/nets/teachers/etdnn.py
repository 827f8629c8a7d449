"""The extended x-vector network, E-TDNN (Snyder et al., 2019): more layers, and one between any two that splice.

=========== ============== ===== ================= ==========
layer       context        width input             parameters
=========== ============== ===== ================= ==========
frame1      {-2..2}          512 5 x 30                77,312
frame2      {0}              512 512                  262,656
frame3      {-2, 0, 2}       512 3 x 512              786,944
frame4      {0}              512 512                  262,656
frame5      {-3, 0, 3}       512 3 x 512              786,944
frame6      {0}              512 512                  262,656
frame7      {-4, 0, 4}       512 3 x 512              786,944
frame8      {0}              512 512                  262,656
frame9      {0}              512 512                  262,656
frame10     {0}             1500 512                  769,500
pooling     whole           3000 mean, deviation            0
segment6                     512 3000               1,536,512
segment7                     512 512                  262,656
=========== ============== ===== ================= ==========

The widths are those of ``conf/teachers/etdnn.yaml``: 6,057,436 parameters up to the first segment layer,
6,320,092 in all. The segment layers have the x-vector's names, so that sets of levels carry over.
"""

from dataclasses import dataclass

from xvkd.nets.teachers import tdnn

# (taps, spacing) of frame1 to frame10
CONTEXTS = ((5, 1), (1, 1), (3, 2), (1, 1), (3, 3), (1, 1), (3, 4), (1, 1), (1, 1), (1, 1))


@dataclass
class Config(tdnn.Config):
    """Schema of the section ``arch`` of a teacher's YAML."""

    contexts = CONTEXTS


class Network(tdnn.Network):
    """The extended x-vector network."""
