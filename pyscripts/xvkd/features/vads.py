"""The kinds of voice activity detection, by the ``kind`` that their YAML files name."""

from pathlib import Path

from xvkd import config
from xvkd.errors import UserError
from xvkd.features.vad import VadConfig
from xvkd.features.vad_hmm import VadHmmConfig

SCHEMAS = {"energy": VadConfig, "hmm": VadHmmConfig}


def vad_schema(path: str | Path) -> type[VadConfig] | type[VadHmmConfig]:
    """The schema of a file ``conf/features/vad*.yaml``."""
    kind = config.read_tree(path).get("kind")
    if kind not in SCHEMAS:
        raise UserError(f"{path}: kind: '{kind}' is no kind of VAD (there are: {', '.join(SCHEMAS)})")
    return SCHEMAS[kind]


def load_vad(path: str | Path) -> VadConfig | VadHmmConfig:
    """Reads ``conf/features/vad*.yaml``."""
    return config.load(vad_schema(path), path)
