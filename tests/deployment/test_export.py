"""Exported networks: what PyTorch computes, in files that onnxruntime's users know their way in."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from signals import bursts
from small_networks import SMALL_STUDENTS, features_of, seasoned, small_student, small_teacher

from xvkd import config
from xvkd.deployment.export import ExportConfig, Exporter
from xvkd.deployment.network_graph import PlainTdnn, network_graph
from xvkd.errors import UserError
from xvkd.features.extraction import FeatureConfig, FeatureExtractor
from xvkd.features.network_input import InputConfig, network_input
from xvkd.features.vad import VadConfig, energy_vad
from xvkd.nets.extraction import ExtractionConfig, extract
from xvkd.nets.models import STUDENTS, BuildRecord
from xvkd.nets.network import XvectorNetwork

SIZE = 7
LENGTHS = [0.12, 0.3, 0.31, 0.5, 0.777, 1, 2.005, 5, 12.34, 60]  # seconds


@pytest.fixture(scope="module")
def record(conf):
    """What config.yaml says of a folded student."""
    sections = {
        "features": config.read_tree(conf / "features" / "mfcc.yaml"),
        "vad": config.read_tree(conf / "features" / "vad.yaml"),
        "input": config.read_tree(conf / "inputs" / "mfcc_cmn_voiced.yaml"),
    }
    return {
        "role": "student", "distilled": ["segment6"], "loss": "mse", "teacher": "teacher_x", "seed": 3,
        "build": {"input_dim": 30}, "folded": {"level": "embedding"}, **sections,
    }  # fmt: skip


def exporter_of(network, record, conf):
    return Exporter(
        network, record, "folder", config.load(ExportConfig, conf / "export.yaml"),
        config.load(ExtractionConfig, conf / "extraction.yaml"),
    )  # fmt: skip


def network_of(name, arch):
    """A little student of the recipe's features."""
    return seasoned(BuildRecord(STUDENTS, name, arch, 30, SIZE), 0)


@pytest.fixture(scope="module")
def utterances(record):
    """What a network reads of recordings, one of them shorter than its context."""
    extractor, vad = FeatureExtractor(FeatureConfig(**record["features"])), VadConfig(**record["vad"])
    read = {}
    for seconds in LENGTHS:
        samples = bursts(round(16000 * seconds), seed=round(10 * seconds))
        features = extractor(samples * np.float32(32768))
        read[seconds] = samples, network_input(features, energy_vad(features, vad), InputConfig(**record["input"]))
    return read


@pytest.fixture(scope="module")
def exported(record, conf, utterances):
    """The student's files."""
    network = network_of("tdnn", {"width": 16})
    calibration = [frames for _, frames in utterances.values()]
    return network, dict(exporter_of(network, record, conf).models(calibration))


def session_of(model):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def expected_of(network, frames, conf):
    options = config.load(ExtractionConfig, conf / "extraction.yaml")
    ((_, found),) = extract(network, [("u", frames)], [network.output_level], options, torch.device("cpu"))
    return found[network.output_level]


def test_equal_pytorch_from_a_third_of_a_second_to_a_minute(exported, utterances, conf):
    network, models = exported
    sessions = {suffix: session_of(model) for suffix, model in models.items()}
    assert min(len(frames) for _, frames in utterances.values()) < network.min_frames
    for seconds, (samples, frames) in utterances.items():
        expected = expected_of(network, frames, conf)
        for suffix, given in ((".onnx", {"waveform": samples[None]}), (".features.onnx", {"features": frames[None]})):
            (ours,) = sessions[suffix].run(["embedding"], given)
            assert ours.shape == (1, SIZE) and ours.dtype == np.float32
            assert np.abs(ours[0] - expected).max() < 1e-4, (seconds, suffix)
        from_waveform = sessions[".int8.onnx"].run(None, {"waveform": samples[None]})[0][0]
        (from_features,) = sessions[".features.int8.onnx"].run(None, {"features": frames[None]})[0]
        np.testing.assert_allclose(from_waveform, from_features, atol=0.02 * np.abs(expected).max())
        assert np.abs(from_features - expected).max() < 0.05 * np.abs(expected).max(), seconds


