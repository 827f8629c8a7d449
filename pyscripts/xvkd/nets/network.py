"""The frame of every x-vector network, and the one place that knows a network's levels."""

from collections.abc import Collection, Sequence

import torch
from torch import nn
from torch.nn import functional

from xvkd.nets.layers import StatisticsPooling, masked_mean


class XvectorNetwork(nn.Module):
    """Frame-level layers, a pooling over time, then affine segment layers.

    Levels, by name: ``frame1`` .. ``frameK``, the time average of each frame-level layer's output;
    ``frame``, the last of them; ``stats``, what the pooling gives; and each segment layer's affine
    output, before the non-linearity.

    Args:
        frame_layers: modules (batch, channels, frames) -> (batch, channels', frames - span), each
            with ``span``.
        frame_dims: channels out of each of them.
        segments: name and size of each segment layer, in order.
    """

    def __init__(
        self, frame_layers: Sequence[nn.Module], frame_dims: Sequence[int], segments: Sequence[tuple[str, int]]
    ) -> None:
        super().__init__()
        self.frame_layers = nn.ModuleList(frame_layers)
        self.pooling = StatisticsPooling()
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
    def receptive_field(self) -> int:
        """Frames that one output frame of the last frame-level layer sees; the shortest input."""
        return 1 + sum(layer.span for layer in self.frame_layers)

    @property
    def aliases(self) -> dict[str, str]:
        """Levels that are another level under a second name."""
        return {"frame": f"frame{len(self.frame_layers)}"}

    def forward(
        self, features: torch.Tensor, num_frames: torch.Tensor | None = None, levels: Collection[str] = ()
    ) -> dict[str, torch.Tensor]:
        """One pass for any number of levels.

        Args:
            features: (batch, frames, input_dim), at least ``receptive_field`` frames.
            num_frames: (batch,) frames of each utterance, the rest being padding; None: all.
            levels: names; empty: the output level alone.

        Returns:
            level -> float32 (batch, size of the level).
        """
        wanted = set(levels or (self.output_level,))
        found: dict[str, torch.Tensor] = {}
        x = features.transpose(1, 2)
        for i, layer in enumerate(self.frame_layers, 1):
            x = layer(x)
            num_frames = None if num_frames is None else num_frames - layer.span
            names = {f"frame{i}"} | ({"frame"} if i == len(self.frame_layers) else set())
            if names & wanted:
                found |= dict.fromkeys(names & wanted, masked_mean(x, num_frames))
        x = self.pooling(x, num_frames)
        found["stats"] = x
        for name, layer in self.segment_layers.items():
            if name in self.segment_norms:
                x = self.segment_norms[name](functional.relu(x))
            x = layer(x).float()
            found[name] = x
        return {level: found[level] for level in (levels or (self.output_level,))}

    def num_parameters(self, up_to: str | None = None) -> int:
        """Trainable parameters, of all layers or of those that the level ``up_to`` needs (KeyError if unknown)."""
        if up_to is not None and up_to not in self.levels:
            raise KeyError(up_to)
        if up_to is None:
            return sum(p.numel() for p in self.parameters())
        up_to = self.aliases.get(up_to, up_to)
        frame_level = [f"frame{i}" for i in range(1, len(self.frame_layers) + 1)]
        depth = frame_level.index(up_to) + 1 if up_to in frame_level else len(frame_level)
        count = sum(p.numel() for layer in self.frame_layers[:depth] for p in layer.parameters())
        segments = list(self.segment_layers)
        for name in segments[: segments.index(up_to) + 1] if up_to in segments else []:
            count += sum(p.numel() for p in self.segment_layers[name].parameters())
        return count
