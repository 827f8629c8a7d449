"""Weights that training starts from, in place of random ones: those of a finished model or of a checkpoint.

Only weights: the optimiser, the schedule and the random numbers begin anew. What belongs to the old task and does
not fit the new one (the classifier of other speakers; a student's last layer for a target of another size) is
left random; everything else must fit.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xvkd.errors import UserError
from xvkd.nets.models import load_model
from xvkd.training import checkpoint

CLASSIFIER, HEADS, NETWORK = "classifier.", "heads.", "network."


@dataclass
class InitialWeights:
    """What a file or folder has to start from.

    Attributes:
        path: where it is.
        tensors: by their names in a training task; a finished model has no classifier.
        about: what the model's config.yaml or the checkpoint says of it.
        finished: it is a finished model, not a checkpoint.
    """

    path: Path
    tensors: dict[str, torch.Tensor]
    about: dict[str, Any]
    finished: bool

    def into(self, task: nn.Module, output_layer: str, about: dict[str, Any]) -> list[str]:
        """Puts the weights into a task.

        Args:
            task: its weights are replaced.
            output_layer: the name of a student's last layer; empty for a teacher.
            about: what the checkpoints of this training will say of the model.

        Returns:
            the names of the layers that were left as they are.

        Raises:
            UserError: another tensor is missing, left over or of another shape; the first is named.
        """
        self._warn_of_other_input(about)
        heads = {CLASSIFIER: "classifier", HEADS: "heads"}
        if output_layer:
            heads[f"{NETWORK}{output_layer}."] = output_layer
        own, given = task.state_dict(), self.tensors
        if self.about.get("speakers") != about["speakers"]:
            given = {name: tensor for name, tensor in given.items() if not name.startswith(CLASSIFIER)}
        left = [
            head for head in heads
            if any(_shape(given, name) != _shape(own, name) for name in own if name.startswith(head))
        ]  # fmt: skip
        names = [name for name in own if not name.startswith(tuple(left))]
        for name in [*names, *(name for name in given if not name.startswith((CLASSIFIER, HEADS, *left)))]:
            there, here = _shape(given, name), _shape(own, name)
            if there != here:
                raise UserError(
                    f"--init-model {self.path}: does not fit: '{name.removeprefix(NETWORK)}' is {there} there and "
                    f"{here} in the network that is to be trained; name a model of the same network and sizes"
                )
        task.load_state_dict({name: given[name] for name in names}, strict=False)
        random = [heads[head] for head in left]
        logging.info("starting from the weights of %s; random: %s", self.path, ", ".join(random) or "none")
        return random

    def checksums(self) -> dict[str, int]:
        """Of each tensor: other weights are another training."""
        return {name: checkpoint.checksum(tensor.numpy()) for name, tensor in self.tensors.items()}

    def _warn_of_other_input(self, about: dict[str, Any]) -> None:
        """Says so where the weights were trained on other features, VAD or normalisation."""
        for section in ("features", "vad", "input"):
            there, here = self.about.get(section) or {}, about[section]
            for key in (key for key in here if key in there and there[key] != here[key]):
                logging.warning("%s was trained with %s %s, here it is %s", self.path, key, there[key], here[key])


def read_initial(path: Path, folder: Path) -> InitialWeights:
    """Reads the weights of a finished model's folder, or of a checkpoint.

    Args:
        path: the folder or file.
        folder: of the model that is to be trained.

    Raises:
        UserError: it is neither, damaged, or of the model that is to be trained.
    """
    if folder.resolve() in (path.resolve(), *path.resolve().parents):
        raise UserError(f"--init-model {path}: is the model that is to be trained; copy it to another place first")
    if path.is_dir():
        if not (path / "model.safetensors").exists() and (path / "checkpoints" / checkpoint.LAST).exists():
            raise UserError(
                f"--init-model {path}: not trained to its end; to start from where it is, name "
                f"{path / 'checkpoints' / checkpoint.LAST}"
            )
        network, about = load_model(path)
        tensors = {NETWORK + name: tensor for name, tensor in network.state_dict().items()}
        return InitialWeights(path, tensors, about, True)
    if not path.exists():
        raise UserError(f"--init-model {path}: no such model; name a model's folder, or its checkpoints/last.pt")
    state = checkpoint.read(path)
    return InitialWeights(path, state["task"], state, False)


def _shape(tensors: dict[str, torch.Tensor], name: str) -> str:
    """A tensor's shape in words."""
    if name not in tensors:
        return "missing"
    return " x ".join(str(size) for size in tensors[name].shape) or "one number"
