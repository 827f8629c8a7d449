"""Training checkpoints: everything that a run needs to go on as if nothing had happened."""

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write


def fingerprint(*values: Any) -> str:
    """A digest of configuration and data: a checkpoint of another fingerprint is not resumed."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def checksum(array: np.ndarray) -> int:
    """CRC-32 of an array's bytes, for :func:`fingerprint`; next to nothing beside the reading of it."""
    return zlib.crc32(np.ascontiguousarray(array))


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint, under its name only when whole."""
    with atomic_write(path, "wb") as file:
        torch.save(state, file)


def load(path: Path) -> dict[str, Any] | None:
    """Reads a checkpoint (tensors and plain values only), or None if there is none."""
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler and zip reader do
        raise UserError(f"{path}: not a checkpoint ({error}); remove it to train from the beginning") from None
