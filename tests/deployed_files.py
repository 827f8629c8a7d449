"""An exported network for tests: it hears the spectrum of what is loud enough. And voices that it tells apart."""

import json

import numpy as np
import onnx
import soundfile
from onnx import TensorProto, helper, numpy_helper

from xvkd.kaldi.plda_format import write_plda

RATE, DIM = 16000, 8
FRAME, SHIFT = 400, 160
MINIMUM = 6400
OPSET, IR_VERSION = 17, 8
# How the mean over voiced frames is taken: of none, onnxruntime's ReduceMean gives 0, and a first one there is not.
_MEAN = helper.make_node("ReduceMean", ["chosen"], ["mean"], axes=[2], keepdims=0)
SILENCE = {
    "constant": [_MEAN],
    "error": [
        helper.make_node("Gather", ["chosen", "zero"], ["first"], axis=2),
        helper.make_node("Concat", ["chosen", "first"], ["more"], axis=2),
        helper.make_node("ReduceMean", ["more"], ["mean"], axes=[2], keepdims=0),
    ],
    "nan": [
        helper.make_node("ReduceSum", ["chosen", "two"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["voiced"], ["votes"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["votes"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
    ],
}


def write_model(folder, name="student.onnx", silence="nan", seed=0, **metadata):
    """Writes a network, its PLDA model and calibration.json to a folder; returns the network's path.

    Args:
        folder: made if missing.
        name: of the ONNX file.
        silence: what comes where no frame is loud: "nan", "error" of onnxruntime, or some "constant".
        seed: of the network; another one, another network.
        metadata: replace what the file says about itself; None leaves out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hertz = np.linspace(300, 5000, DIM) + 10 * seed
    kernels = np.hanning(FRAME) * np.cos(2 * np.pi * hertz[:, None] * np.arange(FRAME) / RATE)
    weights = {
        "kernels": kernels[:, None].astype(np.float32), "one": np.array([1]), "two": np.array([2]),
        "flat": np.array([-1]), "zero": np.array([0]), "floor": np.float32(1e-3),
        "little": np.float32(1e-9), "bias": np.linspace(-0.1, 0.1, DIM, dtype=np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "one"], ["channel"]),
        helper.make_node("Conv", ["channel", "kernels"], ["bands"], strides=[SHIFT]),
        helper.make_node("Mul", ["bands", "bands"], ["power"]),
        helper.make_node("ReduceMax", ["power"], ["loudest"], axes=[1], keepdims=0),
        helper.make_node("Reshape", ["loudest", "flat"], ["energy"]),
        helper.make_node("Greater", ["energy", "floor"], ["voiced"]),
        helper.make_node("Compress", ["power", "voiced"], ["chosen"], axis=2),
        *SILENCE[silence],
        helper.make_node("Add", ["mean", "little"], ["above"]),
        helper.make_node("Log", ["above"], ["log"]),
        helper.make_node("ReduceMean", ["log"], ["level"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["log", "level"], ["centred"]),
        helper.make_node("Add", ["centred", "bias"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes, "test",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, [1, "samples"])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, DIM])],
        [numpy_helper.from_array(np.asarray(values), key) for key, values in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    about = {"sample_rate": RATE, "minimum_samples": MINIMUM, "embedding_dim": DIM, "backend": "plda", **metadata}
    helper.set_model_props(model, {key: str(value) for key, value in about.items() if value is not None})
    onnx.save(model, folder / name)
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((DIM, DIM)))[0]
    write_plda(folder / "plda", np.zeros(DIM), 4 * rotation, np.full(DIM, 15.0))
    write_calibration(folder)
    return folder / name


def write_calibration(folder, **changes):
    """Writes calibration.json; ``changes`` replace its keys."""
    points = {"eer": {"threshold": -2.0}, "0.01": {"threshold": 4.0}}
    content = {"scale": 0.5, "offset": 1.0, "operating_points": points, **changes}
    (folder / "calibration.json").write_text(json.dumps(content))


def voice(speaker, take, seconds=1.5, rate=RATE):
    """(samples,) of noise with a speaker's spectrum; another ``take`` is another recording."""
    spectrum = np.fft.rfft(np.random.default_rng([speaker, take]).standard_normal(round(seconds * RATE)))
    hertz = np.fft.rfftfreq(round(seconds * RATE), 1 / RATE)
    gains = np.random.default_rng(speaker).uniform(-1.2, 1.2, 12)
    shape = np.exp(np.interp(hertz, np.linspace(0, RATE / 2, len(gains)), gains))
    samples = np.fft.irfft(spectrum * shape, round(seconds * rate)) * rate / RATE
    return (0.1 * samples / samples.std()).astype(np.float32)


def write_voice(path, speaker, take, seconds=1.5, rate=RATE):
    """Writes such a recording; returns its path."""
    soundfile.write(path, voice(speaker, take, seconds, rate), rate)
    return path
