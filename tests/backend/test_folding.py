"""Folding: every score of the folded network is that of the network with its back end behind it."""

import dataclasses

import numpy as np
import pytest

from xvkd import config
from xvkd.backend.backend import NORMALISED, SCORINGS, AdaptationConfig, Backend, BackendConfig
from xvkd.backend.folding import deployed_parameters, fold_lda, fold_rank, plda_parameters, rotate_backend
from xvkd.backend.plda import Plda
from xvkd.backend.score_normalisation import Cohort
from xvkd.backend.scoring import TRIALS_AT_ONCE, Scorer, average
from xvkd.backend.transforms import apply_affine
from xvkd.errors import UserError

SIZE, INPUTS = 30, 9  # values of the layer, and what it reads
SPEAKERS = np.repeat(np.arange(14), 8)
# How far a score may be from what it was, in standard deviations of the scores.
TOLERANCE = {np.float64: 1e-5, np.float32: 1e-4}


def layer_of(size=SIZE, inputs=INPUTS, seed=0):
    return np.random.default_rng(seed).standard_normal((size, inputs + 1)).astype(np.float32)


def statistics_of(seed, shift=0.0, inputs=INPUTS):
    """What the layer reads, (112, inputs) float32: speakers differ, and utterances about half as much."""
    random = np.random.default_rng(seed)
    means = random.standard_normal((SPEAKERS[-1] + 1, inputs))
    return (means[SPEAKERS] + 0.5 * random.standard_normal((len(SPEAKERS), inputs)) + shift).astype(np.float32)


def embeddings_of(layer, statistics, kind):
    """What the layer gives in an arithmetic of 64 or of 32 bits."""
    return apply_affine(layer.astype(kind), statistics.astype(kind)).astype(kind)


def trained(layer, kind, dim=6):
    """A back end of the layer's output."""
    return Backend.train(embeddings_of(layer, statistics_of(1), kind), SPEAKERS, dim, None, 0.0, 5)


@pytest.fixture(scope="module")
def options(conf):
    return config.load(BackendConfig, conf / "backend.yaml")


@pytest.fixture
def scores(options):
    """Scores of every kind: models of one to three utterances, test utterances that are averages over two chunks."""

    def of(layer, backend, kind):
        cohort, vectors, chunks = (embeddings_of(layer, statistics_of(seed), kind) for seed in (1, 2, 3))
        tests = (2 * vectors + chunks) / 3
        enrolments = [(f"m{model}", range(8 * model, 8 * model + 1 + model % 3)) for model in range(14)]
        averages, num_utts = average(enrolments, vectors)
        models, rows = (index.ravel() for index in np.indices((len(averages), len(tests))))
        found = {}
        for name in SCORINGS:
            scorer = Scorer.of(name, backend, None, options)
            sides = scorer.tests(tests)
            plain = scorer.models(averages, num_utts).score_trials(sides, models, rows, TRIALS_AT_ONCE)
            found[name] = plain
            found[f"{name}_asnorm"] = Cohort.of("speakers", 5, cohort, SPEAKERS).normalise(
                plain, scorer, averages, num_utts, sides, models, rows
            )
        return found

    return of


def assert_same(ours, expected, kind):
    for name in expected:
        distance = np.abs(ours[name] - expected[name]).max() / expected[name].std()
        assert distance < TOLERANCE[kind], f"{name}: {distance:.1e}"


def stored(backend, folder, kind):
    """As the command leaves it for a network of 32 bits: in its files."""
    if kind == np.float64:
        return backend
    backend.save(folder)
    return Backend.load(folder)


@pytest.mark.parametrize("kind", TOLERANCE)
def test_a_rotation_changes_no_score(scores, tmp_path, kind):
    layer = layer_of()
    backend = trained(layer, kind)
    basis, folded = fold_rank(layer)
    assert folded.shape == (INPUTS + 1, INPUTS + 1) and basis.shape == (SIZE, INPUTS + 1)
    rotated = stored(rotate_backend(backend, basis, folded), tmp_path, kind)
    ours, expected = scores(folded, rotated, kind), scores(layer, backend, kind)
    assert ours.keys() == {*SCORINGS, *NORMALISED}
    assert_same(ours, expected, kind)


@pytest.mark.parametrize("kind", TOLERANCE)
def test_a_back_end_that_is_trained_on_rotated_embeddings_gives_the_same(conf, scores, kind):
    """Also after PLDA has been adapted to another domain."""
    layer = layer_of()
    folded = fold_rank(layer)[1]
    scales = dataclasses.asdict(config.load(AdaptationConfig, conf / "adaptation.yaml"))
    found = []
    for one in (folded, layer):
        backend = trained(one, kind)
        elsewhere = backend.project(embeddings_of(one, 1.5 * statistics_of(4, shift=0.3), kind))
        found.append((backend, dataclasses.replace(backend, plda=backend.plda.adapt(elsewhere, **scales))))
    for ours, expected in zip(*found, strict=True):
        assert_same(scores(folded, ours, kind), scores(layer, expected, kind), kind)


