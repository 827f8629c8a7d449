"""What a network is made of and what it costs."""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from xvkd.nets.network import XvectorNetwork

FRAMES_PER_SECOND = 100
SECONDS = 10  # length of the utterance over which multiply-accumulates are averaged


@dataclass
class LayerDescription:
    """A row of the table of layers.

    Attributes:
        name: of the level that the layer makes; ``pooling`` makes ``stats``.
        context: the frames that it reads; empty behind the pooling.
        width: channels out (times frequencies).
        parameters: trainable ones.
        macs: multiply-accumulates per second of speech.
    """

    name: str
    context: str
    width: int
    parameters: int
    macs: float


@dataclass
class Description:
    """A network.

    Attributes:
        layers: in order.
        levels: name -> (size, parameters needed, multiply-accumulates per second needed).
        parameters: of all layers.
        macs: multiply-accumulates per second of speech, of all layers.
        receptive_field: frames.
        min_frames: frames of the shortest input.
    """

    layers: list[LayerDescription]
    levels: dict[str, tuple[int, int, float]]
    parameters: int
    macs: float
    receptive_field: int
    min_frames: int


def describe(network: XvectorNetwork, input_dim: int) -> Description:
    """Describes a network.

    Args:
        network: any; it stays as it is.
        input_dim: features a frame.
    """
    macs = macs_per_second(network, input_dim)
    layers, needed, total = [], {}, 0.0
    for level, modules in network.parts().items():
        name, context = ("pooling", "whole") if level == "stats" else (level, getattr(modules[-1], "context", ""))
        total += macs[level]
        needed[level] = total
        parameters = sum(p.numel() for module in modules for p in module.parameters())
        layers.append(LayerDescription(name, context, network.levels[level], parameters, macs[level]))
    levels = {
        level: (size, network.num_parameters(level), needed[network.aliases.get(level, level)])
        for level, size in network.levels.items()
    }
    return Description(
        layers, levels, network.num_parameters(), total, network.receptive_field, network.min_frames
    )


def macs_per_second(network: XvectorNetwork, input_dim: int) -> dict[str, float]:
    """Multiply-accumulates per second of speech of each level's own layers (see ``XvectorNetwork.parts``).

    Those of convolutions and affine layers are counted, on a forward pass of an utterance of 10 s: what they multiply
    by zeros of their own padding counts, biases, normalisation, non-linearities and statistics do not.

    Args:
        network: any; it stays as it is.
        input_dim: features a frame.
    """
    # Tensors of the device "meta" have shapes alone: nothing is computed.
    network = copy.deepcopy(network).to("meta").eval()
    counts = dict.fromkeys(network.parts(), 0)

    def count_in(level: str, layer: nn.Module) -> None:
        def count(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            counts[level] += layer.weight[0].numel() * output.numel()

        layer.register_forward_hook(count)

    for level, modules in network.parts().items():
        for module in modules:
            for layer in module.modules():
                if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
                    count_in(level, layer)
    network(torch.empty(1, SECONDS * FRAMES_PER_SECOND, input_dim, device="meta"))
    return {level: count / SECONDS for level, count in counts.items()}
