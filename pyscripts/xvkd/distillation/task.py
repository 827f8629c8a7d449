"""Training a student on targets."""

from collections.abc import Sequence
from types import ModuleType

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from xvkd.distillation.config import LossConfig
from xvkd.distillation.sources import FRAMES, Dumped, Looped
from xvkd.nets.network import XvectorNetwork
from xvkd.registry import find
from xvkd.training.objective import Objective
from xvkd.training.ranks import gather


def losses_of(config: LossConfig, *kinds: str) -> list[tuple[ModuleType, float]]:
    """The losses that compare one of some kinds (see :mod:`xvkd.distillation.losses`), with their weights."""
    terms = [(find("xvkd.distillation.losses", name), weight) for name, weight in config.terms.items() if weight > 0]
    return [(module, weight) for module, weight in terms if module.COMPARES in kinds]


class Distillation(nn.Module):
    """The student's embedding of a random chunk regresses the teacher's, of the whole utterance or of the same chunk.

    Each loss is averaged within each level, and added over levels with their weights: otherwise the
    largest level would drown the others.

    Args:
        network: the student.
        source: gives the targets of a batch.
        blocks: size and weight of each block of dimensions of the target.
        config: which losses.
        sequences: channels and weight of each level that is regressed frame by frame.
        classifier: on the student's embedding; only of losses that need one.
        labels: int64 (utterances,), the speaker's index of each in the classifier, -1 where there is none.

    Attributes:
        in_target_space: whether the embedding is an estimate of the target.
    """

    watched = "cosine"

    def __init__(
        self, network: XvectorNetwork, source: Dumped | Looped, blocks: Sequence[tuple[int, float]],
        config: LossConfig, sequences: Sequence[tuple[int, float]] = (), classifier: Objective | None = None,
        labels: torch.Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network, self.source, self.classifier = network, source, classifier
        self._blocks, self._share, self._temperature = blocks, config.label_weight, config.temperature
        self._of_levels = losses_of(config, "coordinates", "similarities")
        self._of_frames = losses_of(config, "coordinates") if sequences else []
        self._of_posteriors = losses_of(config, "posteriors")
        self.in_target_space = not config.head_dim and bool(losses_of(config, "coordinates"))
        # What predicts is dropped when training ends.
        self.heads = nn.ModuleDict()
        if config.head_dim and self._of_levels:
            self.heads["levels"] = nn.ModuleList(nn.Linear(config.head_dim, size) for size, _ in blocks)
        if sequences:
            channels = network.levels["frame"]
            self.heads["frames"] = nn.ModuleList(nn.Linear(channels, size) for size, _ in sequences)
        self._sequence_weights = [weight for _, weight in sequences]
        self._outputs = [network.output_level, *([FRAMES] if sequences else [])]
        self.register_buffer("labels", labels, persistent=False)
        # Chunks whose speakers are not known, all of a batch perhaps, leave the classifier without gradient.
        self.skips = labels is not None and bool((labels < 0).any())
        if not self._of_levels:
            self.watched = "agreement"

    def forward(self, features: torch.Tensor, utterances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One batch.

        Args:
            features: (part, frames, dim), this rank's of the batch.
            utterances: (batch,) indices.

        Returns:
            the loss, and the mean cosine between student and target; without a loss on levels, the share of chunks
            for which student and teacher choose the same speaker.
        """
        target = self.source(features, utterances)
        # Of the whole batch: losses look across it.
        outputs = self.network(features, levels=self._outputs)
        outputs = {level: gather(output, len(utterances)) for level, output in outputs.items()}
        embedding = outputs[self.network.output_level]
        loss, watched = self._level_loss(embedding, target.values) if self._of_levels else (0.0, None)
        for head, weight, frames in zip(
            self.heads["frames"] if self._of_frames else (), self._sequence_weights, target.sequences, strict=True
        ):
            loss = loss + weight * self._frame_loss(head, outputs[FRAMES], frames)
        if self.classifier is not None:
            scores = self.classifier.scores(embedding)
            for term, weight in self._of_posteriors:
                temperature = self._temperature
                divergence = term.loss(scores / temperature, target.scores / temperature)
                loss = loss + weight * temperature**2 * divergence
            if watched is None:
                watched = (scores.argmax(dim=1) == target.scores.argmax(dim=1)).float().mean()
            if self._share:
                loss = (1 - self._share) * loss + self._share * self._label_loss(scores, self.labels[utterances])
        return loss, watched

    def _level_loss(self, embedding: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, dim) twice -> the loss on levels, and the cosine."""
        sizes = [size for size, _ in self._blocks]
        if "levels" in self.heads:
            parts = [head(embedding).float() for head in self.heads["levels"]]
        else:
            parts = embedding.split(sizes, dim=1)
        pairs = zip(parts, target.split(sizes, dim=1), self._blocks, strict=True)
        loss = sum(
            block_weight * weight * term.loss(student, teacher)
            for student, teacher, (_, block_weight) in pairs
            for term, weight in self._of_levels
        )
        predicted = torch.cat([part.detach() for part in parts], dim=1)
        return loss, torch.cosine_similarity(predicted, target, dim=1).mean()

    def _frame_loss(self, head: nn.Linear, student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """(batch, frames, channels) of the student's and of a teacher's frame level -> the loss on frames.

        Where unpadded layers have left one of them shorter, it stands in the middle of the other. Each channel of the
        target is normalised over the frames of the batch.
        """
        frames = min(student.shape[1], target.shape[1])
        student, target = (_middle(x, frames).flatten(0, 1) for x in (student, target))
        target = functional.batch_norm(target, None, None, training=True)
        predicted = head(student).float()
        return sum(weight * term.loss(predicted, target) for term, weight in self._of_frames)

    def _label_loss(self, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(batch, speakers) and (batch,) -> the loss over those chunks whose speaker is known; 0 if there is none."""
        known = labels >= 0
        return self.classifier.loss(scores[known], labels[known]) if known.any() else scores.new_zeros(())


def _middle(x: torch.Tensor, frames: int) -> torch.Tensor:
    """So many frames in the middle of (batch, frames, channels)."""
    return x.narrow(1, (x.shape[1] - frames) // 2, frames)


@torch.no_grad()
def fold_affine(layer: nn.Linear, scale: np.ndarray, shift: np.ndarray) -> None:
    """Multiplies ``y * scale + shift`` into the affine layer that gives y.

    Args:
        layer: (dim) outputs; changed in place.
        scale: (dim,).
        shift: (dim,).
    """
    weight, bias = layer.weight.double(), layer.bias.double()
    scale, shift = (torch.from_numpy(values).to(weight) for values in (scale, shift))
    layer.weight.copy_(weight * scale[:, None])
    layer.bias.copy_(bias * scale + shift)
