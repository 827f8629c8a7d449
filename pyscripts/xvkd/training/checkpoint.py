"""Training checkpoints: everything that a run needs to go on as if nothing had happened."""

import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xvkd.errors import UserError


def fingerprint(*values: Any) -> str:
    """A digest of configuration and data: a checkpoint of another fingerprint is not resumed."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def checksum(array: np.ndarray) -> int:
    """CRC-32 of an array's bytes, for :func:`fingerprint`; next to nothing beside the reading of it."""
    return zlib.crc32(np.ascontiguousarray(array))


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint, under its name only when whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load(path: Path) -> dict[str, Any] | None:
    """Reads a checkpoint (tensors and plain values only), or None if there is none."""
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler and zip reader do
        raise UserError(f"{path}: not a checkpoint ({error}); remove it to train from the beginning") from None
