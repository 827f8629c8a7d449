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
from xvkd.registry import find

# Of an additive angular margin, in radians: a right angle.
MOST_MARGIN = 1.57


@dataclass
class SpecAugmentConfig:
    """What is hidden of a chunk: so many stretches of frames and of coefficients; see :mod:`.spec_augment`."""

    time_masks: int = limits(0)
    time_mask_frames: int = limits(0)  # of the widest
    frequency_masks: int = limits(0)
    frequency_mask_bins: int = limits(0)  # of the widest

    def validate(self) -> str | None:
        """Says which masks have no width."""
        for masks, widest in (("time_masks", "time_mask_frames"), ("frequency_masks", "frequency_mask_bins")):
            if getattr(self, masks) and not getattr(self, widest):
                return f"{masks}: {getattr(self, masks)} hides nothing with {widest}: 0"
        return None


@dataclass
class FineTuningConfig:
    """A second phase on longer chunks, with a schedule of its own and perhaps a larger margin."""

    epochs: int = limits(0)  # 0: none
    chunk_frames: int = limits(15)  # as many frames a batch: fewer chunks
    learning_rate: float = limits(0.0)  # peak of its schedule
    margin: float | None  # radians; aam only; null: the objective's own

    def validate(self) -> str | None:
        """Says if the margin is none."""
        if self.margin is not None and not 0 <= self.margin <= MOST_MARGIN:
            return f"margin: {self.margin} is impossible (expected null, or a number from 0 to {MOST_MARGIN})"
        return None


@dataclass
class TrainingConfig:
    """How a network is trained over random chunks. ``docs/training.md`` says what each key does."""

    epochs: int = limits(1)
    min_frames: int = limits(0)  # utterances of fewer frames for the network are left out
    min_utterances: int = limits(0)  # and then speakers of fewer utterances, copies included
    chunks_per_utterance: int = limits(1)  # chunks of each original utterance in an epoch
    balance: str = choices("utterances", "speakers")  # which of them have equally many chunks in an epoch
    batch_size: int = limits(2)  # chunks
    chunk_frames: int = limits(15)  # frames; a shorter utterance is repeated up to that
    spec_augment: SpecAugmentConfig
    optimiser: str = choices("adamw", "sgd")
    momentum: float = limits(0.0, 0.999)  # sgd, Nesterov's
    weight_decay: float = limits(0.0)
    schedule: str = choices("one_cycle", "cosine", "exponential")
    learning_rate: float = limits(0.0)  # peak of the schedule
    warmup: float = limits(0.0, 1.0)  # share of the steps before the peak
    final_share: float = limits(0.0, 1.0)  # cosine and exponential: the last learning rate, as a share of the peak
    max_gradient_norm: float = limits(0.0)  # gradients are clipped to it
    precision: str = choices("auto", "float32", "bfloat16", "float16")  # auto: a 16-bit one where it is fast
    average_epochs: int = limits(1)  # the mean of the weights after so many last epochs is the model
    dev_every: int = limits(0)  # epochs between evaluations on --dev-dir; 0: never
    dev_utterances: int = limits(4)  # of the development set, at most
    dev_frames: int = limits(15)  # of each of them, at most
    patience: int = limits(0)  # evaluations without improvement that end the training; 0: none do
    fine_tuning: FineTuningConfig
    reading: str = choices("random", "shards")  # each utterance by itself, or archives from end to end (.shards)
    window_gib: float = limits(0.001)  # shards: memory that the system has for those that are read
    cache_gib: float = limits(0.0)  # random: features kept in memory, at most; what is over is read again
    reader_workers: int = limits(0)  # processes that read chunks where the features do not fit the cache
    checkpoint_minutes: float = limits(0.0)  # between checkpoints; there is one after each epoch too

    def validate(self) -> str | None:
        """Says which keys do not go together."""
        if self.schedule == "exponential" and not self.final_share:
            return "final_share: 0 is impossible with schedule: exponential, which never comes to 0"
        if self.patience and not self.dev_every:
            return f"patience: {self.patience} counts evaluations, and dev_every: 0 makes none; set dev_every"
        if self.patience and self.average_epochs > 1:
            return f"average_epochs: {self.average_epochs} is impossible with patience: the best epoch is the model"
        longest = min(self.epochs, self.fine_tuning.epochs or self.epochs)
        if self.average_epochs > longest:
            return f"average_epochs: {self.average_epochs} is more than the {longest} epochs that there are"
        for section, frames in (("", self.chunk_frames), ("fine_tuning.", self.fine_tuning.chunk_frames)):
            if self.spec_augment.time_masks and self.spec_augment.time_mask_frames > frames:
                widest = self.spec_augment.time_mask_frames
                return f"spec_augment.time_mask_frames: {widest} is more than {section}chunk_frames: {frames}"
        return None


