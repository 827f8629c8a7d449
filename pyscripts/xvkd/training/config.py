"""Schema of ``conf/teachers/*.yaml`` and ``conf/students/*.yaml``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xvkd import config as configuration
from xvkd.config import choices, limits
from xvkd.features.extraction import FeatureConfig
from xvkd.features.network_input import InputConfig
from xvkd.features.vad import VadConfig


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
) -> tuple[ModelConfig, InputConfig, FeatureConfig, VadConfig]:
    """Reads a model's YAML and those that it names: what it reads, and the features and VAD of that."""
    model = configuration.load(ModelConfig, path, overrides)
    reads = configuration.load(InputConfig, configuration.neighbour(path, "inputs", model.input))
    features = configuration.load(FeatureConfig, configuration.neighbour(path, "features", reads.features))
    return model, reads, features, configuration.load(VadConfig, configuration.neighbour(path, "features", reads.vad))
