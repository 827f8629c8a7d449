"""Kaldi data directories."""

import re
from collections.abc import Mapping
from pathlib import Path

from xvkd.errors import UserError
from xvkd.kaldi.tables import invert, read_table, write_table

_ID = re.compile(r"[^\s]+")
# What the letters of spk2gender mean.
GENDERS = {"f": "female", "m": "male"}
# Tables that may have some of the utterances only.
_PARTIAL = {"text", "utt2session", "utt2snr"}


class DataDir:
    """A Kaldi data directory; its tables are read when first asked for.

    Args:
        path: the folder with ``utt2spk`` and ``wav.scp``, and what later stages add.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise UserError(f"{path}: no such data directory; run stage 1 first")

    def table(self, name: str) -> dict[str, str]:
        """One of its tables, for instance ``utt2spk``."""
        return read_table(self.path / name)

    def table_if_any(self, name: str) -> dict[str, str]:
        """A table that need not be there; empty if it is not."""
        return self.table(name) if (self.path / name).exists() else {}

    def speakers(self) -> dict[str, str]:
        """Utterance id to speaker id, sorted by utterance."""
        return dict(sorted(self.table("utt2spk").items()))

    def bad_utterances(self) -> set[str]:
        """Utterances that stage 3 could make no features of, or in which it found no voiced frame (``bad_utts*``)."""
        return {line for path in self.path.glob("bad_utts*") for line in path.read_text(encoding="utf-8").split()}

    def trial_lists(self) -> dict[str, tuple[Path, Path | None]]:
        """The trial lists of the set: name to (trials, enrolment map or None).

        ``trials`` is the list named as the set, ``trials_X`` the list ``<set>_X``; where models are enrolled
        from several utterances, ``enrol`` or ``enrol_X`` lies beside it.
        """
        lists: dict[str, tuple[Path, Path | None]] = {}
        for path in sorted(self.path.glob("trials*")):
            suffix = path.name.removeprefix("trials")
            if suffix and not suffix.startswith("_"):
                continue
            enrol = self.path / f"enrol{suffix}"
            lists[self.path.name + suffix] = (path, enrol if enrol.exists() else None)
        return lists


def write_data_dir(path: str | Path, tables: Mapping[str, Mapping[str, str]]) -> None:
    """Writes a data directory from its tables and checks it.

    Args:
        path: the folder, made if it is not there.
        tables: name to table; needs ``utt2spk``. ``spk2utt`` is made from it.

    Raises:
        UserError: tables that do not agree with each other, or ids that Kaldi cannot take.
    """
    path = Path(path)
    utt2spk = tables["utt2spk"]
    check_tables(str(path), tables)
    path.mkdir(parents=True, exist_ok=True)
    for name, table in {**tables, "spk2utt": invert(utt2spk)}.items():
        write_table(path / name, table)


def check_tables(where: str, tables: Mapping[str, Mapping[str, str]]) -> None:
    """What Kaldi's validate_data_dir.sh asks of a data directory.

    Args:
        where: the directory, for messages.
        tables: name to table; needs ``utt2spk``.

    Raises:
        UserError: ids that Kaldi cannot take or that sort in two ways, or tables that do not agree.
    """
    utt2spk = tables["utt2spk"]
    if not utt2spk:
        raise UserError(f"{where}: no utterances")
    for utt, speaker in utt2spk.items():
        if not _ID.fullmatch(utt) or not _ID.fullmatch(speaker):
            raise UserError(f"{where}: the ids '{utt}' and '{speaker}' must not contain white space: rename them")
        if not utt.startswith(speaker):
            raise UserError(
                f"{where}: the id of utterance '{utt}' must begin with its speaker '{speaker}': rename it to "
                f"'{speaker}-{utt}' everywhere"
            )
    by_speaker = sorted(utt2spk, key=lambda utt: (utt2spk[utt], utt))
    for a, b in zip(by_speaker, sorted(utt2spk), strict=True):
        if a != b:
            raise UserError(
                f"{where}: '{a}' and '{b}': sorting by utterance and sorting by speaker disagree; give the "
                "speakers ids that do not begin with one another, or of one length"
            )
    segments = tables.get("segments")
    for name, table in tables.items():
        for key, value in table.items():
            if "\n" in value:
                raise UserError(f"{where}: {name}: '{key}': a line break in {value!r}: rename the file or folder")
        if name.startswith("spk2"):
            continue
        expected = utt2spk.keys()
        if segments is not None and name == "wav.scp":
            expected = {segment.split()[0] for segment in segments.values()}
        for key in sorted(table.keys() - expected if name in _PARTIAL else table.keys() ^ expected):
            first = "segments" if name == "wav.scp" and segments is not None else "utt2spk"
            raise UserError(f"{where}: '{key}' stands in only one of {first} and {name}")
