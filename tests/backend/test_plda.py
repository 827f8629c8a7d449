"""PLDA against Kaldi's files and against slow, independent forms of its definition."""

import kaldiio
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from xvkd.backend import plda as plda_module
from xvkd.backend import products
from xvkd.backend.plda import Plda
from xvkd.backend.transforms import apply_affine, length_normalise
from xvkd.errors import UserError
from xvkd.kaldi.archives import read_matrix, read_vector
from xvkd.kaldi.plda_format import read_plda


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def unequal_data(rng, dim=4):
    """(N, D) vectors of speakers with one to seven utterances each, and labels with gaps."""
    counts = [1, 3, 7, 2, 1, 5, 4, 4, 6, 2, 3, 1]
    labels = rng.permutation(np.repeat(10 * np.arange(len(counts)), counts))
    means = 2 * rng.standard_normal((len(counts), dim))
    channel = rng.standard_normal((len(labels), dim)) @ rng.standard_normal((dim, dim))
    return means[labels // 10] + channel, labels


def random_plda(rng, dim):
    """A model, and its mean and full covariances (W, B)."""
    transform, psi = rng.standard_normal((dim, dim)), np.sort(rng.gamma(1.0, 2.0, dim))[::-1]
    back = np.linalg.inv(transform)
    model = Plda(rng.standard_normal(dim), transform, psi)
    return model, back @ back.T, back @ np.diag(psi) @ back.T


def covariances_of(model):
    back = np.linalg.inv(model.transform)
    return back @ back.T, back @ np.diag(model.psi) @ back.T


def assert_same_model(ours, mean, transform, psi, atol):
    signs = np.sign(np.sum(ours.transform * transform, axis=1, keepdims=True))
    np.testing.assert_allclose(ours.mean, mean, atol=atol)
    np.testing.assert_allclose(ours.transform * signs, transform, atol=atol)
    np.testing.assert_allclose(ours.psi, psi, rtol=1e-6)


def projected(path, mean, transform):
    vectors = dict(kaldiio.load_ark(str(path)))
    array = np.stack(list(vectors.values())) - read_vector(mean).astype(float)
    return list(vectors), length_normalise(apply_affine(read_matrix(transform), array))


def test_training_is_kaldis(golden):
    folder = golden / "kaldi"
    keys, vectors = projected(folder / "train.ark", folder / "mean.vec", folder / "transform.txt")
    labels = np.array([int(key[3:6]) for key in keys])
    assert_same_model(Plda.train(vectors, labels, 10), *read_plda(folder / "plda"), atol=3e-6)


def test_one_iteration_is_kaldis(oracle):
    train = dict(kaldiio.load_ark(str(oracle / "plda" / "train_lda_ln.txt")))
    labels = np.array([int(key[3:6]) for key in train])
    ours = Plda.train(np.stack(list(train.values())), labels, 1)
    # The input has seven digits here.
    assert_same_model(ours, *read_plda(oracle / "plda" / "plda_em1.txt"), atol=1e-5)


def test_adaptation_is_kaldis(oracle):
    folder = oracle / "plda"
    _, vectors = projected(folder / "adapt.txt", folder / "mean.vec", folder / "transform.txt")
    ours = Plda(*read_plda(folder / "plda")).adapt(vectors, 0.3, 0.7, 1.0)
    assert_same_model(ours, *read_plda(folder / "plda_adapt_default.txt"), atol=4e-6)


def test_training_with_unequal_numbers_of_utterances(rng):
    """EM speaker by speaker, with full covariances and textbook posteriors."""
    vectors, labels = unequal_data(rng)
    speakers = [vectors[labels == label] for label in np.unique(labels)]
    mean = np.mean([own.mean(0) for own in speakers], axis=0)
    within = between = np.eye(4)
    for _ in range(3):
        new_within, new_between = np.zeros((4, 4)), np.zeros((4, 4))
        for own in speakers:
            posterior = np.linalg.inv(np.linalg.inv(between) + len(own) * np.linalg.inv(within))
            speaker = mean + posterior @ np.linalg.inv(within) @ (own - mean).sum(0)
            new_between += posterior + np.outer(speaker - mean, speaker - mean)
            for utterance in own:
                new_within += posterior + np.outer(utterance - speaker, utterance - speaker)
        within, between = new_within / len(vectors), new_between / len(speakers)
    ours = Plda.train(vectors, labels, 3)
    np.testing.assert_allclose(ours.mean, mean, rtol=1e-12)
    for estimate, expected in zip(covariances_of(ours), (within, between), strict=True):
        np.testing.assert_allclose(estimate, expected, rtol=1e-9, atol=1e-9)
    assert (np.diff(ours.psi) <= 0).all()


def test_training_finds_the_covariances_that_made_the_data(rng):
    model, within, between = random_plda(rng, 2)
    labels = np.repeat(np.arange(3000), 4)
    vectors = model.mean + rng.multivariate_normal([0, 0], between, 3000)[labels]
    vectors = vectors + rng.multivariate_normal([0, 0], within, len(labels))
    ours = Plda.train(vectors, labels, 20)
    for estimate, expected in zip(covariances_of(ours), (within, between), strict=True):
        np.testing.assert_allclose(estimate, expected, atol=0.1 * np.abs(expected).max())


def test_ratio_in_one_dimension_in_closed_form():
    """psi = 3, one enrolment utterance: (u, t) has unit-plus-psi variances and covariance psi."""
    model = Plda(np.zeros(1), np.eye(1), np.array([3.0]))
    u, t = 1.5, -0.5
    together = multivariate_normal([0, 0], [[4, 3], [3, 4]]).logpdf([u, t])
    alone = multivariate_normal(0, 4).logpdf(u) + multivariate_normal(0, 4).logpdf(t)
    zero, one = np.zeros(1, int), np.ones(1, int)
    ours = model.models(np.array([[u]]), one).score_trials(np.array([[t]]), zero, zero, 10)
    np.testing.assert_allclose(ours, together - alone, rtol=1e-12)


def test_ratio_is_that_of_joint_gaussians_over_all_utterances(rng):
    """In the original space, with every enrolment utterance on its own, for unequal numbers."""
    model, within, between = random_plda(rng, 3)
    counts, tests = [1, 2, 5, 2], rng.standard_normal((3, 3))
    enrolments = [rng.standard_normal((n, 3)) for n in counts]
    averages = np.stack([own.mean(0) for own in enrolments])
    enrol = model.transform_vectors(averages, np.array(counts), False, False)
    test = model.transform_vectors(tests, 1, False, False)
    pairs = [(m, t) for m in (2, 0, 3, 1) for t in range(3)]
    models, utterances = np.array(pairs).T
    ours = model.models(enrol, np.array(counts)).score_trials(test, models, utterances, 5)
    for score, (m, t) in zip(ours, pairs, strict=True):
        n = counts[m]
        joint = np.kron(np.ones((n + 1, n + 1)), between) + np.kron(np.eye(n + 1), within)
        all_mean = np.tile(model.mean, n + 1)
        stacked = np.concatenate([enrolments[m].ravel(), tests[t]])
        expected = (
            multivariate_normal(all_mean, joint).logpdf(stacked)
            - multivariate_normal(all_mean[3:], joint[3:, 3:]).logpdf(enrolments[m].ravel())
            - multivariate_normal(model.mean, within + between).logpdf(tests[t])
        )
        np.testing.assert_allclose(score, expected, rtol=1e-8)


def test_length_factor_depends_on_the_number_of_utterances(rng):
    model, _, _ = random_plda(rng, 6)
    vectors, counts = rng.standard_normal((5, 6)), np.array([1, 3, 1, 8, 3])
    raw = model.transform_vectors(vectors, counts, False, False)
    np.testing.assert_allclose(raw, (vectors - model.mean) @ model.transform.T)
    scaled = model.transform_vectors(vectors, counts, True, False)
    np.testing.assert_allclose(np.sum(scaled**2 / (model.psi + 1 / counts[:, None]), axis=1), 6)
    np.testing.assert_allclose(scaled / raw, np.tile((scaled / raw)[:, :1], 6))
    simple = model.transform_vectors(vectors, counts, True, True)
    np.testing.assert_allclose(np.sum(simple**2, axis=1), 6)
    at_mean = model.transform_vectors(model.mean[None], 1, True, False)
    np.testing.assert_array_equal(at_mean, 0)


@pytest.mark.parametrize("share", [0.001, 0.03, 0.5])
@pytest.mark.parametrize("chunk", [7, 1000, 10**6])
def test_scores_do_not_depend_on_how_trials_are_worked_on(rng, monkeypatch, share, chunk):
    """Few or many of all pairs, in any order, in small or large pieces, models of many sizes."""
    model, _, _ = random_plda(rng, 5)
    enrol, test = rng.standard_normal((90, 5)), rng.standard_normal((120, 5))
    counts = rng.integers(1, 60, 90)
    pairs = rng.permutation(90 * 120)[: int(share * 90 * 120)]
    models, utterances = pairs // 120, pairs % 120
    gain = counts[:, None] * model.psi / (counts[:, None] * model.psi + 1)
    variance = 1 + model.psi / (counts[:, None] * model.psi + 1)
    given = norm((gain * enrol)[models], np.sqrt(variance)[models]).logpdf(test[utterances])
    without = norm(0, np.sqrt(1 + model.psi)).logpdf(test[utterances])
    expected = np.sum(given - without, axis=1)
    for module in (plda_module, products):
        monkeypatch.setattr(module, "TABLE_CELLS", 120 * 7)
    monkeypatch.setattr(products, "ROWS_PER_BLOCK", 20)
    monkeypatch.setattr(products, "FEW_PER_ROW", 3)
    enrolled = model.models(enrol, counts)
    ours = enrolled.score_trials(test, models, utterances, chunk)
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(enrolled.score_matrix(test)[models, utterances], expected, rtol=1e-9, atol=1e-9)


def test_smoothing_moves_between_variance_into_within(rng):
    model, within, between = random_plda(rng, 4)
    smooth_within, smooth_between = covariances_of(model.smooth(0.25))
    np.testing.assert_allclose(smooth_within, within + 0.25 * between, rtol=1e-9)
    np.testing.assert_allclose(smooth_between, between, rtol=1e-9)


def test_adaptation_takes_up_the_excess_and_nothing_else(rng):
    model, within, between = random_plda(rng, 3)
    quiet = rng.multivariate_normal(model.mean, 0.5 * (within + between), 20000)
    adapted = model.adapt(quiet, 0.3, 0.7, 0.0)
    for estimate, expected in zip(covariances_of(adapted), (within, between), strict=True):
        np.testing.assert_allclose(estimate, expected, rtol=1e-8)
    np.testing.assert_allclose(adapted.mean, quiet.mean(0))
    loud = rng.multivariate_normal(model.mean, 3 * (within + between), 20000)
    adapted_within, adapted_between = covariances_of(model.adapt(loud, 0.25, 0.75, 0.0))
    np.testing.assert_allclose(adapted_within + adapted_between, np.cov(loud.T, bias=True), rtol=1e-6)
    np.testing.assert_allclose(
        (adapted_between - between) * 0.25, (adapted_within - within) * 0.75, rtol=1e-6, atol=1e-9
    )


def test_unusable_data_is_told(rng):
    vectors, labels = unequal_data(rng)
    with pytest.raises(UserError, match="two utterances"):
        Plda.train(vectors, np.arange(len(vectors)), 2)
    with pytest.raises(UserError, match="NaN"):
        Plda.train(np.where(vectors > 2, np.nan, vectors), labels, 2)
    model = Plda.train(vectors, labels, 2)
    with pytest.raises(UserError, match="4-dimensional vectors, these have 3"):
        model.transform_vectors(vectors[:, :3], 1, True, False)
    with pytest.raises(UserError, match="adaptation: no vectors"):
        model.adapt(vectors[:0], 0.3, 0.7, 1.0)
    with pytest.raises(UserError, match="4-dimensional vectors, these have 3"):
        model.adapt(vectors[:, :3], 0.3, 0.7, 1.0)
    with pytest.raises(UserError, match="within-speaker covariance is singular"):
        Plda.train(np.hstack([vectors, vectors[:, :1]]), labels, 40)
    with pytest.raises(ValueError, match="indices"):
        model.models(vectors, np.ones(len(vectors), int)).score_trials(vectors, np.array([0]), np.array([-1]), 9)
