"""A network as ONNX: from what it reads to its embedding."""

import logging
import warnings

import onnx
import torch
from torch import nn
from torch.nn import functional

from xvkd.deployment.nodes import Nodes
from xvkd.errors import UserError
from xvkd.nets.layers import TdnnLayer
from xvkd.nets.network import XvectorNetwork
from xvkd.nets.pooling import StatisticsPooling

# The values between the parts of a graph.
READS, EMBEDDING = "network/features", "network/embedding"


class PlainTdnn(nn.Module):
    """A network of TDNN layers with its BatchNorms in its convolutions, the same function.

    BatchNorm follows ReLU. Its scale is positive, so that it goes through the ReLU into the convolution before it, and
    its offset into the layer after it, as no frame is padded; the last offset moves the mean that is pooled. What lies
    between the layers then begins with zero and has a like range in all channels, as eight bits want it.

    Args:
        network: one of which :meth:`fits` is true.
    """

    @staticmethod
    def fits(network: XvectorNetwork) -> bool:
        """Whether a network is TDNN layers, plain statistics pooling and one affine layer."""
        plain = type(network).frame_outputs is XvectorNetwork.frame_outputs
        layers = all(type(layer) is TdnnLayer and not layer.norm.affine for layer in network.frame_layers)
        ends = [type(layer) for layer in network.segment_layers.values()] == [nn.Linear] and not network.segment_norms
        return plain and layers and ends and type(network.pooling) is StatisticsPooling

    def __init__(self, network: XvectorNetwork) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        (last,) = network.segment_layers.values()
        offset = torch.zeros(network.frame_layers[0].affine.in_channels, dtype=torch.float64)
        with torch.no_grad():
            for layer in network.frame_layers:
                affine, norm = layer.affine, layer.norm
                scale = (norm.running_var.double() + norm.eps).rsqrt()
                weight = affine.weight.double()
                bias = affine.bias.double() + weight.sum(dim=2) @ offset
                plain = nn.Conv1d(
                    affine.in_channels, affine.out_channels, affine.kernel_size, dilation=affine.dilation
                )  # fmt: skip
                plain.weight.copy_(weight * scale[:, None, None])
                plain.bias.copy_(bias * scale)
                self.convolutions.append(plain)
                offset = -norm.running_mean.double() * scale
            self.last = nn.Linear(last.in_features, last.out_features)
            self.last.weight.copy_(last.weight)
            bias = torch.zeros(last.out_features) if last.bias is None else last.bias
            self.last.bias.copy_(bias.double() + last.weight.double()[:, : len(offset)] @ offset)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(1, frames, input_dim) -> (1, size)."""
        x = features.transpose(1, 2)
        for convolution in self.convolutions:
            x = functional.relu(convolution(x))
        return self.last(StatisticsPooling()(x.transpose(1, 2)))


class Output(nn.Module):
    """A network's output level alone."""

    def __init__(self, network: XvectorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(1, frames, input_dim) -> (1, size)."""
        return self.network(features)[self.network.output_level]


def network_graph(network: XvectorNetwork, input_dim: int, shortest: int, opset: int, where: str) -> onnx.ModelProto:
    """Exports a network.

    Args:
        network: in evaluation mode.
        input_dim: coefficients a frame.
        shortest: frames of the shortest input.
        opset: version of ONNX's operators.
        where: the model's name, for messages.

    Returns:
        A model from ``READS``, (1, frames, input_dim), to ``EMBEDDING``, (1, size).

    Raises:
        UserError: torch cannot write the network as ONNX.
    """
    module = (PlainTdnn(network) if PlainTdnn.fits(network) else Output(network)).eval()
    # What these have to say is for their developers.
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module, (torch.zeros(1, shortest + 100, input_dim),), dynamo=True, opset_version=opset, verbose=False,
                input_names=[READS], output_names=[EMBEDDING],
                dynamic_shapes={"features": {1: torch.export.Dim("frames", min=shortest)}},
            )  # fmt: skip
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{where}: torch cannot write this network as ONNX ({reason}); export another one") from None
    model = program.model_proto
    # Where each node comes from, file and line, is nobody's business.
    del model.graph.value_info[:], model.graph.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    return model


def extend_short(nodes: Nodes, features: str, shortest: int, output: str) -> None:
    """Repeats the edge frames of (1, frames, input_dim) up to ``shortest`` frames, as ``nets.extraction`` does."""
    frames = nodes("Squeeze", nodes("Shape", features, start=1, end=2))
    missing = nodes("Max", nodes("Sub", shortest, frames), 0)
    places = nodes("Sub", nodes("Range", 0, nodes("Add", frames, missing), 1), nodes("Div", missing, 2))
    # Of no frame at all, one of zeros; silent_is_nan tells it.
    padded = nodes("Pad", features, [0, 0, 0, 0, 1, 0])
    inside = nodes("Max", nodes("Min", places, nodes("Sub", frames, 1)), 0)
    nodes("Gather", padded, inside, axis=1, output=output)


def silent_is_nan(nodes: Nodes, features: str, embedding: str, output: str) -> None:
    """The embedding, or NaN where there was no frame to compute it of."""
    frames = nodes("Shape", features, start=1, end=2)
    shift = nodes("Where", nodes("Equal", frames, 0), float("nan"), 0.0)
    nodes("Add", embedding, shift, output=output)
