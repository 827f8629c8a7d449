"""What a student regresses: normalised levels and projections, the losses on them, and folding back."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from xvkd import config
from xvkd.backend.transforms import apply_affine, estimate_lda
from xvkd.distillation.config import LossConfig
from xvkd.distillation.sources import Dumped
from xvkd.distillation.targets import TargetMap, Targets, make_targets
from xvkd.distillation.task import Distillation, fold_affine
from xvkd.errors import UserError

MSE = LossConfig(
    {"mse": 1.0}, {"default": 1.0}, "none", 0, length_normalise=False, joint=True, label_weight=0.0, temperature=1.0,
    head_dim=0, clean_targets=False, source="dumped",
)  # fmt: skip


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def levels_of(rng, speakers=8, per_speaker=10):
    """Embeddings of two levels of very different scales, with speaker structure, and the labels."""
    labels = np.repeat(np.arange(speakers), per_speaker)
    means = rng.standard_normal((speakers, 12))
    joined = means[labels] + 0.3 * rng.standard_normal((len(labels), 12))
    frame, segment = 100 * joined[:, :7] + 5, 0.01 * joined[:, 7:] - 1
    return [frame.astype(np.float32), segment.astype(np.float32)], labels


def targets_of(embeddings, labels, options=MSE, pca_dim=512, names=("frame", "segment6")):
    return make_targets(list(names), embeddings, labels, options, pca_dim)


def test_each_dimension_is_normalised(rng):
    embeddings, labels = levels_of(rng)
    targets = targets_of(embeddings, labels)
    assert targets.values.dtype == np.float32 and targets.values.shape == (80, 12)
    np.testing.assert_allclose(targets.values.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(targets.values.std(axis=0), 1, atol=1e-5)
    # The inverse gives the teacher's own space.
    joined = np.concatenate(embeddings, axis=1)
    np.testing.assert_allclose(targets.values * targets.scale + targets.shift, joined, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, -3.7])
def test_a_dimension_that_never_varies_teaches_nothing(rng, value):
    embeddings, labels = levels_of(rng)
    embeddings[0][:, 3] = value
    targets = targets_of(embeddings, labels)
    assert np.isfinite(targets.values).all()
    np.testing.assert_allclose(targets.values[:, 3], 0, atol=1e-6)
    # Whatever the student gives there, its output is the teacher's constant.
    assert 100 * targets.scale[3] + targets.shift[3] == pytest.approx(value, abs=1e-6)


def test_levels_keep_their_sizes_and_weights(rng):
    embeddings, labels = levels_of(rng)
    weighted = dataclasses.replace(MSE, level_weights={"default": 0.5, "segment6": 2.0})
    assert targets_of(embeddings, labels, weighted).blocks == [(7, 0.5), (5, 2.0)]
    assert targets_of(embeddings, labels).blocks == [(7, 1.0), (5, 1.0)]


@pytest.mark.parametrize("projection", ["lda", "pca"])
def test_projections_have_the_length_of_their_dimension(rng, projection):
    embeddings, labels = levels_of(rng)
    options = dataclasses.replace(MSE, projection=projection, projection_dim=6, length_normalise=True)
    targets = targets_of(embeddings, labels, options)
    assert targets.values.shape == (80, 6) and targets.blocks == [(6, 1.0)]
    np.testing.assert_allclose(np.linalg.norm(targets.values, axis=1), math.sqrt(6), rtol=1e-6)
    assert (targets.scale == 1).all() and (targets.shift == 0).all() and targets.scale.shape == (6,)


def test_lda_makes_speakers_compact(rng):
    """Within-speaker covariance is one, and nothing lies between the speakers but their means."""
    embeddings, labels = levels_of(rng)
    options = dataclasses.replace(MSE, projection="lda", projection_dim=6)
    values = targets_of(embeddings, labels, options).values
    means = np.stack([values[labels == speaker].mean(axis=0) for speaker in range(8)])
    within = (values - means[labels]).T @ (values - means[labels]) / len(values)
    np.testing.assert_allclose(within, np.eye(6), atol=1e-4)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    # Wrong labels make another space: the labels are what it is made from.
    other = targets_of(embeddings, rng.permutation(labels), options).values
    assert np.var(means, axis=0).sum() > 3 * np.var([other[labels == s].mean(axis=0) for s in range(8)], axis=0).sum()


def test_pca_keeps_the_directions_of_most_variance(rng):
    """Of the normalised levels: a large scale alone makes no direction important."""
    base = rng.standard_normal((60, 2))
    frame = 1000 * rng.standard_normal((60, 1))
    segment = np.repeat(base[:, :1], 5, axis=1) + 0.01 * rng.standard_normal((60, 5))
    options = dataclasses.replace(MSE, projection="pca", projection_dim=1)
    values = targets_of([frame, segment], np.arange(60), options).values
    assert abs(np.corrcoef(values[:, 0], base[:, 0])[0, 1]) > 0.99
    np.testing.assert_allclose(values.std(), 1, rtol=1e-5)


def test_more_dimensions_than_the_data_have_are_cut(rng):
    embeddings, labels = levels_of(rng)
    for projection, most in [("lda", 7), ("pca", 12)]:
        options = dataclasses.replace(MSE, projection=projection, projection_dim=150)
        targets = targets_of(embeddings, labels, options)
        assert targets.values.shape == (80, most) and targets.blocks == [(most, 1.0)]


def test_large_levels_go_through_a_pca_before_lda(rng):
    embeddings, labels = levels_of(rng)
    options = dataclasses.replace(MSE, projection="lda", projection_dim=7)
    assert targets_of(embeddings, labels, options, pca_dim=3).values.shape == (80, 3)


def test_length_normalisation_without_a_projection(rng):
    embeddings, labels = levels_of(rng)
    targets = targets_of(embeddings, labels, dataclasses.replace(MSE, length_normalise=True))
    np.testing.assert_allclose(np.linalg.norm(targets.values, axis=1), math.sqrt(12), rtol=1e-6)
    plain = targets_of(embeddings, labels).values
    cosines = np.sum(plain * targets.values, axis=1) / np.linalg.norm(plain, axis=1) / math.sqrt(12)
    np.testing.assert_allclose(cosines, 1, rtol=1e-5)
    assert targets.blocks == [(7, 1.0), (5, 1.0)] and (targets.scale == 1).all() and (targets.shift == 0).all()


@torch.no_grad()
def test_folding_is_exact():
    torch.manual_seed(0)
    layer = nn.Linear(9, 6)
    x = torch.randn(50, 9)
    scale, shift = np.random.default_rng(0).uniform(0.01, 5, 6), np.linspace(-6, 6, 6)
    expected = layer(x).double().numpy() * scale + shift
    fold_affine(layer, scale, shift)
    assert layer.weight.dtype == torch.float32
    np.testing.assert_allclose(layer(x).double(), expected, rtol=1e-6, atol=2e-6)


def test_normalisation_leads_from_the_teachers_space_to_the_targets(rng):
    embeddings, labels = levels_of(rng)
    embeddings[0][:, 2] = 7.0  # a dead unit
    targets = targets_of(embeddings, labels)
    scale, shift = targets.normalisation()
    np.testing.assert_allclose(np.concatenate(embeddings, axis=1) * scale + shift, targets.values, atol=1e-5)


class Student(nn.Module):
    """Gives the embeddings that it is told to."""

    output_level = "embedding"

    def __init__(self, embedding):
        super().__init__()
        self.embedding = nn.Parameter(torch.tensor(embedding))

    def forward(self, features, levels):
        return {"embedding": self.embedding}


def source_of(teacher, blocks):
    plain = TargetMap(np.zeros(3), np.ones(3), None, False)
    return Dumped(Targets(np.array(teacher, np.float32), blocks, [plain]), np.arange(len(teacher)))


def loss_of(student, teacher, blocks, terms, rows=(0, 1)):
    task = Distillation(Student(student), source_of(teacher, blocks), blocks, dataclasses.replace(MSE, terms=terms))
    return task(torch.zeros(2, 20, 4), torch.tensor(rows))


def test_losses_are_averaged_within_each_level():
    """Worked out by hand: a level of two dimensions and a level of one."""
    student = [[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]
    teacher = [[0.0, 0.0, 4.0], [0.0, 1.0, 0.0]]
    # First level: (1 + 0 + 0 + 4) / 4; second: (4 + 0) / 2.
    loss, _ = loss_of(student, teacher, [(2, 1.0), (1, 1.0)], {"mse": 1.0})
    assert loss.item() == pytest.approx(1.25 + 2.0)
    loss, _ = loss_of(student, teacher, [(2, 0.5), (1, 3.0)], {"mse": 2.0})
    assert loss.item() == pytest.approx(2 * (0.5 * 1.25 + 3 * 2.0))
    # One level of all three dimensions is another matter.
    loss, _ = loss_of(student, teacher, [(3, 1.0)], {"mse": 1.0})
    assert loss.item() == pytest.approx(9 / 6)


def test_cosine_and_its_sum_with_the_squared_error():
    student = [[1.0, 0.0, 2.0], [0.0, 3.0, -1.0]]
    teacher = [[1.0, 1.0, 4.0], [0.0, 1.0, 1.0]]
    # First level: cosines 1/sqrt(2) and 1; second: 1 and -1.
    expected = (1 - (1 / math.sqrt(2) + 1) / 2) + (1 - 0)
    loss, cosine = loss_of(student, teacher, [(2, 1.0), (1, 1.0)], {"cosine": 1.0})
    assert loss.item() == pytest.approx(expected)
    # What is watched is the cosine of the whole vectors.
    assert cosine.item() == pytest.approx((9 / math.sqrt(5 * 18) + 2 / math.sqrt(10 * 2)) / 2)
    mse = (0 + 1 + 0 + 4) / 4 + (4 + 4) / 2
    loss, _ = loss_of(student, teacher, [(2, 1.0), (1, 1.0)], {"cosine": 1.0, "mse": 0.1})
    assert loss.item() == pytest.approx(expected + 0.1 * mse)


def test_targets_are_those_of_the_utterances_of_the_batch():
    student = [[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]
    teacher = [[9.0, 9.0, 9.0], [0.0, 3.0, 0.0], [1.0, 0.0, 2.0]]
    loss, cosine = loss_of(student, teacher, [(3, 1.0)], {"mse": 1.0}, rows=(2, 1))
    assert loss.item() == 0 and cosine.item() == pytest.approx(1)
    loss, _ = loss_of(student, teacher, [(3, 1.0)], {"mse": 1.0}, rows=(1, 2))
    assert loss.item() > 1


def test_the_gradient_reaches_the_student_alone():
    blocks = [(3, 1.0)]
    task = Distillation(Student([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]), source_of(np.zeros((2, 3)), blocks), blocks, MSE)
    assert [name for name, _ in task.named_parameters()] == ["network.embedding"]
    # Targets of the whole training set have no place in a checkpoint.
    assert list(task.state_dict()) == ["network.embedding"]
    task(torch.zeros(2, 20, 4), torch.tensor([0, 1]))[0].backward()
    np.testing.assert_allclose(task.network.embedding.grad, 2 * task.network.embedding.detach() / 6, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"terms": {"mse": 0.0}}, "at least one loss needs a weight above 0"),
        ({"terms": {}}, "at least one loss needs a weight above 0"),
        ({"terms": {"mse": -1.0}}, "terms: -1.0 is impossible"),
        ({"level_weights": {"frame": 1.0}}, "'default' is missing"),
        ({"projection_dim": 10}, "projection_dim must be 0 without a projection"),
        ({"projection": "pca"}, "at least 1 with one"),
        ({"projection": "ica"}, "projection: ica is impossible .*none, pca, lda"),
    ],
)
def test_impossible_losses_are_told(changes, message):
    with pytest.raises(UserError, match=message):
        config.build(LossConfig, {**dataclasses.asdict(MSE), **changes}, "mse.yaml")


def test_an_unknown_loss_is_told():
    with pytest.raises(UserError, match="'hinge': no such variant in losses"):
        loss_of([[0.0] * 3] * 2, [[0.0] * 3] * 2, [(3, 1.0)], {"hinge": 1.0})


def test_a_projection_leaves_no_weights_by_level():
    """They would be ignored."""
    values = {
        **dataclasses.asdict(MSE), "level_weights": {"default": 1.0, "frame": 2.0}, "projection": "pca",
        "projection_dim": 4, "length_normalise": True,
    }  # fmt: skip
    with pytest.raises(UserError, match="level_weights: a projection mixes the levels"):
        config.build(LossConfig, values, "x.yaml")
    config.build(LossConfig, {**values, "level_weights": {"default": 2.0}}, "x.yaml")


def test_a_unit_that_varies_by_rounding_is_constant():
    random = np.random.default_rng(0)
    level = random.normal(size=(50, 3)).astype(np.float32)
    level[:, 1] = np.float32(0.1) + random.choice([0, 1], size=50).astype(np.float32) * np.float32(7.5e-9)
    targets = make_targets(["frame"], [level], np.arange(50) % 5, MSE, 512)
    assert np.abs(targets.values[:, 1]).max() < 1e-6


def test_levels_by_themselves(rng):
    """Each has its own projection and length, and keeps its weight."""
    embeddings, labels = levels_of(rng)
    options = dataclasses.replace(
        MSE, level_weights={"default": 0.5, "segment6": 2.0}, projection="lda", projection_dim=4, length_normalise=True,
        joint=False,
    )  # fmt: skip
    config.build(LossConfig, dataclasses.asdict(options), "x.yaml")
    targets = targets_of(embeddings, labels, options)
    assert targets.blocks == [(4, 0.5), (4, 2.0)] and targets.values.shape == (80, 8)
    joint = dataclasses.replace(options, joint=True, level_weights={"default": 1.0})
    for level, columns in ((0, slice(4)), (1, slice(4, 8))):
        alone = targets_of([embeddings[level]], labels, joint, names=("x",)).values
        np.testing.assert_allclose(targets.values[:, columns], alone, rtol=1e-6)
    plain = dataclasses.replace(MSE, joint=False)
    ours, both = targets_of(embeddings, labels, plain), targets_of(embeddings, labels)
    np.testing.assert_array_equal(ours.values, both.values)
    np.testing.assert_array_equal(ours.normalisation(), both.normalisation())
    np.testing.assert_array_equal([ours.scale, ours.shift], [both.scale, both.shift])


def test_lda_is_not_told_of_speakers_that_are_not_known(rng):
    embeddings, labels = levels_of(rng)
    options = dataclasses.replace(MSE, projection="lda", projection_dim=5)
    targets = targets_of(embeddings, np.where(labels < 6, labels, -1), options)
    known = labels < 6
    joined = np.concatenate(embeddings, axis=1).astype(float)
    values = (joined - joined.mean(axis=0)) / joined.std(axis=0)
    expected = apply_affine(estimate_lda(values[known], labels[known], 5, 0.0, 512), values)
    np.testing.assert_allclose(targets.values, expected, rtol=1e-4, atol=1e-5)
