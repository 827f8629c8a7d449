"""Reads somebody else's Kaldi data directory, with the checks of Kaldi's validate_data_dir.sh."""

import logging
from collections.abc import Iterable
from pathlib import Path

from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.corpus_set import CorpusSet, Tables
from xvkd.corpora.kaldi_recordings import add_recordings
from xvkd.corpora.paths import absolute_script
from xvkd.corpora.trials import Utterance
from xvkd.errors import UserError
from xvkd.kaldi.datadir import GENDERS, check_tables
from xvkd.kaldi.tables import numbers, read_table

_TABLES = (
    "wav.scp", "segments", "feats.scp", "vad.scp", "utt2spk", "spk2utt", "spk2gender", "utt2dur", "utt2session",
    "utt2snr",
)  # fmt: skip


def is_kaldi(path: Path) -> bool:
    """Whether a folder is a Kaldi data directory."""
    return (path / "utt2spk").exists() or (path / "spk2utt").exists()


def has_tables(path: Path) -> bool:
    """Whether a folder is at least a Kaldi data directory without speakers."""
    return is_kaldi(path) or (path / "wav.scp").exists() or (path / "feats.scp").exists()


def read_kaldi(folder: Path, bad: BadRecordings) -> CorpusSet:
    """Reads a data directory with ``wav.scp`` or ``feats.scp`` or both.

    Args:
        folder: with utt2spk or spk2utt (without, each utterance is its own speaker); segments, vad.scp, spk2gender,
            utt2dur, utt2session and utt2snr (dB) count if they are there. (Trial lists are left to the source.)
        bad: utterances whose recordings cannot be used.

    Returns:
        the set, all paths of it absolute. What was not sorted is.

    Raises:
        UserError: tables that do not agree with each other, ids that Kaldi cannot take, missing files.
    """
    tables = _read_tables(folder)
    main = "segments" if "segments" in tables else "wav.scp" if "wav.scp" in tables else "feats.scp"
    utt2spk = _speakers(folder, tables) or {utterance: utterance for utterance in tables[main]}
    given = {name: tables.pop(name) for name in ("feats.scp", "vad.scp") if name in tables}
    for name, table in {**tables, **given}.items():
        if name in (main, "utt2dur") or name in given:
            _same_utterances(folder, utt2spk, name, table)
    for name in tables.keys() & {"utt2dur", "utt2snr"}:
        numbers(folder / name, tables[name])
    check_tables(str(folder), {"utt2spk": utt2spk})
    genders = _genders(folder, tables.pop("spk2gender", None), set(utt2spk.values()))
    sessions = tables.pop("utt2session", {})
    utterances = [
        Utterance(name, speaker, sessions.get(name, ""), genders.get(speaker, ""))
        for name, speaker in sorted(utt2spk.items())
    ]
    if "utt2snr" in tables:
        tables["utt2snr"] = {name: snr for name, snr in tables["utt2snr"].items() if name in utt2spk}
    found = CorpusSet(utterances, tables)
    found.given = {name: absolute_script(folder / name, table) for name, table in given.items()}
    if "wav.scp" in tables:
        try:
            add_recordings(folder, found, BadRecordings(0) if "feats.scp" in given else bad)
        except UserError as error:
            if "feats.scp" not in given:
                raise
            logging.warning("%s: feats.scp is used without the recordings, for these cannot be used: %s", folder, error)
            found.tables = {name: table for name, table in tables.items() if name not in ("wav.scp", "segments")}
    return found


def _read_tables(folder: Path) -> Tables:
    """The tables that there are; says once what is not as Kaldi wants it and does no harm."""
    tables, unsorted, windows = {}, [], []
    for name in _TABLES:
        path = folder / name
        if not path.exists():
            continue
        tables[name] = read_table(path)
        if not tables[name]:
            raise UserError(f"{path}: is empty; fill it, or remove it if it is not needed")
        if list(tables[name]) != sorted(tables[name]):
            unsorted.append(name)
        with path.open("rb") as file:
            if file.readline().endswith(b"\r\n"):
                windows.append(name)
    if unsorted:
        logging.warning("%s: not in the order of LC_ALL=C sort: %s; sorted in our copy", folder, ", ".join(unsorted))
    if windows:
        logging.warning("%s: Windows line ends in %s; not in our copy", folder, ", ".join(windows))
    if "wav.scp" not in tables and "feats.scp" not in tables:
        raise UserError(f"{folder}: neither wav.scp nor feats.scp is there; one of them is needed")
    if "segments" in tables and "wav.scp" not in tables:
        # With features alone there is nothing to cut.
        del tables["segments"]
    return tables


def _speakers(folder: Path, tables: Tables) -> dict[str, str]:
    """utt2spk: the file, or what spk2utt says."""
    from_speakers: dict[str, str] = {}
    for speaker, utterances in tables.pop("spk2utt", {}).items():
        for utterance in utterances.split():
            if utterance in from_speakers:
                raise UserError(f"{folder / 'spk2utt'}: '{utterance}' stands twice: remove it from one of its places")
            from_speakers[utterance] = speaker
    utt2spk = tables.pop("utt2spk", from_speakers)
    if from_speakers and from_speakers != utt2spk:
        name = sorted(from_speakers.items() ^ utt2spk.items())[0][0]
        raise UserError(
            f"{folder}: utt2spk and spk2utt do not agree on '{name}': remove the one that is wrong, it is made from "
            "the other"
        )
    return utt2spk


def _same_utterances(folder: Path, utt2spk: dict[str, str], name: str, table: Iterable[str]) -> None:
    for first, second, absent in (
        (table, utt2spk, "utt2spk, so that it has no speaker"), (utt2spk, table, name)
    ):  # fmt: skip
        missing = [utterance for utterance in first if utterance not in second]
        if missing:
            more = f" (the first of {len(missing)})" if len(missing) > 1 else ""
            here = name if second is utt2spk else "utt2spk"
            raise UserError(
                f"{folder / here}: utterance '{missing[0]}'{more} does not stand in {absent}: add it there, or remove "
                "it everywhere (Kaldi's utils/fix_data_dir.sh does)"
            )


def _genders(folder: Path, table: dict[str, str] | None, speakers: set[str]) -> dict[str, str]:
    if table is None:
        return {}
    for speaker in sorted(speakers - table.keys()):
        raise UserError(f"{folder / 'spk2gender'}: speaker '{speaker}' is missing: add it, or remove the file")
    for speaker, gender in table.items():
        if gender not in GENDERS:
            raise UserError(f"{folder / 'spk2gender'}: speaker '{speaker}': gender '{gender}' (expected m or f)")
    return {speaker: GENDERS[table[speaker]] for speaker in speakers}
