"""Where the targets of a batch come from: from what stage 5 has dumped, or from the teachers themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from xvkd.distillation.levels import Level
from xvkd.distillation.targets import TargetMap, Targets
from xvkd.nets.network import SEQUENCE, XvectorNetwork
from xvkd.nets.onnx_network import OnnxNetwork
from xvkd.training.ranks import gather

FRAMES = "frame" + SEQUENCE  # of the student


@dataclass
class BatchTargets:
    """What the chunks of a batch are to become.

    Attributes:
        values: float32 (batch, dim), the targets.
        scores: float32 (batch, speakers), the first teacher's logits; None: nobody asks for them.
        sequences: float32 (batch, frames, channels) of each level that is frame by frame.
    """

    values: torch.Tensor
    scores: torch.Tensor | None = None
    sequences: list[torch.Tensor] = field(default_factory=list)


class Frozen:
    """A network that is run but not trained: in evaluation mode, in float32, and no part of what a task saves.

    Args:
        network: whose device follows its input's.
        compute: what to run; None: the network.
    """

    def __init__(self, network: nn.Module | OnnxNetwork, compute: Callable[..., Any] | None = None) -> None:
        self._network, self._compute = network, compute or network
        self._device: torch.device | None = None

    @torch.no_grad()
    def __call__(self, x: torch.Tensor, **options: Any) -> Any:
        """Runs it."""
        if x.device != self._device:
            self._device = x.device
            self._network.to(x.device)
        with torch.autocast(x.device.type, enabled=False):
            return self._compute(x.float(), **options)


class Dumped(nn.Module):
    """Targets of whole utterances, in memory unless they are too many.

    Args:
        targets: of those utterances that have one of their own.
        rows: int64 (utterances,), which of the targets is whose.
        posteriors: from the teacher's output level to its logits; with
        output_level: float32 (targets, size), that level as it was dumped.
    """

    def __init__(
        self, targets: Targets, rows: np.ndarray, posteriors: Frozen | None = None,
        output_level: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._posteriors = posteriors
        # What is of the whole training set has no place in a checkpoint.
        self._read = None if isinstance(targets.values, np.ndarray) else targets.values
        self.register_buffer(
            "values", torch.from_numpy(targets.values) if self._read is None else None, persistent=False
        )
        self.register_buffer("rows", torch.from_numpy(rows), persistent=False)
        self.register_buffer(
            "output_level", None if output_level is None else torch.from_numpy(output_level), persistent=False
        )

    def forward(self, features: torch.Tensor, utterances: torch.Tensor) -> BatchTargets:
        """Chunks, of which nothing is read, and (batch,) indices of their utterances -> their targets."""
        rows = self.rows[utterances]
        scores = self._posteriors(self.output_level[rows]) if self._posteriors else None
        if self._read is not None:
            return BatchTargets(torch.from_numpy(self._read[rows.cpu().numpy()]).to(rows.device), scores)
        return BatchTargets(self.values[rows], scores)


class Looped(nn.Module):
    """Targets of the very chunks that the student reads, by teachers that read them too.

    Args:
        networks: of each teacher that has levels, by its number.
        levels: in their order, sequences among them.
        targets: whose maps are applied.
        posteriors: from the teacher's output level to its logits.
        output_level: that level; with ``posteriors``.
    """

    def __init__(
        self, networks: Mapping[int, Frozen], levels: Sequence[Level], targets: Targets,
        posteriors: Frozen | None = None, output_level: Level | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._networks, self._levels = dict(networks), list(levels)
        self._posteriors, self._output_level = posteriors, output_level
        self.maps = nn.ModuleList(MapOnDevice(part) for part in targets.maps)

    def forward(self, features: torch.Tensor, utterances: torch.Tensor) -> BatchTargets:
        """(part, frames, dim), this rank's of the batch, and (batch,) indices of its utterances -> their targets."""
        found: dict[tuple[int, str], torch.Tensor] = {}
        for teacher, network in self._networks.items():
            names = [level.name for level in self._levels if level.teacher == teacher]
            outputs = network(features, levels=names)
            for name, output in outputs.items():
                found[teacher, name] = gather(output.to(features.device), len(utterances))
        embeddings = [found[level.teacher, level.name] for level in self._levels if not level.is_sequence]
        groups = [torch.cat(embeddings, dim=1)] if len(self.maps) == 1 else embeddings
        values = [to_target(group) for to_target, group in zip(self.maps, groups, strict=True)]
        scores = None
        if self._posteriors and self._output_level:
            scores = self._posteriors(found[self._output_level.teacher, self._output_level.name])
        sequences = [found[level.teacher, level.name] for level in self._levels if level.is_sequence]
        return BatchTargets(torch.cat(values, dim=1), scores, sequences)


class MapOnDevice(nn.Module):
    """A :class:`TargetMap` of tensors, in double precision as that of arrays.

    Args:
        given: the map.
    """

    def __init__(self, given: TargetMap) -> None:
        super().__init__()
        self._length_normalise = given.length_normalise
        constants = {"mean": given.mean, "divisor": given.divisor, "projection": given.projection}
        for name, value in constants.items():
            self.register_buffer(name, None if value is None else torch.from_numpy(value), persistent=False)

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """float32 (batch, size) -> float32 (batch, dim)."""
        values = (embeddings.double() - self.mean) / self.divisor
        if self.projection is not None:
            values = functional.linear(values, self.projection[:, :-1], self.projection[:, -1])
        if self._length_normalise:
            values = functional.normalize(values, dim=1) * values.shape[1] ** 0.5
        return values.float()


@torch.no_grad()
def keeps_frames(network: XvectorNetwork, input_dim: int) -> bool:
    """Whether a frame of the last frame-level output stands for one of the input: not where layers are strided."""
    training = network.training
    network.eval()
    inputs = (torch.zeros(1, network.min_frames + more, input_dim) for more in (1, 17))
    short, long = (network(x, levels=[FRAMES])[FRAMES].shape[1] for x in inputs)
    network.train(training)
    return long - short == 16
