"""What a finished model's ``config.yaml`` recorded, read without building the network."""

from pathlib import Path
from typing import Any

import yaml

from xvkd.errors import UserError


def read_record(folder: str | Path, network: bool = True) -> dict[str, Any]:
    """Reads the record of a finished model.

    Args:
        folder: the model's.
        network: without a network it is not finished. (Of a teacher from elsewhere there may be embeddings only.)

    Raises:
        UserError: the folder holds no finished model, or its config.yaml is damaged.
    """
    folder = Path(folder)
    for name in ("config.yaml", "model.safetensors") if network else ("config.yaml",):
        if not (folder / name).exists():
            raise UserError(f"{folder}: no finished model ({name} is missing)")
    try:
        record = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{folder / 'config.yaml'}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(record, dict):
        raise UserError(f"{folder / 'config.yaml'}: expected 'key: value' lines")
    return record
