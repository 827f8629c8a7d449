"""Students of other shapes: their levels are those of plain convolutions, one utterance at a time."""

import numpy as np
import pytest
import torch
from small_networks import SMALL_STUDENTS, Reference, assert_levels, features_of, small_student
from torch.nn import functional

from xvkd.errors import UserError
from xvkd.nets.describe import describe
from xvkd.nets.models import STUDENTS, BuildRecord, build_network
from xvkd.nets.students.redimnet import inverse_cosines


def convolved(net, x, name, spacing=1):
    """Convolution over time with zeros around, ReLU, BatchNorm: (channels, frames) in and out."""
    weight = net.state[f"{name}.affine.weight"]
    padding = (weight.shape[2] - 1) * spacing // 2
    y = functional.conv1d(x[None], weight, net.state[f"{name}.affine.bias"], padding=padding, dilation=spacing)[0]
    return net.norm(y.relu(), f"{name}.norm")


def embedded(net, outputs, stats):
    """Every level, of the outputs (channels, frames) of all layers and what the pooling gives."""
    levels = {f"frame{i}": output.mean(1) for i, output in enumerate(outputs, 1)}
    levels |= {"frame": outputs[-1].mean(1), "stats": stats}
    return levels | {"embedding": net.affine(stats, "segment_layers.embedding")}


def separable(network, frames):
    """Every level of a dsconv of plain statistics, in float64."""
    net = Reference(network)
    outputs = [convolved(net, frames.double().T, "frame_layers.0")]
    for i, spacing in enumerate(SMALL_STUDENTS["dsconv"]["spacings"], 1):
        x = outputs[-1]
        weight = net.state[f"frame_layers.{i}.depthwise.weight"]
        around = (weight.shape[2] - 1) * spacing // 2
        y = torch.stack([
            functional.conv1d(channel[None, None], taps[None], padding=around, dilation=spacing)[0, 0]
            for channel, taps in zip(x, weight, strict=True)
        ])  # fmt: skip
        outputs.append(x + convolved(net, y, f"frame_layers.{i}.mix"))
    x = outputs[-1]
    return embedded(net, outputs, torch.cat([x.mean(1), x.var(1, correction=0).clamp(min=1e-10).sqrt()]))


def reshaped(network, frames):
    """Every level of a redimnet, in float64; its pooling is ECAPA's, whose test has the equations."""
    net = Reference(network)

    def image(x, name, stride=1):
        y = functional.conv2d(x[None], net.state[f"{name}.affine.weight"], stride=(1, stride), padding=1)[0]
        return net.norm(y, f"{name}.norm")

    spectrum = net.affine(net.norm(frames.double().T, "frame_layers.0.scale"), "frame_layers.0.spectrum")
    stride = SMALL_STUDENTS["redimnet"]["stride"]
    outputs = [image(spectrum[None], "frame_layers.0.convolution", stride).relu().flatten(0, 1)]
    channels = [SMALL_STUDENTS["redimnet"]["channels"]] * 2
    for stage, blocks in enumerate(SMALL_STUDENTS["redimnet"]["blocks"], 1):
        name, x = f"frame_layers.{stage}", outputs[0]
        if stage > 1:
            shares = net.state[f"{name}.shares"].exp()
            x = sum(share[:, None] * output for share, output in zip(shares / shares.sum(0), outputs, strict=True))
        x = x.unflatten(0, (channels[-1], -1))
        if stage > 1:
            weight, bias = net.state[f"{name}.enter.weight"], net.state[f"{name}.enter.bias"]
            x = torch.einsum("ocj,cfjt->oft", weight[..., 0], x.unflatten(1, (-1, 2))) + bias[:, None, None]
            channels.append(len(x))
        for i in range(blocks):
            y = image(image(x, f"{name}.images.{i}.first").relu(), f"{name}.images.{i}.second")
            x = (x + y).relu()
        x = y = x.flatten(0, 1)
        for i in range(3):
            y = convolved(net, y, f"{name}.vectors.{i}")
        outputs.append(x + y)
    outputs.append(convolved(net, outputs[-1], f"frame_layers.{len(outputs)}"))
    return embedded(net, outputs, network.pooling(outputs[-1].T[None].float())[0].double())


