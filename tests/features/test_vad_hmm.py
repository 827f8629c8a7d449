"""The HMM VAD: its decoder against all paths that there are, its model on what users record."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import RATE, features, noise, runs

from xvkd import config
from xvkd.errors import UserError
from xvkd.features import vad_viterbi
from xvkd.features.vad_hmm import VadHmmConfig, hmm_posteriors, hmm_vad, log_likelihood_ratios

DURATIONS = st.integers(1, 5)
# Small whole numbers, so that many paths have the same score.
RATIOS = st.one_of(st.integers(-2, 2).map(float), st.integers(-4000, 4000).map(lambda number: number / 1024))


@pytest.fixture(scope="module")
def options(conf) -> VadHmmConfig:
    return config.load(VadHmmConfig, conf / "features" / "vad_hmm.yaml")


def all_paths(frames, silence, speech):
    """Every sequence of 0 and 1 whose segments, but for the first and last, have their minimum duration."""
    for path in itertools.product((0, 1), repeat=frames):
        inner = runs(np.array(path))[1:-1]
        if all(length >= (silence, speech)[kind] for kind, length in inner):
            yield np.array(path)


def preference(path):
    """Which of equally good paths is taken: speech at the end, then segments that begin early, from the last on."""
    begins = np.flatnonzero(np.diff(path)) + 1
    return (-path[-1], *begins[::-1], 0)


@settings(max_examples=150)
@given(
    ratios=st.lists(RATIOS, min_size=1, max_size=10), silence=DURATIONS, speech=DURATIONS,
    cost=st.sampled_from([0.0, 1.0, 2.5]),
)  # fmt: skip
def test_path_and_posteriors_are_those_of_all_paths(options, ratios, silence, speech, cost):
    ratios = np.array(ratios)
    some = replace(options, min_silence_frames=silence, min_speech_frames=speech, change_cost=cost)
    paths = list(all_paths(len(ratios), silence, speech))
    scores = np.array([path @ ratios - cost * (len(runs(path)) - 1) for path in paths])
    best = min((path for path, score in zip(paths, scores, strict=True) if score == scores.max()), key=preference)
    assert vad_viterbi.decode([ratios], some)[0].astype(int).tolist() == best.tolist()
    weights = np.exp(scores - scores.max())
    chances = weights @ np.array(paths) / weights.sum()
    np.testing.assert_allclose(vad_viterbi.posteriors([ratios], some)[0], chances, rtol=0, atol=1e-12)


def random_ratios(seed, lengths):
    """Of segments of all lengths, on the grid that decoders are given."""
    rng = np.random.default_rng(seed)
    means = [np.repeat(rng.normal(0, 2, length), rng.integers(1, 60, length))[:length] for length in lengths]
    return [np.clip(np.round(1024 * (mean + rng.normal(0, 1.5, len(mean)))) / 1024, -10, 10) for mean in means]


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), silence=st.integers(1, 40), speech=st.integers(1, 40))
def test_segments_have_their_minimum_durations(options, seed, silence, speech):
    some = replace(options, min_silence_frames=silence, min_speech_frames=speech, change_cost=0.0)
    for path in vad_viterbi.decode(random_ratios(seed, [1, 17, 400, 900]), some):
        assert all(length >= (silence, speech)[kind] for kind, length in runs(path)[1:-1])


def test_an_utterance_does_not_depend_on_its_company(options, monkeypatch):
    """Or results would change with the number of jobs."""
    ratios = random_ratios(1, [*range(0, 40), 1500, 300, 300, 77])
    paths, chances = vad_viterbi.decode(ratios, options), vad_viterbi.posteriors(ratios, options)
    monkeypatch.setattr(vad_viterbi, "_BATCH_FRAMES", 1)
    for index, ratio in enumerate(ratios):
        assert paths[index].shape == chances[index].shape == ratio.shape
        np.testing.assert_array_equal(paths[index], vad_viterbi.decode([ratio], options)[0])
        np.testing.assert_array_equal(chances[index], vad_viterbi.posteriors([ratio], options)[0])


def test_posteriors_follow_the_path(options):
    ratios = random_ratios(2, [600] * 10)
    for path, chance in zip(vad_viterbi.decode(ratios, options), vad_viterbi.posteriors(ratios, options), strict=True):
        assert (chance >= 0).all() and (chance <= 1).all()
        assert np.mean((chance > 0.5) == path) > 0.9 and chance[path].mean() > 0.9


def test_an_hour_is_decoded(options):
    ratios = random_ratios(3, [360_000])
    path = vad_viterbi.decode(ratios, options)[0]
    assert len(path) == 360_000 and 0.3 < path.mean() < 0.7
    # Far from the cut, a part gives the same path.
    part = vad_viterbi.decode([ratios[0][100_000:110_000]], options)[0]
    np.testing.assert_array_equal(part[500:-500], path[100_500:109_500])


@pytest.fixture(scope="module")
def sentence(golden):
    """2.5 s of (synthetic) speech, peaks at 10,000; between two words there is a short rest."""
    samples = soundfile.read(golden / "features" / "s2-u1.wav", dtype="int16")[0].astype(np.float64)
    loud = np.flatnonzero(np.abs(samples) > 500)
    cut = samples[loud[0] : loud[0] + 5 * RATE // 2]
    return cut * 10000 / np.abs(cut).max()


def decide(samples, options):
    return hmm_vad([features(np.rint(samples))], options, "viterbi")[0]


@pytest.mark.parametrize("level", [3, 30, 300, 3000])
@pytest.mark.parametrize("tilt", [0, -3, -6])
def test_noise_alone_is_silence(options, level, tilt):
    """However loud: the energy VAD's threshold is half the noise's own energy, and calls all of it voiced."""
    for seed in range(4):
        assert not decide(noise(4, level, seed, tilt), options).any()


@pytest.mark.parametrize(("snr", "missed"), [(5, 0.3), (10, 0.2), (20, 0.15), (40, 0.1)])
def test_speech_between_noise_is_found(options, sentence, snr, missed):
    for seed in range(5):
        samples = noise(6.5, sentence.std() * 10 ** (-snr / 20), seed)
        samples[2 * RATE : 2 * RATE + len(sentence)] += sentence
        voiced = decide(samples, options)
        assert not voiced[:190].any() and not voiced[460:].any()
        assert voiced[200:448].mean() > 1 - missed


def test_speech_without_a_pause_is_speech(options, sentence):
    assert decide(sentence, options).mean() > 0.95
    assert decide(sentence[: RATE // 2], options).mean() > 0.95


def test_digital_silence_around_a_recording_is_silence_and_does_not_count_for_its_noise(options, sentence):
    """Recordings padded with zeros: the pauses inside, of room noise, stay silence."""
    samples = np.zeros(10 * RATE)
    samples[RATE : 9 * RATE] = noise(8, 30, 1)
    for start in (2 * RATE, 6 * RATE):
        samples[start : start + len(sentence)] += sentence
    voiced = decide(samples, options)
    for first, end in ((0, 190), (460, 590), (860, 1000)):
        assert not voiced[first:end].any()
    assert voiced[200:448].mean() > 0.95 and voiced[600:848].mean() > 0.95


def test_a_click_is_no_speech(options):
    samples = noise(4, 30, 5)
    samples[2 * RATE : 2 * RATE + 80] += 5000
    assert not decide(samples, options).any()


def test_gain_changes_nothing(options, sentence):
    """The thresholds are the utterance's own; one on the level would tell near talkers from far ones."""
    samples = noise(4, 100, 7)
    samples[RATE : RATE + len(sentence)] += sentence
    frames = features(samples)
    louder = frames + np.eye(1, frames.shape[1]) * 3
    np.testing.assert_array_equal(*hmm_vad([frames, louder], options, "viterbi"))


