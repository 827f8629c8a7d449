"""AS-norm against its definition, trial by trial; bounded memory; what it is good for."""

import logging

import numpy as np
import pytest

from xvkd.backend import score_normalisation
from xvkd.backend.backend import Backend, ScoringConfig
from xvkd.backend.score_normalisation import Cohort
from xvkd.backend.scoring import TRIALS_AT_ONCE, Scorer, average
from xvkd.errors import UserError
from xvkd.evaluation.metrics import eer

PLDA = ScoringConfig(normalize_length=True, simple_length_normalization=False, smoothing=0.0)


def embeddings(random, speakers, utterances, dim=12):
    """Speakers around a point that is not the origin, some with fewer utterances; and their labels."""
    labels = np.repeat(np.arange(speakers), utterances)[: -(utterances // 2)]
    centres = random.normal(3, 2, (speakers, dim))
    return (centres[labels] + random.normal(size=(len(labels), dim))).astype(np.float32), labels


@pytest.fixture(scope="module")
def world():
    """A back end, what it was trained on, and embeddings of other speakers."""
    random = np.random.default_rng(0)
    train, labels = embeddings(random, 15, 5)
    vectors, _ = embeddings(random, 10, 4)
    return Backend.train(train, labels, 8, 12, 0.0, 3), train, labels, vectors


ENROLMENTS = [("a", [0, 1, 2]), ("b", [4]), ("c", [8, 9])]
ENROL_INDEX = np.array([0, 0, 0, 1, 1, 2, 2, 0])
TEST_INDEX = np.array([3, 7, 11, 5, 30, 10, 0, 3])


def scores_of(scorer, enrolments, vectors, enrol_index, test_index):
    models = scorer.models(*average(enrolments, vectors))
    return models.score_trials(scorer.tests(vectors), enrol_index, test_index, TRIALS_AT_ONCE)


def normalised(world, scoring, kind, top):
    backend, train, labels, vectors = world
    scorer = Scorer.of(scoring, backend, None, PLDA)
    return Cohort.of(kind, top, train, labels).normalise(
        scores_of(scorer, ENROLMENTS, vectors, ENROL_INDEX, TEST_INDEX), scorer, *average(ENROLMENTS, vectors),
        scorer.tests(vectors), ENROL_INDEX, TEST_INDEX,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scoring", "kind", "top", "cells"),
    [
        ("cosine", "speakers", 7, 1 << 21), ("lda_cosine", "utterances", 30, 50), ("plda", "speakers", 7, 1),
        ("plda", "utterances", 30, 1 << 21), ("plda", "speakers", 15, 50),
    ],
)  # fmt: skip
def test_as_norm_is_its_definition(world, scoring, kind, top, cells, monkeypatch):
    monkeypatch.setattr(score_normalisation, "CELLS", cells)
    backend, train, labels, vectors = world
    scorer = Scorer.of(scoring, backend, None, PLDA)
    if kind == "speakers":
        cohort = [np.flatnonzero(labels == label) for label in range(15)]
    else:
        cohort = [[row] for row in range(len(train))]

    def one(model, test):
        """The score of a model's utterances and a test utterance."""
        both = np.concatenate([model, test[None]])
        return scores_of(scorer, [("m", range(len(model)))], both, np.array([0]), np.array([len(model)]))[0]

    expected = []
    for place, row in zip(ENROL_INDEX, TEST_INDEX, strict=True):
        model, test = vectors[ENROLMENTS[place][1]], vectors[row]
        score = one(model, test)
        sides = [
            [one(model, train[rows].mean(axis=0)) for rows in cohort],
            [one(train[rows], test) for rows in cohort],
        ]  # fmt: skip
        value = 0.0
        for against in sides:
            highest = np.array(sorted(against)[-top:])
            value += (score - highest.mean()) / np.sqrt(np.mean((highest - highest.mean()) ** 2)) / 2
        expected.append(value)
    np.testing.assert_allclose(normalised(world, scoring, kind, top), expected, rtol=1e-4)


def test_small_cohorts_count_whole(world, caplog):
    with caplog.at_level(logging.WARNING):
        found = normalised(world, "cosine", "speakers", 100)
    assert "the cohort has 15 members; all count, not 100" in caplog.text
    np.testing.assert_array_equal(found, normalised(world, "cosine", "speakers", 15))


def test_scores_that_depend_on_the_side_are_evened_out():
    """Each model and each test utterance adds something of its own to its cosines: an offset of its direction."""
    random = np.random.default_rng(1)
    common = np.array([1.0] + [0.0] * 19)
    speakers = random.normal(size=(60, 20))
    labels = np.repeat(np.arange(60), 6)
    vectors = speakers[labels] + 0.8 * random.normal(size=(360, 20)) + random.exponential(4, (360, 1)) * common
    train, rest = vectors[:180], vectors[180:]
    left, right = np.triu_indices(180, 1)
    target = labels[180:][left] == labels[180:][right]
    scorer = Scorer.of("cosine", None, None, PLDA)
    enrolments = [(str(row), [row]) for row in range(180)]
    scores = scores_of(scorer, enrolments, rest, left, right)
    even = Cohort.of("utterances", 60, train, labels[:180]).normalise(
        scores, scorer, *average(enrolments, rest), scorer.tests(rest), left, right
    )
    raw, better = (eer(one[target], one[~target])[0] for one in (scores, even))
    assert better < 0.9 * raw


def test_a_cohort_that_cannot_measure_is_told(world):
    backend, train, labels, vectors = world
    scorer = Scorer.of("cosine", backend, None, PLDA)
    cohort = Cohort.of("speakers", 5, np.tile(train[:1], (6, 1)), np.arange(6))
    with pytest.raises(UserError, match="AS-norm: the 5 highest cohort scores of a model or test utterance are equal"):
        cohort.normalise(
            np.zeros(8), scorer, *average(ENROLMENTS, vectors), scorer.tests(vectors), ENROL_INDEX, TEST_INDEX
        )
