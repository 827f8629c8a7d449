"""Folders of audio files: which there are, what their utterances are called, and Lhotse's description of them."""

import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
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

# Headers that are read at the same time: on a network file system each is a wait. And how many are asked for at a time,
# so that memory does not grow with their number.
READERS, BATCH = 8, 4096


def walk(folder: str | Path) -> Iterator[str]:
    """Every audio file below a folder, by the ending of its name, in no order; links to folders are followed."""
    folders = [str(folder)]
    while folders:
        here = folders.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                if os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                    if entry.is_file():
                        yield entry.path
                elif entry.is_dir() and not (entry.is_symlink() and _leads_above(entry.path, here)):
                    folders.append(entry.path)


def _leads_above(link: str, folder: str) -> bool:
    """Whether a link in a folder leads to a folder that this one lies in: who follows it walks in circles."""
    return f"{os.path.realpath(folder)}/".startswith(f"{os.path.realpath(link)}/")


def audio_files(folder: Path) -> list[Path]:
    """The audio files below a folder, by the ending of their names."""
    return sorted(map(Path, walk(folder)))


def claim(origin: dict[str, Path], name: str, path: Path) -> None:
    """Notes whose name it is; UserError if another has it, or the path cannot be written to Kaldi's tables."""
    if name in origin:
        raise UserError(f"{path} and {origin[name]} would both be called '{name}': rename one of them")
    if "\n" in str(path):
        raise UserError(f"{str(path)!r}: a line break in the name cannot be written to wav.scp: rename it")
    origin[name] = path


def describe(
    files: Iterable[tuple[Utterance, str | Path]], bad: BadRecordings, progress: Progress
) -> "tuple[lhotse.RecordingSet, lhotse.SupervisionSet]":
    """Lhotse manifests of files, each of which is an utterance and is opened once.

    Args:
        files: utterances and their files.
        bad: those that cannot be read.
        progress: counts files.
    """
    from lhotse import RecordingSet, SupervisionSet

    recordings, supervisions = [], []
    files = iter(files)
    with ThreadPoolExecutor(READERS) as readers:
        while batch := list(itertools.islice(files, BATCH)):
            for (utterance, _), found in zip(batch, readers.map(_recording, batch), strict=True):
                progress.update()
                if isinstance(found, UserError):
                    bad.leave_out([utterance.id], found)
                else:
                    recordings.append(found)
                    supervisions.append(span(utterance, found))
    return RecordingSet.from_recordings(recordings), SupervisionSet.from_segments(supervisions)


def _recording(file: tuple[Utterance, str | Path]) -> "lhotse.Recording | UserError":
    utterance, path = file
    try:
        return file_recording(utterance.id, os.path.abspath(path))
    except UserError as error:
        return error