@pytest.mark.parametrize(("name", "defined"), [("dsconv", separable), ("redimnet", reshaped)])
@pytest.mark.parametrize("frames", [1, 2, 9, 60])
@torch.no_grad()
def test_levels_are_what_they_are_defined_to_be(name, defined, frames):
    network = small_student(name)
    if name == "redimnet":
        torch.nn.init.normal_(network.frame_layers[2].shares)
    (features,) = features_of(frames)
    assert_levels(network(features[None], levels=list(network.levels)), defined(network, features))


@pytest.mark.parametrize("attention", [0, 3])
def test_layers_have_the_sizes_of_the_tables(attention):
    features, outputs, pooling = 30, 11, lambda width: attention and 4 * width * attention + attention + width
    width, taps = 10, [5, 7, 9]
    arch = {"width": width, "taps": taps, "spacings": [1, 2, 1], "attention": attention}
    described = describe(build_network(BuildRecord(STUDENTS, "dsconv", arch, features, outputs), "x"), features)
    assert [layer.parameters for layer in described.layers] == [
        5 * features * width + 3 * width, *[width**2 + t * width + 3 * width for t in taps], pooling(width),
        2 * width * outputs + outputs,
    ]  # fmt: skip
    channels, frequencies, hidden, last, blocks = 3, 8, 5, 7, [2, 1, 3]
    arch = {
        "channels": channels, "frequencies": frequencies, "blocks": blocks, "taps": taps, "hidden": hidden,
        "stride": 2, "last_width": last, "attention": attention,
    }  # fmt: skip
    described = describe(build_network(BuildRecord(STUDENTS, "redimnet", arch, features, outputs), "x"), features)
    width, sizes = channels * frequencies, []
    for stage, count in enumerate(blocks):
        c, t = channels * 2**stage, taps[stage]
        sizes.append(count * (18 * c**2 + 4 * c) + 2 * width * hidden + t * hidden**2 + 3 * (2 * hidden + width))
        sizes[-1] += stage and width * (stage + 1) + c**2 + c
    assert [layer.parameters for layer in described.layers] == [
        features * frequencies + frequencies + 11 * channels, *sizes, width * last + 3 * last, pooling(last),
        2 * last * outputs + outputs,
    ]  # fmt: skip


def test_the_spectrum_begins_as_the_inverse_of_the_cosine_transform():
    from scipy.fft import idct

    scale = np.array([np.sqrt(2), *[1.0] * 7])  # the transform's first row is smaller; here all weigh alike
    expected = idct(np.eye(8) * scale, axis=0, norm="ortho")
    np.testing.assert_allclose(inverse_cosines(8, 8).numpy(), expected, atol=1e-6)
    assert inverse_cosines(32, 30).shape == (32, 30)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("dsconv", {"taps": [3]}, "spacings: 2 values, expected one for each of the 1 taps"),
        ("dsconv", {"taps": [3, 4]}, "taps: 4 is even"),
        ("redimnet", {"taps": [3]}, "taps: 1 values, expected one for each of the 2 stages in blocks"),
        ("redimnet", {"taps": [3, 6]}, "taps: 6 is even"),
        ("redimnet", {"frequencies": 5}, "frequencies: 5 cannot be halved 1 times"),
    ],
)
def test_impossible_shapes_are_told(name, values, message):
    with pytest.raises(UserError, match=f"student.yaml: arch.*{message}"):
        build_network(BuildRecord(STUDENTS, name, {**SMALL_STUDENTS[name], **values}, 4, 5), "student.yaml")
