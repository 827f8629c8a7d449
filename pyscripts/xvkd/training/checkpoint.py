"""Training checkpoints: everything that a run needs to go on as if nothing had happened.

``checkpoints/last.pt`` is the newest, ``previous.pt`` the one before it. Both are torch archives of tensors and
plain values; nothing in them is ever run.
"""

import hashlib
import io
import json
import logging
import os
import pickle
import random
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xvkd.blocks import blocks
from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write, remove_half_written
from xvkd.kaldi.stored import Vectors

LAST, PREVIOUS = "last.pt", "previous.pt"
# Raised when a checkpoint's content changes, so that none of another version is resumed.
_VERSION = 3


def fingerprint(*values: Any) -> str:
    """A digest of configuration and data: a checkpoint of another fingerprint is not resumed."""
    return hashlib.sha256(json.dumps([_VERSION, *values], sort_keys=True, default=str).encode()).hexdigest()


def checksum(array: Vectors) -> int:
    """CRC-32 of an array's bytes, for :func:`fingerprint`; next to nothing beside the reading of it."""
    if isinstance(array, np.ndarray):
        return zlib.crc32(np.ascontiguousarray(array))
    found = 0
    for block in blocks(len(array)):
        found = zlib.crc32(np.ascontiguousarray(array[block]), found)
    return found


def save(folder: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint, under its name only when whole, and keeps the one before it."""
    last = folder / LAST
    # Through memory: torch's own writer would hide why a file cannot be written.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with atomic_write(last, "wb") as file:
        file.write(buffer.getbuffer())
        if last.exists():
            os.replace(last, folder / PREVIOUS)


def read(path: Path) -> dict[str, Any]:
    """Reads one checkpoint; whatever code a file may bring is refused, not run.

    Raises:
        UserError: it is damaged, or no checkpoint.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # Torch itself does not look at the checksums.
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not {"fingerprint", "task"} <= state.keys():
            raise ValueError("it holds something else")
    except (OSError, MemoryError):
        raise
    except Exception as error:  # torch raises whatever its unpickler and zip reader do
        reason = str(error).partition("\n")[0] or type(error).__name__
        if isinstance(error, pickle.UnpicklingError):
            reason = "it holds other than tensors and plain values"
        raise UserError(f"{path}: damaged, or not a checkpoint ({reason})") from None
    return state


def newest(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that can be read, or None if there is none.

    A damaged one must not end a night's run: it is told, put aside as ``*.damaged``, and the one before it is
    taken. Whichever is taken, training comes to the same end. What was left half written is removed.
    """
    remove_half_written(folder / LAST)
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            return read(path)
        except UserError as error:
            aside = path.with_suffix(".damaged")
            os.replace(path, aside)
            logging.warning("%s: kept as %s; training goes on from what was saved before it", error, aside.name)
    return None


def random_states() -> dict[str, Any]:
    """The states of all generators that a task may draw from."""
    kind, keys, *rest = np.random.get_state()
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Puts the generators where :func:`random_states` found them."""
    kind, keys, *rest = states["numpy"]
    random.setstate(states["python"])
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
