"""Reading audio of any format, rate and number of channels."""

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from xvkd.errors import UserError
from xvkd.features import decoding
from xvkd.features.resampling import resample_poly

# A resampling filter grows with the rates: what a damaged header claims must not take all memory.
LEAST_RATE, GREATEST_RATE = 1000, 384000
# Values that are decoded at a time: memory follows what is in a file, not what its header claims.
BLOCK = 1 << 22
# Kaldi's samples are 16-bit integers, as floating-point numbers.
INT16_RANGE = np.float32(32768.0)

_resampled_once: set[int] = set()
_CUT_SHORT = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
# Programs that write to a pipe put such a size into the header, as they cannot know better.
_STREAMED = 0x7FFF0000
# libsndfile's SF_ERR_UNRECOGNISED_FORMAT.
_UNKNOWN_FORMAT = 1


class UnknownFormatError(UserError):
    """What libsndfile cannot tell from any file that is no audio; another program may know it."""


def duration(path: str | Path) -> tuple[float, int, int]:
    """Seconds, samples a second and channels of an audio file, from its header.

    Raises:
        UserError: missing, truncated (as far as a header tells), empty or not audio.
    """
    if decoding.is_encoded(path):
        frames, rate = decoding.length(path)
        if not frames:
            raise _empty(str(path))
        return frames / rate, rate, 1
    with open_audio(path) as file:
        return file.frames / file.samplerate, file.samplerate, file.channels


def read_audio(path: str | Path, sampling_rate: int) -> np.ndarray:
    """Reads a file as mono at the wanted rate.

    Args:
        path: wav, flac, ogg, mp3 or whatever else libsndfile reads, or m4a, mp4 or aac.
        sampling_rate: Hz; other rates are resampled, which is logged once.

    Returns:
        float32 (samples,), in the range of 16-bit integers, as Kaldi has it; channels are averaged.

    Raises:
        UserError: missing, truncated, empty or not audio, or not finite.
    """
    with open_audio(path) as file:
        return read_samples(file, str(path), sampling_rate)


@contextmanager
def open_audio(source: str | Path | io.BytesIO, name: str = "") -> Iterator[soundfile.SoundFile]:
    """Opens audio with at least one sample.

    Args:
        source: a file's name, or its contents; m4a, mp4 and aac, known by their names, are mono.
        name: what messages call it; by default its name.

    Raises:
        UserError: missing, truncated (as far as a header tells), empty or not audio.
    """
    name = name or str(source)
    if not isinstance(source, io.BytesIO):
        source = _as_wav(source) if decoding.is_encoded(source) else str(source)
    with _told(name):
        file = soundfile.SoundFile(source)
    with file:
        # libsndfile reads a wav that was cut short without complaint, but notes it in its log.
        cut = _CUT_SHORT.search(file.extra_info)
        if cut and int(cut[1]) < _STREAMED:
            raise UserError(f"{name}: truncated ({cut[2]} of {cut[1]} bytes are there); replace or remove it")
        if file.frames <= 0:
            raise _empty(name)
        if not LEAST_RATE <= file.samplerate <= GREATEST_RATE:
            raise UserError(f"{name}: a rate of {file.samplerate} Hz is no audio's; replace or remove it")
        yield file


def _as_wav(path: str | Path) -> io.BytesIO:
    """What libsndfile does not decode, mono."""
    samples, rate = decoding.decode(path)
    wav = io.BytesIO()
    soundfile.write(wav, samples, rate, format="WAV", subtype="PCM_16")
    wav.seek(0)
    return wav


def _empty(name: str) -> UserError:
    return UserError(f"{name}: holds no samples; replace or remove it")


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Says which audio an error of the block is about."""
    try:
        yield
    except (soundfile.LibsndfileError, OSError) as error:
        reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
        kind = UnknownFormatError if getattr(error, "code", None) == _UNKNOWN_FORMAT else UserError
        raise kind(f"{name}: cannot be read as audio ({reason.strip(' .')}); replace or remove it") from None


def read_samples(
    file: soundfile.SoundFile, name: str, sampling_rate: int, first: int = 0, count: int | None = None,
    channel: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Reads open audio, or a part of it, as mono at the wanted rate.

    Args:
        file: see ``open_audio``.
        name: what messages call it.
        sampling_rate: Hz; other rates are resampled, which is logged once.
        first: where the part begins, in samples at the file's own rate; only with a ``count``.
        count: how many samples it has; None: from where the file stands to its end.
        channel: which channel, from 0; None: their average.

    Returns:
        float32 (samples,), in the range of 16-bit integers.

    Raises:
        UserError: not finite, or the part reaches beyond the end.
    """
    blocks, left = [], np.inf if count is None else count
    with _told(name):
        if count is not None:
            file.seek(first)
        while left > 0:
            samples = file.read(int(min(BLOCK // file.channels, left)), dtype="float32", always_2d=True)
            if not len(samples):
                break
            average = channel is None and file.channels > 1
            blocks.append(samples.mean(axis=1) if average else samples[:, channel or 0])
            left -= len(samples)
    mono = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if len(mono) == 0 or (count is not None and left):
        raise UserError(f"{name}: truncated, or holds no samples; replace or remove it")
    if not np.isfinite(mono).all():
        raise UserError(f"{name}: holds samples that are not finite numbers; replace or remove it")
    return resample(mono, file.samplerate, sampling_rate, name) * INT16_RANGE


def resample(samples: np.ndarray, rate: int, sampling_rate: int, name: str) -> np.ndarray:
    """float32 (samples,) of one rate at another, both in Hz; logged once a rate, with a name."""
    if rate == sampling_rate:
        return samples
    if rate not in _resampled_once:
        _resampled_once.add(rate)
        logging.info("resampling from %d to %d Hz (said once; first file: %s)", rate, sampling_rate, name)
    common = np.gcd(rate, sampling_rate)
    return resample_poly(samples, int(sampling_rate // common), int(rate // common))
