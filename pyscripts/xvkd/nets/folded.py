"""A network's last affine layer: read as a matrix, and replaced by what it has been folded into."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from xvkd.errors import UserError
from xvkd.nets.models import BuildRecord, build_network
from xvkd.nets.network import FOLDED, XvectorNetwork


def last_layer(network: XvectorNetwork, level: str) -> np.ndarray | None:
    """The affine layer y = A s + b that gives a level, as [A b]: float64 (size, inputs + 1).

    Returns:
        None for a level that is not the output of a segment layer.

    Raises:
        UserError: the segment layer is not affine.
    """
    if level not in network.segment_layers:
        return None
    layer = network.segment_layers[level]
    if not isinstance(layer, nn.Linear):
        raise UserError(f"level {level}: the layer that gives it is no affine one ({type(layer).__name__})")
    with torch.no_grad():
        weight = layer.weight.double().numpy()
        bias = np.zeros(len(weight)) if layer.bias is None else layer.bias.double().numpy()
    return np.column_stack([weight, bias])


def with_last_layer(
    network: XvectorNetwork, record: BuildRecord, level: str, layer: np.ndarray
) -> tuple[XvectorNetwork, BuildRecord]:
    """A network that ends with another affine layer.

    Args:
        network: whole; it stays as it is.
        record: how it is built.
        level: whose layer the new one replaces; or that which it reads, where ``last_layer`` says None.
        layer: (size, inputs + 1), the new one.

    Returns:
        the network in evaluation mode, and how to build it.
    """
    # A network that was folded before has its last layer in the place of another.
    place = record.end["level"] if record.end and level == FOLDED else level
    record = replace(record, end={"level": place, "size": len(layer)})
    folded = build_network(record, "folded network").eval()
    state = folded.state_dict()
    mine, before = f"segment_layers.{FOLDED}.", network.state_dict()
    for name in state:
        if not name.startswith(mine):
            # The norm before the last layer has the name of its level.
            state[name] = before[name.replace(f"segment_norms.{FOLDED}.", f"segment_norms.{level}.")]
    state |= {mine + "weight": torch.from_numpy(layer[:, :-1]), mine + "bias": torch.from_numpy(layer[:, -1])}
    folded.load_state_dict(state)
    return folded, record
