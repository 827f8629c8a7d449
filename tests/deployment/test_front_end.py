"""Features, VAD and normalisation in an ONNX graph: what numpy and PyTorch make of the same samples."""

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
from signals import bursts

from xvkd import config
from xvkd.deployment.front_end import front_end, minimum_samples
from xvkd.deployment.nodes import Nodes, make_model
from xvkd.features.extraction import FeatureConfig, FeatureExtractor
from xvkd.features.network_input import InputConfig, network_input
from xvkd.features.vad import VadConfig, energy_vad


def session_of(features, vad, reads):
    nodes = Nodes("front")
    output = front_end(nodes, "waveform", features, vad if reads.voiced_only else None, reads)
    model = make_model(nodes.nodes, nodes.constants, "waveform", [1, "samples"], output, features.dim, 18)
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "frames"
    onnx.checker.check_model(model, full_check=True)
    assert model.ByteSize() < 200_000  # a Fourier transform written down as a matrix alone has 800 kB
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.fixture
def configured(conf):
    return (
        config.load(FeatureConfig, conf / "features" / "mfcc.yaml"),
        config.load(VadConfig, conf / "features" / "vad.yaml"),
        config.load(InputConfig, conf / "inputs" / "mfcc_cmn_voiced.yaml"),
    )


def compare(features, vad, reads, lengths):
    """Returns how many frames there are in all, and how many of them the network reads."""
    extractor, session = FeatureExtractor(features), session_of(features, vad, reads)
    counts = np.zeros(2, int)
    for length in lengths:
        samples = bursts(length, features.sample_frequency)
        found = extractor(samples * np.float32(32768))
        # Where the network reads filterbanks, the VAD reads the energy of the same frames.
        energies = found
        if features.kind == "fbank":
            beside = dataclasses.replace(features, kind="mfcc", num_ceps=13, use_energy=True)
            energies = FeatureExtractor(beside)(samples * np.float32(32768))
        expected = network_input(found, energy_vad(energies, vad), reads)
        (ours,) = session.run(None, {"waveform": samples[None]})
        assert ours.shape == expected.shape, length
        np.testing.assert_allclose(ours, expected, atol=3e-4, err_msg=str(length))
        counts += len(found), len(expected)
    return counts


def test_recipes_configuration_at_any_length(configured):
    """From a single frame, over lengths around a frame's, to more than the window of the normalisation."""
    frames, voiced = compare(*configured, [80, 81, 159, 400, 4800, 4801, 7777, 48013, 80000])
    assert 0.3 * frames < voiced < 0.9 * frames


@pytest.mark.parametrize(
    ("change_features", "change_reads"),
    [
        ({"use_energy": False}, {"voiced_only": False}),
        ({"snip_edges": True}, {"center": False}),
        ({"kind": "fbank", "num_mel_bins": 40, "use_energy": False, "window_type": "hamming"}, {"norm_vars": True}),
        ({"sample_frequency": 11025, "high_freq": 0.0, "cepstral_lifter": 0}, {"cmn_window": 51}),
        ({"sample_frequency": 22050, "frame_length": 20.0}, {"cmn_window": 10000000}),
    ],
)
def test_other_configurations(configured, change_features, change_reads):
    """Frames of an odd number of samples are among them."""
    features, vad, reads = configured
    features, reads = dataclasses.replace(features, **change_features), dataclasses.replace(reads, **change_reads)
    compare(features, vad, reads, [minimum_samples(features), 9001, 40000])


def test_shortest_signal(configured):
    """One sample less gives no frame."""
    features, vad, reads = configured
    least = minimum_samples(features)
    assert FeatureExtractor(features).num_frames(least) == 1
    assert FeatureExtractor(features).num_frames(least - 1) == 0
    (ours,) = session_of(features, vad, reads).run(None, {"waveform": bursts(least - 1)[None]})
    assert ours.shape == (0, 30)