@dataclass
class ModelConfig:
    """A network, what it reads and how it is trained."""

    network: str  # the module in xvkd.nets.teachers or xvkd.nets.students
    input: str  # conf/inputs/<input>.yaml
    objective: str  # conf/objectives/<objective>.yaml: what speakers are told apart with
    arch: dict[str, Any]  # the network's own Config
    training: TrainingConfig


def load_model_config(
    path: str | Path, overrides: list[str]
) -> tuple[ModelConfig, InputConfig, FeatureConfig, VadConfig | VadHmmConfig]:
    """Reads a model's YAML and those that it names: what it reads, and the features and VAD of that.

    Args:
        path: ``conf/teachers/<name>.yaml`` or ``conf/students/<name>.yaml``.
        overrides: ``key=value`` strings; ``input.key=value`` replaces a value of what it reads. (Those that begin
            with ``objective.`` are :func:`load_objective`'s.)
    """
    inner = _of(overrides, "input.")
    rest = [override for override in overrides if not override.startswith(("input.", "objective."))]
    model = configuration.load(ModelConfig, path, rest)
    return model, *load_input_config(configuration.neighbour(path, "inputs", model.input), inner)


def load_objective(path: str | Path, model: ModelConfig, overrides: Sequence[str]) -> tuple[str, Any]:
    """Reads ``conf/objectives/<name>.yaml`` of a model.

    Args:
        path: ``conf/teachers/<name>.yaml`` or ``conf/students/<name>.yaml``.
        model: what stands in it.
        overrides: ``objective.key=value`` replaces a value; others are passed over.

    Returns:
        its kind (the module in ``xvkd.training.objectives``), and the kind's own Config.

    Raises:
        UserError: no such objective, values that do not fit it, or a margin for one that has none.
    """
    file = configuration.neighbour(path, "objectives", model.objective)
    kind = str(configuration.read_tree(file).get("kind"))
    options = configuration.load(find("xvkd.training.objectives", kind).Config, file, _of(overrides, "objective."))
    margin = model.training.fine_tuning.margin
    if margin is not None and not hasattr(options, "margin"):
        raise UserError(
            f"{path}: training.fine_tuning.margin: {margin} is impossible with objective: {model.objective}, which "
            "has no margin; set it to null, or the objective to aam"
        )
    return kind, options


def _of(overrides: Sequence[str], section: str) -> list[str]:
    """The overrides of a section, without its name."""
    return [override.removeprefix(section) for override in overrides if override.startswith(section)]


def load_input_config(
    path: str | Path, overrides: Sequence[str] = ()
) -> tuple[InputConfig, FeatureConfig, VadConfig | VadHmmConfig]:
    """Reads ``conf/inputs/<name>.yaml``, and the features and VAD that it names.

    Raises:
        UserError: they are not what they should be, or the VAD is of another rate: its frames are marked by an energy
            that an exported network computes with its features.
    """
    reads = configuration.load(InputConfig, path, overrides)
    features = configuration.load(FeatureConfig, configuration.neighbour(path, "features", reads.features))
    vad = load_vad(configuration.neighbour(path, "features", reads.vad))
    its = configuration.load(FeatureConfig, configuration.neighbour(path, "features", vad.features))
    if reads.voiced_only and its.sample_frequency != features.sample_frequency:
        raise UserError(
            f"{path}: features: {reads.features} is of {features.sample_frequency} Hz, and vad: {reads.vad} reads "
            f"{vad.features}, of {its.sample_frequency} Hz; name a VAD of that rate (./run.sh --vad 8k for 8000 Hz)"
        )
    return reads, features, vad


def check_chunks(training: TrainingConfig, min_frames: int, path: str | Path) -> None:
    """Raises a UserError if chunks are shorter than the network can read."""
    chunks = {"chunk_frames": training.chunk_frames}
    if training.fine_tuning.epochs:
        chunks["fine_tuning.chunk_frames"] = training.fine_tuning.chunk_frames
    for key, frames in chunks.items():
        if frames < min_frames:
            raise UserError(f"{path}: training.{key}: {frames} is impossible (the network needs {min_frames})")
