"""ONNX files as graphs: the tensors that have names, what each of them needs, and some of them as the outputs."""

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xvkd.errors import UserError

if TYPE_CHECKING:
    import onnx

MOST_NAMED = 5


@dataclass(frozen=True)
class Level:
    """How a level is made of a tensor.

    Attributes:
        tensor: its name in the file.
        shape: of one utterance of ``frames`` frames.
        time_axis: which grows with the utterance and is averaged over, or None.
        real: it holds float32.
    """

    tensor: str
    shape: tuple[int, ...]
    time_axis: int | None
    real: bool

    @property
    def size(self) -> int:
        """Values of the level."""
        return math.prod(size for axis, size in enumerate(self.shape) if axis != self.time_axis)

    def __str__(self) -> str:
        return " x ".join("time" if axis == self.time_axis else str(size) for axis, size in enumerate(self.shape))


class OnnxGraph:
    """A network in an ONNX file.

    Args:
        path: the file; tensors that it keeps in files beside it are read as well.

    Attributes:
        input: the name of its only input.
        input_shape: its sizes, None where they are free.
        tensors: what the nodes compute, in order: name -> operator. (Not what is inside of If and Loop.)

    Raises:
        UserError: onnx is not installed, the file is damaged, or the network has not one input.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self._model = _load(path)
        graph = self._model.graph
        self._weights = {tensor.name: _num_weights(tensor) for tensor in graph.initializer}
        self._nodes: dict[str, onnx.NodeProto] = {}
        self._first_outputs: dict[str, str] = {}
        for node in graph.node:
            outputs = [name for name in node.output if name]
            self._nodes |= dict.fromkeys(outputs, node)
            self._first_outputs.setdefault(node.name, outputs[0])
            if node.op_type == "Constant":
                values = [attribute.t for attribute in node.attribute if attribute.name == "value"]
                self._weights[outputs[0]] = sum(map(_num_weights, values))
        self.tensors = {name: node.op_type for name, node in self._nodes.items()}
        inputs = [value for value in graph.input if value.name not in self._weights]
        if len(inputs) != 1:
            names = ", ".join(value.name for value in inputs) or "none"
            raise UserError(f"{path}: has {len(inputs)} inputs ({names}), expected the features alone: export it so")
        self.input = inputs[0].name
        sizes = inputs[0].type.tensor_type.shape.dim
        self.input_shape = [size.dim_value if size.HasField("dim_value") else None for size in sizes]

    def find(self, name: str) -> str:
        """The tensor of this name, or the first one that the node of this name computes.

        Raises:
            UserError: there is neither, or it does not depend on the input.
        """
        tensor = name if name in self._nodes else self._first_outputs.get(name)
        if not name or tensor is None:
            known = [known for known in {**self._nodes, **self._first_outputs} if known]
            near = difflib.get_close_matches(name, known, MOST_NAMED, 0.5) or [*self._nodes][-MOST_NAMED:]
            raise UserError(
                f"{self.path}: no node '{name}' (there are {', '.join(near)} and others: import_onnx.py --list prints "
                "them)"
            )
        if self.input not in self.needed([tensor]):
            raise UserError(f"{self.path}: '{name}' does not depend on the input '{self.input}': it can be no level")
        return tensor

    def needed(self, tensors: Iterable[str]) -> set[str]:
        """The names of all that some tensors are computed from, themselves included."""
        found: set[str] = set()
        left = list(tensors)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += _inputs(self._nodes[name]) if name in self._nodes else []
        return found

    def num_weights(self, tensor: str | None = None) -> int:
        """Weights of the network, or those from which a tensor is computed."""
        names = self._weights if tensor is None else self.needed([tensor]) & self._weights.keys()
        return sum(self._weights[name] for name in names)

    def with_outputs(self, tensors: Iterable[str]) -> bytes:
        """The part of the network that some tensors need, with these as the outputs."""
        import onnx

        names = list(tensors)
        return self._part(names, [], [onnx.ValueInfoProto(name=name) for name in names]).SerializeToString()

    def with_levels(self, levels: Mapping[str, Level]) -> bytes:
        """The part of the network that levels need, with these, float32 (batch, size) each, as the outputs."""
        import onnx
        from onnx import helper

        opset = next((used.version for used in self._model.opset_import if used.domain in ("", "ai.onnx")), 0)
        nodes, outputs, constants = [], [], []
        taken = {*self._nodes, *self._weights, self.input}

        def new(name: str) -> str:
            """A name that no tensor has."""
            while name in taken:
                name += "_"
            taken.add(name)
            return name

        for level, made in levels.items():
            output, tensor = new(level), made.tensor
            if not made.real:
                nodes.append(helper.make_node("Cast", [tensor], [new(f"{level}_float")], to=onnx.TensorProto.FLOAT))
                tensor = nodes[-1].output[0]
            if made.time_axis is not None:
                inputs, options = [tensor], {"keepdims": 0}
                if opset < 18:
                    options["axes"] = [made.time_axis]
                else:
                    inputs.append(new(f"{level}_axes"))
                    constants.append(helper.make_tensor(inputs[1], onnx.TensorProto.INT64, [1], [made.time_axis]))
                nodes.append(helper.make_node("ReduceMean", inputs, [new(f"{level}_mean")], **options))
                tensor = nodes[-1].output[0]
            # What has no batch in front is one row.
            averaged = [size for axis, size in enumerate(made.shape) if axis != made.time_axis]
            first = 1 if averaged[:1] == [1] else 0
            nodes.append(helper.make_node("Flatten", [tensor], [output], axis=first))
            outputs.append(helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ["batch", made.size]))
        model = self._part([made.tensor for made in levels.values()], nodes, outputs)
        model.graph.initializer.extend(constants)
        return model.SerializeToString()

    def _part(
        self, tensors: Iterable[str], nodes: "list[onnx.NodeProto]", outputs: "list[onnx.ValueInfoProto]"
    ) -> "onnx.ModelProto":
        """The part that some tensors need, with nodes behind it and other outputs."""
        import onnx

        needed = self.needed(tensors)
        whole, part = self._model.graph, onnx.ModelProto()
        part.CopyFrom(self._model)
        for field in ("node", "output", "initializer", "input", "value_info"):
            part.graph.ClearField(field)
        part.graph.node.extend(node for node in whole.node if needed.intersection(node.output))
        part.graph.node.extend(nodes)
        part.graph.output.extend(outputs)
        part.graph.initializer.extend(tensor for tensor in whole.initializer if tensor.name in needed)
        part.graph.input.extend(value for value in whole.input if value.name in needed)
        return part


def _load(path: str | Path) -> "onnx.ModelProto":
    """Reads a file and what it keeps in others."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise UserError(f"{path}: {error.name} is not installed, which reads it: pip install onnx") from None
    try:
        model = onnx.load(path)
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise UserError(f"{path}: no ONNX file, or damaged: {' '.join(str(error).split())}") from None
    if not model.graph.node or not model.graph.output:
        raise UserError(f"{path}: no ONNX file, or damaged: there is no network in it")
    return model


def _inputs(node: "onnx.NodeProto") -> Iterator[str]:
    """What a node reads, the networks inside of it included."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _inputs(inner)
            yield from (output.name for output in graph.output)


def _num_weights(tensor: "onnx.TensorProto") -> int:
    """How many numbers, if they are weights: of floating point or of 8 bits, and more than one number alone."""
    from onnx import TensorProto

    integers = (TensorProto.INT16, TensorProto.INT32, TensorProto.INT64, TensorProto.UINT16, TensorProto.UINT32,
                TensorProto.UINT64, TensorProto.BOOL, TensorProto.STRING)  # fmt: skip
    return math.prod(tensor.dims) if tensor.dims and tensor.data_type not in integers else 0
