"""The recordings of a wav.scp, whole or in the segments of a ``segments`` file, as Kaldi's programs read them."""

import io
import logging
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from xvkd.errors import UserError
from xvkd.features.audio import open_audio, read_samples
from xvkd.kaldi.archives import archive_keys, skip
from xvkd.kaldi.objects import Cursor, StreamCursor
from xvkd.kaldi.scripts import Archives, describe, place_of, read_script
from xvkd.kaldi.specifiers import RSpecifier
from xvkd.kaldi.streams import open_input
from xvkd.kaldi.tables import read_table, slice_part

# extract-segments: a segment may end less than MOST_BEYOND seconds behind its recording, which cuts it, and must be
# longer than SHORTEST seconds.
MOST_BEYOND = 0.5
SHORTEST = 0.1


@dataclass(frozen=True)
class Segment:
    """A part of a recording.

    Attributes:
        recording: its key in wav.scp.
        start: seconds.
        end: seconds; -1 is the end of the recording.
        channel: from 0, or None where the file does not say.
    """

    recording: str
    start: float
    end: float
    channel: int | None


WHOLE = Segment("", 0.0, -1.0, None)


def read_segments(path: str | Path, allow_pipes: bool = False) -> dict[str, Segment]:
    """Reads a ``segments`` file.

    Args:
        path: lines ``segment recording start end [channel]``.
        allow_pipes: it may be a command.

    Raises:
        UserError: no such file, or a malformed line.
    """
    return {key: _parse(f"{path}: segment '{key}'", rest) for key, rest in read_table(path, allow_pipes).items()}


def _parse(where: str, line: str) -> Segment:
    fields = line.split()
    try:
        recording, start, end = fields[0], float(fields[1]), float(fields[2])
        channel = int(fields[3]) if len(fields) == 4 else None
        sound = len(fields) in (3, 4) and 0 <= start < np.inf and (end == -1 or start < end < np.inf)
        if sound and (channel is None or channel >= 0):
            return Segment(recording, start, end, channel)
    except (ValueError, IndexError):
        pass
    raise UserError(
        f"{where}: expected 'recording start end [channel]' with 0 <= start < end in seconds (or end -1), got '{line}'"
    )


class Recordings:
    """The utterances of a wav.scp or an archive of wav files.

    Args:
        wavs: the recordings.
        segments: which parts of which recordings are utterances; None: each recording is one. A recording stays open
            as long as one segment after the other comes from it.
        part: the part of the sorted keys that is read, for instance (1, 4), of a script only; (1, 1) reads all in
            their order.
        allow_pipes: commands are run.

    Attributes:
        keys: of the utterances; None if they are in an archive, which tells them one by one.

    Raises:
        UserError: a damaged script, or an archive in parts or segments.
    """

    def __init__(
        self, wavs: RSpecifier, segments: dict[str, Segment] | None, part: tuple[int, int], allow_pipes: bool
    ) -> None:
        self._wavs, self._segments, self._allow_pipes = wavs, segments, allow_pipes
        self._script: dict[str, str] = {}
        self.keys: list[str] | None = None
        if wavs.kind == "scp":
            self._script = read_script(wavs.name, allow_pipes)
            keys = self._script if segments is None else segments
            self.keys = list(keys) if part == (1, 1) else slice_part(keys, part)
        elif segments is not None or part != (1, 1):
            raise UserError(f"ark:{wavs}: the recordings of segments and parts are found by a script; give scp:FILE")

    def utterances(self, sampling_rate: int) -> Iterator[tuple[str, np.ndarray]]:
        """Reads one utterance after the other.

        Args:
            sampling_rate: Hz; other rates are resampled.

        Yields:
            Key and float32 (samples,) in the range of 16-bit integers. Segments that do not fit their recording are
            skipped and logged, as is what cannot be read if the specifier is permissive.

        Raises:
            UserError: recordings that cannot be read.
        """
        return self._in_archive(sampling_rate) if self.keys is None else self._in_script(self.keys, sampling_rate)

    def _in_archive(self, sampling_rate: int) -> Iterator[tuple[str, np.ndarray]]:
        with open_input(self._wavs.name, self._allow_pipes) as stream:
            cursor = StreamCursor(stream, self._wavs.name)
            try:
                for key in archive_keys(cursor):
                    with open_audio(_read_wave(cursor), cursor.where) as file:
                        yield key, read_samples(file, cursor.where, sampling_rate)
            except UserError as error:
                skip(self._wavs, error)

    def _in_script(self, keys: list[str], sampling_rate: int) -> Iterator[tuple[str, np.ndarray]]:
        with ExitStack() as stack:
            current, file = "", None
            for key in keys:
                segment = WHOLE if self._segments is None else self._segments[key]
                recording = segment.recording or key
                name = self._script.get(recording, "")
                try:
                    if not name:
                        raise MisfitError(f"there is no recording '{recording}' in {self._wavs}")
                    if file is None or recording != current:
                        stack.close()
                        current, file = recording, None
                        file = stack.enter_context(self._open(name, recording))
                    first, count = _bounds(segment, file)
                    samples = read_samples(file, name, sampling_rate, first, count, segment.channel)
                except MisfitError as problem:
                    logging.warning("skipped: segment '%s': %s", key, problem)
                except UserError as error:
                    skip(self._wavs, error)
                else:
                    yield key, samples

    @contextmanager
    def _open(self, entry: str, key: str) -> Iterator[soundfile.SoundFile]:
        """Opens what an entry of wav.scp names: a file, standard input, a command, or a place in an archive."""
        source: str | io.BytesIO = entry
        place = place_of(entry)
        if entry == "-" or entry.endswith("|"):
            with open_input(entry, self._allow_pipes) as stream:
                source = io.BytesIO(stream.read())
        elif place.offset and not os.path.exists(entry):
            where = describe(place.path, place.offset, key)
            source = Archives().read_with(_read_wave, place.path, place.offset, where)
        with open_audio(source, entry) as file:
            yield file


class MisfitError(Exception):
    """A segment that does not lie in its recording; extract-segments leaves it out."""


def _bounds(segment: Segment, file: soundfile.SoundFile) -> tuple[int, int | None]:
    """First sample and number of samples of a segment, rounded as extract-segments does."""
    if segment is WHOLE:
        return 0, None
    rate, frames = file.samplerate, file.frames
    first = int(segment.start * rate)
    end = frames if segment.end == -1 else int(segment.end * rate)
    if first >= frames or end >= frames + int(MOST_BEYOND * rate):
        seconds = f"{frames / rate:.2f} s"
        raise MisfitError(f"{segment.start} to {segment.end} s lies beyond the {seconds} of {segment.recording}")
    end = min(end, frames)
    if end <= first + int(SHORTEST * rate):
        raise MisfitError(f"not longer than {SHORTEST} s")
    if segment.channel is not None and segment.channel >= file.channels:
        raise MisfitError(f"channel {segment.channel}, counted from 0, of {file.channels} in {segment.recording}")
    return first, end - first


def _read_wave(cursor: Cursor) -> io.BytesIO:
    """A wav file inside an archive, whose header tells where it ends."""
    head = cursor.peek(8)
    if len(head) < 8 or head[:4] != b"RIFF":
        raise cursor.error("not a wav file")
    return io.BytesIO(cursor.read(8 + struct.unpack("<I", head[4:])[0]))
