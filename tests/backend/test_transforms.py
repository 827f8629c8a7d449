"""LDA against Kaldi's and against its definition, also of vectors that do not fill their space."""

import logging

import kaldiio
import numpy as np
import pytest
from scipy.linalg import eigh

from xvkd.backend.transforms import apply_affine, estimate_lda, estimate_pca, length_normalise
from xvkd.errors import UserError
from xvkd.kaldi.archives import read_matrix, read_vector


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def speaker_data(rng, num_speakers, num_utts, dim):
    """(N, D) Gaussian vectors with speaker structure, (N,) labels; utterances are not in order."""
    labels = rng.permutation(np.repeat(np.arange(num_speakers), num_utts))
    means = rng.standard_normal((num_speakers, dim)) * np.linspace(2, 0.2, dim)
    mixing = rng.standard_normal((dim, dim)) / np.sqrt(dim)
    return (means[labels] + rng.standard_normal((len(labels), dim)) @ mixing) + 3, labels


def covariances(vectors, labels):
    """Within and between covariance, speaker by speaker."""
    within = between = 0
    for label in np.unique(labels):
        own = vectors[labels == label]
        within = within + (own - own.mean(0)).T @ (own - own.mean(0)) / len(vectors)
        shift = own.mean(0) - vectors.mean(0)
        between = between + len(own) * np.outer(shift, shift) / len(vectors)
    return within, between


def test_lda_is_kaldis_up_to_sign(golden):
    train = dict(kaldiio.load_ark(str(golden / "kaldi" / "train.ark")))
    labels = np.array([int(key[3:6]) for key in train])
    vectors = np.stack(list(train.values())) - read_vector(golden / "kaldi" / "mean.vec").astype(float)
    kaldis = read_matrix(golden / "kaldi" / "transform.txt")
    ours = estimate_lda(vectors, labels, dim=32, total_covariance_factor=0.0, pca_dim=512)
    ours *= np.sign(np.sum(ours[:, :64] * kaldis[:, :64], axis=1, keepdims=True))
    np.testing.assert_allclose(ours[:, :64], kaldis[:, :64], atol=5e-7)
    np.testing.assert_allclose(ours[:, 64], kaldis[:, 64], atol=1e-6)


@pytest.mark.parametrize("name", ["train", "eval"])
def test_the_chain_to_unit_length_is_kaldis(oracle, name):
    vectors = np.stack([v for _, v in kaldiio.load_ark(str(oracle / "plda" / f"{name}.txt"))])
    expected = np.stack([v for _, v in kaldiio.load_ark(str(oracle / "plda" / f"{name}_lda_ln.txt"))])
    vectors = vectors - read_vector(oracle / "plda" / "mean.vec")
    ours = length_normalise(apply_affine(read_matrix(oracle / "plda" / "transform.txt"), vectors))
    np.testing.assert_allclose(ours, expected, atol=3e-6)


def test_lda_makes_within_unit_and_orders_the_rest(rng):
    vectors, labels = speaker_data(rng, 30, 6, 10)
    projected = apply_affine(estimate_lda(vectors, labels, 7, 0.0, 512), vectors)
    within, between = covariances(projected, labels)
    np.testing.assert_allclose(projected.mean(0), 0, atol=1e-10)
    np.testing.assert_allclose(within, np.eye(7), atol=1e-10)
    np.testing.assert_allclose(between, np.diag(np.sort(np.diag(between))[::-1]), atol=1e-9)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0])
def test_the_total_covariance_factor_is_a_share_of_what_is_made_unit(rng, factor):
    """Against the generalised eigenvectors of B and W + factor B, of which W + B is the total covariance."""
    vectors, labels = speaker_data(rng, 30, 6, 10)
    vectors, labels = vectors[7:], labels[7:]  # unequal numbers of utterances
    within, between = covariances(vectors, labels)
    strengths, directions = eigh(between, within + factor * between)
    transform = estimate_lda(vectors, labels, 7, factor, None)
    expected = directions[:, ::-1][:, :7].T
    expected *= np.sign(np.sum(expected * transform[:, :10], axis=1, keepdims=True))
    np.testing.assert_allclose(transform[:, :10], expected, atol=1e-9)
    np.testing.assert_allclose(transform[:, 10], -expected @ vectors.mean(axis=0), atol=1e-8)


