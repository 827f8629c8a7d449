"""Reading audio files of any format, rate and number of channels."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from xvkd.errors import UserError

_resampled_once: set[int] = set()
_CUT_SHORT = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
# Programs that write to a pipe put such a size into the header, as they cannot know better.
_STREAMED = 0x7FFF0000


def duration(path: str | Path) -> tuple[float, int, int]:
    """Seconds, samples a second and channels of an audio file, from its header.

    Raises:
        UserError: missing, truncated (as far as a header tells), empty or not audio.
    """
    with _opened(path) as file:
        return file.frames / file.samplerate, file.samplerate, file.channels


def read_audio(path: str | Path, sampling_rate: int) -> np.ndarray:
    """Reads a file as mono at the wanted rate.

    Args:
        path: wav, flac, ogg, mp3 or whatever else libsndfile reads.
        sampling_rate: Hz; other rates are resampled, which is logged once.

    Returns:
        float32 (samples,), in the range of 16-bit integers, as Kaldi has it; channels are averaged.

    Raises:
        UserError: missing, truncated, empty or not audio, or not finite.
    """
    with _opened(path) as file:
        samples, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if len(mono) == 0:
        raise UserError(f"{path}: holds no samples; replace or remove it")
    if not np.isfinite(mono).all():
        raise UserError(f"{path}: holds samples that are not finite numbers; replace or remove it")
    if rate != sampling_rate:
        if rate not in _resampled_once:
            _resampled_once.add(rate)
            logging.info("resampling from %d to %d Hz (said once; first file: %s)", rate, sampling_rate, path)
        common = np.gcd(rate, sampling_rate)
        mono = resample_poly(mono, sampling_rate // common, rate // common).astype(np.float32)
    return mono * np.float32(32768.0)


@contextmanager
def _opened(path: str | Path) -> Iterator[soundfile.SoundFile]:
    """An audio file with at least one sample, whose errors name it."""
    try:
        with soundfile.SoundFile(str(path)) as file:
            # libsndfile reads a wav that was cut short without complaint, but notes it in its log.
            cut = _CUT_SHORT.search(file.extra_info)
            if cut and int(cut[1]) < _STREAMED:
                raise UserError(f"{path}: truncated ({cut[2]} of {cut[1]} bytes are there); replace or remove it")
            if file.frames <= 0:
                raise UserError(f"{path}: holds no samples; replace or remove it")
            yield file
    except (soundfile.LibsndfileError, OSError) as error:
        raise UserError(f"{path}: cannot be read as audio ({_reason(error)}); replace or remove it") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", None) or getattr(error, "strerror", None) or error).strip(" .")
