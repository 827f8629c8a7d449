"""The recordings of somebody else's Kaldi data directory: wav.scp and segments."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.corpus_set import CorpusSet, file_recording, span
from xvkd.corpora.paths import PathFinder, absolute_command
from xvkd.corpora.trials import Utterance
from xvkd.errors import UserError
from xvkd.features.recordings import MOST_BEYOND, SHORTEST, WHOLE, Segment, read_segments
from xvkd.kaldi.scripts import place_of
from xvkd.progress import Progress

if TYPE_CHECKING:
    import lhotse


def add_recordings(folder: Path, found: CorpusSet, bad: BadRecordings) -> None:
    """Makes the paths of a set's wav.scp absolute, and describes in manifests what is behind them.

    Args:
        folder: the data directory.
        found: gets wav.scp, utt2dur and manifests, and loses the utterances that are left out. Without manifests
            if recordings are commands, which are not run here, or lie in archives.
        bad: utterances whose recordings cannot be used.

    Raises:
        UserError: recordings that are missing or cannot be read; segments that do not fit them. Then ``found`` is
            unchanged.
    """
    table = found.tables["wav.scp"]
    segments = {utterance.id: WHOLE for utterance in found.utterances}
    if "segments" in found.tables:
        segments = _segments(folder / "segments", table)
    recording_of = {utterance: segment.recording or utterance for utterance, segment in segments.items()}
    wavs = _absolute(folder / "wav.scp", table, recording_of, bad)
    used = set(recording_of.values()) & wavs.keys()
    unused = len(table.keys() - set(recording_of.values()))
    if unused:
        logging.info("%s: %d recordings without a segment are left out", folder, unused)
    others = sum(not os.path.exists(wavs[name]) for name in used)
    manifests = None
    if others:
        logging.info("%s: %d of %d recordings are commands, or lie in archives: no Lhotse manifests of this set",
                     folder / "wav.scp", others, len(used))
    else:
        manifests = _manifests(folder, found, {name: wavs[name] for name in used}, segments, bad)
    _keep(found, [utterance for utterance in segments if utterance not in bad.left_out])
    kept = {recording_of[utterance.id] for utterance in found.utterances}
    found.tables["wav.scp"] = {name: wavs[name] for name in sorted(kept)}
    if manifests:
        found.manifests = manifests
        found.tables["utt2dur"] = {supervision.id: f"{supervision.duration:.4f}" for supervision in manifests[1]}


def _segments(path: Path, wavs: dict[str, str]) -> dict[str, Segment]:
    """The segments, all of recordings that wav.scp has."""
    segments = read_segments(path)
    for line, (name, segment) in enumerate(segments.items(), 1):
        if segment.recording not in wavs:
            raise UserError(
                f"{path}, line {line}: recording '{segment.recording}' of segment '{name}' does not stand in wav.scp: "
                "add it there, or remove its segments"
            )
    return segments


def _absolute(
    path: Path, table: dict[str, str], recording_of: dict[str, str], bad: BadRecordings
) -> dict[str, str]:
    """wav.scp with absolute paths, of the recordings that are there."""
    wavs, missing, finder = {}, [], PathFinder(path)
    for line, (name, entry) in enumerate(table.items(), 1):
        absolute = absolute_command(entry) if entry.endswith("|") else finder(entry) or _in_archive(entry, finder)
        if absolute is None:
            missing.append((line, name, entry))
        else:
            wavs[name] = absolute
    if missing:
        line, _, entry = missing[0]
        names = {name for _, name, _ in missing}
        left_out = [utterance for utterance, name in recording_of.items() if name in names]
        bad.leave_out(left_out, finder.error(line, entry, len(missing)))
    return wavs


def _in_archive(entry: str, finder: PathFinder) -> str | None:
    """The absolute form of ``wavs.ark:123``, if there is such an archive."""
    archive = place_of(entry).path
    absolute = finder(archive) if archive != entry else None
    return absolute and absolute + entry[len(archive) :]


def _manifests(
    folder: Path, found: CorpusSet, wavs: dict[str, str], segments: dict[str, Segment], bad: BadRecordings
) -> "tuple[lhotse.RecordingSet, lhotse.SupervisionSet]":
    """Lhotse's description of recordings and utterances."""
    from lhotse import RecordingSet, SupervisionSet

    progress = Progress(len(wavs), "recordings")
    recordings = {}
    for name, path in sorted(wavs.items()):
        progress.update()
        try:
            recordings[name] = file_recording(name, path)
        except UserError as error:
            bad.leave_out([u for u, segment in segments.items() if (segment.recording or u) == name], error)
    spans = []
    for utterance in found.utterances:
        segment = segments[utterance.id]
        recording = recordings.get(segment.recording or utterance.id)
        if recording is None:
            continue
        try:
            spans.append(_span(folder / "segments", utterance, segment, recording))
        except UserError as error:
            bad.leave_out([utterance.id], error)
    used = {supervision.recording_id for supervision in spans}
    return (
        RecordingSet.from_recordings(recording for name, recording in recordings.items() if name in used),
        SupervisionSet.from_segments(spans),
    )


def _span(
    path: Path, utterance: Utterance, segment: Segment, recording: "lhotse.Recording"
) -> "lhotse.SupervisionSegment":
    if segment is WHOLE:
        return span(utterance, recording)
    end = recording.duration if segment.end == -1 else min(segment.end, recording.duration)
    if end - segment.start <= SHORTEST or segment.end >= recording.duration + MOST_BEYOND:
        raise UserError(
            f"{path}: segment '{utterance.id}' from {segment.start} to {segment.end} s, of recording '{recording.id}' "
            f"with {recording.duration:.2f} s, ends behind it or is not longer than {SHORTEST} s: mend the times, or "
            "remove the segment"
        )
    if segment.channel is not None and segment.channel not in recording.channel_ids:
        raise UserError(
            f"{path}: segment '{utterance.id}' asks for channel {segment.channel}, recording '{recording.id}' has "
            f"{recording.num_channels} (counted from 0): mend it, or remove the segment"
        )
    channels = None if segment.channel is None else [segment.channel]
    return span(utterance, recording, segment.start, end - segment.start, channels)


def _keep(found: CorpusSet, names: list[str]) -> None:
    """Takes all other utterances out of a set."""
    chosen = set(names)
    found.utterances = [utterance for utterance in found.utterances if utterance.id in chosen]
    for tables in (found.tables, found.given):
        for name, table in tables.items():
            if name != "wav.scp":
                tables[name] = {key: value for key, value in table.items() if key in chosen}
