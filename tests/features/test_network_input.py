"""Sliding CMN and the choice of frames: Kaldi's values, and a plain computation frame by frame."""

import dataclasses

import kaldiio
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from xvkd import config
from xvkd.features.extraction import FeatureConfig, FeatureExtractor
from xvkd.features.network_input import InputConfig, network_input, sliding_cmn
from xvkd.features.vad import VadConfig, energy_vad


@pytest.fixture(scope="module")
def options(conf) -> InputConfig:
    return config.load(InputConfig, conf / "inputs" / "mfcc_cmn_voiced.yaml")


def frame_by_frame(features, cmn_window, min_cmn_window, center, norm_vars):
    """apply-cmvn-sliding in words: which frames a frame is normalised by, then their mean and variance."""
    frames, rows = len(features), []
    for t in range(frames):
        if center:  # as many frames as the window has, or all; moved inwards at the edges
            first = min(max(t - cmn_window // 2, 0), max(frames - cmn_window, 0))
            last = min(first + cmn_window, frames) - 1
        else:  # the frame and those before it; in the beginning later ones help out
            first, last = max(t - cmn_window, 0), max(t, min_cmn_window - 1)
            if last > frames - 1:
                first, last = max(first - (last - (frames - 1)), 0), frames - 1
        window = features[first : last + 1].astype(np.float64)
        row = features[t] - window.mean(axis=0)
        if norm_vars:
            row = row / np.sqrt(np.maximum(window.var(axis=0), 1e-10)) if len(window) > 1 else 0 * row
        rows.append(row)
    return np.array(rows)


@settings(max_examples=150)
@given(
    frames=st.integers(1, 40), cmn_window=st.integers(1, 50), min_cmn_window=st.integers(1, 50),
    center=st.booleans(), norm_vars=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_every_window_is_the_right_one(frames, cmn_window, min_cmn_window, center, norm_vars, seed):
    features = np.random.default_rng(seed).normal(3, 2, (frames, 2)).astype(np.float32)
    ours = sliding_cmn(features, cmn_window, min_cmn_window, center, norm_vars)
    expected = frame_by_frame(features, cmn_window, min_cmn_window, center, norm_vars)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("file", "center", "norm_vars"),
    [("mfcc_cmn", True, False), ("mfcc_cmvn_var", True, True), ("mfcc_cmn_causal", False, False)],
)
def test_sliding_cmn_is_kaldis(oracle, file, center, norm_vars):
    features = dict(kaldiio.load_ark(str(oracle / "feats" / "mfcc.ark")))
    for name, kaldis in kaldiio.load_ark(str(oracle / "feats" / f"{file}.ark")):
        ours = sliding_cmn(features[name], 300, 100, center, norm_vars)
        np.testing.assert_allclose(ours, kaldis, rtol=0, atol=1e-4, err_msg=name)


def test_what_the_network_reads_is_kaldis(oracle, options):
    features, vad = (dict(kaldiio.load_ark(str(oracle / "feats" / f"{name}.ark"))) for name in ("mfcc", "vad"))
    kaldis = dict(kaldiio.load_ark(str(oracle / "feats" / "mfcc_cmn_voiced.ark")))
    for name in features:
        ours = network_input(features[name], vad[name], options)
        if name == "x1-zeros":  # nothing voiced; Kaldi leaves the utterance out
            assert ours.shape == (0, 30) and name not in kaldis
        else:
            np.testing.assert_allclose(ours, kaldis[name], rtol=0, atol=1e-4, err_msg=name)


def test_from_the_waveform_to_the_network_as_kaldi(golden, conf, options):
    extractor = FeatureExtractor(config.load(FeatureConfig, conf / "features" / f"{options.features}.yaml"))
    vad = config.load(VadConfig, conf / "features" / f"{options.vad}.yaml")
    for name, kaldis in kaldiio.load_ark(str(golden / "features" / "mfcc_cmn_voiced.ark")):
        samples = soundfile.read(golden / "features" / f"{name}.wav", dtype="int16")[0].astype(np.float32)
        features = extractor(samples)
        ours = network_input(features, energy_vad(features, vad), options)
        np.testing.assert_allclose(ours[::8], kaldis, rtol=0, atol=6e-3, err_msg=name)


def test_an_hour_ends_as_precisely_as_it_begins():
    """Running sums must not lose the mean of a window in what came before it."""
    features = np.random.default_rng(0).normal(100, 1, (360000, 2)).astype(np.float32)
    ours = sliding_cmn(features, 300, 100, True, True)
    expected = frame_by_frame(features[-600:], 300, 100, True, True)
    np.testing.assert_allclose(ours[-300:], expected[-300:], rtol=0, atol=1e-4)


def test_voiced_frames_are_chosen_after_normalisation(options):
    features = np.arange(12, dtype=np.float32).reshape(6, 2)
    vad = np.array([0, 1, 0, 0, 1, 0], np.float32)
    normalised = features - features.mean(axis=0)
    np.testing.assert_allclose(network_input(features, vad, options), normalised[[1, 4]])
    everything = dataclasses.replace(options, voiced_only=False)
    np.testing.assert_allclose(network_input(features, vad, everything), normalised)
    np.testing.assert_allclose(network_input(features, None, everything), normalised)


def test_the_shorter_of_features_and_vad_counts(options):
    features = np.arange(12, dtype=np.float32).reshape(6, 2)
    normalised = features - features.mean(axis=0)
    np.testing.assert_allclose(network_input(features, np.ones(5), options), normalised[:5])
    np.testing.assert_allclose(network_input(features, np.ones(8), options), normalised)


def test_no_frames_stay_no_frames(options):
    nothing = np.zeros((0, 30), np.float32)
    assert network_input(nothing, np.zeros(0), options).shape == (0, 30)
