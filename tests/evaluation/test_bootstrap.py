"""The bootstrap over speakers against lists that are written out, by hand, and against many new sets of speakers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xvkd.errors import UserError
from xvkd.evaluation.bootstrap import SpeakerBootstrap, interval, speakers_of
from xvkd.evaluation.metrics import cllr_losses, cost, eer
from xvkd.evaluation.strata import Comparison


def simulate(random, speakers, utterances, spread=5.0, dim=6):
    """All pairs of utterances of speakers drawn from one population, and their scores.

    Returns:
        scores, the speaker of each utterance, and each trial's two utterances and its kind.
    """
    speaker = np.repeat(np.arange(speakers), utterances)
    vectors = random.normal(0, np.sqrt(spread), (speakers, dim))[speaker] + random.normal(size=(len(speaker), dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    left, right = np.triu_indices(len(speaker), 1)
    scores = np.einsum("td,td->t", vectors[left], vectors[right])
    return scores, [f"s{number:04d}" for number in speaker], left, right, speaker[left] == speaker[right]


def counts_of(names, draws, seed):
    """How often each speaker comes out of each draw, as the class's description has it."""
    return np.random.default_rng(seed).multinomial(len(names), [1 / len(names)] * len(names), draws)


def written_out(scores, speakers, left, right, target, counts):
    """The scores of the target and of the nontarget trials, each as often as it counts."""
    counts = dict(zip(sorted(set(speakers)), counts, strict=True))
    lists = {True: [], False: []}
    for score, a, b, kind in zip(scores, left, right, target, strict=True):
        a, b = speakers[a], speakers[b]
        lists[bool(kind)] += [score] * (counts[a] if kind else counts[a] * counts[b])
    return np.array(lists[True]), np.array(lists[False])


@given(
    st.integers(2, 12), st.integers(1, 4), st.floats(0, 9), st.sampled_from([0, 1, 9]), st.integers(0, 2**32 - 1)
)
def test_draws_are_those_of_lists_that_are_written_out(speakers, utterances, spread, decimals, seed):
    """Also with equal scores, systems that know nothing, and draws that leave no trials of a kind."""
    random = np.random.default_rng(seed)
    scores, names, left, right, target = simulate(random, speakers, utterances, spread)
    scores = scores.round(decimals) * random.choice([1, -1])
    kept = random.random(len(scores)) < 0.8
    scores, left, right, target = scores[kept], left[kept], right[kept], target[kept]
    bootstrap = SpeakerBootstrap(names, names, left, right, target, 20, seed)
    rates = bootstrap.eer(scores)
    costs = bootstrap.cost(cllr_losses(scores[target], scores[~target])) if target.any() and not target.all() else None
    used = sorted({names[place] for place in [*left, *right]} | set(names))
    for draw, counts in enumerate(counts_of(used, 20, seed)):
        lists = written_out(scores, names, left, right, target, counts)
        if all(map(len, lists)):
            assert rates[draw] == eer(*lists)[0]
            assert costs[draw] == pytest.approx(cost(cllr_losses(*lists)))
        else:
            assert np.isnan(rates[draw])


@pytest.mark.parametrize("shift", [0.0, -100.0, 100.0])
def test_larger_lists(shift):
    """Many trials, so that draws are counted in blocks and around the list's own EER; and where that is at an end."""
    random = np.random.default_rng(3)
    scores, names, left, right, target = simulate(random, 60, 6)
    scores = scores + shift * target
    bootstrap = SpeakerBootstrap(names, names, left, right, target, 200, 1)
    rates = bootstrap.eer(scores)
    for draw in range(0, 200, 40):
        lists = written_out(scores, names, left, right, target, counts_of(sorted(set(names)), 200, 1)[draw])
        assert rates[draw] == eer(*lists)[0]


def test_models_have_speakers_of_their_own():
    """Models and tests are numbered apart, and their order says nothing."""
    models, tests = ["zoe", "abe"], ["abe", "abe", "zoe", "kim"]
    model, test = np.array([0, 0, 1, 1, 1]), np.array([2, 0, 1, 3, 0])
    target = np.array([True, False, True, False, True])
    scores = np.array([1.0, 0.5, 0.2, 0.3, 0.7])
    bootstrap = SpeakerBootstrap(models, tests, model, test, target, 50, 0)
    speaker = [*models, *tests]
    for draw, counts in enumerate(counts_of(["abe", "kim", "zoe"], 50, 0)):
        lists = written_out(scores, speaker, model, test + 2, target, counts)
        rate = bootstrap.eer(scores)[draw]
        assert rate == eer(*lists)[0] if all(map(len, lists)) else np.isnan(rate)


def test_draws_are_a_function_of_the_seed_and_the_speakers():
    random = np.random.default_rng(4)
    scores, names, left, right, target = simulate(random, 10, 3)

    def draws(seed=0, number=30, keep=slice(None)):
        one = SpeakerBootstrap(names, names, left[keep], right[keep], target[keep], number, seed)
        return one.key, one.eer(scores[keep])

    key, rates = draws()
    again, same = draws()
    assert key == again and np.array_equal(rates, same)
    # Another order of the trials, or some of them: the same draws.
    assert draws(keep=np.arange(len(scores))[::-1])[0] == draws(keep=slice(0, 100))[0] == key
    assert np.array_equal(draws(keep=np.arange(len(scores))[::-1])[1], rates)
    assert draws(seed=1)[0] != key and draws(number=29)[0] != key
    other = [name.replace("s0003", "s9999") for name in names]
    assert SpeakerBootstrap(other, other, left, right, target, 30, 0).key != key