def test_nothing_constant_silent_and_short(options):
    def voiced(energies):
        return hmm_vad([np.array(energies, np.float32)[:, None]], options, "viterbi")[0].tolist()

    assert voiced([]) == []
    assert voiced([-15.9] * 50) == [0] * 50  # zeros
    assert voiced([20.0] * 50) == [0] * 50  # half a second of a steady sound
    assert voiced([20.0]) == [1] and voiced([20.0, 20.5] * 8) == [1] * 16  # perhaps a vowel
    assert voiced([5.0]) == [0] and voiced([-15.9]) == [0]
    assert voiced([5.0] * 7 + [18.0] * 8) == [0] * 5 + [1] * 10  # shorter than the durations, yet of both kinds
    assert voiced([1e30, -1e30]) in ([0, 0], [0, 1], [1, 0], [1, 1])  # nonsense is no crash


def test_quieter_than_silence_is_silence(options):
    """The broader of two Gaussians is the likelier one on both sides of the other."""
    rng = np.random.default_rng(0)
    energies = np.concatenate([rng.normal(8, 0.2, 200), rng.normal(15, 2, 200), np.full(50, 4.0)])
    ratios = log_likelihood_ratios(energies[:, None], options)
    assert (ratios[:195] < 0).all() and (ratios[405:] < 0).all() and ratios[205:395].mean() > 4


def test_ratios_are_bounded_and_on_a_grid(options):
    """So that sums are exact, and no single frame decides."""
    ratios = log_likelihood_ratios(np.random.default_rng(1).normal(12, 4, (500, 13)), options)
    assert np.abs(ratios).max() <= options.max_ratio
    assert (ratios * 1024 == np.round(ratios * 1024)).all()


def test_posteriors_of_recordings(options, sentence):
    samples = noise(6.5, 100, 3)
    samples[2 * RATE : 2 * RATE + len(sentence)] += sentence
    frames = features(samples)
    chances = hmm_posteriors([frames], options, "viterbi")[0]
    assert chances.dtype == np.float32 and chances.shape == (len(frames),)
    assert chances[:180].max() < 0.01 and chances[210:440].mean() > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_silence_std": 2.0}, "silence is the steadier of the two"),
        ({"min_silence_std": 0.6}, "silence is the steadier of the two"),
        ({"min_speech_frames": 0}, "min_speech_frames: 0 is impossible"),
        ({"kind": "energy"}, "kind: energy is impossible"),
    ],
)
def test_impossible_options_are_told(conf, change, message):
    overrides = [f"{key}={value}" for key, value in change.items()]
    with pytest.raises(UserError, match=message):
        config.load(VadHmmConfig, conf / "features" / "vad_hmm.yaml", overrides)
