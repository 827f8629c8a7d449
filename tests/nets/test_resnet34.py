"""ResNet34: its levels are those of plain 2-d convolutions, one utterance at a time."""

import pytest
import torch
from small_networks import Reference, assert_levels, features_of, small_teacher
from torch.nn import functional

from xvkd.nets.models import TEACHERS, BuildRecord, build_network


def by_the_paper(network, frames):
    """Every level of one utterance in float64: (channels, frequencies, frames) throughout."""
    net = Reference(network)

    def convolve(x, name, stride=1):
        weight = net.state[f"{name}.affine.weight"]
        y = functional.conv2d(x[None], weight, stride=stride, padding=weight.shape[2] // 2)[0]
        return net.norm(y, f"{name}.norm")

    outputs = [convolve(frames.double().T[None], "frame_layers.0").relu()]
    for stage, (blocks, stride) in enumerate([(3, 1), (4, 2), (6, 2), (3, 2)], 1):
        x = outputs[-1]
        for i in range(blocks):
            name = f"frame_layers.{stage}.blocks.{i}"
            y = convolve(x, f"{name}.first", stride if i == 0 else 1).relu()
            shortcut = convolve(x, f"{name}.shortcut", stride) if i == 0 and stage > 1 else x
            x = (convolve(y, f"{name}.second") + shortcut).relu()
        outputs.append(x)
    levels = {f"frame{i}": output.flatten(0, 1).mean(1) for i, output in enumerate(outputs, 1)}
    x = outputs[-1].flatten(0, 1)
    levels["frame"] = x.mean(1)
    levels["stats"] = torch.cat([x.mean(1), x.var(1, correction=0).clamp(min=1e-10).sqrt()])
    levels["segment6"] = net.affine(levels["stats"], "segment_layers.segment6")
    return levels


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 17, 70])
@torch.no_grad()
def test_levels_are_what_they_are_defined_to_be(frames):
    network = small_teacher("resnet34")
    (features,) = features_of(frames)
    ours = network(features[None], levels=list(network.levels))
    assert list(ours) == ["frame1", "frame2", "frame3", "frame4", "frame5", "frame", "stats", "segment6"]
    assert_levels(ours, by_the_paper(network, features))


@pytest.mark.parametrize(("frequencies", "last"), [(80, 10), (81, 11), (40, 5), (1, 1)])
@torch.no_grad()
def test_any_number_of_features_will_do(frequencies, last):
    """Frequencies are halved and rounded up, as frames are."""
    network = build_network(BuildRecord(TEACHERS, "resnet34", {"channels": 2, "segment_width": 5}, frequencies, 0), "x")
    found = network.eval()(torch.randn(1, 20, frequencies), levels=list(network.levels))
    assert network.levels["frame"] == 16 * last
    assert all(found[level].shape == (1, size) for level, size in network.levels.items())
