"""Training on speaker labels: softmax and AAM are what their formulas say, and stay behind when training ends."""

import numpy as np
import pytest
import torch

from xvkd.nets.models import STUDENTS, BuildRecord, build_network
from xvkd.training.classification import SpeakerClassification, make_classifier, read_classifier, save_classifier
from xvkd.training.objectives import aam, softmax


def make_task(smoothing):
    torch.manual_seed(0)
    network = build_network(BuildRecord(STUDENTS, "tdnn", {"width": 6}, 4, 5), "toy")
    speakers, objective = torch.tensor([2, 0, 1, 1, 3, 0]), softmax.Config("softmax", smoothing)
    return SpeakerClassification(network, speakers, "softmax", objective).train()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_accuracy_by_hand(smoothing):
    task, features, utterances = make_task(smoothing), torch.randn(4, 30, 4), torch.tensor([4, 0, 2, 1])
    with torch.no_grad():
        loss, accuracy = task(features, utterances)
        embedding = task.network(features)["embedding"].double().numpy()
    hidden = np.maximum(embedding, 0)
    hidden = (hidden - hidden.mean(axis=0)) / np.sqrt(hidden.var(axis=0) + 1e-5)
    affine = task.classifier.affine
    logits = hidden @ affine.weight.detach().double().numpy().T + affine.bias.detach().double().numpy()
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    labels = [3, 2, 1, 0]  # of utterances 4, 0, 2 and 1
    wanted = np.full((4, 4), smoothing / 4)
    wanted[range(4), labels] += 1 - smoothing
    assert loss.item() == pytest.approx(-(wanted * logs).sum(axis=1).mean(), rel=1e-4)
    assert accuracy.item() == np.mean(logits.argmax(axis=1) == labels)


def test_the_classifier_stays_behind():
    """What is saved is the network, without classifier or labels."""
    task = make_task(0.0)
    assert sum(p.numel() for p in task.classifier.parameters()) == 5 * 4 + 4
    assert not any(name.startswith(("classifier", "speakers")) for name in task.network.state_dict())
    assert "speakers" not in task.state_dict()


AAM = aam.Config("aam", 16.0, 0.3, 0.2, 0.6, "linear", 0.0)


def test_aam_by_hand():
    torch.manual_seed(0)
    classifier, embedding = aam.Classifier(AAM, 5, 4), 10 * torch.randn(6, 5)
    labels = torch.tensor([3, 1, 0, 0, 2, 1])
    unit = embedding.double().numpy() / np.linalg.norm(embedding.double().numpy(), axis=1, keepdims=True)
    vectors = classifier.weight.detach().double().numpy()
    angles = np.arccos(unit @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T)
    for margin in (0.0, 0.3, 0.5):
        classifier.fix_margin(margin)
        moved = angles.copy()
        moved[range(6), labels] += margin
        assert (moved < np.pi).all()
        logits = 16 * np.cos(moved)
        expected = np.log(np.exp(logits).sum(axis=1)) - logits[range(6), labels]
        loss, scores = classifier(embedding, labels)
        assert loss.item() == pytest.approx(expected.mean(), rel=1e-4)
        np.testing.assert_allclose(scores.detach(), 16 * np.cos(angles), atol=1e-4)


@pytest.mark.parametrize(("growth", "middle"), [("linear", 0.15), ("exponential", 0.3 * (1 - 0.001**0.5))])
def test_the_margin_grows(growth, middle):
    classifier = aam.Classifier(aam.Config("aam", 16.0, 0.3, 0.2, 0.6, growth, 0.0), 5, 4)
    margins = []
    for share in (0.0, 0.2, 0.4, 0.6, 1.0):
        classifier.schedule(share)
        margins.append(classifier.margin)
    assert margins == pytest.approx([0, 0, middle, 0.3, 0.3])
    classifier.fix_margin(None)
    assert classifier.margin == 0.3


def test_a_wider_angle_is_never_better():
    """Also where angle and margin pass half a turn: the loss grows with the angle all the way."""
    classifier = aam.Classifier(aam.Config("aam", 16.0, 0.5, 0.0, 0.0, "linear", 0.0), 2, 2)
    with torch.no_grad():
        classifier.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
    turns = torch.linspace(0, np.pi, 200)
    losses = [classifier(torch.stack([t.cos(), t.sin()])[None], torch.tensor([0]))[0].item() for t in turns]
    assert all(a < b + 1e-5 for a, b in zip(losses, losses[1:], strict=False)) and losses[-1] > losses[0] + 10


def test_an_embedding_upon_its_speakers_vector_has_a_slope():
    classifier = aam.Classifier(aam.Config("aam", 16.0, 0.3, 0.0, 0.0, "linear", 0.0), 3, 2)
    embedding = classifier.weight.detach()[:1].clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss, scores = classifier(embedding, torch.tensor([0]))
    loss.backward()
    assert scores.dtype == torch.float32 and scores[0, 0].item() == pytest.approx(16, abs=1e-5)
    assert torch.isfinite(embedding.grad).all() and torch.isfinite(classifier.weight.grad).all()


@pytest.mark.parametrize(("kind", "options"), [("softmax", softmax.Config("softmax", 0.1)), ("aam", AAM)])
def test_a_finished_classifier_is_read_as_it_was(tmp_path, kind, options):
    torch.manual_seed(0)
    network = build_network(BuildRecord(STUDENTS, "tdnn", {"width": 6}, 4, 5), "toy")
    classifier = make_classifier(kind, options, 5, 3)
    for _ in range(3):
        classifier.scores(2 + torch.randn(8, 5))  # BatchNorm has seen something
    save_classifier(tmp_path, classifier.eval(), options, network, ["ann", "bob", "cy"])
    found, embedding = read_classifier(tmp_path), torch.randn(4, 5)
    assert found.level == "embedding" and found.speakers == ["ann", "bob", "cy"]
    assert torch.equal(found.classifier.scores(embedding), classifier.scores(embedding))
    assert [path.name for path in tmp_path.iterdir()] == ["classifier.safetensors"]


def test_scores_have_no_margin():
    torch.manual_seed(0)
    classifier, embedding, labels = aam.Classifier(AAM, 5, 4), torch.randn(6, 5), torch.tensor([3, 1, 0, 0, 2, 1])
    classifier.fix_margin(0.0)
    plain = classifier.scores(embedding)
    classifier.fix_margin(0.3)
    assert torch.equal(classifier.scores(embedding), plain)
    loss, scores = classifier(embedding, labels)
    assert torch.equal(scores, plain) and torch.equal(loss, classifier.loss(plain, labels))
