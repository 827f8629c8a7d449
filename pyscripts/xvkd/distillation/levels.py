"""Sets of levels: their names and their embeddings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xvkd.errors import UserError
from xvkd.kaldi.archives import read_vectors


def parse_levels(text: str) -> list[str]:
    """Splits a set of levels, for instance ``frame+segment6``.

    Raises:
        UserError: an empty or repeated name.
    """
    levels = text.split("+")
    if not all(levels) or len(set(levels)) != len(levels):
        raise UserError(f"levels '{text}': expected different names joined by '+', such as frame+segment6")
    return levels


def level_names(folder: str | Path) -> list[str]:
    """The levels of which a folder has embeddings: its ``<level>.scp`` files, but for parts (``x.1.scp``)."""
    stems = sorted(path.stem for path in Path(folder).glob("*.scp"))
    # What cannot be named among others, "frame4+frame segment6:mse", is no level's name.
    return [stem for stem in stems if not set(stem) & set(".+: ")]


def read_levels(folders: Sequence[str | Path], levels: list[str]) -> tuple[list[str], list[np.ndarray]]:
    """Reads the embeddings of several levels.

    Args:
        folders: each holds ``<level>.scp`` of a set.
        levels: names.

    Returns:
        the utterances that the first level has, set by set in its order, and for each level a float32
        (utterances, size) array in that order.

    Raises:
        UserError: a level is not there, or misses utterances, or sets differ in a level's size.
    """
    names: list[str] = []
    parts: list[list[np.ndarray]] = [[] for _ in levels]
    for folder in map(Path, folders):
        utterances: list[str] | None = None  # of the first level, which the others follow
        for level, found in zip(levels, parts, strict=True):
            if not (folder / f"{level}.scp").exists():
                known = ", ".join(level_names(folder)) or "none; run stage 5"
                raise UserError(f"{folder}: no level '{level}' (there are: {known})")
            utterances, vectors = read_vectors(folder / f"{level}.scp", utterances)
            if found and vectors.shape[1] != found[0].shape[1]:
                raise UserError(
                    f"{folder}: level '{level}' has {vectors.shape[1]} dimensions, {found[0].shape[1]} in {folders[0]}"
                )
            found.append(vectors)
        names += utterances or []
    return names, [np.concatenate(found) for found in parts]
