"""What a student needs to know of its teacher."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.nets.record import read_record


@dataclass(frozen=True)
class Teacher:
    """A teacher's sizes, as its ``config.yaml`` tells them.

    Attributes:
        parameters: of the whole network, or None: it is not known of a teacher that gave its embeddings only.
        levels: level -> its size.
        needed: level -> parameters of the layers that it needs, or None.
    """

    parameters: int | None
    levels: dict[str, int]
    needed: dict[str, int | None]

    @classmethod
    def read(cls, folder: str | Path) -> "Teacher":
        """Reads a teacher's folder; UserError if it holds no teacher."""
        record = read_record(folder, network=False)
        try:
            levels = record["levels"]
            return cls(
                record["parameters"], {level: int(about["size"]) for level, about in levels.items()},
                {level: about["parameters"] for level, about in levels.items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{folder}: config.yaml is not what a teacher leaves there ({error}); repeat stage 4 with --force"
            ) from None

    def label_size(self) -> int:
        """The size of a student of labels: that of the first segment layer, or of the smallest level."""
        segments = [size for level, size in self.levels.items() if level.startswith("segment")]
        return segments[0] if segments else min(self.levels.values())

    def parameters_for(self, levels: list[str]) -> int | None:
        """Parameters of the layers that some levels need, or None where that is not known."""
        needed = [self.needed.get(level) for level in levels]
        return None if None in needed else max(needed)


def describe_given(folder: str | Path, levels: dict[str, int], source: str) -> None:
    """Writes the ``config.yaml`` of a teacher of which there are embeddings only.

    Args:
        folder: the teacher's.
        levels: level -> its size.
        source: where the embeddings come from.
    """
    record: dict[str, Any] = {
        "role": "teacher", "loss": "given", "seed": 0, "parameters": None,
        "levels": {level: {"size": size, "parameters": None} for level, size in levels.items()},
        "embeddings": source,
    }  # fmt: skip
    with atomic_write(Path(folder) / "config.yaml") as file:
        yaml.safe_dump(record, file, sort_keys=False)
