"""What a finished model's ``config.yaml`` recorded, read without building the network."""

from pathlib import Path
from typing import Any

import yaml

from xvkd.errors import UserError

ONNX = "onnx"  # what ``build.package`` is for a network that is an ONNX file


def read_record(folder: str | Path, network: bool = True) -> dict[str, Any]:
    """Reads the record of a finished model.

    Args:
        folder: the model's.
        network: without a network it is not finished. (Of a teacher from elsewhere there may be embeddings only.)

    Raises:
        UserError: the folder holds no finished model, or its config.yaml is damaged.
    """
    folder = Path(folder)
    if not (folder / "config.yaml").exists():
        raise UserError(f"{folder}: no finished model (config.yaml is missing)")
    try:
        record = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{folder / 'config.yaml'}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(record, dict):
        raise UserError(f"{folder / 'config.yaml'}: expected 'key: value' lines")
    if network and not (folder / network_file(record)).exists():
        raise UserError(f"{folder}: no finished model ({network_file(record)} is missing)")
    return record


def network_file(record: dict[str, Any]) -> str:
    """The file beside ``config.yaml`` that holds the network."""
    build = record.get("build")
    return "model.onnx" if isinstance(build, dict) and build.get("package") == ONNX else "model.safetensors"