def test_what_the_files_say_of_themselves(exported, record):
    _, models = exported
    assert list(models) == [".features.onnx", ".onnx", ".features.int8.onnx", ".int8.onnx"]
    for suffix, model in models.items():
        onnx.checker.check_model(model, full_check=True)
        assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
        reads = model.graph.input[0]
        shape = [axis.dim_param or axis.dim_value for axis in reads.type.tensor_type.shape.dim]
        assert (reads.name, shape) == (
            ("features", [1, "frames", 30]) if "features" in suffix else ("waveform", [1, "samples"])
        )
        about = {entry.key: entry.value for entry in model.metadata_props}
        assert about.items() >= {
            "sample_rate": "16000", "embedding_dim": str(SIZE), "backend": "plda", "license": "Apache-2.0",
            "shortest_frames": "25",
        }.items()  # fmt: skip
        assert about.get("minimum_samples") == (None if "features" in suffix else "80")
        assert json.loads(about["training"])["distilled"] == ["segment6"]
        assert InputConfig(**json.loads(about["input"])) == InputConfig(**record["input"])
        # No file of the machine that wrote it.
        assert b".py" not in model.SerializeToString()
    weights = [sum(len(one.raw_data) for one in models[suffix].graph.initializer) for suffix in models]
    assert weights[2] < 0.4 * weights[0]


def test_silence_is_not_a_number(exported):
    """Not an embedding of something, nor an error that nobody understands."""
    _, models = exported
    for suffix in (".onnx", ".int8.onnx"):
        (found,) = session_of(models[suffix]).run(None, {"waveform": np.zeros((1, 16000), np.float32)})
        assert found.shape == (1, SIZE) and np.isnan(found).all()


def test_norms_move_into_convolutions():
    network = small_teacher("tdnn")
    network.end_at("segment6", 5)
    assert PlainTdnn.fits(network)
    (features,) = features_of(40)
    expected = network(features[None])[network.output_level]
    torch.testing.assert_close(PlainTdnn(network)(features[None]), expected, rtol=1e-5, atol=1e-5)
    assert not PlainTdnn.fits(small_student("dsconv"))


@pytest.mark.parametrize("name", ["dsconv", pytest.param("redimnet", marks=pytest.mark.slow)])
def test_students_of_other_shapes(name, record, conf, utterances):
    network = network_of(name, SMALL_STUDENTS[name])
    models = dict(exporter_of(network, record, conf).models([frames for _, frames in utterances.values()]))
    for seconds in (0.3, 0.777, 5):
        samples, frames = utterances[seconds]
        expected = expected_of(network, frames, conf)
        (ours,) = session_of(models[".onnx"]).run(None, {"waveform": samples[None]})
        assert np.abs(ours[0] - expected).max() < 1e-4, seconds
        (ours,) = session_of(models[".int8.onnx"]).run(None, {"waveform": samples[None]})
        assert np.corrcoef(ours[0], expected)[0, 1] > 0.98, seconds


def test_a_vad_that_no_graph_has(record, conf, utterances, caplog):
    """What reads features is exported nevertheless."""
    network = network_of("tdnn", {"width": 4})
    other = {**record, "vad": {"kind": "hmm"}}
    models = dict(exporter_of(network, other, conf).models([utterances[5][1]]))
    assert list(models) == [".features.onnx", ".features.int8.onnx"]
    assert "the VAD 'hmm' is not among those" in caplog.text


def test_what_cannot_be_exported_is_told(record, conf, utterances):
    class Undecided(XvectorNetwork):
        """A way through the network that depends on the values."""

        def frame_outputs(self, x, num_frames):
            yield from super().frame_outputs(x if x.sum() > 0 else -x, num_frames)

    network = network_of("tdnn", {"width": 4})
    network.__class__ = Undecided
    with pytest.raises(UserError, match="^folder: torch cannot write this network as ONNX .*; export another one$"):
        network_graph(network, 30, 25, 18, "folder")
    student = network_of("tdnn", {"width": 4})
    with pytest.raises(UserError, match="^folder: no utterance of 25 frames to calibrate"):
        next(exporter_of(student, record, conf).models([utterances[5][1][:24]]))
