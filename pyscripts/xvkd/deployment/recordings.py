"""Recordings that are not in a corpus: any format, standard input included."""

import io
import sys
from pathlib import Path

import numpy as np

from xvkd.errors import UserError
from xvkd.features.audio import INT16_RANGE, UnknownFormatError, open_audio, read_samples
from xvkd.features.decoding import ffmpeg

STANDARD_INPUT = "-"


def read_recording(name: str | Path, sample_rate: int) -> np.ndarray:
    """Reads a recording as mono at the wanted rate, as the recipe does.

    Args:
        name: a file, or "-" for standard input. Formats that the recipe does not read ffmpeg decodes, if it is
            installed.
        sample_rate: Hz; other rates are resampled, which is logged once.

    Returns:
        float32 (samples,) in [-1, 1]; channels are averaged.

    Raises:
        UserError: missing, truncated, empty or not audio, or not finite.
    """
    name = str(name)
    if name == STANDARD_INPUT:
        source: str | io.BytesIO = io.BytesIO(sys.stdin.buffer.read())
    elif Path(name).is_file():
        source = name
    else:
        raise UserError(f"{name}: {'a folder; name the files in it' if Path(name).is_dir() else 'no such file'}")
    try:
        return _read(source, called(name), sample_rate)
    except UnknownFormatError:
        if name == STANDARD_INPUT:
            raise
        return _read(_decoded(name), name, sample_rate)


def called(name: str | Path) -> str:
    """What messages call a recording."""
    return "standard input" if str(name) == STANDARD_INPUT else str(name)


def _read(source: str | io.BytesIO, name: str, sample_rate: int) -> np.ndarray:
    with open_audio(source, name) as file:
        return read_samples(file, name, sample_rate) / INT16_RANGE


def _decoded(name: str) -> io.BytesIO:
    """The file as wav; UserError if there is no ffmpeg, or it does not know the format either."""
    wav = ffmpeg(name, "-f", "wav")
    if wav is None:
        raise UserError(
            f"{name}: libsndfile does not know this format; convert it to wav, or install ffmpeg, which reads more"
        )
    return io.BytesIO(wav)
