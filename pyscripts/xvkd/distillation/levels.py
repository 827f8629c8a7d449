"""Sets of levels, of one teacher or of several: their names and their embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xvkd.errors import UserError
from xvkd.kaldi.stored import MappedVectors, Vectors, join, select_vectors
from xvkd.nets.network import SEQUENCE


def parse_levels(text: str) -> list[str]:
    """Splits a set of levels, for instance ``frame+segment6``.

    Raises:
        UserError: an empty or repeated name.
    """
    levels = text.split("+")
    if not all(levels) or len(set(levels)) != len(levels):
        raise UserError(f"levels '{text}': expected different names joined by '+', such as frame+segment6")
    return levels


@dataclass(frozen=True)
class Level:
    """A level of one of the teachers.

    Attributes:
        text: as it was written.
        teacher: number of the teacher.
        name: of the level.
    """

    text: str
    teacher: int
    name: str

    @property
    def is_sequence(self) -> bool:
        """Whether it is frame by frame, and so never dumped."""
        return self.name.endswith(SEQUENCE)


def levels_of(text: str, teachers: Sequence[str]) -> list[Level]:
    """Finds the teachers of a set of levels, for instance of ``tdnn:frame+ecapa:segment6``.

    Args:
        text: a level without a teacher's name is of the first.
        teachers: their names.

    Raises:
        UserError: an empty or repeated level, or no such teacher.
    """
    levels = []
    for part in parse_levels(text):
        teacher, colon, name = part.rpartition(":")
        if colon and teacher not in filter(None, teachers):
            raise UserError(
                f"levels '{text}': no teacher '{teacher}'; give --teacher {teacher}=MODEL (there are: "
                f"{', '.join(filter(None, teachers)) or 'none'})"
            )
        levels.append(Level(part, teachers.index(teacher) if colon else 0, name))
    parse_levels("+".join(f"{level.teacher}:{level.name}" if level.name else "" for level in levels))
    return levels


def level_names(folder: str | Path) -> list[str]:
    """The levels of which a folder has embeddings: its ``<level>.scp`` files, but for parts (``x.1.scp``)."""
    stems = sorted(path.stem for path in Path(folder).glob("*.scp"))
    # What cannot be named among others, "frame4+frame segment6:mse", is no level's name.
    return [stem for stem in stems if not set(stem) & set(".+: ")]


def read_levels(folders: Sequence[str | Path], levels: Sequence[str]) -> tuple[list[str], list[Vectors]]:
    """Reads the embeddings of several levels of one teacher.

    Args:
        folders: each holds ``<level>.scp`` of a set.
        levels: names.

    Returns:
        the utterances that the first level has, set by set in its order, and for each level a float32
        (utterances, size) array in that order, which stays on disk if it is large.

    Raises:
        UserError: a level is not there, or misses utterances, or sets differ in a level's size.
    """
    names: list[str] = []
    parts: list[list[Vectors]] = [[] for _ in levels]
    for folder in map(Path, folders):
        utterances: list[str] | None = None  # of the first level, which the others follow
        for level, found in zip(levels, parts, strict=True):
            if not (folder / f"{level}.scp").exists():
                known = ", ".join(level_names(folder)) or "none; run stage 5"
                raise UserError(f"{folder}: no level '{level}' (there are: {known})")
            utterances, vectors = select_vectors(folder / f"{level}.scp", utterances)
            if found and vectors.shape[1] != found[0].shape[1]:
                raise UserError(
                    f"{folder}: level '{level}' has {vectors.shape[1]} dimensions, {found[0].shape[1]} in {folders[0]}"
                )
            found.append(vectors)
        names += utterances or []
    return names, [join(found) for found in parts]


class Embeddings:
    """The embeddings of levels of one or several teachers.

    Args:
        levels: none of them a sequence.
        folders: of each teacher, one that holds ``<level>.scp`` for each set.

    Raises:
        UserError: as :func:`read_levels`.
    """

    def __init__(self, levels: Sequence[Level], folders: Sequence[Sequence[Path]]) -> None:
        self._rows: list[dict[str, int]] = []  # of each teacher
        self._arrays: dict[Level, tuple[int, Vectors]] = {}
        for number, teacher in enumerate(sorted({level.teacher for level in levels})):
            own = [level for level in levels if level.teacher == teacher]
            names, arrays = read_levels(folders[teacher], [level.name for level in own])
            self._rows.append({name: row for row, name in enumerate(names)})
            self._arrays |= {level: (number, array) for level, array in zip(own, arrays, strict=True)}

    def __contains__(self, utterance: object) -> bool:
        """Whether all teachers have embeddings of an utterance."""
        return all(utterance in rows for rows in self._rows)

    def take(self, level: Level, utterances: Sequence[str]) -> Vectors:
        """A level of some utterances, float32 (utterances, size)."""
        number, array = self._arrays[level]
        rows = np.array([self._rows[number][utterance] for utterance in utterances], int)
        if np.array_equal(rows, np.arange(len(array))):
            return array
        return array[rows] if isinstance(array, np.ndarray) else MappedVectors(array, rows)
