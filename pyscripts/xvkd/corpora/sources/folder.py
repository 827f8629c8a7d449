"""A tree of real recordings, ``<speaker>/.../<file>``, split by speaker into train, dev and eval.

Files are wav, flac, ogg, opus or mp3, of any rate and number of channels; each is an utterance. The folder
below the speaker's, if there is one, names the session. ``spk2gender`` in the root of the tree
(``<speaker> m|f`` lines) is used if it is there, so that impostors are of one gender.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xvkd.config import limits
from xvkd.errors import UserError
from xvkd.features.audio import duration
from xvkd.kaldi.tables import read_table
from xvkd.progress import Progress

if TYPE_CHECKING:
    import lhotse

SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3"}
_GENDERS = {"f": "female", "female": "female", "m": "male", "male": "male"}


@dataclass
class Options:
    """Schema of the section ``options`` of ``conf/corpora/folder.yaml``."""

    audio: str  # the root of the tree
    dev_share: float = limits(0.0, 1.0)  # of the speakers
    eval_share: float = limits(0.0, 1.0)  # of the speakers
    min_utterances: int = limits(1)  # speakers with fewer are left out
    seed: int = limits(0)  # of the split

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        if not self.audio:
            return "which recordings? Give --audio DIR, a tree <speaker>/.../<file>"
        if not Path(self.audio).is_dir():
            return f"--audio {self.audio}: no such folder"
        if self.dev_share + self.eval_share >= 1:
            return "dev_share and eval_share leave no speaker for training"
        return None


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
    from lhotse import RecordingSet, SupervisionSet

    speakers = _scan(Path(options.audio), options.min_utterances)
    genders = _genders(Path(options.audio), set(speakers))
    progress = Progress(sum(len(files) for files in speakers.values()), "files")
    found = {}
    for name, members in _split(list(speakers), options).items():
        recordings, supervisions = [], []
        for speaker in members:
            for utterance, session, path in speakers[speaker]:
                recording, supervision = _entry(utterance, speaker, session, genders.get(speaker), path)
                recordings.append(recording)
                supervisions.append(supervision)
                progress.update()
        found[name] = RecordingSet.from_recordings(recordings), SupervisionSet.from_segments(supervisions)
    return found


def _scan(root: Path, min_utterances: int) -> dict[str, list[tuple[str, str, Path]]]:
    """Speaker -> sorted (utterance, session, path)."""
    speakers: dict[str, list[tuple[str, str, Path]]] = {}
    origin: dict[str, Path] = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        # A hyphen ends the speaker's part of an utterance id, so none may stand within it.
        speaker = _safe(folder.name).replace("-", "_")
        _claim(origin, speaker, folder)
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        entries = []
        for path in files:
            below = path.relative_to(folder).with_suffix("")
            utterance = f"{speaker}-" + _safe("-".join(below.parts))
            _claim(origin, utterance, path)
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


def _safe(name: str) -> str:
    """A name without what Kaldi's tables or a shell could take amiss."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def _claim(origin: dict[str, Path], name: str, path: Path) -> None:
    if name in origin:
        raise UserError(f"{path} and {origin[name]} would both be called '{name}': rename one of them")
    if "\n" in str(path):
        raise UserError(f"{str(path)!r}: a line break in the name cannot be written to wav.scp: rename it")
    origin[name] = path


def _genders(root: Path, speakers: set[str]) -> dict[str, str]:
    path = root / "spk2gender"
    if not path.exists():
        return {}
    table = {_safe(name).replace("-", "_"): gender for name, gender in read_table(path).items()}
    for speaker in sorted(speakers - table.keys()):
        raise UserError(f"{path}: speaker '{speaker}' is missing")
    for speaker, gender in table.items():
        if gender.lower() not in _GENDERS:
            raise UserError(f"{path}: speaker '{speaker}': gender '{gender}' (expected m or f)")
    return {speaker: _GENDERS[gender.lower()] for speaker, gender in table.items()}


def _split(speakers: list[str], options: Options) -> dict[str, list[str]]:
    """Train, dev and eval have different speakers, at least two each."""
    order = np.random.default_rng(options.seed).permutation(sorted(speakers))
    num_eval = round(options.eval_share * len(order))
    num_dev = round(options.dev_share * len(order))
    split = {
        "train": order[num_eval + num_dev :],
        "dev": order[num_eval : num_eval + num_dev],
        "eval": order[:num_eval],
    }
    for name, members in split.items():
        if len(members) < 2:
            raise UserError(
                f"{options.audio}: {len(order)} speakers leave {len(members)} for {name}; at least 2 are needed "
                "(more speakers, or another dev_share and eval_share in conf/corpora/folder.yaml)"
            )
    return {name: sorted(str(member) for member in members) for name, members in split.items()}


def _entry(
    utterance: str, speaker: str, session: str, gender: str | None, path: Path
) -> "tuple[lhotse.Recording, lhotse.SupervisionSegment]":
    from lhotse import AudioSource, Recording, SupervisionSegment

    seconds, rate, channels = duration(path)
    source = AudioSource(type="file", channels=list(range(channels)), source=str(path.resolve()))
    recording = Recording(
        id=utterance, sources=[source], sampling_rate=rate, num_samples=round(seconds * rate), duration=seconds
    )
    supervision = SupervisionSegment(
        id=utterance, recording_id=utterance, start=0.0, duration=seconds, channel=list(range(channels)),
        speaker=speaker, gender=gender, custom={"session": session} if session else {},
    )
    return recording, supervision
