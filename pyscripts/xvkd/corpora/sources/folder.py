"""A tree of real recordings, ``<speaker>/.../<file>``, split by speaker into train, dev and eval.

Files are of any format (``names.SUFFIXES``), rate and number of channels; each is an utterance. The folder
below the speaker's, if there is one, names the session. ``spk2gender`` in the root of the tree
(``<speaker> m|f`` lines) is used if it is there, so that impostors are of one gender.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xvkd.corpora.audio_files import audio_files, claim, describe
from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.names import SUFFIXES, safe, safe_speaker
from xvkd.corpora.split import SplitOptions, split_speakers
from xvkd.corpora.trials import Utterance
from xvkd.errors import UserError
from xvkd.kaldi.datadir import GENDERS
from xvkd.kaldi.tables import read_table
from xvkd.progress import Progress

if TYPE_CHECKING:
    import lhotse

_GENDERS = {**GENDERS, **{name: name for name in GENDERS.values()}}


@dataclass
class Options(SplitOptions):
    """Schema of the section ``options`` of ``conf/corpora/folder.yaml``."""

    audio: str  # the root of the tree

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        if not self.audio:
            return "which recordings? Give --audio DIR, a tree <speaker>/.../<file>"
        if not Path(self.audio).is_dir():
            return f"--audio {self.audio}: no such folder"
        return super().validate()


def manifests(
    options: Options, audio_dir: Path
) -> "dict[str, tuple[lhotse.RecordingSet, lhotse.SupervisionSet]]":
    """Lhotse manifests of train, dev and eval.

    Args:
        options: the tree and the split.
        audio_dir: not used: the recordings stay where they are.

    Raises:
        UserError: a file that is not audio, names that cannot be told apart, or too few speakers.
    """
    speakers = _scan(Path(options.audio), options.min_utterances)
    genders = _genders(Path(options.audio), set(speakers))
    progress = Progress(sum(len(files) for files in speakers.values()), "files")
    bad = BadRecordings(options.max_bad_utts)
    found = {}
    for name, members in split_speakers(speakers, options, options.audio).items():
        files = (
            (Utterance(utterance, speaker, session, genders.get(speaker, "")), path)
            for speaker in members for utterance, session, path in speakers[speaker]
        )  # fmt: skip
        found[name] = describe(files, bad, progress)
    bad.report(options.audio)
    return found


def _scan(root: Path, min_utterances: int) -> dict[str, list[tuple[str, str, Path]]]:
    """Speaker -> sorted (utterance, session, path)."""
    speakers: dict[str, list[tuple[str, str, Path]]] = {}
    origin: dict[str, Path] = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        speaker = safe_speaker(folder.name)
        claim(origin, speaker, folder)
        entries = []
        for path in audio_files(folder):
            below = path.relative_to(folder).with_suffix("")
            utterance = f"{speaker}-" + safe("-".join(below.parts))
            claim(origin, utterance, path)
            session = f"{speaker}-{below.parts[0]}" if len(below.parts) > 1 else ""
            entries.append((utterance, session, path))
        if len(entries) >= min_utterances:
            speakers[speaker] = sorted(entries)
        else:
            logging.warning("%s: left out: %d recordings, fewer than min_utterances", folder, len(entries))
    if not speakers:
        raise UserError(
            f"{root}: no speaker with {min_utterances} recordings or more; expected <speaker>/.../<file> with "
            f"files {', '.join(sorted(SUFFIXES))}"
        )
    return speakers


def _genders(root: Path, speakers: set[str]) -> dict[str, str]:
    path = root / "spk2gender"
    if not path.exists():
        return {}
    table = {safe_speaker(name): gender for name, gender in read_table(path).items()}
    for speaker in sorted(speakers - table.keys()):
        raise UserError(f"{path}: speaker '{speaker}' is missing")
    for speaker, gender in table.items():
        if gender.lower() not in _GENDERS:
            raise UserError(f"{path}: speaker '{speaker}': gender '{gender}' (expected m or f)")
    return {speaker: _GENDERS[gender.lower()] for speaker, gender in table.items()}
