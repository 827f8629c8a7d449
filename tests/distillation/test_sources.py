"""Targets from files and from the teachers themselves: the same loss of the same input."""

import dataclasses

import numpy as np
import pytest
import torch
from small_networks import FEATURES, small_teacher, student_of
from torch import nn

from xvkd import config
from xvkd.distillation.config import LossConfig
from xvkd.distillation.levels import levels_of
from xvkd.distillation.sources import Dumped, Frozen, Looped, keeps_frames
from xvkd.distillation.targets import make_targets
from xvkd.distillation.task import Distillation
from xvkd.nets.extraction import ExtractionConfig, extract
from xvkd.training.objectives import softmax

UTTERANCES, FRAMES, SPEAKERS = 24, 40, 4


@pytest.fixture
def mse(conf):
    return config.load(LossConfig, conf / "losses" / "mse.yaml")


@pytest.fixture
def teachers():
    return [small_teacher("tdnn"), small_teacher("ecapa", seed=1)]


@pytest.fixture
def features():
    """Utterances of one length, of speakers that differ."""
    torch.manual_seed(3)
    means = torch.randn(SPEAKERS, 1, FEATURES).repeat(UTTERANCES // SPEAKERS, 1, 1)
    return means + torch.randn(UTTERANCES, FRAMES, FEATURES)


def dump(network, features, names):
    """As stage 5 does."""
    inputs = [(str(row), frames.numpy()) for row, frames in enumerate(features)]
    found = extract(network, inputs, names, ExtractionConfig(25, 1000, 200, 100), torch.device("cpu"))
    rows = [levels for _, levels in found]
    return {name: np.stack([row[name] for row in rows]) for name in names}


def both_sources(teachers, features, levels, loss, posteriors=None):
    """The targets, and their two sources; posteriors are those of the last level."""
    levels = levels_of(levels, ["a", "b"])
    embeddings = [dump(teachers[level.teacher], features, [level.name])[level.name] for level in levels]
    speakers = np.arange(UTTERANCES) % SPEAKERS
    targets = make_targets([level.text for level in levels], embeddings, speakers, loss, 512)
    networks = {number: Frozen(teachers[number]) for number in {level.teacher for level in levels}}
    dumped = Dumped(targets, np.arange(UTTERANCES), posteriors, embeddings[-1] if posteriors else None)
    return targets, dumped, Looped(networks, levels, targets, posteriors, levels[-1] if posteriors else None)


@pytest.mark.parametrize("levels", ["a:segment6", "a:frame3+a:stats2+a:segment7", "a:frame+b:segment6+a:segment6"])
@pytest.mark.parametrize("projection", ["none", "pca", "lda"])
@pytest.mark.parametrize("length_normalise", [False, True])
@pytest.mark.parametrize("joint", [False, True])
def test_the_loop_gives_the_loss_of_what_was_dumped(
    teachers, features, mse, levels, projection, length_normalise, joint
):
    loss = dataclasses.replace(
        mse, terms={"mse": 1.0, "cosine": 0.5, "relational": 2.0}, projection=projection, joint=joint,
        projection_dim=0 if projection == "none" else 3, length_normalise=length_normalise,
    )  # fmt: skip
    targets, dumped, looped = both_sources(teachers, features, levels, loss)
    torch.manual_seed(0)
    network = student_of(6, targets.dim, FEATURES)
    rows = torch.tensor([5, 0, 17, 23, 8])
    with torch.no_grad():
        tasks = [Distillation(network, source, targets.blocks, loss).train() for source in (dumped, looped)]
        losses = [task(features[rows], rows) for task in tasks]
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-5)
    np.testing.assert_allclose(looped(features[rows], rows).values, targets.values[rows], rtol=1e-3, atol=2e-5)
    # In the loop the target is that of the chunk: a shorter one has another.
    assert (looped(features[rows, :25], rows).values - dumped(features[rows, :25], rows).values).abs().max() > 0.05


def test_posteriors_too(teachers, features, mse):
    loss = dataclasses.replace(mse, terms={"kl": 1.0}, temperature=2.0)
    torch.manual_seed(0)
    classifier = softmax.Classifier(softmax.Config("softmax", 0.0), 5, 7).eval()
    frozen = Frozen(classifier, classifier.scores)
    targets, dumped, looped = both_sources(teachers, features, "a:segment7", loss, posteriors=frozen)
    rows = torch.tensor([5, 0, 17])
    task = Distillation(student_of(6, 5, FEATURES), dumped, targets.blocks, loss, classifier=softmax.Classifier(
        softmax.Config("softmax", 0.0), 5, 7)).train()  # fmt: skip
    with torch.no_grad():
        losses = []
        for source in (dumped, looped):
            task.source = source
            losses.append(task(features[rows], rows))
    assert task.watched == "agreement" and losses[0][0] > 1e-3
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    # By its formula: the temperature squared makes up for what dividing by it takes.
    teacher = classifier.scores(teachers[0](features[rows])["segment7"]).detach() / 2
    with torch.no_grad():
        student = task.classifier.scores(task.network(features[rows])["embedding"]) / 2
    p, q = teacher.softmax(dim=1), student.softmax(dim=1)
    assert losses[0][0].item() == pytest.approx(4 * (p * (p / q).log()).sum().item() / 3, rel=1e-3)


