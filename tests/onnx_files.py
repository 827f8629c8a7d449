"""ONNX files for tests: networks of ours, node by node (torch.onnx.export would need another package)."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8  # which every onnxruntime of the last years reads


class Builder:
    """Collects the nodes and weights of a network with one input.

    Args:
        shape: of the input ``feats``; a name where a size is free.
        opset: of ONNX.
    """

    def __init__(self, shape, opset=OPSET):
        self.nodes, self.weights, self.opset = [], [], opset
        self.input = helper.make_tensor_value_info("feats", TensorProto.FLOAT, shape)

    def weight(self, name, values):
        """A weight or, of int64, a shape; returns its name."""
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, operator, inputs, output, **attributes):
        """A node; returns the name of its only output. The node's own name is that in capitals."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output.upper(), **attributes))
        return output

    def model(self, *outputs):
        """The network; outputs are not described further, as onnxruntime infers what they are."""
        values = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(self.nodes, "test", [self.input], values, self.weights)
        opset = helper.make_opsetid("", self.opset)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION if self.opset < 20 else 10)

    def save(self, path, *outputs):
        """Writes the network; returns the path."""
        onnx.save(self.model(*outputs), path)
        return path


def xvector(network, layout="batch-frames-features", batch="B", opset=OPSET):
    """An x-vector network of ours: its tensors are frame1.affine, frame1.relu, frame1, ..., stats, segment6, ...

    Args:
        network: of ``xvkd.nets.teachers.tdnn``, in evaluation mode.
        layout: of the input; the features' size is fixed.
        batch: size of a batch, or its name.
        opset: of ONNX.

    Returns:
        the builder, which has no outputs yet.
    """
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    dim = state["frame_layers.0.affine.weight"].shape[1]
    frames_first = layout == "batch-frames-features"
    build = Builder([batch, "T", dim] if frames_first else [batch, dim, "T"], opset)
    x = build.node("Transpose", ["feats"], "turned", perm=[0, 2, 1]) if frames_first else "feats"
    for i, layer in enumerate(network.frame_layers, 1):
        key, dilations = f"frame_layers.{i - 1}", layer.affine.dilation
        x = _affine(build, "Conv", x, f"frame{i}", state, f"{key}.affine", dilations=dilations)
        x = build.node("Relu", [x], f"frame{i}.relu")
        x = _norm(build, x, f"frame{i}", state, f"{key}.norm", layer.norm.eps)
    mean = build.node("ReduceMean", [x, *_axes(build, -1)], "mean", keepdims=1, **_old_axes(build, -1))
    deviation = build.node("Sub", [x, mean], "deviation")
    square = build.node("Mul", [deviation, deviation], "square")
    variance = build.node("ReduceMean", [square, *_axes(build, -1)], "variance", keepdims=1, **_old_axes(build, -1))
    floor = build.weight("floor", np.float32(1e-10))
    std = build.node("Sqrt", [build.node("Max", [variance, floor], "floored")], "std")
    x = build.node("Flatten", [build.node("Concat", [mean, std], "joined", axis=1)], "stats")
    for position, name in enumerate(network.segment_layers):
        if position:
            x = build.node("Relu", [x], f"{name}.relu")
            x = _norm(build, x, f"{name}.input", state, f"segment_norms.{name}", network.segment_norms[name].eps)
        x = _affine(build, "Gemm", x, name, state, f"segment_layers.{name}", transB=1)
    return build


def _affine(build, operator, x, name, state, key, **attributes):
    weights = [build.weight(f"{name}.{part}", state[f"{key}.{part}"]) for part in ("weight", "bias")]
    return build.node(operator, [x, *weights], f"{name}.affine" if operator == "Conv" else name, **attributes)


def _norm(build, x, name, state, key, epsilon):
    mean, variance = state[f"{key}.running_mean"], state[f"{key}.running_var"]
    values = (np.ones_like(mean), np.zeros_like(mean), mean, variance)
    parts = ("scale", "shift", "mean", "variance")
    weights = [build.weight(f"{name}.norm.{part}", value) for part, value in zip(parts, values, strict=True)]
    return build.node("BatchNormalization", [x, *weights], name, epsilon=epsilon)


def _axes(build, axis):
    """From opset 18 on, ReduceMean has its axes as an input."""
    return [] if build.opset < 18 else [build.weight(f"axes{len(build.weights)}", np.array([axis]))]


def _old_axes(build, axis):
    return {"axes": [axis]} if build.opset < 18 else {}
