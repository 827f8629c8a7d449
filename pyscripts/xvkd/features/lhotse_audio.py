"""What Lhotse reads audio files with, as far as the project has something to add."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from xvkd.features import decoding


@cache
def use_decoder() -> None:
    """Lets Lhotse read m4a, mp4 and aac files as the rest of the project does."""
    from lhotse.audio import backend

    class DecodingBackend(backend.AudioBackend):
        """Decodes what libsndfile does not."""

        def handles_special_case(self, path_or_fd: Any) -> bool:
            return isinstance(path_or_fd, str | Path) and decoding.is_encoded(path_or_fd)

        is_applicable = handles_special_case

        def read_audio(
            self, path_or_fd: Any, offset: float = 0.0, duration: float | None = None,
            force_opus_sampling_rate: int | None = None,
        ) -> tuple[np.ndarray, int]:  # fmt: skip
            samples, rate = decoding.decode(path_or_fd)
            first = round(offset * rate)
            end = None if duration is None else first + round(duration * rate)
            return np.float32(samples[None, first:end]) / np.float32(32768), rate

    backend.set_current_audio_backend(
        backend.CompositeAudioBackend([DecodingBackend(), backend.get_current_audio_backend()])
    )
