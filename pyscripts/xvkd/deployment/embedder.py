"""An exported network: from a recording to its embedding. onnxruntime computes, torch is not needed."""

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np

from xvkd.deployment.recordings import called, read_recording
from xvkd.errors import UserError
from xvkd.kaldi.streams import cannot_be_opened
from xvkd.sessions import open_session, reason, session_errors

INPUT, OUTPUT = "waveform", "embedding"
# Of less, a network may compute an embedding, but none that says anything.
SHORTEST = 0.3  # seconds
# A longer recording is computed in equal parts, none longer than this, or features of an hour would take gigabytes.
LONGEST_PART = 100.0  # seconds; as many frames as max_chunk_frames of conf/extraction.yaml


class Embedder:
    """A network whose input is ``waveform``, float32 (1, samples) in [-1, 1], its output ``embedding``, float32 (1, D).

    Features, voice activity detection and mean normalisation are in the network. It computes on one thread.

    Args:
        model: the ONNX file, whose metadata tell ``sample_rate``, ``minimum_samples`` and ``embedding_dim``.

    Attributes:
        path: of the file, absolute.
        sha256: of the file, which tells models apart.
        metadata: all that the file says about itself.
        sample_rate: Hz.
        minimum_samples: of the shortest recording that is taken.
        dim: D.

    Raises:
        UserError: no such file, none of ONNX, or not exported by this recipe.
    """

    def __init__(self, model: str | Path) -> None:
        self.path = Path(model).absolute()
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise cannot_be_opened(str(model), error) from None
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._session = open_session(content, model, threads=1)
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        ends = [[value.name for value in end] for end in (self._session.get_inputs(), self._session.get_outputs())]
        if ends != [[INPUT], [OUTPUT]]:
            raise UserError(
                f"{model}: its inputs are {', '.join(ends[0])}, its outputs {', '.join(ends[1])}, where a network that "
                f"reads {INPUT} and gives {OUTPUT} is needed; name the one that was exported from the waveform"
            )
        self.sample_rate, self.dim = self._number("sample_rate"), self._number("embedding_dim")
        self.minimum_samples = max(self._number("minimum_samples"), round(SHORTEST * self.sample_rate))

    def _number(self, key: str) -> int:
        value = self.metadata.get(key, "").removesuffix(".0")
        if not value.isdecimal() or not int(value):
            raise UserError(f"{self.path}: its metadata have no {key} above 0; export it again (stage 11)")
        return int(value)

    def embed_file(self, name: str | Path) -> np.ndarray:
        """The embedding of a recording, (D,) float32.

        Args:
            name: see ``read_recording``.

        Raises:
            UserError: it cannot be read, is too short, or has no speech.
        """
        return self.embed(read_recording(name, self.sample_rate), called(name))

    def embed(self, samples: np.ndarray, name: str = "recording") -> np.ndarray:
        """The embedding of samples, (D,) float32.

        Args:
            samples: (N,) at ``sample_rate``, in [-1, 1].
            name: what messages call them.

        Raises:
            UserError: too few, or they hold no speech; or they are none: of two dimensions, integers, not finite.
        """
        if samples.ndim != 1 or samples.dtype.kind != "f" or not np.isfinite(samples).all():
            raise UserError(
                f"{name}: an array of {samples.dtype}, {' x '.join(map(str, samples.shape))}, where one channel of "
                f"finite floats in [-1, 1] at {self.sample_rate} Hz is needed"
            )
        seconds, least = len(samples) / self.sample_rate, self.minimum_samples / self.sample_rate
        if len(samples) < self.minimum_samples:
            raise UserError(f"{name}: {seconds:.2f} s is too short: at least {least:.2f} s is needed; record more")
        found, weights = [], []
        for part in np.array_split(samples, np.ceil(seconds / LONGEST_PART)):
            embedding = self._embed_part(part, name)
            if embedding is not None:
                found.append(embedding)
                weights.append(len(part))
        if not found:
            raise UserError(f"{name}: no speech is found in its {seconds:.1f} s; record it again, louder or closer")
        return found[0] if len(found) == 1 else np.average(found, axis=0, weights=weights).astype(np.float32)

    def _embed_part(self, samples: np.ndarray, name: str) -> np.ndarray | None:
        """The embedding, (D,); None if the network finds no speech: what it does then, it also does of silence."""
        try:
            embedding = self._compute(samples)
        except session_errors() as error:
            if self._of_silence is None:
                return None
            raise UserError(f"{name}: {self.path} cannot be computed of it: {reason(error)}") from None
        if len(embedding) != self.dim or not np.isfinite(embedding).all():
            return None
        return None if np.array_equal(embedding, self._of_silence) else embedding

    @cached_property
    def _of_silence(self) -> np.ndarray | None:
        """What the network gives of silence; None if onnxruntime raises."""
        try:
            return self._compute(np.zeros(max(self.minimum_samples, self.sample_rate)))
        except session_errors():
            return None

    def _compute(self, samples: np.ndarray) -> np.ndarray:
        (output,) = self._session.run([OUTPUT], {INPUT: np.ascontiguousarray(samples[None], np.float32)})
        return output.ravel()
