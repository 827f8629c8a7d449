"""The project's teachers as configured, and little ones of each kind."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from xvkd.nets.models import STUDENTS, TEACHERS, BuildRecord, build_network
from xvkd.nets.network import XvectorNetwork
from xvkd.training.config import load_model_config

FEATURES = 4  # a frame, of little networks
SMALL = {
    "tdnn": {"frame_widths": [6] * 4 + [8], "segment_widths": [5, 5]},
    "etdnn": {"frame_widths": [6] * 9 + [8], "segment_widths": [5, 5]},
    "ftdnn": {"first_width": 6, "width": 7, "bottleneck": 3, "last_width": 8, "segment_widths": [5, 5]},
    "ecapa": {"channels": 12, "scale": 4, "bottleneck": 5, "last_width": 8, "segment_width": 5},
    "resnet34": {"channels": 3, "segment_width": 5},
}
SMALL_STUDENTS = {
    "dsconv": {"width": 6, "taps": [3, 5], "spacings": [1, 2], "attention": 0},
    "redimnet": {
        "channels": 2, "frequencies": 4, "blocks": [1, 2], "taps": [3, 5], "hidden": 3, "stride": 2, "last_width": 7,
        "attention": 4,
    },
}  # fmt: skip


def teacher_of(conf: Path, name: str) -> XvectorNetwork:
    """The network of ``conf/teachers/<name>.yaml``."""
    model, _, features, _ = load_model_config(conf / "teachers" / f"{name}.yaml", [])
    return build_network(BuildRecord(TEACHERS, model.network, model.arch, features.dim, 0), name)


def student_of(width: int, output_dim: int, input_dim: int = 30) -> XvectorNetwork:
    """An equal-width student."""
    return build_network(BuildRecord(STUDENTS, "tdnn", {"width": width}, input_dim, output_dim), "student")


def small_teacher(name: str = "tdnn", seed: int = 0) -> XvectorNetwork:
    """A little network in evaluation mode, whose BatchNorms have seen something."""
    return seasoned(BuildRecord(TEACHERS, name, SMALL[name], FEATURES, 0), seed)


def small_student(name: str, seed: int = 0) -> XvectorNetwork:
    """The same of a student, for a target of five values."""
    return seasoned(BuildRecord(STUDENTS, name, SMALL_STUDENTS[name], FEATURES, 5), seed)


def small_network(name: str) -> XvectorNetwork:
    """A little teacher or student."""
    return small_student(name) if name in SMALL_STUDENTS else small_teacher(name)


def seasoned(record: BuildRecord, seed: int) -> XvectorNetwork:
    """A network with random weights, whose BatchNorms have seen something."""
    torch.manual_seed(seed)
    network = build_network(record, "small")
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.2, 2.0)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


def features_of(*lengths: int, seed: int = 1) -> list[torch.Tensor]:
    """Features of little networks, (frames, FEATURES) for each length."""
    random = np.random.default_rng(seed)
    return [torch.from_numpy(random.standard_normal((n, FEATURES)).astype(np.float32)) for n in lengths]


class Reference:
    """The layers of a network in float64, from its weights alone: (channels, ...) without a batch."""

    def __init__(self, network: XvectorNetwork) -> None:
        self.state = {name: value.double() for name, value in network.state_dict().items()}

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """BatchNorm over the first axis."""
        state = self.state
        shape = (-1, *[1] * (x.dim() - 1))
        mean, variance = (state[f"{name}.running_{part}"].view(shape) for part in ("mean", "var"))
        x = (x - mean) / (variance + 1e-5).sqrt()
        if f"{name}.weight" in state:
            x = x * state[f"{name}.weight"].view(shape) + state[f"{name}.bias"].view(shape)
        return x

    def affine(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """An affine map of a vector, or of each frame of (channels, frames)."""
        bias = self.state.get(f"{name}.bias", torch.zeros(1, dtype=torch.float64))
        return self.state[f"{name}.weight"].flatten(1) @ x + bias.view(-1, *[1] * (x.dim() - 1))


def assert_levels(ours: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Asserts that one utterance's levels are those expected, and all of them."""
    assert ours.keys() == expected.keys()
    for level, value in expected.items():
        assert ours[level].dtype == torch.float32 and ours[level].shape == (1, len(value))
        np.testing.assert_allclose(ours[level][0].numpy(), np.asarray(value), rtol=1e-4, atol=1e-5, err_msg=level)
