"""The frame of every x-vector network, and the one place that knows a network's levels."""

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import nn
from torch.nn import functional

from xvkd.nets.layers import masked_mean
from xvkd.nets.pooling import MeanPooling, StatisticsPooling

FOLDED = "embedding"  # the level with which a folded network ends, as a student does
SEQUENCE = ".sequence"  # behind the name of a frame level: its frames, not their average


def plain_level(level: str) -> str:
    """The level that needs the same layers as a further one: ``frame3`` of ``stats3`` and ``frame3.sequence``."""
    level = level.removesuffix(SEQUENCE)
    return level.replace("stats", "frame") if level.removeprefix("stats").isdigit() else level


class XvectorNetwork(nn.Module):
    """Frame-level layers, a pooling over time, then affine segment layers.

    Levels, by name: ``frame1`` .. ``frameK``, the time average of each frame-level layer's output;
    ``frame``, the last of them; ``stats``, what the pooling gives; and each segment layer's affine
    output, before the non-linearity. Further ones, for those who name them: ``stats1`` .. ``statsK``, plain mean and
    standard deviation of each frame-level layer's output; and ``frame3.sequence`` or ``frame.sequence``, that output
    itself, frame by frame.

    As it stands here, a network is a stack of unpadded layers. One whose layers are padded, branch or shorten the
    time axis says so in :meth:`frame_outputs` and ``padded``.

    Args:
        frame_layers: modules, each with ``span``, how many frames of the network's input it adds to what one frame
            sees, and ``context``, what it reads in words.
        frame_dims: channels out of each of them.
        segments: name and size of each segment layer, in order.
        pooling: (batch, frames, channels) and frames that count -> (batch, 2 * channels); None: plain statistics.
    """

    padded = False  # whether layers pad what they read, so that a single frame is input enough

    def __init__(
        self, frame_layers: Sequence[nn.Module], frame_dims: Sequence[int], segments: Sequence[tuple[str, int]],
        pooling: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.frame_layers = nn.ModuleList(frame_layers)
        self.pooling = pooling or StatisticsPooling()
        self.segment_layers = nn.ModuleDict()
        self.segment_norms = nn.ModuleDict()
        stats_dim = 2 * frame_dims[-1]
        below = stats_dim
        for position, (name, dim) in enumerate(segments):
            if position:
                self.segment_norms[name] = nn.BatchNorm1d(below, affine=False)
            self.segment_layers[name] = nn.Linear(below, dim)
            below = dim
        self.levels: dict[str, int] = {f"frame{i}": dim for i, dim in enumerate(frame_dims, 1)}
        self.levels |= {"frame": frame_dims[-1], "stats": stats_dim} | dict(segments)
        self.output_level, self.output_dim = segments[-1]

    @property
    def further_levels(self) -> dict[str, int]:
        """Name and size of the levels that are vectors like the others, and are given to those who name them."""
        sizes = (self.levels[f"frame{i}"] for i in range(1, len(self.frame_layers) + 1))
        return {f"stats{i}": 2 * size for i, size in enumerate(sizes, 1)}

    @property
    def receptive_field(self) -> int:
        """Frames that one output frame of the last frame-level layer sees through the convolutions."""
        return 1 + sum(layer.span for layer in self.frame_layers)

    @property
    def min_frames(self) -> int:
        """Frames of the shortest input."""
        return 1 if self.padded else self.receptive_field

    @property
    def aliases(self) -> dict[str, str]:
        """Levels that are another level under a second name."""
        return {"frame": f"frame{len(self.frame_layers)}"}

    def frame_outputs(
        self, x: torch.Tensor, num_frames: torch.Tensor | None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """The output of each frame-level layer in turn; the pooling reads the last.

        Args:
            x: (batch, frames, input_dim).
            num_frames: (batch,) frames of each utterance; None: all.

        Yields:
            (batch, frames, channels) or (batch, frames, channels, frequencies), and how many of the frames count.
            What stands behind an utterance's end must have no part in them.
        """
        for layer in self.frame_layers:
            x = layer(x)
            num_frames = None if num_frames is None else num_frames - layer.span
            yield x, num_frames

    def forward(
        self, features: torch.Tensor, num_frames: torch.Tensor | None = None, levels: Collection[str] = ()
    ) -> dict[str, torch.Tensor]:
        """One pass for any number of levels.

        Args:
            features: (batch, frames, input_dim), at least ``min_frames`` frames.
            num_frames: (batch,) frames of each utterance, the rest being padding; None: all.
            levels: names; empty: the output level alone.

        Returns:
            level -> float32 (batch, size of the level); of a sequence (batch, frames, channels).
        """
        wanted = set(levels or (self.output_level,))
        found: dict[str, torch.Tensor] = {}
        outputs = self.frame_outputs(features, num_frames)
        for i, (x, counted) in enumerate(outputs, 1):
            names = {f"frame{i}"} | ({"frame"} if i == len(self.frame_layers) else set())
            if names & wanted:
                found |= dict.fromkeys(names & wanted, masked_mean(x, counted).flatten(1))
            if f"stats{i}" in wanted:
                found[f"stats{i}"] = StatisticsPooling()(x.flatten(2), counted)
            for sequence in {name + SEQUENCE for name in names} & wanted:
                found[sequence] = x.flatten(2).float()
        x = self.pooling(x.flatten(2), counted)
        found["stats"] = x
        for position, (name, layer) in enumerate(self.segment_layers.items()):
            if position:
                x = functional.relu(x)
            if name in self.segment_norms:
                x = self.segment_norms[name](x)
            x = layer(x).float()
            found[name] = x
        return {level: found[level] for level in (levels or (self.output_level,))}

    def end_at(self, level: str, size: int) -> None:
        """Gives the network another end, an affine layer whose output is the level ``FOLDED``; what follows goes.

        Args:
            level: a segment layer, in whose place the new one comes, or a level before these, which it reads.
            size: how many values the new layer gives.
        """
        level = self.aliases.get(level, level)
        order, segments = list(self.parts()), list(self.segment_layers)
        replaces = level in segments
        kept = {*order[: order.index(level) + (not replaces)], "frame"}
        below = self.segment_layers[level].in_features if replaces else self.levels[level]
        norm = dict(self.segment_norms).get(level)
        for modules in (self.segment_layers, self.segment_norms):
            for name in [name for name in modules if name not in kept]:
                del modules[name]
        if norm is not None:
            self.segment_norms[FOLDED] = norm
        self.segment_layers[FOLDED] = nn.Linear(below, size)
        if not replaces and level != "stats":
            del self.frame_layers[order.index(level) + 1 :]
            self.pooling = MeanPooling()
        self.levels = {name: values for name, values in self.levels.items() if name in kept}
        self.levels |= {"frame": self.levels[self.aliases["frame"]], FOLDED: size}
        self.output_level, self.output_dim = FOLDED, size

    def fan_in(self, level: str) -> int | None:
        """How many values the affine layer that gives a level reads; None for a level that no such layer gives."""
        layer = dict(self.segment_layers).get(level)
        return layer.in_features if isinstance(layer, nn.Linear) else None

    def constrain(self, step: int) -> None:
        """Called after each step of the optimiser: pulls the weights back to where the network wants them.

        Args:
            step: number of the step.
        """

    def parts(self) -> dict[str, list[nn.Module]]:
        """The modules that each level, without the aliases, adds to those of the levels before it."""
        parts: dict[str, list[nn.Module]] = {f"frame{i}": [layer] for i, layer in enumerate(self.frame_layers, 1)}
        if "stats" in self.levels:
            parts["stats"] = [self.pooling]
        for name, layer in self.segment_layers.items():
            parts[name] = [self.segment_norms[name], layer] if name in self.segment_norms else [layer]
        return parts

    def num_parameters(self, up_to: str | None = None) -> int:
        """Trainable parameters, of all layers or of those that the level ``up_to`` needs (KeyError if unknown)."""
        if up_to is not None and up_to not in self.levels | self.further_levels:
            raise KeyError(up_to)
        last = plain_level(up_to or self.output_level)
        last = self.aliases.get(last, last)
        parts = self.parts()
        needed = list(parts)[: list(parts).index(last) + 1]
        return sum(p.numel() for level in needed for module in parts[level] for p in module.parameters())
