"""ECAPA-TDNN: its levels are those of the paper's equations, computed without batches, padding or layouts."""

import pytest
import torch
from small_networks import SMALL, Reference, assert_levels, features_of, small_teacher
from torch.nn import functional

from xvkd.errors import UserError
from xvkd.nets.models import TEACHERS, BuildRecord, build_network


def by_the_paper(network, frames):
    """Every level of one utterance in float64, as the paper has it: (channels, frames) throughout."""
    net = Reference(network)

    def layer(x, name, spacing=1):
        weight = net.state[f"{name}.affine.weight"]
        padding = (weight.shape[2] - 1) * spacing // 2
        y = functional.conv1d(x[None], weight, net.state[f"{name}.affine.bias"], padding=padding, dilation=spacing)[0]
        return net.norm(y.relu(), f"{name}.norm")

    def block(x, name, dilation):
        first, *groups = layer(x, f"{name}.enter").chunk(SMALL["ecapa"]["scale"])
        convolved = []
        for i, group in enumerate(groups):
            group = group + convolved[-1] if convolved else group
            convolved.append(layer(group, f"{name}.groups.{i}", dilation))
        y = layer(torch.cat([first, *convolved]), f"{name}.leave")
        squeezed = net.affine(y.mean(1), f"{name}.gates.squeeze").relu()
        return x + y * net.affine(squeezed, f"{name}.gates.excite").sigmoid()[:, None]

    outputs = [layer(frames.double().T, "frame_layers.0")]
    for i, dilation in enumerate((2, 3, 4), 1):
        outputs.append(block(sum(outputs), f"frame_layers.{i}", dilation))
    x = net.affine(torch.cat(outputs[1:]), "frame_layers.4.affine").relu()
    levels = {f"frame{i}": output.mean(1) for i, output in enumerate([*outputs, x], 1)}
    levels["frame"] = x.mean(1)
    # The attention reads each frame beside the mean and deviation of all.
    whole = torch.cat([x.mean(1), x.std(1, correction=0)])[:, None].expand(-1, x.shape[1])
    weight = torch.cat([net.state["pooling.of_frame.weight"], net.state["pooling.of_utterance.weight"]], dim=1)
    hidden = (weight @ torch.cat([x, whole]) + net.state["pooling.of_frame.bias"][:, None]).tanh()
    alpha = net.affine(hidden, "pooling.scores").softmax(dim=1)
    mean = (alpha * x).sum(1)
    variance = (alpha * x**2).sum(1) - mean**2
    levels["stats"] = torch.cat([mean, variance.clamp(min=1e-10).sqrt()])
    levels["segment6"] = net.affine(net.norm(levels["stats"], "segment_norms.segment6"), "segment_layers.segment6")
    return levels


@pytest.mark.parametrize("frames", [2, 7, 60])
@torch.no_grad()
def test_levels_are_what_they_are_defined_to_be(frames):
    network = small_teacher("ecapa")
    (features,) = features_of(frames)
    ours = network(features[None], levels=list(network.levels))
    assert list(ours) == ["frame1", "frame2", "frame3", "frame4", "frame5", "frame", "stats", "segment6"]
    assert_levels(ours, by_the_paper(network, features))


@torch.no_grad()
def test_attention_depends_on_the_channel_and_on_the_utterance():
    """One frame's weight is another for another channel, and changes with frames that are far from it."""
    pooling = small_teacher("ecapa").pooling
    x = torch.stack(features_of(30, 30)).repeat(1, 1, 2)

    def weights(x):
        # The gradient of the weighted mean by the frames, with the attention held, is the attention.
        whole = pooling.of_utterance(super(type(pooling), pooling).forward(x))
        return pooling.scores(torch.tanh(pooling.of_frame(x) + whole[:, None])).softmax(dim=1)

    found = weights(x)
    torch.testing.assert_close((found * x).sum(1), pooling(x)[:, :8])
    assert (found.std(dim=2) > 1e-4).all()
    louder = x.clone()
    louder[:, 20:] *= 3
    assert ((weights(louder)[:, 1] / weights(louder)[:, 0]) / (found[:, 1] / found[:, 0]) - 1).abs().max() > 1e-3


def test_groups_of_unequal_size_are_told():
    with pytest.raises(UserError, match=r"teacher.yaml: arch.*channels: 12 is no multiple of scale, 5"):
        build_network(BuildRecord(TEACHERS, "ecapa", {**SMALL["ecapa"], "scale": 5}, 4, 0), "teacher.yaml")
