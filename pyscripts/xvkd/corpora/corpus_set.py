"""A set of a corpus, such as train or eval, and how Lhotse's manifests and Kaldi's tables describe it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from xvkd.corpora.trials import TrialList, Utterance
from xvkd.features import decoding
from xvkd.features.audio import duration

if TYPE_CHECKING:
    import lhotse

Tables = dict[str, dict[str, str]]


@dataclass
class CorpusSet:
    """One set.

    Attributes:
        utterances: of the set.
        tables: Kaldi's tables, by name: wav.scp and segments where there is audio, utt2dur where it is known, ...
        manifests: recordings and supervisions, where there is audio that Lhotse can describe.
        given: feats.scp and vad.scp that came with the corpus, with absolute paths.
        trial_lists: what follows "trials" in the name of the list, such as "" or "_multi", to the list; empty:
            they are to be made from the speakers.
        needs_trials: it is an error if none can be made.
    """

    utterances: list[Utterance]
    tables: Tables
    manifests: "tuple[lhotse.RecordingSet, lhotse.SupervisionSet] | None" = None
    given: Tables = field(default_factory=dict)
    trial_lists: dict[str, TrialList] = field(default_factory=dict)
    needs_trials: bool = True


def file_recording(name: str, path: str | Path) -> "lhotse.Recording":
    """Describes an audio file.

    Raises:
        UserError: it is missing, truncated, empty or not audio, or nothing here decodes it.
    """
    from lhotse import AudioSource, Recording

    if decoding.is_encoded(path):
        decoding.require_decoder(path)
    seconds, rate, channels = duration(path)
    source = AudioSource(type="file", channels=list(range(channels)), source=str(path))
    return Recording(
        id=name, sources=[source], sampling_rate=rate, num_samples=round(seconds * rate), duration=seconds
    )


def span(
    utterance: Utterance, recording: "lhotse.Recording", start: float = 0.0, seconds: float | None = None,
    channels: list[int] | None = None, text: str | None = None,
) -> "lhotse.SupervisionSegment":
    """Describes an utterance, a part of a recording; None: all of it, and all its channels."""
    from lhotse import SupervisionSegment

    return SupervisionSegment(
        id=utterance.id, recording_id=recording.id, start=start, speaker=utterance.speaker, text=text,
        duration=recording.duration - start if seconds is None else seconds,
        channel=recording.channel_ids if channels is None else channels, gender=utterance.gender or None,
        custom={"session": utterance.session} if utterance.session else {},
    )


def from_manifests(recordings: "Iterable[lhotse.Recording]", supervisions: "Iterable[lhotse.SupervisionSegment]"
                   ) -> CorpusSet:
    """A set from Lhotse's description; each recording has one source, each supervision is an utterance.

    Where every utterance is a whole recording, wav.scp has a line for each of them. Otherwise it has the
    recordings, and ``segments`` the utterances: ``utterance recording start end``, and the channel where a
    recording has several and the utterance is of one of them (as for Kaldi's extract-segments).
    """
    from lhotse import RecordingSet, SupervisionSet

    recordings, supervisions = RecordingSet.from_recordings(recordings), SupervisionSet.from_segments(supervisions)
    by_id = {recording.id: recording for recording in recordings}
    wavs = {name: _rxfilename(recording) for name, recording in by_id.items()}
    utterances = [
        Utterance(s.id, s.speaker, (s.custom or {}).get("session", ""), s.gender or "") for s in supervisions
    ]
    if all(_is_whole(s, by_id[s.recording_id]) for s in supervisions):
        tables = {"wav.scp": {s.id: wavs[s.recording_id] for s in supervisions}}
    else:
        tables = {"wav.scp": wavs, "segments": {s.id: _segment(s, by_id[s.recording_id]) for s in supervisions}}
    tables["utt2dur"] = {s.id: f"{s.duration:.4f}" for s in supervisions}
    tables["utt2snr"] = {s.id: f"{s.custom['snr_db']:.2f}" for s in supervisions if "snr_db" in (s.custom or {})}
    tables["text"] = {s.id: " ".join(s.text.split()) for s in supervisions if s.text}
    return CorpusSet(utterances, {name: table for name, table in tables.items() if table}, (recordings, supervisions))


def _rxfilename(recording: "lhotse.Recording") -> str:
    source = recording.sources[0]
    return f"{source.source} |" if source.type == "command" else source.source


def _is_whole(supervision: "lhotse.SupervisionSegment", recording: "lhotse.Recording") -> bool:
    apart = max(abs(supervision.start), abs(supervision.duration - recording.duration))
    return apart * recording.sampling_rate < 1 and set(_channels(supervision)) == set(recording.channel_ids)


def _channels(supervision: "lhotse.SupervisionSegment") -> list[int]:
    return supervision.channel if isinstance(supervision.channel, list) else [supervision.channel]


def _segment(supervision: "lhotse.SupervisionSegment", recording: "lhotse.Recording") -> str:
    line = f"{recording.id} {supervision.start:.5f} {supervision.end:.5f}"
    channels = _channels(supervision)
    return line if set(channels) == set(recording.channel_ids) else f"{line} {channels[0]}"
