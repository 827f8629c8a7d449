"""Training on speaker labels: teachers, and students without a teacher."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from xvkd import config as configuration
from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.nets.network import XvectorNetwork
from xvkd.registry import find
from xvkd.training.objective import Objective
from xvkd.training.ranks import gather

CLASSIFIER = "classifier.safetensors"


class SpeakerClassification(nn.Module):
    """A classifier of the training speakers stands on the network's output level, and is dropped when training ends.

    Args:
        network: what is trained.
        speakers: int64 (utterances,), the speaker's index of each utterance.
        kind: the classifier's module in :mod:`xvkd.training.objectives`.
        objective: its Config.
    """

    watched = "accuracy"
    skips = False  # no batch leaves parameters without gradient

    def __init__(self, network: XvectorNetwork, speakers: torch.Tensor, kind: str, objective: Any) -> None:
        super().__init__()
        self.network = network
        self.classifier = make_classifier(kind, objective, network.output_dim, int(speakers.max()) + 1)
        self.register_buffer("speakers", speakers, persistent=False)

    def forward(self, features: torch.Tensor, utterances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of a batch, and the share of speakers that are right without any margin.

        Args:
            features: (part, frames, dim), this rank's of the batch.
            utterances: (batch,) indices.
        """
        labels = self.speakers[utterances]
        loss, scores = self.classifier(gather(self.network(features)[self.network.output_level], len(labels)), labels)
        return loss, (scores.argmax(dim=1) == labels).float().mean()


def make_classifier(kind: str, options: Any, dim: int, speakers: int) -> Objective:
    """A classifier with random weights: its module in :mod:`xvkd.training.objectives`, its Config, and its sizes."""
    return find("xvkd.training.objectives", kind).Classifier(options, dim, speakers)


@dataclass
class FinishedClassifier:
    """What a teacher tells speakers apart with.

    Attributes:
        classifier: in evaluation mode.
        level: of the teacher, which it reads.
        speakers: their names, in the order of its scores.
    """

    classifier: Objective
    level: str
    speakers: list[str]


def save_classifier(
    folder: str | Path, classifier: Objective, options: Any, network: XvectorNetwork, speakers: Sequence[str]
) -> None:
    """Writes ``classifier.safetensors``, with what it takes to build the classifier again, under its name when whole.

    Args:
        folder: the teacher's.
        classifier: trained.
        options: its Config.
        network: the one that it reads.
        speakers: their names, in the order of its scores.
    """
    about = {
        "objective": asdict(options), "level": network.output_level, "dim": network.output_dim,
        "speakers": list(speakers),
    }  # fmt: skip
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in classifier.state_dict().items()}
    with atomic_write(Path(folder) / CLASSIFIER, "wb") as file:
        file.write(save(tensors, {"about": json.dumps(about)}))


def read_classifier(folder: str | Path) -> FinishedClassifier:
    """Reads what :func:`save_classifier` wrote; UserError if it is not there, or damaged."""
    path = Path(folder) / CLASSIFIER
    if not path.exists():
        raise UserError(
            f"{path}: no such file; the teacher's posteriors come from it: repeat stage 4 with --force (a teacher "
            "from elsewhere has none)"
        )
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        kind, speakers = about["objective"]["kind"], about["speakers"]
        options = configuration.build(
            find("xvkd.training.objectives", kind).Config, about["objective"], str(path), "objective"
        )
        classifier = make_classifier(kind, options, about["dim"], len(speakers))
        classifier.load_state_dict(tensors)
        return FinishedClassifier(classifier.eval(), about["level"], speakers)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{path}: damaged ({error}); repeat stage 4 with --force") from None
