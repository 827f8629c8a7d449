"""Writes ONNX graphs node by node."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Value = str | int | float | np.ndarray | list[int]


class Nodes:
    """The nodes of a graph, in order: ``nodes("Add", x, 1.0)`` adds one and gives the name of its output.

    Args:
        prefix: of all names, so that graphs can be joined.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, operator: str, *inputs: Value, output: str = "", **attributes: Any) -> str:
        """Adds a node.

        Args:
            operator: of ONNX.
            inputs: names of values, or constants: integers have 64 bits, floating-point numbers 32, arrays stay as
                they are.
            output: its name; one is made up by default.
            attributes: of the operator.
        """
        output = output or f"{self._prefix}/{operator}_{len(self.nodes)}"
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        self.nodes.append(helper.make_node(operator, names, [output], output, **attributes))
        return output

    def _constant(self, value: Value) -> str:
        if not isinstance(value, np.ndarray):
            value = np.array(value, np.float32 if isinstance(value, float) else np.int64)
        name = f"{self._prefix}/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name


def make_model(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], reads: str, shape: list[int | str],
               gives: str, size: int, opset: int) -> onnx.ModelProto:  # fmt: skip
    """A model of one float32 input and one float32 output, (1, size).

    Args:
        nodes: in an order in which they can be computed.
        constants: what they name.
        reads: the input.
        shape: of the input; names are of axes of any length.
        gives: the output.
        size: of the output.
        opset: version of the operators.
    """
    graph = helper.make_graph(
        nodes, "xvkd", [helper.make_tensor_value_info(reads, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(gives, TensorProto.FLOAT, [1, size])], constants,
    )  # fmt: skip
    versions = [helper.make_opsetid("", opset)]
    return helper.make_model(
        graph, opset_imports=versions, ir_version=helper.find_min_ir_version_for(versions), producer_name="xvkd"
    )  # fmt: skip
