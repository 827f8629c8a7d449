"""SpecAugment hides stretches of frames and of coefficients, others in each chunk."""

import torch

from xvkd.training.config import SpecAugmentConfig
from xvkd.training.spec_augment import hide


def runs(hidden):
    """Lengths of the stretches of True."""
    return [len(part) for part in "".join("x" if value else " " for value in hidden).split()]


def test_stretches_of_frames_and_coefficients():
    torch.manual_seed(0)
    features = torch.randn(200, 50, 10).abs() + 1
    found = hide(features, SpecAugmentConfig(1, 8, 1, 3), 200)
    assert torch.equal(found[found != 0], features[found != 0])
    frames, bins = (found == 0).all(dim=2), (found == 0).all(dim=1)
    assert torch.equal(found == 0, frames[:, :, None] | bins[:, None])
    for hidden, widest, size in ((frames, 8, 50), (bins, 3, 10)):
        stretches = [runs(row.tolist()) for row in hidden]
        assert all(len(lengths) <= 1 for lengths in stretches)
        assert {sum(lengths) for lengths in stretches} == set(range(widest + 1))
        assert hidden.any(dim=0).all() and hidden.shape[1] == size  # also at the edges


def test_several_stretches():
    torch.manual_seed(0)
    hidden = hide(torch.ones(100, 60, 2), SpecAugmentConfig(3, 5, 0, 0), 100)[:, :, 0] == 0
    lengths = [runs(row.tolist()) for row in hidden]
    assert {len(found) for found in lengths} >= {1, 2, 3} and all(sum(found) <= 15 for found in lengths)


def test_nothing_is_hidden_and_nothing_drawn_when_it_is_off():
    features, before = torch.ones(2, 20, 4), torch.get_rng_state()
    assert hide(features, SpecAugmentConfig(0, 5, 0, 5), 2) is features
    assert torch.equal(torch.get_rng_state(), before)
