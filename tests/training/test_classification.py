"""Training on speaker labels: the loss is the smoothed cross-entropy of ReLU, BatchNorm and an affine layer."""

import numpy as np
import pytest
import torch

from xvkd.nets.models import STUDENTS, BuildRecord, build_network
from xvkd.training.classification import SpeakerClassification


def make_task(smoothing):
    torch.manual_seed(0)
    network = build_network(BuildRecord(STUDENTS, "tdnn", {"width": 6}, 4, 5), "toy")
    return SpeakerClassification(network, torch.tensor([2, 0, 1, 1, 3, 0]), smoothing).train()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_accuracy_by_hand(smoothing):
    task, features, utterances = make_task(smoothing), torch.randn(4, 30, 4), torch.tensor([4, 0, 2, 1])
    with torch.no_grad():
        loss, accuracy = task(features, utterances)
        embedding = task.network(features)["embedding"].double().numpy()
    hidden = np.maximum(embedding, 0)
    hidden = (hidden - hidden.mean(axis=0)) / np.sqrt(hidden.var(axis=0) + 1e-5)
    affine = task.classifier[-1]
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
