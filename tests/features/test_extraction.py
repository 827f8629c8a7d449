"""MFCC and filterbanks: Kaldi's values, Kaldi's frames, and as little memory for an hour as for a second."""

import dataclasses
import math

import kaldiio
import numpy as np
import pytest
import soundfile

from xvkd import config
from xvkd.errors import UserError
from xvkd.features.extraction import FeatureConfig, FeatureExtractor


@pytest.fixture(scope="module")
def mfcc(conf) -> FeatureConfig:
    return config.load(FeatureConfig, conf / "features" / "mfcc.yaml")


@pytest.fixture(scope="module")
def extractors(mfcc) -> dict[str, FeatureExtractor]:
    """By the names of Kaldi's files."""
    fbank = dataclasses.replace(mfcc, kind="fbank", num_mel_bins=80)
    return {
        "mfcc": FeatureExtractor(mfcc),
        "fbank80": FeatureExtractor(fbank),
        "fbank80_default": FeatureExtractor(dataclasses.replace(fbank, snip_edges=True, high_freq=0.0)),
    }


def read(path):
    return soundfile.read(path, dtype="int16")[0].astype(np.float32)


def noise(num_samples, seed=0):
    return np.random.default_rng(seed).integers(-3000, 3000, num_samples).astype(np.float32)


@pytest.mark.parametrize("kind", ["mfcc", "fbank80"])
@pytest.mark.parametrize("name", ["s2-u1", "x2-short"])
def test_features_are_kaldis(golden, extractors, kind, name):
    kaldis = dict(kaldiio.load_ark(str(golden / "features" / f"{kind}.ark")))[name]
    ours = extractors[kind](read(golden / "features" / f"{name}.wav"))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours[::8], kaldis, rtol=0, atol=6e-3)
    assert np.median(np.abs(ours[::8] - kaldis)) < 2e-5


@pytest.mark.parametrize(
    ("kind", "most", "median"), [("mfcc", 6e-3, 2e-5), ("fbank80", 7.3e-3, 4e-6), ("fbank80_default", 7.3e-3, 6e-6)]
)
def test_features_of_all_recordings_are_kaldis(oracle, extractors, kind, most, median):
    """Speech, digital silence, a tone with an offset, and 200 samples; as near as a float64 implementation is."""
    differences = []
    for name, kaldis in kaldiio.load_ark(str(oracle / "feats" / f"{kind}.ark")):
        ours = extractors[kind](read(oracle / "wav" / f"{name}.wav"))
        if kaldis.size == 0:
            assert len(ours) == 0, name
            continue
        np.testing.assert_allclose(ours, kaldis, rtol=0, atol=most, err_msg=name)
        differences.append(np.abs(ours - kaldis).ravel())
    assert np.median(np.concatenate(differences)) < median


def test_an_hour_in_blocks_is_what_it_is_in_one(extractors):
    """The hour repeats six seconds, so that all its inner frames can be told from those of a short one."""
    period = noise(96000)
    hour = extractors["mfcc"](np.tile(period, 600))
    short = extractors["mfcc"](np.tile(period, 3))[600:1200]  # all in a block's inside, or across an edge
    assert hour.shape == (360000, 30)
    inner = hour[600:-600].reshape(598, 600, 30)
    np.testing.assert_allclose(inner, np.broadcast_to(short, inner.shape), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "num_samples", "frames"),
    [
        ("mfcc", 0, 0), ("mfcc", 1, 0), ("mfcc", 79, 0), ("mfcc", 80, 1), ("mfcc", 239, 1), ("mfcc", 240, 2),
        ("fbank80_default", 1, 0), ("fbank80_default", 399, 0), ("fbank80_default", 400, 1),
        ("fbank80_default", 559, 1), ("fbank80_default", 560, 2),
    ],
)  # fmt: skip
def test_frames_of_very_short_recordings(extractors, kind, num_samples, frames):
    """Kaldi's counts: by the centres of frames, or by whole windows; the edges are reflected as often as it takes."""
    features = extractors[kind](noise(num_samples))
    assert features.shape == (frames, extractors[kind].config.dim)
    assert extractors[kind].num_frames(num_samples) == frames
    assert np.isfinite(features).all()


def test_c0_is_the_raw_log_energy_of_the_reflected_window(extractors):
    samples = noise(1600)
    energies = extractors["mfcc"](samples)[:, 0]
    for frame in (0, 4, 9):
        places = np.arange(frame * 160 - 120, frame * 160 + 280)
        places = np.where(places < 0, -1 - places, np.where(places > 1599, 3199 - places, places))
        window = samples[places].astype(np.float64)
        expected = math.log(np.sum((window - window.mean()) ** 2))
        assert energies[frame] == pytest.approx(expected, abs=1e-4)


def test_without_a_lifter_coefficients_are_those_before_it(mfcc, extractors):
    samples = noise(1600)
    lifted, plain = extractors["mfcc"](samples), FeatureExtractor(dataclasses.replace(mfcc, cepstral_lifter=0))(samples)
    weights = 1 + 11 * np.sin(np.pi * np.arange(1, 30) / 22)
    np.testing.assert_allclose(lifted[:, 1:], plain[:, 1:] * weights, atol=1e-4)


def test_loudness_moves_c0_alone(extractors):
    samples = noise(8000)
    quiet, loud = extractors["mfcc"](samples), extractors["mfcc"](2 * samples)
    np.testing.assert_allclose(loud[:, 0] - quiet[:, 0], math.log(4), atol=1e-4)
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=2e-3)


def test_other_rates_have_frames_of_the_same_length_in_time(mfcc):
    narrow = dataclasses.replace(mfcc, sample_frequency=8000, high_freq=3700.0, num_mel_bins=23, num_ceps=23)
    assert FeatureExtractor(narrow)(noise(8000)).shape == (100, 23)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"high_freq": 8001.0}, "high_freq 8001.0 must lie below 8000.0 Hz"),
        ({"low_freq": 7700.0}, "low_freq 7700.0 and high_freq 7600.0"),
        ({"high_freq": -7990.0}, "low_freq 20.0 and high_freq -7990.0"),
        ({"num_ceps": 31}, "num_ceps 31 must not exceed num_mel_bins 30"),
        ({"kind": "plp"}, "kind: plp is impossible .*one of mfcc, fbank"),
    ],
)
def test_impossible_options_are_told(mfcc, changes, message):
    with pytest.raises(UserError, match=message):
        config.build(FeatureConfig, {**dataclasses.asdict(mfcc), **changes}, "mfcc.yaml")
