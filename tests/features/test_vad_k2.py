"""The HMM VAD's two backends against each other. tests/run_k2.sh makes an environment that has k2."""

import sys
from dataclasses import replace
from types import ModuleType

import kaldiio
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signals import features, noise

from xvkd import config
from xvkd.errors import UserError
from xvkd.features import vad_k2, vad_viterbi
from xvkd.features.vad_hmm import VadHmmConfig, hmm_posteriors, hmm_vad, log_likelihood_ratios

# Posteriors lose what lies outside the lattice's beam.
CLOSE = 1e-6


@pytest.fixture(scope="module")
def k2() -> ModuleType:
    return pytest.importorskip("k2", reason="needs k2 (tests/run_k2.sh has it)", exc_type=ImportError)


@pytest.fixture(scope="module")
def options(conf) -> VadHmmConfig:
    return config.load(VadHmmConfig, conf / "features" / "vad_hmm.yaml")


def random_ratios(rng, lengths, whole_numbers):
    """On the grid; whole numbers make many paths of one score."""
    scale = 1 if whole_numbers else 1024
    return [np.clip(np.round(scale * rng.normal(0, 2, length)) / scale, -5, 5) for length in lengths]


def assert_agree(ratios, options):
    for ours, theirs in zip(vad_viterbi.decode(ratios, options), vad_k2.decode(ratios, options), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(vad_viterbi.posteriors(ratios, options), vad_k2.posteriors(ratios, options), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=CLOSE)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6), silence=st.integers(1, 7), speech=st.integers(1, 7),
    cost=st.sampled_from([0.0, 1.0, 2.5]), whole_numbers=st.booleans(), piece=st.sampled_from([7, 16, 30000]),
)  # fmt: skip
def test_random_scores(k2, options, monkeypatch, seed, silence, speech, cost, whole_numbers, piece):
    """Ties, utterances shorter than the durations and without frames, and cuts anywhere included."""
    monkeypatch.setattr(vad_k2, "_PIECE_FRAMES", piece)
    rng = np.random.default_rng(seed)
    ratios = random_ratios(rng, rng.integers(0, 60, rng.integers(1, 8)), whole_numbers)
    assert_agree(
        ratios, replace(options, min_silence_frames=silence, min_speech_frames=speech, change_cost=cost, k2_beam=40.0)
    )


def test_random_scores_with_the_default_durations(k2, options):
    rng = np.random.default_rng(0)
    means = [np.repeat(rng.normal(0, 2, 60), rng.integers(1, 60, 60)) for _ in range(40)]
    ratios = [np.clip(np.round(1024 * rng.normal(mean, 1.5)) / 1024, -5, 5) for mean in means]
    assert_agree(ratios, options)


def test_long_chains_are_cut_to_what_k2_holds(k2, options, monkeypatch):
    monkeypatch.setattr(vad_k2, "_MOST_STATES", 20_000)
    ratios = random_ratios(np.random.default_rng(1), [1, 30, 500, 900], whole_numbers=False)
    assert_agree(ratios, replace(options, min_silence_frames=100, min_speech_frames=60))


def test_kaldis_recordings(k2, options, oracle):
    recordings = [matrix for _, matrix in kaldiio.load_ark(str(oracle / "feats" / "mfcc.ark"))]
    assert_agree([log_likelihood_ratios(matrix, options) for matrix in recordings], options)
    for ours, theirs in zip(*(hmm_vad(recordings, options, name) for name in ("viterbi", "k2")), strict=True):
        assert ours.dtype == theirs.dtype == np.float32
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(*(hmm_posteriors(recordings, options, name) for name in ("viterbi", "k2")), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=CLOSE)


def test_recordings_of_people(k2, options, speech):
    """Clean, and in noise of 10 dB between a second of it."""
    recordings = []
    for number, path in enumerate(sorted(speech.glob("*/*/*.flac"))[::40]):
        samples = soundfile.read(path, dtype="int16")[0].astype(np.float64)
        noisy = np.pad(samples, 16000)
        noisy += noise(len(noisy) / 16000, samples.std() * 10**-0.5, number)
        recordings += [features(samples), features(noisy)]
    assert len(recordings) > 20
    assert_agree([log_likelihood_ratios(matrix, options) for matrix in recordings], options)


@pytest.mark.parametrize("frames", [65_534, 65_535, 65_536, 150_000])
def test_utterances_longer_than_k2_counts(k2, options, frames):
    rng = np.random.default_rng(frames)
    means = np.repeat(rng.normal(0, 2, frames), rng.integers(1, 60, frames))[:frames]
    assert_agree([np.clip(np.round(1024 * rng.normal(means, 1.5)) / 1024, -5, 5)], options)


@pytest.mark.parametrize("compute", [vad_k2.decode, vad_k2.posteriors])
def test_an_empty_lattice_is_an_error(k2, options, monkeypatch, compute):
    """What k2 gives, without a word, where pieces are too long for it."""
    monkeypatch.setattr(vad_k2, "_PIECE_FRAMES", 100_000)
    with pytest.raises(UserError, match="no path through an utterance of 65535 frames; use --vad-backend viterbi"):
        compute(random_ratios(np.random.default_rng(0), [65_535], whole_numbers=False), options)


def test_a_path_of_another_length_is_an_error(k2, options, monkeypatch):
    monkeypatch.setattr(vad_k2._K2, "_best_paths", lambda self, lattice: [(np.zeros(9), {})])
    with pytest.raises(UserError, match="k2 gave 9 frames for 10"):
        vad_k2.decode([np.ones(10)], options)


def test_absent_k2_is_told_with_the_remedy(options, monkeypatch):
    monkeypatch.setitem(sys.modules, "k2", None)
    with pytest.raises(UserError, match=r"k2 cannot be imported .*requirements-k2\.txt.* or leave .* viterbi"):
        vad_k2.decode([np.ones(10)], options)


def test_k2_for_another_torch_is_told_with_the_remedy(options, monkeypatch, tmp_path):
    """The wheel for torch 1.13.1 beside torch 2 says so when it is imported."""
    (tmp_path / "k2.py").write_text("raise ImportError('k2 was built using PyTorch 1.13.1\\nBut you are using 2.13.0')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "k2", raising=False)
    with pytest.raises(UserError, match=r"PyTorch 1\.13\.1 But you are using 2\.13\.0\); install a k2"):
        vad_k2.posteriors([np.ones(10)], options)