def test_intervals_hold_the_truth_as_often_as_they_say():
    """200 evaluations of 30 new speakers each: 95 % intervals hold the population's EER in about 95 % of them."""
    random = np.random.default_rng(5)
    # The population: as many speakers as give its EER to 1 % of itself.
    scores, _, _, _, target = simulate(random, 700, 3)
    truth = eer(scores[target], scores[~target])[0]
    held = 0
    for repetition in range(200):
        scores, names, left, right, target = simulate(random, 30, 3)
        bootstrap = SpeakerBootstrap(names, names, left, right, target, 200, repetition)
        low, high = interval(bootstrap.eer(scores), 0.95)
        held += low <= truth <= high
    assert 0.90 <= held / 200 <= 0.99


@pytest.mark.parametrize(
    ("target", "message"),
    [([True, True], "trial 2 is a target trial of the speakers 'ann' and 'bob'"),
     ([False, False], "trial 1 is a nontarget trial of the speakers 'ann' and 'ann'")],
)  # fmt: skip
def test_trials_that_contradict_the_speakers_are_told(target, message):
    with pytest.raises(UserError, match=message):
        SpeakerBootstrap(["ann"], ["ann", "bob"], np.array([0, 0]), np.array([0, 1]), np.array(target), 10, 0)


def test_speakers_of_models():
    utt2spk = {"a1": "ann", "a2": "ann", "b1": "bob"}
    assert speakers_of({"m": ["a1", "a2"], "n": ["b1"], "a2": ["a2"]}, utt2spk) == ["ann", "bob", "ann"]
    with pytest.raises(UserError, match="model 'm' is enrolled from 'a1' and 'b1', of two speakers"):
        speakers_of({"m": ["a1", "b1"]}, utt2spk)
    with pytest.raises(UserError, match="utterance 'c1' has no speaker"):
        speakers_of({"m": ["c1"]}, utt2spk)


def test_intervals():
    assert interval(np.arange(101.0), 0.9) == pytest.approx([5, 95])
    assert interval(np.append(np.arange(101.0), np.nan), 0.9) == pytest.approx([5, 95])
    assert interval(np.full(3, np.nan), 0.9) is None
    assert interval(np.empty(0), 0.9) is None
    assert interval(np.array([1, np.inf, np.inf, 2]), 0.5) is None


def compare(rates, draws, other_rates, other_draws):
    return Comparison.of(*map(np.array, (rates, draws, other_rates, other_draws)), confidence=0.9, seed=0)


def test_two_systems_are_compared_draw_by_draw():
    draws = np.linspace(0.02, 0.08, 101)
    found = compare([4.0], [1.1 * draws], [4.0], [draws])
    # Always 10 % more errors: nothing is left to chance, however far apart the draws.
    assert found.ratio == pytest.approx(1) and found.interval == pytest.approx([1.1, 1.1])
    assert found.upper == pytest.approx(1.1)
    found = compare([3.0], [draws * np.linspace(0.5, 1.5, 101)], [4.0], [draws])
    assert found.ratio == pytest.approx(0.75) and found.interval == pytest.approx([0.55, 1.45])
    assert found.upper == pytest.approx(1.4)  # one-sided: a tenth lies above


def test_over_seeds_seeds_are_drawn_too():
    draws = np.full(4000, 0.05)
    ratios = np.array([0.8, 1.0, 1.3])
    found = compare(5 * ratios, np.outer(ratios, draws), [5.0] * 3, np.stack([draws] * 3))
    assert found.ratio == pytest.approx(1.04 ** (1 / 3))
    # All 27 draws of three seeds, by their geometric means.
    means = np.exp(np.log(ratios)[np.stack(np.meshgrid(*[range(3)] * 3)).reshape(3, -1)].mean(axis=0))
    assert found.interval == pytest.approx(np.quantile(means, [0.05, 0.95]), abs=0.02)
    # Speakers and seeds together make a wider interval than either.
    draws = np.exp(np.random.default_rng(6).normal(0, 0.1, 4000)) * 0.05
    wider = compare(5 * ratios, np.outer(ratios, draws), [5.0] * 3, np.full((3, 4000), 0.05))
    assert wider.interval[0] < found.interval[0] and wider.interval[1] > found.interval[1]


def test_a_perfect_system_has_a_ratio_and_none_to_it():
    found = compare([0.0], [[0.0, 0.0, 0.0]], [2.0], [[0.02, 0.03, 0.01]])
    assert (found.ratio, found.interval, found.upper) == (0, [0, 0], 0)
    found = compare([2.0], [[0.02, 0.03, 0.01]], [0.0], [[0.0, 0.0, 0.01]])
    assert (found.ratio, found.interval, found.upper) == (None, None, None)
    found = compare([0.0], [[0.0]], [0.0], [[0.0]])
    assert (found.ratio, found.interval, found.upper) == (None, None, None)
