"""Sets of levels: their names and their embeddings."""

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


def read_levels(folder: str | Path, levels: list[str]) -> tuple[list[str], list[np.ndarray]]:
    """Reads the embeddings of several levels.

    Args:
        folder: holds ``<level>.scp``.
        levels: names.

    Returns:
        the utterances that the first level has, in its order, and for each level a float32
        (utterances, size) array in that order.

    Raises:
        UserError: a level is not there, or misses utterances.
    """
    folder = Path(folder)
    for level in levels:
        if not (folder / f"{level}.scp").exists():
            known = ", ".join(level_names(folder)) or "none; run stage 5"
            raise UserError(f"{folder}: no level '{level}' (there are: {known})")
    utterances, first = read_vectors(folder / f"{levels[0]}.scp")
    return utterances, [first] + [read_vectors(folder / f"{level}.scp", utterances)[1] for level in levels[1:]]
