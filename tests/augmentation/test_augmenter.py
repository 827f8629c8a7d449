"""What is done to an utterance: as loud as it was drawn, as long as the utterance, and where the utterance is."""

import numpy as np
import pytest

from xvkd.augmentation.augmenter import Augmenter
from xvkd.augmentation.noise_corpus import NoiseCorpus
from xvkd.augmentation.rooms import fast_random_response
from xvkd.features.cuts import load_cut, utterance_cuts

RATE = 16000


@pytest.fixture(scope="module")
def utterances(train):
    return {cut.id: cut for cut in utterance_cuts(train.path)}


def augment(augmenter, cut, speaker, kind, seed):
    augmented, snr = augmenter(cut, speaker, kind, np.random.default_rng(seed))
    return load_cut(augmented, RATE), snr, augmented


@pytest.mark.parametrize("kind", ["noise", "music"])
def test_noise_is_as_loud_as_drawn(corpus, options, utterances, train, kind):
    augmenter = Augmenter(options("copies", f"{kind}.snr=[7]", "noise.gap=0"), corpus)
    for seed, (name, cut) in enumerate(utterances.items()):
        clean = load_cut(cut, RATE)
        noisy, snr, _ = augment(augmenter, cut, train.speakers()[name], kind, seed)
        assert snr == 7 and len(noisy) == len(clean)
        assert 10 * np.log10(np.mean(clean**2) / np.mean((noisy - clean) ** 2)) == pytest.approx(7, abs=0.1)


@pytest.mark.parametrize("ratio", ["sum", "each"])
def test_babble_is_of_other_speakers_and_as_loud_as_drawn(corpus, options, utterances, train, ratio):
    changes = ("babble.snr=[10]", "babble.speakers=[3,3]", f"babble.snr_of={ratio}")
    augmenter = Augmenter(options("copies", *changes), corpus)
    expected = 10 if ratio == "sum" else 10 - 10 * np.log10(3)
    for seed, (name, cut) in enumerate(utterances.items()):
        speaker = train.speakers()[name]
        noisy, snr, mixed = augment(augmenter, cut, speaker, "babble", seed)
        assert snr == pytest.approx(expected)
        others = {train.speakers()[track.cut.id] for track in mixed.tracks[1:]}
        assert others and speaker not in others
        clean = load_cut(cut, RATE)
        # Speakers are nearly uncorrelated.
        assert 10 * np.log10(np.mean(clean**2) / np.mean((noisy - clean) ** 2)) == pytest.approx(expected, abs=3)


def test_rooms_leave_the_utterance_where_it_is(corpus, options, utterances, train):
    """The VAD of clean speech then is that of the copy."""
    augmenter = Augmenter(options("copies"), corpus)
    for seed, (name, cut) in enumerate(utterances.items()):
        clean = load_cut(cut, RATE)
        wet, snr, _ = augment(augmenter, cut, train.speakers()[name], "reverb", seed)
        assert snr is None and len(wet) == len(clean)
        assert np.mean(wet**2) == pytest.approx(np.mean(clean**2), rel=1e-3)
        # Speech begins at 3000 samples; it does so in the room, too.
        loud = np.abs(wet) > 0.1 * np.abs(wet).max()
        assert 2900 < np.argmax(loud) < 3800


def test_direct_sound_is_the_greatest_and_comes_first():
    for seed in range(100):
        response = fast_random_response(np.random.default_rng(seed), RATE)
        assert np.argmax(response) < 0.01 * RATE and response.max() == pytest.approx(0.9)
        energy = np.cumsum(response[::-1] ** 2)[::-1]
        assert energy[len(response) // 2] < 0.2 * energy[0]  # it dies away


def test_noises_that_are_shorter_are_followed_by_others(noise, options, utterances, train):
    corpus = NoiseCorpus(noise)
    corpus.noise = [cut.truncate(duration=0.25) for cut in corpus.noise]
    augmenter = Augmenter(options("copies", "noise.gap=0.3"), corpus)
    name, cut = next(iter(utterances.items()))
    _, _, mixed = augment(augmenter, cut, train.speakers()[name], "noise", 0)
    assert [track.offset for track in mixed.tracks[1:]] == pytest.approx([0, 0.55])


def test_kinds_come_as_often_as_their_weights_say(corpus, options):
    augmenter = Augmenter(options("copies", "noise.weight=3", "music.weight=0", "babble.weight=0"), corpus)
    rng = np.random.default_rng(0)
    drawn = [augmenter.draw_kind(rng) for _ in range(400)]
    assert set(drawn) == {"noise", "reverb"} and drawn.count("noise") == pytest.approx(300, abs=30)
