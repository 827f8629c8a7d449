"""A network in an ONNX file: to extraction, what a network of ours is. onnxruntime computes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from xvkd import config as configuration
from xvkd import sessions
from xvkd.config import choices, limits
from xvkd.errors import UserError

if TYPE_CHECKING:
    import onnxruntime


@dataclass
class OnnxConfig:
    """Schema of ``build.arch`` in the config.yaml of a teacher from an ONNX file."""

    layout: str = choices("batch-frames-features", "batch-features-frames")  # of its input
    batches: bool  # several utterances of one length can be computed at once
    min_frames: int = limits(1)  # of the shortest utterance that it takes


class OnnxNetwork:
    """A network whose outputs are levels, float32 (batch, size) each.

    Args:
        model: the file's content.
        where: its name, for messages.
        config: what its input is like.
        levels: size of each level, in the order of the outputs.
        parameters: how many weights each level needs.
        total: how many weights the network had in the file that it comes from.

    Raises:
        UserError: onnxruntime is not installed, or cannot read the network.
    """

    aliases: dict[str, str] = {}
    further_levels: dict[str, int] = {}

    def __init__(
        self, model: bytes, where: str | Path, config: OnnxConfig, levels: dict[str, int],
        parameters: dict[str, int], total: int,
    ) -> None:
        self.model, self.levels = model, levels
        self.output_level, self.output_dim = list(levels.items())[-1]
        self.min_frames = config.min_frames
        self.where, self._config, self._parameters, self._total = where, config, parameters, total
        self._session = open_session(model, where, torch.device("cpu"))
        self._outputs = dict(zip(levels, (output.name for output in self._session.get_outputs()), strict=True))

    def to(self, device: torch.device) -> "OnnxNetwork":
        """Computes there from now on, if onnxruntime can."""
        if device.type != "cpu":
            self._session = open_session(self.model, self.where, device)
        return self

    def __call__(
        self, features: torch.Tensor, num_frames: torch.Tensor | None = None, levels: Collection[str] = ()
    ) -> dict[str, torch.Tensor]:
        """One pass for any number of levels; arguments and result are those of ``XvectorNetwork.forward``.

        Padding is never computed with: rows of one length are a batch, or each row is where batches cannot be.
        """
        wanted = list(levels or (self.output_level,))
        rows = features.cpu().numpy()
        lengths = np.full(len(rows), rows.shape[1]) if num_frames is None else num_frames.cpu().numpy()
        found = {level: np.empty((len(rows), self.levels[level]), np.float32) for level in wanted}
        for length in np.unique(lengths):
            alike = np.flatnonzero(lengths == length)
            for batch in [alike] if self._config.batches else alike[:, None]:
                values = self._run(rows[batch, :length], wanted)
                for level, value in zip(wanted, values, strict=True):
                    found[level][batch] = value
        return {level: torch.from_numpy(value) for level, value in found.items()}

    def num_parameters(self, up_to: str | None = None) -> int:
        """Weights of the network, or those that the level ``up_to`` needs (KeyError if unknown)."""
        return self._total if up_to is None else self._parameters[up_to]

    def state_dict(self) -> dict[str, torch.Tensor]:
        """An ONNX file is computed, not trained: UserError."""
        raise UserError(f"{self.where}: cannot be trained on; name a model that was trained here")

    def _run(self, features: np.ndarray, levels: Sequence[str]) -> list[np.ndarray]:
        return run_session(
            self._session, self.where, features, self._config.layout, [self._outputs[level] for level in levels]
        )


def load_network(path: Path, config: dict[str, Any]) -> OnnxNetwork:
    """Reads the network of a finished model.

    Args:
        path: the file, whose outputs are the levels.
        config: what the model's config.yaml says.

    Raises:
        UserError: the file is damaged, or does not fit config.yaml.
        KeyError, TypeError, AttributeError: config.yaml is not that of a model from an ONNX file.
    """
    arch = configuration.build(OnnxConfig, config["build"]["arch"], str(path.with_name("config.yaml")), "build.arch")
    sizes = {level: about["size"] for level, about in config["levels"].items()}
    parameters = {level: about["parameters"] for level, about in config["levels"].items()}
    try:
        return OnnxNetwork(path.read_bytes(), path, arch, sizes, parameters, config["parameters"])
    except ValueError:
        raise UserError(f"{path}: has not as many outputs as config.yaml has levels; repeat stage 4") from None


def open_session(model: bytes, where: str | Path, device: torch.device) -> "onnxruntime.InferenceSession":
    """Makes a network ready to be run; UserError if it cannot be."""
    # get_num_threads heeds OMP_NUM_THREADS.
    return sessions.open_session(
        model, where, torch.get_num_threads(), f"{device.type.upper()}ExecutionProvider"
    )


def run_session(
    session: "onnxruntime.InferenceSession", where: str | Path, features: np.ndarray, layout: str,
    outputs: Sequence[str],
) -> list[Any]:
    """Computes some outputs of a network.

    Args:
        session: see :func:`open_session`.
        where: the file, for messages.
        features: (batch, frames, dim).
        layout: see :class:`OnnxConfig`.
        outputs: their names.

    Raises:
        UserError: onnxruntime cannot compute them.
    """
    (reads,) = session.get_inputs()
    if layout == "batch-features-frames":
        features = features.transpose(0, 2, 1)
    kind = {"tensor(float16)": np.float16, "tensor(double)": np.float64}.get(reads.type, np.float32)
    try:
        return session.run(outputs, {reads.name: np.ascontiguousarray(features, kind)})
    except sessions.session_errors() as error:
        shape = " x ".join(map(str, features.shape))
        raise UserError(f"{where}: cannot be computed of an input of {shape}: {sessions.reason(error)}") from None
