"""What a student needs to know of its teachers."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.nets.models import load_model
from xvkd.nets.network import XvectorNetwork, plain_level
from xvkd.nets.onnx_network import OnnxNetwork
from xvkd.nets.record import read_record
from xvkd.training.checkpoint import checksum


@dataclass(frozen=True)
class Teacher:
    """A teacher's sizes, as its ``config.yaml`` tells them.

    Attributes:
        folder: where it is.
        name: by which levels name it; empty if it has none.
        parameters: of the whole network, or None: it is not known of a teacher that gave its embeddings only.
        levels: level -> its size.
        needed: level -> parameters of the layers that it needs, or None.
    """

    folder: Path
    name: str
    parameters: int | None
    levels: dict[str, int]
    needed: dict[str, int | None]

    @classmethod
    def read(cls, folder: str | Path, name: str = "") -> "Teacher":
        """Reads a teacher's folder; UserError if it holds no teacher."""
        record = read_record(folder, network=False)
        try:
            levels = record["levels"]
            return cls(
                Path(folder), name, record["parameters"],
                {level: int(about["size"]) for level, about in levels.items()},
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
        needed = [self.needed.get(plain_level(level)) for level in levels]
        return None if None in needed or not needed else max(needed)

    def network(self, student: dict[str, Any]) -> XvectorNetwork | OnnxNetwork:
        """Its network, in evaluation mode, to be run on what a student reads.

        Args:
            student: sections ``features`` and ``input`` of the student's config.yaml.

        Raises:
            UserError: only its embeddings are there, or it reads something else than the student.
        """
        if "build" not in read_record(self.folder, network=False):
            raise UserError(
                f"{self.folder}: has embeddings only, and no network that could be run (source: loop); choose a loss "
                "with source: dumped"
            )
        network, record = load_model(self.folder)
        for section, values in student.items():
            for key, here in values.items():
                there = record[section].get(key)
                if there != here:
                    raise UserError(
                        f"{self.folder}: reads {section}.{key}: {there}, the student {here}; with source: loop both "
                        "read the same: give the student the teacher's input, or choose a loss with source: dumped"
                    )
        return network


def read_teachers(given: Sequence[str]) -> list[Teacher]:
    """Reads the folders of teachers.

    Args:
        given: ``NAME=MODEL``, or ``MODEL`` for one that needs no name.

    Raises:
        UserError: two of one name, more than one without, or a folder that holds no teacher.
    """
    teachers = []
    for text in given:
        named = re.fullmatch(r"([^=/+:\s]+)=(.+)", text)
        # A folder may have "=" in its name.
        name, folder = named.groups() if named and not Path(text).is_dir() else ("", text)
        if name in [teacher.name for teacher in teachers]:
            raise UserError(f"--teacher {text}: each of several teachers needs a name of its own: NAME=MODEL")
        teachers.append(Teacher.read(folder, name))
    return teachers


def weights_checksum(network: XvectorNetwork | OnnxNetwork) -> Any:
    """What tells a network from another."""
    if isinstance(network, OnnxNetwork):
        return zlib.crc32(network.model)
    return {name: checksum(tensor.numpy()) for name, tensor in network.state_dict().items()}


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
