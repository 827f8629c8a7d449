"""Folders of audio files: which there are, what their utterances are called, and Lhotse's description of them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.corpus_set import file_recording, span
from xvkd.corpora.names import SUFFIXES
from xvkd.corpora.trials import Utterance
from xvkd.errors import UserError
from xvkd.progress import Progress

if TYPE_CHECKING:
    import lhotse


def audio_files(folder: Path) -> list[Path]:
    """The audio files below a folder, by the ending of their names."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def claim(origin: dict[str, Path], name: str, path: Path) -> None:
    """Notes whose name it is; UserError if another has it, or the path cannot be written to Kaldi's tables."""
    if name in origin:
        raise UserError(f"{path} and {origin[name]} would both be called '{name}': rename one of them")
    if "\n" in str(path):
        raise UserError(f"{str(path)!r}: a line break in the name cannot be written to wav.scp: rename it")
    origin[name] = path


def describe(
    files: Iterable[tuple[Utterance, Path]], bad: BadRecordings, progress: Progress
) -> "tuple[lhotse.RecordingSet, lhotse.SupervisionSet]":
    """Lhotse manifests of files, each of which is an utterance.

    Args:
        files: utterances and their files.
        bad: those that cannot be read.
        progress: counts files.
    """
    from lhotse import RecordingSet, SupervisionSet

    recordings, supervisions = [], []
    for utterance, path in files:
        progress.update()
        try:
            recordings.append(file_recording(utterance.id, path.resolve()))
        except UserError as error:
            bad.leave_out([utterance.id], error)
            continue
        supervisions.append(span(utterance, recordings[-1]))
    return RecordingSet.from_recordings(recordings), SupervisionSet.from_segments(supervisions)
