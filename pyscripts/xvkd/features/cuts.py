"""Utterances that Lhotse's cuts describe, what is done to their audio included.

Cuts are lines of JSON: a file of any length is read and written one cut at a time.
"""

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xvkd.errors import UserError
from xvkd.features.audio import INT16_RANGE, resample
from xvkd.features.lhotse_audio import use_decoder
from xvkd.kaldi.archives import skip
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.specifiers import RSpecifier

if TYPE_CHECKING:
    from lhotse.cut import Cut

CUTS = "cuts.jsonl.gz"


def write_cuts(path: Path, cuts: "Iterable[Cut]") -> None:
    """Writes cuts; the same cuts give the same bytes."""
    with atomic_write(path, "wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as lines:
        for cut in cuts:
            lines.write(json.dumps(cut.to_dict()).encode() + b"\n")


def read_cuts(path: str | Path, part: tuple[int, int] = (1, 1)) -> "Iterator[Cut]":
    """Reads cuts one by one.

    Args:
        path: the file, packed by gzip or not.
        part: of the lines, for instance (1, 4).

    Raises:
        UserError: no such file, or damaged.
    """
    from lhotse.serialization import deserialize_item

    number = 0
    try:
        first, last = 0, None
        if part != (1, 1):
            count = count_cuts(path)
            first, last = count * (part[0] - 1) // part[1], count * part[0] // part[1]
        for number, line in enumerate(_lines(path)):
            if last is not None and number >= last:
                break
            if number >= first:
                yield deserialize_item(json.loads(line))
    except (EOFError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}, line {number + 1}: damaged, or no cut of Lhotse's ({error}); make it again (stages 1 and 2)"
        ) from None


def count_cuts(path: str | Path) -> int:
    """How many cuts a file has."""
    return sum(1 for _ in _lines(path))


def _lines(path: str | Path) -> Iterator[str]:
    if not Path(path).exists():
        raise UserError(f"{path}: no such file; the stage that makes it (1 or 2) has not been run")
    with (gzip.open if str(path).endswith(".gz") else open)(path, "rt", encoding="utf-8") as lines:
        yield from lines


def utterance_cuts(data_dir: Path) -> "Iterator[Cut]":
    """A cut for each utterance of a set, in the order of its manifests; its id is the utterance's.

    Args:
        data_dir: of a set that has audio, so that stage 1 has described it (``manifests/cuts.jsonl.gz``).
    """
    from lhotse import MonoCut, MultiCut

    for cut in read_cuts(data_dir / "manifests" / CUTS):
        if not cut.supervisions:  # those of copies are utterances as they are
            yield cut
        for supervision in cut.supervisions:
            channels = supervision.channel
            if isinstance(channels, list) and len(channels) == 1:
                channels = channels[0]
            yield (MultiCut if isinstance(channels, list) else MonoCut)(
                id=supervision.id, start=cut.start + supervision.start, duration=supervision.duration,
                channel=channels, recording=cut.recording, supervisions=[],
            )


def load_cut(cut: "Cut", sampling_rate: int) -> np.ndarray:
    """Reads a cut's audio, and does to it what the cut says.

    Args:
        cut: of Lhotse's.
        sampling_rate: Hz; other rates are resampled.

    Returns:
        float32 (samples,), in the range of 16-bit integers; channels are averaged.

    Raises:
        UserError: audio that cannot be read.
    """
    from lhotse.audio.utils import AudioLoadingError, DurationMismatchError

    use_decoder()
    try:
        samples = cut.load_audio()
    except (AudioLoadingError, DurationMismatchError, OSError, RuntimeError, ValueError, AssertionError) as error:
        raise UserError(f"cut '{cut.id}': its audio cannot be read ({' '.join(str(error).split())[:300]})") from None
    if samples is None or not samples.size or not np.isfinite(samples).all():
        raise UserError(f"cut '{cut.id}': no audio, or samples that are not finite numbers")
    # A codec adds the rest of its last block.
    mono = (samples.mean(axis=0) if len(samples) > 1 else samples[0])[: cut.num_samples]
    return resample(mono.astype(np.float32), cut.sampling_rate, sampling_rate, cut.id) * INT16_RANGE


class CutRecordings:
    """The utterances of a file of cuts.

    Args:
        wavs: ``cuts:FILE``.
        part: of its lines.
        allow_pipes: commands, which recordings may be, are run.

    Attributes:
        keys: the numbers of its lines; the cuts themselves are read one by one.
    """

    def __init__(self, wavs: RSpecifier, part: tuple[int, int], allow_pipes: bool) -> None:
        self._wavs, self._part, self._allow_pipes = wavs, part, allow_pipes
        count, (job, jobs) = count_cuts(wavs.name), part
        self.keys = range(count * (job - 1) // jobs, count * job // jobs)

    def utterances(self, sampling_rate: int) -> Iterator[tuple[str, np.ndarray]]:
        """Reads one utterance after the other.

        Args:
            sampling_rate: Hz; other rates are resampled.

        Yields:
            Id and float32 (samples,) in the range of 16-bit integers. What cannot be read is skipped and logged if the
            specifier is permissive.

        Raises:
            UserError: audio that cannot be read, or a command that may not be run.
        """
        for cut in read_cuts(self._wavs.name, self._part):
            try:
                if not self._allow_pipes and _has_command(cut):
                    raise UserError(f"cut '{cut.id}': its audio comes from a command; allow it with --allow-pipes")
                samples = load_cut(cut, sampling_rate)
            except UserError as error:
                skip(self._wavs, UserError(f"{self._wavs}: {error}"))
                continue
            yield cut.id, samples


def _has_command(cut: "Cut") -> bool:
    tracks = [track.cut for track in getattr(cut, "tracks", [])] or [cut]
    sources = [source for track in tracks if track.has_recording for source in track.recording.sources]
    return any(source.type == "command" for source in sources)
