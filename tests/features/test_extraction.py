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


WINDOWS = {  # feature-window.cc, of N samples
    "povey": lambda i, n: (0.5 - 0.5 * np.cos(2 * np.pi * i / (n - 1))) ** 0.85,
    "hamming": lambda i, n: 0.54 - 0.46 * np.cos(2 * np.pi * i / (n - 1)),
    "hanning": lambda i, n: 0.5 - 0.5 * np.cos(2 * np.pi * i / (n - 1)),
    "rectangular": lambda i, n: np.ones(n),
}


def slow_fbank(samples, window_type, snip_edges, high_freq):
    """compute-fbank-feats --num-mel-bins=80 in words and float64, frame by frame."""
    frames = 1 + (len(samples) - 400) // 160 if snip_edges else (len(samples) + 80) // 160
    mel = np.linspace(*(1127 * np.log(1 + np.array([20, high_freq]) / 700)), 82)
    bins = 1127 * np.log(1 + np.arange(257) * 16000 / 512 / 700)
    rising = (bins - mel[:-2, None]) / (mel[1:-1] - mel[:-2])[:, None]
    falling = (mel[2:, None] - bins) / (mel[2:] - mel[1:-1])[:, None]
    filters = np.maximum(np.minimum(rising, falling), 0)
    filters[:, 256] = 0  # Kaldi leaves out the bin at Nyquist
    rows = []
    for frame in range(frames):
        places = np.arange(400) + frame * 160 - (0 if snip_edges else 120)
        places = np.where(places < 0, -1 - places, places)
        places = np.where(places < len(samples), places, 2 * len(samples) - 1 - places)
        window = samples[places].astype(np.float64)
        window -= window.mean()
        window -= 0.97 * np.concatenate([window[:1], window[:-1]])
        power = np.abs(np.fft.rfft(window * WINDOWS[window_type](np.arange(400), 400), 512)) ** 2
        rows.append(np.log(np.maximum(filters @ power, np.finfo(np.float32).eps)))
    return np.array(rows)


def test_the_slow_filterbank_is_kaldis(golden):
    kaldis = dict(kaldiio.load_ark(str(golden / "features" / "fbank80.ark")))["s2-u1"]
    slow = slow_fbank(read(golden / "features" / "s2-u1.wav"), "povey", False, 7600)
    np.testing.assert_allclose(slow[::8], kaldis, rtol=0, atol=6e-3)
    assert np.median(np.abs(slow[::8] - kaldis)) < 2e-5


@pytest.mark.parametrize("window_type", WINDOWS)
def test_every_window_is_kaldis(golden, conf, window_type):
    wespeakers = config.load(FeatureConfig, conf / "features" / "fbank80_hamming.yaml")
    samples = read(golden / "features" / "s2-u1.wav")
    ours = FeatureExtractor(dataclasses.replace(wespeakers, window_type=window_type))(samples)
    slow = slow_fbank(samples, window_type, True, 8000)
    np.testing.assert_allclose(ours, slow, rtol=0, atol=2e-3)
    assert np.median(np.abs(ours - slow)) < 2e-5


def test_wespeaker_and_3d_speaker_have_other_windows_of_the_same_frames(conf):
    """What the two toolkits ask of torchaudio's fbank; everything else is Kaldi's default."""
    configs = [config.load(FeatureConfig, conf / "features" / f"fbank80_{name}.yaml") for name in ("hamming", "povey")]
    assert [options.window_type for options in configs] == ["hamming", "povey"]
    assert dataclasses.replace(configs[0], window_type="povey") == configs[1]
    assert (configs[0].num_mel_bins, configs[0].high_freq, configs[0].snip_edges) == (80, 0.0, True)


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
        ({"window_type": "blackman"}, "window_type: blackman is impossible .*one of povey, hamming, hanning, rectang"),
    ],
)
def test_impossible_options_are_told(mfcc, changes, message):
    with pytest.raises(UserError, match=message):
        config.build(FeatureConfig, {**dataclasses.asdict(mfcc), **changes}, "mfcc.yaml")
