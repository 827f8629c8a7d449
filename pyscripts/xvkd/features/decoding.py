"""Sound that libsndfile does not decode: AAC in MPEG-4 files (m4a, mp4), as VoxCeleb2 has it, and in streams (aac).

How long a recording is stands in its container, so that asking does not decode it. ffmpeg decodes it, or, where it is
not on the PATH, PyAV. Both give the samples that the container tells, no more and no fewer: AAC comes in frames of
1024, and decoders differ in what they leave of the first and the last one.
"""

import importlib.util
import io
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from xvkd.errors import UserError

SUFFIXES = {".m4a", ".mp4", ".aac"}
# Samples of an AAC frame, and how many more or fewer than the container tells a decoder may give.
FRAME = 1024
_SLACK = 3 * FRAME
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


def is_encoded(name: str | Path) -> bool:
    """Whether a file is decoded here, by the ending of its name."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def require_decoder(path: str | Path) -> None:
    """UserError if nothing is installed that decodes such a file, which asking for its length does not tell."""
    if not _decoder_is_there():
        raise _no_decoder(str(path))


@cache
def _decoder_is_there() -> bool:
    return shutil.which("ffmpeg") is not None or importlib.util.find_spec("av") is not None


def _no_decoder(path: str) -> UserError:
    return UserError(f"{path}: nothing here decodes this format: install ffmpeg, or PyAV with 'pip install av', or "
                     "convert it to wav or flac")  # fmt: skip


def length(path: str | Path) -> tuple[int, int]:
    """Samples and rate in Hz of a recording.

    Args:
        path: an MPEG-4 file or an AAC stream.

    Raises:
        UserError: missing, truncated or no such file.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(12)
            if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
                frames, rate = _of_mpeg4(file, str(path))
            else:
                frames, rate = _of_stream(file, str(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read as audio ({error.strerror}); replace or remove it") from None
    if frames == 0:  # written in pieces, whose container does not tell
        frames = len(_decoded(str(path), rate))
    return frames, rate


def decode(path: str | Path) -> tuple[np.ndarray, int]:
    """Decodes a recording.

    Args:
        path: an MPEG-4 file or an AAC stream.

    Returns:
        int16 (samples,), the average of its channels, and their rate in Hz.

    Raises:
        UserError: missing, truncated, no such file, or nothing that can decode it is installed.
    """
    frames, rate = length(path)
    samples = _decoded(str(path), rate)
    if abs(len(samples) - frames) > _SLACK:
        raise UserError(f"{path}: truncated ({len(samples)} of {frames} samples are there); replace or remove it")
    return np.pad(samples[:frames], (0, max(frames - len(samples), 0))), rate


def ffmpeg(path: str, *options: str) -> bytes | None:
    """What ffmpeg makes of the sound of a file; None if it is not on the PATH.

    Args:
        path: any file that it reads.
        options: of the output.

    Raises:
        UserError: it cannot read the file.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    command = [program, "-nostdin", "-v", "error", "-i", f"file:{path}", "-map", "0:a:0", *options, "-"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
        raise UserError(f"{path}: ffmpeg cannot read it as audio ({said[-1]}); replace or remove it")
    return done.stdout


def _decoded(path: str, rate: int) -> np.ndarray:
    decoded = ffmpeg(path, "-f", "s16le", "-ac", "1", "-ar", str(rate))
    return _by_pyav(path, rate) if decoded is None else np.frombuffer(decoded, np.int16)


def _by_pyav(path: str, rate: int) -> np.ndarray:
    try:
        import av
    except ImportError:
        raise _no_decoder(path) from None
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    try:
        with av.open(path) as container:
            blocks = [
                block.to_ndarray()[0]
                for frame in (*container.decode(audio=0), None)  # None: what the resampler has left
                for block in resampler.resample(frame)
            ]
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: PyAV cannot read it as audio ({said}); replace or remove it") from None
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)


def _of_mpeg4(file: io.BufferedReader, name: str) -> tuple[int, int]:
    """Samples and rate of the first track of sound (ISO/IEC 14496-12); no samples where they are told in pieces."""
    size = os.fstat(file.fileno()).st_size
    position = 0
    while position + 8 <= size:
        file.seek(position)
        kind, header, length = _box(file.read(16), size - position)
        if position + length > size or length < header:
            raise UserError(f"{name}: truncated ({size} of at least {position + length} bytes are there); replace or "
                            "remove it")  # fmt: skip
        if kind == b"moov":
            file.seek(position + header)
            try:
                return _of_movie(file.read(length - header), name)
            except (struct.error, IndexError):
                raise _damaged(name) from None
        position += length
    raise UserError(f"{name}: truncated, or no MPEG-4 file (it has no 'moov'); replace or remove it")


def _damaged(name: str) -> UserError:
    return UserError(f"{name}: damaged, or a file without sound; replace or remove it")


def _box(head: bytes, left: int) -> tuple[bytes, int, int]:
    """Kind, size of the header and size in all of the box that begins here."""
    size, kind = struct.unpack_from(">I4s", head)
    if size == 1:
        return kind, 16, struct.unpack_from(">Q", head, 8)[0]
    return kind, 8, size or left


def _boxes(data: bytes, kind: bytes) -> Iterator[bytes]:
    """The contents of the boxes of a kind."""
    position = 0
    while position + 8 <= len(data):
        found, header, length = _box(data[position : position + 16], len(data) - position)
        if length < header:
            return
        if found == kind:
            yield data[position + header : position + length]
        position += length


def _first(data: bytes, *path: bytes) -> bytes:
    """The content of a box within boxes; empty if it is not there."""
    for kind in path:
        data = next(_boxes(data, kind), b"")
    return data


def _of_movie(movie: bytes, name: str) -> tuple[int, int]:
    for track in _boxes(movie, b"trak"):
        media = _first(track, b"mdia")
        if _first(media, b"hdlr")[8:12] != b"soun":
            continue
        described = _first(media, b"mdhd")
        layout, place = (">IQ", 20) if described[0] == 1 else (">II", 12)
        timescale, units = struct.unpack_from(layout, described, place)
        # The first entry of stsd, behind its size, format, and what the entries of all kinds have.
        rate = struct.unpack_from(">I", _first(media, b"minf", b"stbl", b"stsd"), 8 + 8 + 24)[0] >> 16 or timescale
        if not timescale or not rate:
            break
        units = max(units - _start(_first(track, b"edts", b"elst")), 0)
        return round(units * rate / timescale), rate
    raise _damaged(name)


def _start(edits: bytes) -> int:
    """Where the sound begins in its track, in the track's units: what is before is of the encoder's making."""
    if not edits:
        return 0
    layout, width = (">Qq", 20) if edits[0] == 1 else (">Ii", 12)
    for number in range(struct.unpack_from(">I", edits, 4)[0]):
        start = struct.unpack_from(layout, edits, 8 + width * number)[1]
        if start >= 0:
            return start
    return 0


def _of_stream(file: io.BufferedReader, name: str) -> tuple[int, int]:
    """Samples and rate of a stream with ADTS headers (ISO/IEC 13818-7), perhaps behind an ID3 tag."""
    file.seek(0)
    data = file.read()
    position, frames, rate = 0, 0, 0
    if data[:3] == b"ID3" and len(data) > 10:
        position = 10 + sum((byte & 127) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    while position + 7 <= len(data):
        head = data[position : position + 7]
        size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        if head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or size < 7 or head[2] >> 2 & 15 >= len(_RATES):
            break
        rate = _RATES[head[2] >> 2 & 15]
        frames += FRAME * ((head[6] & 3) + 1)
        position += size
    if not frames:
        raise UserError(f"{name}: cannot be read as audio (neither MPEG-4 nor AAC); replace or remove it")
    if position > len(data):
        raise UserError(f"{name}: truncated (its last frame is not whole); replace or remove it")
    return frames, rate
