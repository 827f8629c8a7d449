"""Static quantisation of a network to eight bits, calibrated on speech."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)  # fmt: skip


class _Inputs(CalibrationDataReader):
    def __init__(self, name: str, utterances: Iterable[np.ndarray]) -> None:
        self._inputs: Iterator[dict[str, np.ndarray]] = ({name: frames[None]} for frames in utterances)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input; None after the last."""
        return next(self._inputs, None)


def quantise(model: onnx.ModelProto, utterances: Iterable[np.ndarray], reduce_range: bool) -> onnx.ModelProto:
    """Gives a network eight-bit weights, per channel, and eight-bit values between its layers.

    Convolutions and products are computed in eight bits. What comes after pooling is one product an utterance: its
    weights have eight bits, its inputs, which are the statistics of the whole utterance, stay as exact as they are.

    Args:
        model: of one input (1, frames, input_dim).
        utterances: what the network reads of some, float32 (frames, input_dim): they tell the values' ranges.
        reduce_range: weights of seven bits, which no processor adds up beyond its 16-bit sums.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
        # Without this mark, ONNX Runtime asks for what the exporter has done already.
        marked = onnx.ModelProto()
        marked.CopyFrom(model)
        helper.set_model_props(marked, {"onnx.quant.pre_process": "onnxruntime.quant"})
        onnx.save(marked, before)
        quantize_static(
            before, after, _Inputs(model.graph.input[0].name, utterances), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MatMul"], per_channel=True, reduce_range=reduce_range,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip
        quantised = onnx.load(after)
    _quantise_last(quantised)
    return quantised


def _quantise_last(model: onnx.ModelProto) -> None:
    """Eight-bit weights of the affine layers (Gemm), which are made floating-point numbers before they are used."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    added = []
    for node in model.graph.node:
        if node.op_type != "Gemm" or node.input[1] not in weights:
            continue
        tensor = weights[node.input[1]]
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        values, axis = numpy_helper.to_array(tensor), 0 if transposed else 1
        scale = np.maximum(np.abs(values).max(axis=1 - axis, keepdims=True) / 127, np.finfo(np.float32).tiny)
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(np.round(values / scale).astype(np.int8), name))
        model.graph.initializer.extend([numpy_helper.from_array(scale.ravel().astype(np.float32), f"{name}_scale")])
        added.append(helper.make_node(
            "DequantizeLinear", [name, f"{name}_scale"], [f"{name}_values"], f"{name}_values", axis=axis
        ))  # fmt: skip
        node.input[1] = f"{name}_values"
    for node in added:
        model.graph.node.insert(0, node)
