"""Energy VAD against Kaldi's decisions and a loop over frames."""

import kaldiio
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from xvkd import config
from xvkd.features.extraction import FeatureConfig, FeatureExtractor
from xvkd.features.vad import VadConfig, energy_vad


@pytest.fixture(scope="module")
def options(conf) -> VadConfig:
    return config.load(VadConfig, conf / "features" / "vad.yaml")


def features_of(energies):
    """C0 and one further coefficient that must not count."""
    return np.column_stack([energies, np.full(len(energies), 1e3)]).astype(np.float32)


def by_loops(energies, options):
    """Frame by frame, as compute-vad's documentation has it."""
    threshold = options.vad_energy_threshold + options.vad_energy_mean_scale * sum(energies) / len(energies)
    decisions = []
    for t in range(len(energies)):
        first = max(t - options.vad_frames_context, 0)
        votes = [energy > threshold for energy in energies[first : t + options.vad_frames_context + 1]]
        decisions.append(float(sum(votes) >= options.vad_proportion_threshold * len(votes)))
    return decisions


def test_decisions_on_kaldis_own_frames(golden, conf, options):
    """From the waveform: our MFCC, our decisions."""
    extractor = FeatureExtractor(config.load(FeatureConfig, conf / "features" / "mfcc.yaml"))
    for name, kaldis in kaldiio.load_ark(str(golden / "features" / "vad.ark")):
        samples = soundfile.read(golden / "features" / f"{name}.wav", dtype="int16")[0].astype(np.float32)
        ours = energy_vad(extractor(samples), options)
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, kaldis, err_msg=name)
        assert name == "x2-short" or 0 < ours.mean() < 1  # there is something to decide


def test_decisions_on_all_recordings_are_kaldis(oracle, options):
    kaldis = dict(kaldiio.load_ark(str(oracle / "feats" / "vad.ark")))
    for name, features in kaldiio.load_ark(str(oracle / "feats" / "mfcc.ark")):
        np.testing.assert_array_equal(energy_vad(features, options), kaldis[name], err_msg=name)


@settings(max_examples=60)
@given(
    energies=st.lists(st.integers(0, 20), min_size=1, max_size=30),
    threshold=st.integers(0, 15), scale=st.sampled_from([0.0, 0.5]), context=st.integers(0, 5),
    proportion=st.sampled_from([0.0, 0.12, 0.3, 0.61, 1.0]),
)  # fmt: skip
def test_decisions_are_those_of_a_loop(energies, threshold, scale, context, proportion):
    # A quarter off the whole numbers, so that no rounding decides.
    options = VadConfig("energy", threshold + 0.25 / 31, scale, context, proportion, "mfcc")
    assert energy_vad(features_of(energies), options).tolist() == by_loops(energies, options)


def test_neighbours_vote_for_a_frame():
    options = VadConfig("energy", 5.0, 0.0, 1, 0.5, "mfcc")
    decisions = energy_vad(features_of([9, 0, 9, 0, 0, 0, 9, 9]), options)
    # The last frame of each edge has two voters, the others three; half of them suffice.
    assert decisions.tolist() == [1, 1, 0, 0, 0, 0, 1, 1]


def test_a_frame_at_the_threshold_is_not_above_it():
    options = VadConfig("energy", 5.0, 0.0, 0, 1.0, "mfcc")
    assert energy_vad(features_of([5, 5.001, 4.999]), options).tolist() == [0, 1, 0]
    # The mean of the utterance moves the threshold: 2 + half of 6.
    assert energy_vad(features_of([5, 7, 6]), VadConfig("energy", 2.0, 0.5, 0, 1.0, "mfcc")).tolist() == [0, 1, 1]


def test_silence_and_nothing(options):
    assert not energy_vad(features_of([-15.9] * 50), options).any()
    assert energy_vad(np.zeros((0, 30), np.float32), options).shape == (0,)