@pytest.mark.parametrize("level", ["a layer's output", "pooled"])
@pytest.mark.parametrize("kind", TOLERANCE)
def test_lda_in_the_layer_changes_no_score(scores, tmp_path, kind, level):
    layer = layer_of() if level != "pooled" else None
    before = layer_of(INPUTS, INPUTS) if layer is None else layer
    backend = trained(before, kind)
    folded, left = fold_lda(layer, backend)
    if layer is None:
        # It reads the level: the two layers are one behind the other.
        folded = np.column_stack([folded[:, :-1] @ before[:, :-1], folded[:, :-1] @ before[:, -1] + folded[:, -1]])
    left = stored(left, tmp_path, kind)
    assert not left.mean.any() and np.array_equal(left.transform, np.eye(6)) and folded.shape == (6, INPUTS + 1)
    ours, expected = scores(folded, left, kind), scores(before, backend, kind)
    # A cosine is now one after LDA.
    expected |= {name: expected[f"lda_{name}"] for name in ("cosine", "cosine_asnorm")}
    assert_same(ours, expected, kind)


def test_plda_is_adapted_behind_a_folded_lda_as_before(conf):
    layer = layer_of()
    backend = trained(layer, np.float64)
    folded, left = fold_lda(layer, backend)
    scales = dataclasses.asdict(config.load(AdaptationConfig, conf / "adaptation.yaml"))
    new = 1.5 * statistics_of(4, shift=0.3)
    ours, expected = (
        end.plda.adapt(end.project(embeddings_of(one, new, np.float64)), **scales)
        for one, end in ((folded, left), (layer, backend))
    )
    for name in ("mean", "transform", "psi"):
        np.testing.assert_allclose(getattr(ours, name), getattr(expected, name), rtol=1e-9, atol=1e-9)


def test_lda_goes_into_a_rotated_layer_as_into_the_layer():
    layer = layer_of()
    backend = trained(layer, np.float64)
    basis, rotated = fold_rank(layer)
    ours = fold_lda(rotated, rotate_backend(backend, basis, rotated))[0]
    np.testing.assert_allclose(ours, fold_lda(layer, backend)[0], atol=1e-9)


def test_a_layer_that_is_no_larger_than_its_rank_stays_as_it_is():
    layer = layer_of(INPUTS + 1)
    basis, folded = fold_rank(layer)
    assert np.array_equal(folded, layer) and np.array_equal(basis, np.eye(INPUTS + 1))
    backend = trained(layer, np.float64)
    rotated = rotate_backend(backend, basis, folded)
    assert np.array_equal(rotated.mean, backend.mean)
    np.testing.assert_allclose(rotated.affine, backend.affine, rtol=1e-6, atol=1e-9)


def test_a_mean_that_no_embedding_can_have_is_refused():
    """Such as the teacher's own, with which a student can be scored: cosines would lose what lies outside."""
    layer = layer_of()
    basis, folded = fold_rank(layer)
    backend = trained(layer, np.float64)
    mean = np.random.default_rng(5).standard_normal(SIZE).astype(np.float32)
    with pytest.raises(UserError, match=r"teachers: of its mean, \d\d\.\d% lies where this network has no embedding"):
        rotate_backend(dataclasses.replace(backend, mean=mean, name="teachers"), basis, folded)


@pytest.mark.parametrize("dead", [0, 3])
def test_lda_beyond_the_rank_is_refused(dead):
    layer = layer_of()
    layer[:, :dead] = 0  # inputs that the layer makes nothing of
    rank = INPUTS - dead
    plda = Plda(np.zeros(rank + 1), np.eye(rank + 1), np.ones(rank + 1))
    random = np.random.default_rng(6)
    backend = Backend(
        np.zeros(SIZE, np.float32), random.standard_normal((rank + 1, SIZE)).astype(np.float32), plda, "theirs"
    )
    with pytest.raises(UserError, match=f"theirs: its LDA gives {rank + 1} dimensions, .* fill {rank}: .*--lda-dim="):
        fold_lda(layer, backend)
    less = Backend(backend.mean, backend.transform[1:], Plda(plda.mean[1:], plda.transform[1:, 1:], plda.psi[1:]))
    assert fold_lda(layer, less)[0].shape == (rank, INPUTS + 1)


def test_sizes_are_those_of_the_papers_networks():
    """The x-vector teacher, students of width 152 whatever they learn, a level without a layer; and PLDA."""
    assert deployed_parameters(4_219_868, 512, 3000, 200) == 3_283_556
    for size in (512, 1500, 3036):
        trained_size = 8 * 152**2 + 155 * 152 + 2 * 152 * size + size
        assert deployed_parameters(trained_size, size, 304, 200) == 269_392
    assert deployed_parameters(2_683_356, 3000, None, 200) == 2_683_356 + 200 * 3001
    assert plda_parameters(Plda(np.zeros(200), np.eye(200), np.ones(200))) == 40_400