def test_a_teacher_in_the_loop_stays_as_it_is(teachers, features, mse):
    """It is neither trained nor saved, its BatchNorms do not move, and 16 bits are the student's alone."""
    before = {name: value.clone() for name, value in teachers[0].state_dict().items()}
    targets, dumped, looped = both_sources(teachers, features, "a:segment6", mse)
    task = Distillation(student_of(6, targets.dim, FEATURES), looped, targets.blocks, mse).train()
    rows = torch.arange(6)
    with torch.autocast("cpu", torch.bfloat16):
        values = looped(features[rows], rows).values
        np.testing.assert_allclose(values, dumped(features, rows).values, rtol=1e-3, atol=2e-5)
        task(features[rows], rows)[0].backward()
    assert all(torch.equal(value, before[name]) for name, value in teachers[0].state_dict().items())
    assert all(parameter.grad is None for parameter in teachers[0].parameters())
    assert all(name.startswith("network.") for name in task.state_dict())


def test_several_utterances_may_have_one_target(teachers, features, mse):
    targets, _, _ = both_sources(teachers, features, "a:segment6", mse)
    dumped = Dumped(targets, np.array([3, 3, 1]))
    assert torch.equal(dumped(features, torch.tensor([0, 1, 2])).values, torch.from_numpy(targets.values[[3, 3, 1]]))


@pytest.mark.parametrize("teacher", ["a", "b"])
def test_sequences_are_aligned(teachers, features, mse, teacher):
    """A student that is its teacher needs the identity only, whichever of them pads."""
    levels = levels_of(f"{teacher}:segment6+{teacher}:frame.sequence", ["a", "b"])
    network = teachers["ab".index(teacher)]
    targets, _, _ = both_sources(teachers, features, f"{teacher}:segment6", mse)
    looped = Looped({levels[0].teacher: Frozen(network)}, levels, targets)
    rows = torch.arange(8)
    (sequence,) = looped(features[rows], rows).sequences
    assert sequence.shape == (8, FRAMES - (network.receptive_field - 1 if teacher == "a" else 0), 8)
    torch.testing.assert_close(sequence.mean(dim=1), network(features[rows], levels=["frame"])["frame"])
    task = Distillation(network, looped, [(5, 0.0)], mse, [(8, 1.0)]).eval()
    with torch.no_grad():
        frames = sequence.flatten(0, 1)
        deviation = (frames.var(dim=0, unbiased=False) + 1e-5).sqrt()
        task.heads["frames"][0].weight.copy_(torch.diag(1 / deviation))
        task.heads["frames"][0].bias.copy_(-frames.mean(dim=0) / deviation)
        assert task(features[rows], rows)[0].item() == pytest.approx(0, abs=1e-6)
        # A frame too many on one side would be seen.
        shifted = task._frame_loss(task.heads["frames"][0], sequence[:, 1:], sequence)
    assert shifted > 0.1


def test_strided_networks_have_fewer_frames():
    assert keeps_frames(small_teacher("tdnn"), FEATURES) and keeps_frames(small_teacher("ecapa"), FEATURES)
    student = student_of(6, 5, FEATURES).train()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    assert keeps_frames(student, FEATURES) and student.training
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert not keeps_frames(small_teacher("resnet34"), FEATURES)


def test_each_level_may_have_a_head(teachers, features, mse):
    loss = dataclasses.replace(mse, head_dim=4)
    targets, dumped, _ = both_sources(teachers, features, "a:frame+a:segment6", loss)
    torch.manual_seed(0)
    task = Distillation(student_of(6, 4, FEATURES), dumped, targets.blocks, loss).train()
    assert [tuple(head.weight.shape) for head in task.heads["levels"]] == [(8, 4), (5, 4)] and not task.in_target_space
    rows = torch.arange(6)
    with torch.no_grad():
        value = task(features[rows], rows)[0].item()
        embedding = task.network(features[rows])["embedding"]
        expected = sum(
            nn.functional.mse_loss(head(embedding), part)
            for head, part in zip(task.heads["levels"], dumped.values[rows].split([8, 5], dim=1), strict=True)
        )
    assert value == pytest.approx(expected.item(), rel=1e-5)


def test_a_share_of_labels(teachers, features, mse):
    """Only chunks whose speaker is known have a label loss."""
    loss = dataclasses.replace(mse, label_weight=0.25)
    targets, dumped, _ = both_sources(teachers, features, "a:segment6", loss)
    torch.manual_seed(0)
    network, classifier = student_of(6, 5, FEATURES), softmax.Classifier(softmax.Config("softmax", 0.0), 5, 4)
    labels = torch.arange(UTTERANCES) % 4
    labels[5:] = -1
    rows = torch.tensor([2, 9, 4, 11, 0])
    with torch.no_grad():
        plain = Distillation(network, dumped, targets.blocks, mse).train()(features[rows], rows)[0]
        mixed = Distillation(network, dumped, targets.blocks, loss, (), classifier, labels).train()
        value = mixed(features[rows], rows)[0]
        scores = classifier.scores(network(features[rows])["embedding"])
        label = nn.functional.cross_entropy(scores[[0, 2, 4]], torch.tensor([2, 0, 0]))
        assert value.item() == pytest.approx(0.75 * plain.item() + 0.25 * label.item(), rel=1e-5)
        nobody = torch.arange(10, 15)
        unlabelled = mixed(features[nobody], nobody)[0]
        plain = Distillation(network, dumped, targets.blocks, mse).train()(features[nobody], nobody)[0]
        assert unlabelled.item() == pytest.approx(0.75 * plain.item(), rel=1e-5)
