"""Schema of ``conf/teachers/*.yaml`` and ``conf/students/*.yaml``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xvkd import config as configuration
from xvkd.config import choices, limits
from xvkd.errors import UserError
from xvkd.features.extraction import FeatureConfig
from xvkd.features.network_input import InputConfig
from xvkd.features.vad import VadConfig
from xvkd.features.vad_hmm import VadHmmConfig
from xvkd.features.vads import load_vad


@dataclass
class TrainingConfig:
    """How a network is trained: AdamW with a one-cycle schedule over random chunks."""

    epochs: int = limits(1)
    chunks_per_utterance: int = limits(1)  # chunks of each utterance in an epoch
    batch_size: int = limits(2)  # chunks
    chunk_frames: int = limits(15)  # frames; a shorter utterance is repeated up to that
    learning_rate: float = limits(0.0)  # peak of the cycle
    warmup: float = limits(0.0, 1.0)  # share of the steps before the peak
    weight_decay: float = limits(0.0)
    max_gradient_norm: float = limits(0.0)  # gradients are clipped to it
    label_smoothing: float = limits(0.0, 0.99)  # of the speaker cross-entropy
    precision: str = choices("auto", "float32", "bfloat16")  # auto: bfloat16 where it is fast
    cache_gib: float = limits(0.0)  # features kept in memory, at most; what is over is read again
    reader_workers: int = limits(0)  # processes that read chunks where the features do not fit the cache
    checkpoint_minutes: float = limits(0.0)  # between checkpoints; there is one after each epoch too


@dataclass
class ModelConfig:
    """A network, what it reads and how it is trained."""

    network: str  # the module in xvkd.nets.teachers or xvkd.nets.students
    input: str  # conf/inputs/<input>.yaml
    arch: dict[str, Any]  # the network's own Config
    training: TrainingConfig


def load_model_config(
    path: str | Path, overrides: list[str]
) -> tuple[ModelConfig, InputConfig, FeatureConfig, VadConfig | VadHmmConfig]:
    """Reads a model's YAML and those that it names: what it reads, and the features and VAD of that.

    Args:
        path: ``conf/teachers/<name>.yaml`` or ``conf/students/<name>.yaml``.
        overrides: ``key=value`` strings; ``input.key=value`` replaces a value of what it reads.
    """
    inner = [override for override in overrides if override.startswith("input.")]
    model = configuration.load(ModelConfig, path, [override for override in overrides if override not in inner])
    reads = configuration.neighbour(path, "inputs", model.input)
    return model, *load_input_config(reads, [override.removeprefix("input.") for override in inner])


def load_input_config(
    path: str | Path, overrides: Sequence[str] = ()
) -> tuple[InputConfig, FeatureConfig, VadConfig | VadHmmConfig]:
    """Reads ``conf/inputs/<name>.yaml``, and the features and VAD that it names."""
    reads = configuration.load(InputConfig, path, overrides)
    features = configuration.load(FeatureConfig, configuration.neighbour(path, "features", reads.features))
    return reads, features, load_vad(configuration.neighbour(path, "features", reads.vad))


def check_chunks(training: TrainingConfig, receptive_field: int, path: str | Path) -> None:
    """Raises a UserError if chunks are shorter than the network can read."""
    if training.chunk_frames < receptive_field:
        frames = training.chunk_frames
        raise UserError(f"{path}: training.chunk_frames: {frames} is impossible (the network needs {receptive_field})")
