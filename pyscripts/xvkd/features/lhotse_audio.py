"""What Lhotse reads audio files with, as far as the project has something to add."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from xvkd.errors import UserError
from xvkd.features import decoding
from xvkd.features.audio import duration
from xvkd.progress import Progress


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


@contextmanager
def checked_headers(progress: Progress) -> Iterator[dict[str, UserError]]:
    """Lets Lhotse's recipes ask the project how long audio files are.

    A recipe ends at the first file that it cannot open. In the block it is told a length of one sample instead.

    Args:
        progress: counts files.

    Yields:
        What is wrong with which file, once it has been asked for.
    """
    from lhotse.audio import backend

    unread: dict[str, UserError] = {}

    class CheckedHeaders(backend.AudioBackend):
        """Tells lengths alone."""

        def info(self, path_or_fd: Any, force_opus_sampling_rate: int | None = None) -> Any:
            progress.update()
            try:
                seconds, rate, channels = duration(path_or_fd)
            except UserError as error:
                unread[str(path_or_fd)] = error
                seconds, rate, channels = 1.0, 1, 1
            return backend.LibsndfileCompatibleAudioInfo(channels, round(seconds * rate), rate, seconds)

    before = backend.get_current_audio_backend()
    backend.set_current_audio_backend(CheckedHeaders())
    try:
        yield unread
    finally:
        backend.set_current_audio_backend(before)
