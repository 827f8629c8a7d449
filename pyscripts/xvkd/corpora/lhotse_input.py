"""Reads somebody else's Lhotse manifests: a CutSet, or recordings and supervisions.

Every supervision is an utterance: the part of the recording that it covers within its cut. Features that cuts may
have are not read.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.corpus_set import CorpusSet, file_recording, from_manifests, span
from xvkd.corpora.names import safe, safe_speaker
from xvkd.corpora.paths import PathFinder
from xvkd.corpora.trials import Utterance
from xvkd.errors import UserError
from xvkd.features.recordings import SHORTEST
from xvkd.kaldi.datadir import GENDERS, check_tables
from xvkd.progress import Progress

if TYPE_CHECKING:
    import lhotse

_SAVE = "write the audio with CutSet.save_audios and give what it returns"


@dataclass
class Part:
    """An utterance as a manifest describes it.

    Attributes:
        id: the supervision's until ``name_parts`` has made it one for Kaldi.
        name: the supervision's id.
        cut: the id of its cut.
        start: seconds into the recording, as is
        end.
        channels: of the recording.
    """

    id: str
    name: str
    cut: str
    speaker: str
    gender: str
    session: str
    text: str | None
    recording: "lhotse.Recording"
    start: float
    end: float
    channels: list[int]


def is_lhotse(path: Path) -> bool:
    """Whether a path is a Lhotse manifest or a folder of them."""
    return bool(_files(path, "cuts") or _files(path, "supervisions"))


def _files(path: Path, kind: str) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.glob(f"*{kind}*.jsonl*") if ".jsonl" in file.suffixes)
    return [path] if kind == "cuts" and ".jsonl" in path.suffixes and path.exists() else []


def read_parts(path: Path) -> list[Part]:
    """The utterances of manifests, named as Kaldi can take them.

    Args:
        path: a CutSet (``.jsonl`` or ``.jsonl.gz``), or a folder with one, or with ``recordings.jsonl.gz`` and
            ``supervisions.jsonl.gz`` (what stands before and behind these words does not matter).

    Raises:
        UserError: no or several manifests, damaged ones, or what a Kaldi data directory cannot say.
    """
    files = {kind: _files(path, kind) for kind in ("recordings", "supervisions", "cuts")}
    wanted = ["recordings", "supervisions"] if files["supervisions"] else ["cuts"]
    for kind in wanted:
        if len(files[kind]) != 1:
            found = ", ".join(file.name for file in files[kind]) or "none"
            raise UserError(f"{path}: expected one manifest *{kind}*.jsonl[.gz], found {found}")
    if wanted == ["cuts"]:
        parts = list(_of_cuts(files["cuts"][0]))
    else:
        parts = list(_of_supervisions(files["recordings"][0], files["supervisions"][0]))
    if not parts:
        raise UserError(f"{path}: no supervision in it, so that nothing tells utterances and speakers")
    name_parts(path, parts)
    return parts


def _items(path: Path) -> Iterator[Any]:
    from lhotse.serialization import load_manifest_lazy

    try:
        yield from load_manifest_lazy(path) or ()
    except Exception as error:  # whatever decompression, JSON and Lhotse raise
        raise UserError(f"{path}: damaged, or not a Lhotse manifest ({type(error).__name__}: {error})") from None


def _of_cuts(path: Path) -> Iterator[Part]:
    from lhotse.cut.data import DataCut

    for cut in _items(path):
        if not isinstance(cut, DataCut) or cut.recording is None:
            what = "is no cut" if not hasattr(cut, "supervisions") else "is no part of one recording"
            raise UserError(f"{path}: '{cut.id}' {what}: {_SAVE}")
        for supervision in cut.supervisions:
            start, end = max(supervision.start, 0.0), min(supervision.end, cut.duration)
            channels = _list(supervision.channel)
            if not set(channels) <= set(_list(cut.channel)):
                channels = _list(cut.channel)
            yield _part(path, supervision, cut.id, cut.recording, cut.start + start, cut.start + end, channels)


def _of_supervisions(recordings: Path, supervisions: Path) -> Iterator[Part]:
    by_id = {recording.id: recording for recording in _items(recordings)}
    for supervision in _items(supervisions):
        if supervision.recording_id not in by_id:
            raise UserError(
                f"{supervisions}: '{supervision.id}': recording '{supervision.recording_id}' does not stand in "
                f"{recordings}: add it there, or remove the supervision"
            )
        yield _part(supervisions, supervision, supervision.id, by_id[supervision.recording_id], supervision.start,
                    supervision.end, _list(supervision.channel))


def _list(channel: int | list[int]) -> list[int]:
    return channel if isinstance(channel, list) else [channel]


def _part(
    path: Path, supervision: "lhotse.SupervisionSegment", cut: str, recording: "lhotse.Recording", start: float,
    end: float, channels: list[int],
) -> Part:
    where = f"{path}: '{supervision.id}'"
    if not supervision.speaker:
        raise UserError(f"{where} has no speaker: add it, or remove the supervision")
    if end <= start:
        raise UserError(f"{where} lies outside of its cut '{cut}': mend its times, or remove it")
    return Part(
        supervision.id, supervision.id, cut, str(supervision.speaker),
        GENDERS.get((supervision.gender or " ")[0].lower(), ""), str((supervision.custom or {}).get("session", "")),
        supervision.text, recording, start, end, channels,
    )


def name_parts(path: Path, parts: Sequence[Part]) -> None:
    """Gives utterances and speakers names that Kaldi can take: their own if it can, else ``<speaker>-<id>``."""
    if any(count > 1 for count in Counter(part.id for part in parts).values()):
        # Windows cut out of one supervision share its id.
        for part in parts:
            part.id = part.cut
    twice = [name for name, count in Counter(part.id for part in parts).items() if count > 1]
    if twice:
        raise UserError(f"{path}: the id '{twice[0]}' stands twice; ids must be unique")
    try:
        check_tables(str(path), {"utt2spk": {part.id: part.speaker for part in parts}})
        return
    except UserError:
        pass
    origin: dict[str, str] = {}
    for part in parts:
        speaker = safe_speaker(part.speaker)
        name = f"{speaker}-{safe(part.id.removeprefix(f'{part.speaker}-'))}"
        for new, old in ((speaker, f"speaker {part.speaker}"), (name, f"utterance {part.id}")):
            if origin.setdefault(new, old) != old:
                raise UserError(f"{path}: {old} and {origin[new]} would both be called '{new}': rename one of them")
        part.id, part.speaker = name, speaker


def lhotse_set(path: Path, parts: Iterable[Part], bad: BadRecordings) -> CorpusSet:
    """A set of some of the utterances.

    Args:
        path: the manifest, for messages, and beside which relative paths are looked for.
        parts: the utterances.
        bad: those whose recordings cannot be used.
    """
    parts = sorted(parts, key=lambda part: part.id)
    finder = PathFinder(path / "manifest" if path.is_dir() else path)
    progress = Progress(len(parts), "utterances")
    recordings: dict[tuple[str, int], lhotse.Recording] = {}
    taken: set[str] = set()
    spans = []
    for part in parts:
        progress.update()
        number, channels = _source(path, part)
        key = (part.recording.id, number)
        if key not in recordings:
            name = safe(part.recording.id) + (f"-{number}" if len(part.recording.sources) > 1 else "")
            if name in taken:
                raise UserError(f"{path}: two recordings would be called '{name}': rename one of them")
            source = _checked_source(path, part.recording, number)
            try:
                recordings[key] = _recording(path, part.recording, source, name, finder)
            except UserError as error:
                bad.leave_out([part.id], error)
                continue
            taken.add(name)
        recording = recordings[key]
        utterance = Utterance(part.id, part.speaker, part.session, part.gender)
        end = min(part.end, recording.duration)
        if end - part.start <= SHORTEST:
            bad.leave_out([part.id], UserError(
                f"{path}: '{part.name}' from {part.start:.2f} to {part.end:.2f} s, of recording '{part.recording.id}' "
                f"with {recording.duration:.2f} s, is not longer than {SHORTEST} s: mend its times, or remove it"
            ))  # fmt: skip
            continue
        spans.append(span(utterance, recording, part.start, end - part.start, channels, part.text))
    return from_manifests(recordings.values(), spans)


def _source(path: Path, part: Part) -> tuple[int, list[int]]:
    """The source of an utterance, and which of its channels: all, or one."""
    for number, source in enumerate(part.recording.sources):
        channels = [source.channels.index(channel) for channel in part.channels if channel in source.channels]
        if len(channels) == len(part.channels) and len(channels) in (1, len(source.channels)):
            return number, channels
    raise UserError(f"{path}: '{part.name}' has the channels {part.channels} of recording '{part.recording.id}': one "
                    f"channel, or all of one file, can be told to Kaldi; else {_SAVE}")


def _checked_source(path: Path, recording: "lhotse.Recording", number: int) -> "lhotse.AudioSource":
    """A source of a recording, which is a file or a command, and is not changed on the way."""
    from lhotse.augmentation import AudioTransform, Resample

    source = recording.sources[number]
    for transform in recording.transforms or ():
        transform = AudioTransform.from_dict(transform) if isinstance(transform, dict) else transform
        if not isinstance(transform, Resample):
            raise UserError(f"{path}: recording '{recording.id}' is changed by {type(transform).__name__}: {_SAVE}")
    if source.type not in ("file", "command"):
        raise UserError(f"{path}: recording '{recording.id}' is no file ('{source.type}'): {_SAVE}")
    return source


def _recording(
    path: Path, recording: "lhotse.Recording", source: "lhotse.AudioSource", name: str, finder: PathFinder
) -> "lhotse.Recording":
    """A recording of one source, under a name for Kaldi."""
    from lhotse import AudioSource, Recording

    if source.type == "command":
        channels = list(range(len(source.channels)))
        return Recording(
            id=name, sources=[AudioSource("command", channels, source.source)], duration=recording.duration,
            sampling_rate=recording.sampling_rate, num_samples=recording.num_samples,
        )
    absolute = finder(source.source)
    if absolute is None:
        raise UserError(f"{path}: recording '{recording.id}': '{source.source}' does not exist: mend the path, or "
                        "start from the folder that it is meant from")
    return file_recording(name, absolute)
