"""Scatter within and between speakers against populations whose variances are known, and against pairs written out."""

import numpy as np
import pytest

from xvkd import config
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.scatter import Scatter, generalisation, normalisation, session_labels

DIM = 4
BETWEEN, SESSION, UTTERANCE = np.array([4.0, 2.0, 1.0, 1.0]), np.array([0.5, 1.0, 0.25, 0.25]), np.full(DIM, 0.5)
PLAIN = np.zeros(DIM), np.ones(DIM)


@pytest.fixture(scope="module")
def options(conf):
    return config.load(EvaluationConfig, conf / "evaluation.yaml")


def simulate(random, speakers, sizes, scale=1.0):
    """Utterances, their speakers and their sessions.

    Args:
        random: the generator.
        speakers: how many.
        sizes: utterances of each session of a speaker; every third speaker has but the first session.
        scale: of all variances within speakers.
    """
    vectors, labels, sessions = [], [], []
    for speaker in range(speakers):
        voice = random.normal(0, np.sqrt(BETWEEN))
        for size in sizes[:1] if speaker % 3 == 2 else sizes:
            channel = random.normal(0, np.sqrt(scale * SESSION))
            vectors.append(voice + channel + random.normal(0, np.sqrt(scale * UTTERANCE), (size, DIM)))
            labels += [speaker] * size
            sessions += [len(vectors)] * size
    order = random.permutation(len(labels))
    return np.concatenate(vectors)[order] + 5, np.array(labels)[order], np.array(sessions)[order]


@pytest.mark.parametrize("sizes", [[3, 3, 2], [2, 1], [5, 1, 1, 3]])
def test_estimates_are_without_bias(sizes):
    """Whatever the numbers of utterances and sessions; the means of 400 estimates lie within four standard errors."""
    random = np.random.default_rng(0)
    found = np.array([
        [trace[0] for trace in Scatter.collect(*simulate(random, 12, sizes), *PLAIN).traces()] for _ in range(400)
    ])  # fmt: skip
    expected = [(SESSION + UTTERANCE).sum(), BETWEEN.sum()]
    errors = (found.mean(axis=0) - expected) / (found.std(axis=0) / np.sqrt(len(found)))
    assert np.abs(errors).max() < 4
    assert (found.std(axis=0) / np.sqrt(len(found)) / expected).max() < 0.05  # narrow enough to tell


def test_draws_are_those_of_pairs_that_are_written_out():
    """And of other dimensions after normalisation."""
    random = np.random.default_rng(1)
    vectors, speakers, sessions = simulate(random, 6, [2, 1, 2])
    mean, scale = random.normal(size=DIM), random.uniform(0.5, 2, DIM)
    copies = random.multinomial(6, [1 / 6] * 6, 5)
    within, between = Scatter.collect(vectors.astype(np.float32), speakers, sessions, mean, scale).traces(copies)
    vectors = (vectors.astype(np.float32) - mean) * scale
    for draw, counts in enumerate(copies):
        sums, totals = np.zeros(2), np.zeros(2)
        for a in range(len(vectors)):
            for b in range(len(vectors)):
                other = speakers[a] != speakers[b]
                weight = counts[speakers[a]] * (counts[speakers[b]] if other else 1)
                if other or sessions[a] != sessions[b]:
                    sums[int(other)] += weight * ((vectors[a] - vectors[b]) ** 2).sum() / 2
                    totals[int(other)] += weight
        half = sums / totals
        assert within[draw] == pytest.approx(half[0]) and between[draw] == pytest.approx(half[1] - half[0])


def test_the_interval_covers(options):
    """Of 200 populations of 25 speakers, 95 % intervals hold the ratio in 88 % to 99 %, those of quotients too."""
    random = np.random.default_rng(2)
    ratio = (SESSION + UTTERANCE).sum() / BETWEEN.sum()
    held = np.zeros((200, 2), bool)
    for one in held:
        seen, other = (Scatter.collect(*simulate(random, 25, [2, 2], scale), *PLAIN) for scale in (0.5, 1.0))
        found = generalisation(seen, {"eval": other}, options)
        (low, high), (least, most) = (found["unseen"]["eval"][key] for key in ("ratio_ci", "quotient_ci"))
        one[:] = low < ratio < high, least < 2 < most
    assert ((held.mean(axis=0) >= 0.88) & (held.mean(axis=0) <= 0.99)).all(), held.mean(axis=0)


def test_figures_of_a_teacher_that_has_memorised_its_speakers(options):
    random = np.random.default_rng(3)
    seen = Scatter.collect(*simulate(random, 60, [3, 2], 0.25), *PLAIN)
    others = {"dev": Scatter.collect(*simulate(random, 40, [3, 2]), *PLAIN), "eval": seen}
    found = generalisation(seen, others, options)
    assert found["seen"].keys() == {"speakers", "utterances", "ratio", "ratio_ci"}
    assert found["seen"]["speakers"] == 60 and found["seen"]["utterances"] == 20 * 3 + 40 * 5
    dev = found["unseen"]["dev"]
    assert dev["quotient"] == pytest.approx(dev["ratio"] / found["seen"]["ratio"])
    assert 1.5 < dev["quotient_ci"][0] < dev["quotient"] < dev["quotient_ci"][1]
    same = found["unseen"]["eval"]
    assert same["quotient"] == 1 and same["quotient_ci"][0] < 1 < same["quotient_ci"][1]


@pytest.mark.parametrize("speakers", [[0, 0, 0], [0, 1, 2]])
def test_what_cannot_be_told_is_none(options, speakers, recwarn):
    """One speaker, or one utterance of each."""
    odd = Scatter.collect(np.random.default_rng(0).normal(size=(3, DIM)), np.array(speakers), None, *PLAIN)
    known = Scatter.collect(*simulate(np.random.default_rng(4), 9, [3, 2]), *PLAIN)
    found = generalisation(known, {"eval": odd}, options)["unseen"]["eval"]
    assert [found[key] for key in ("ratio", "ratio_ci", "quotient", "quotient_ci")] == [None] * 4
    assert not recwarn.list


def test_dimensions_are_normalised_as_targets_are():
    random = np.random.default_rng(5)
    vectors = random.normal([3, -2, 0, 0.1], [2, 1, 0.5, 0], (50, 4)).astype(np.float32)
    mean, scale = normalisation(vectors)
    normalised = (vectors - mean) * scale
    assert normalised.mean(axis=0) == pytest.approx(0, abs=1e-6)
    # A unit that never varies has nothing to say.
    assert normalised.std(axis=0) == pytest.approx([1, 1, 1, 0], abs=1e-6) and scale[3] == 0


def test_sessions_count_where_a_speaker_has_two():
    speakers = np.array([0, 0, 1, 1])
    names = ["a-1", "a-2", "b-1", "b-2"]
    assert session_labels(names, speakers, {}) is None
    assert session_labels(names, speakers, {"a-1": "x", "a-2": "x", "b-1": "y", "b-2": "y"}) is None
    # Those without one are of one; a session's name may be used by several speakers.
    sessions = session_labels(names, speakers, {"a-1": "monday", "a-2": "tuesday", "b-1": "monday", "b-2": "monday"})
    assert sessions[0] == sessions[2] == sessions[3] != sessions[1]
    sessions = session_labels(names, speakers, {"a-1": "monday"})
    assert sessions[0] != sessions[1] and sessions[1] == sessions[2] == sessions[3]