def test_vectors_of_low_rank_give_the_lda_of_what_they_are_made_of(rng, caplog):
    """A student's embedding is an affine map of few statistics, stored in float32."""
    source, labels = speaker_data(rng, 40, 8, 6)
    embeddings = (source @ rng.standard_normal((6, 50)) + 4 * rng.standard_normal(50)).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        transform = estimate_lda(embeddings, labels, 20, 0.0, 512)
    assert "20 dimensions asked for, 6 used" in caplog.text
    assert transform.shape == (6, 51)
    ours = apply_affine(transform, embeddings)
    expected = apply_affine(estimate_lda(source, labels, 6, 0.0, 512), source)
    np.testing.assert_allclose(np.abs(np.sum(ours * expected, 0)), np.sum(expected**2, 0), rtol=1e-4)
    np.testing.assert_allclose(ours @ ours.T, expected @ expected.T, atol=2e-4 * np.abs(expected).max() ** 2)
    # New data from the same map is not blown up in the directions that hold only rounding.
    assert np.abs(transform[:, :50]).max() < 10


def test_dimensions_are_capped_by_the_number_of_speakers(rng, caplog):
    vectors, labels = speaker_data(rng, 5, 10, 12)
    with caplog.at_level(logging.WARNING):
        assert estimate_lda(vectors, labels, 200, 0.0, 512).shape == (4, 13)
    assert "200 dimensions asked for, 4 used (5 speakers" in caplog.text


def test_large_embeddings_go_through_pca(rng):
    vectors, labels = speaker_data(rng, 30, 6, 40)
    centred = vectors - vectors.mean(0)
    components = np.linalg.svd(centred, full_matrices=False)[2][:8].T
    expected = apply_affine(estimate_lda(centred @ components, labels, 5, 0.0, 8), centred @ components)
    transform = estimate_lda(vectors, labels, 5, 0.0, pca_dim=8)
    assert transform.shape == (5, 41)
    np.testing.assert_allclose(np.abs(apply_affine(transform, vectors)), np.abs(expected), atol=1e-8)


def test_pca_whitens_what_the_vectors_fill_and_takes_the_largest_first(rng, caplog):
    source, _ = speaker_data(rng, 30, 6, 5)
    embeddings = source @ rng.standard_normal((5, 20)) + 7
    projected = apply_affine(estimate_pca(embeddings, 8), embeddings)
    assert projected.shape == (180, 5) and "8 dimensions asked for, 5 used" in caplog.text
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(projected.T @ projected / 180, np.eye(5), atol=1e-9)
    left = np.linalg.svd(embeddings - embeddings.mean(axis=0), full_matrices=False)[0][:, :2]
    largest = apply_affine(estimate_pca(embeddings, 2), embeddings)
    np.testing.assert_allclose(np.abs(largest), np.abs(left) * np.sqrt(180), atol=1e-8)


def test_unusable_data_is_told(rng, caplog):
    vectors, labels = speaker_data(rng, 5, 3, 4)
    for bad_vectors, bad_labels, message in [
        (vectors, labels[1:], "labels"),
        (vectors, np.zeros(15, int), "at least two speakers"),
        (vectors, np.arange(15), "two utterances"),
        (vectors * np.nan, labels, "NaN"),
        (np.ones((15, 4)), labels, "all embeddings are the same"),
        (vectors[labels], labels, "each speaker's utterances are all the same"),
    ]:
        with pytest.raises(UserError, match=message):
            estimate_lda(bad_vectors, bad_labels, 2, 0.0, 512)
    with pytest.raises(UserError, match="made for 9-dimensional"):
        apply_affine(np.zeros((2, 10)), vectors)
    # Fewer utterances than dimensions: it goes on, and says what it thinks of it.
    few, few_labels = speaker_data(rng, 6, 2, 40)
    estimate_lda(few, few_labels, 3, 0.0, 512)
    assert "next to no within-speaker variance" in caplog.text


def test_length_normalisation_leaves_zeros_and_counts_them(caplog):
    result = length_normalise(np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -1e-30]]))
    np.testing.assert_allclose(result, [[0.6 * 2**0.5, 0.8 * 2**0.5], [0, 0], [0, -(2**0.5)]])
    assert "1 zero vectors" in caplog.text
