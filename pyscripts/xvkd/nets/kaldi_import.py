"""Kaldi's x-vector networks as ours: the frame-level contexts tell which of ours one is; its widths are free."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from xvkd.errors import UserError
from xvkd.kaldi.xvector import KaldiXvector, Layer, read_xvector
from xvkd.nets.models import TEACHERS, BuildRecord, build_network
from xvkd.nets.network import XvectorNetwork
from xvkd.nets.pooling import StatisticsPooling
from xvkd.nets.teachers import etdnn, tdnn

# The frames that each frame-level layer of our networks reads, around its own.
OFFSETS = {
    name: [tuple(spacing * (tap - taps // 2) for tap in range(taps)) for taps, spacing in module.CONTEXTS]
    for name, module in (("tdnn", tdnn), ("etdnn", etdnn))
}


def import_network(path: str | Path, input_dim: int) -> tuple[BuildRecord, XvectorNetwork, KaldiXvector]:
    """Reads a network of Kaldi's.

    Args:
        path: see :func:`xvkd.kaldi.xvector.read_xvector`.
        input_dim: features a frame that it will be given.

    Returns:
        how to build ours, ours in evaluation mode, and Kaldi's.

    Raises:
        UserError: a damaged file, or a network that is none of ours, in which case the message names the component
            that does not fit, or reads other features.
    """
    kaldi = read_xvector(path)
    if kaldi.input_dim != input_dim:
        raise UserError(
            f"{path}: reads {kaldi.input_dim} features a frame, but the configured ones have {input_dim}: configure "
            "the features that it was trained on"
        )
    name = _recognise(kaldi, path)
    if len(kaldi.segment_layers) > len(tdnn.SEGMENTS):
        extra = kaldi.segment_layers[len(tdnn.SEGMENTS)].name
        raise UserError(f"{path}: component '{extra}': ours have up to {len(tdnn.SEGMENTS)} segment layers")
    if not np.isclose(kaldi.variance_floor, StatisticsPooling.VARIANCE_FLOOR, rtol=1e-3, atol=0):
        raise UserError(
            f"{path}: the statistics pooling has the variance floor {kaldi.variance_floor}, ours "
            f"{StatisticsPooling.VARIANCE_FLOOR}"
        )
    arch = {
        "frame_widths": [layer.width for layer in kaldi.frame_layers],
        "segment_widths": [layer.width for layer in kaldi.segment_layers],
    }
    record = BuildRecord(TEACHERS, name, arch, kaldi.input_dim, 0)
    network = build_network(record, str(path))
    with torch.no_grad():
        for ours, layer in zip(network.frame_layers, kaldi.frame_layers, strict=True):
            _fill(ours.affine, layer.weight, layer)
            _fill_norm(ours.norm, layer)
        for ours, layer in zip(network.segment_layers.values(), kaldi.segment_layers, strict=True):
            _fill(ours, layer.weight[:, :, 0], layer)
        for ours, layer in zip(network.segment_norms.values(), kaldi.segment_layers, strict=False):
            _fill_norm(ours, layer)
    return record, network.eval(), kaldi


def _recognise(kaldi: KaldiXvector, path: str | Path) -> str:
    """The name of the network of ours that has these contexts."""
    found = [layer.offsets for layer in kaldi.frame_layers]
    alike = {name: _equal_at_head(found, offsets) for name, offsets in OFFSETS.items()}
    name = max(alike, key=alike.__getitem__)
    expected, first = OFFSETS[name], alike[name]
    if found == expected:
        return name
    if first < min(len(found), len(expected)):
        layer, ours = kaldi.frame_layers[first], _set(expected[first])
        what = f"component '{layer.name}' reads the frames {_set(layer.offsets)}, that of {name} {ours}"
    else:
        what = f"{len(found)} frame-level layers up to '{kaldi.frame_layers[-1].name}', {name} has {len(expected)}"
    raise UserError(f"{path}: {what}; there are {', '.join(OFFSETS)} to read it into")


def _equal_at_head(one: list[tuple[int, ...]], other: list[tuple[int, ...]]) -> int:
    """How many layers of two networks are equal, from the first on."""
    differ = [a != b for a, b in zip(one, other, strict=False)] + [True]
    return differ.index(True)


def _set(offsets: tuple[int, ...]) -> str:
    return "{" + ", ".join(map(str, offsets)) + "}"


def _fill(affine: nn.Conv1d | nn.Linear, weight: np.ndarray, layer: Layer) -> None:
    """Gives an affine layer of ours the weights of Kaldi's."""
    affine.weight.copy_(torch.from_numpy(weight))
    affine.bias.copy_(torch.from_numpy(layer.bias))


def _fill_norm(norm: nn.BatchNorm1d | nn.BatchNorm2d, layer: Layer) -> None:
    """Gives a BatchNorm of ours statistics with which it does what Kaldi's does, its epsilon and scale included."""
    norm.running_mean.copy_(torch.from_numpy(layer.mean))
    norm.running_var.copy_(torch.from_numpy(layer.deviation**2 - norm.eps))
