"""Who is enrolled: one JSON file, read and replaced whole."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.streams import cannot_be_opened

FORMAT = "xvkd speakers 1"
# Voices are personal data: other users need not read them, unless the file's owner lets them.
PRIVATE = 0o600
# Of names that a message lists.
NAMES_SHOWN = 10


@dataclass(frozen=True)
class ModelIdentity:
    """Which network the embeddings of a store are of.

    Attributes:
        file: its ONNX file, absolute.
        sha256: of that file.
        embedding_dim: D.
    """

    file: str
    sha256: str
    embedding_dim: int


@dataclass(frozen=True, eq=False)
class Speaker:
    """An enrolled speaker.

    Attributes:
        mean: (D,) float64, of the recordings' embeddings as the network gives them.
        num_utts: how many these are, at least 1.
    """

    mean: np.ndarray
    num_utts: int

    def with_more(self, embeddings: np.ndarray) -> "Speaker":
        """The speaker with further embeddings (N, D), as if all had been enrolled at once."""
        total = self.num_utts + len(embeddings)
        return Speaker((self.mean * self.num_utts + embeddings.sum(axis=0, dtype=np.float64)) / total, total)


@dataclass(frozen=True)
class Store:
    """What a file holds.

    Attributes:
        model: whose embeddings they are.
        speakers: by name.
    """

    model: ModelIdentity
    speakers: dict[str, Speaker] = field(default_factory=dict)


def read_store(path: str | Path, model: ModelIdentity | None = None) -> Store:
    """Reads a speaker store.

    Args:
        path: the file.
        model: the network in use; the store must be of its embeddings. None: of any.

    Raises:
        UserError: no such file, damaged, or of another model.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such speaker store; enrol someone first, or name another with --store"
        ) from None
    except OSError as error:
        raise cannot_be_opened(str(path), error) from None
    except UnicodeDecodeError as error:
        raise _damaged(path, str(error)) from None
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError(f"its format is '{content['format']}', here '{FORMAT}' is read")
        identity = ModelIdentity(**content["model"])
        _expect(isinstance(identity.file, str) and isinstance(identity.sha256, str), "model")
        _expect(type(identity.embedding_dim) is int, "model: embedding_dim")
        speakers = {
            name: _speaker(name, entry, identity.embedding_dim) for name, entry in content["speakers"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(path, f"{error} is missing" if isinstance(error, KeyError) else str(error)) from None
    if model is not None and (identity.sha256, identity.embedding_dim) != (model.sha256, model.embedding_dim):
        raise UserError(
            f"{path}: its speakers were enrolled with another network ({identity.file}, sha256 {identity.sha256[:8]}) "
            f"than {model.file} (sha256 {model.sha256[:8]}); use that one, or enrol them anew in another --store"
        )
    return Store(identity, speakers)


def _speaker(name: str, entry: dict[str, Any], dim: int) -> Speaker:
    mean = np.array(entry["mean"], np.float64)
    _expect(mean.shape == (dim,) and bool(np.isfinite(mean).all()), f"speaker '{name}': mean")
    _expect(type(entry["num_utts"]) is int and entry["num_utts"] > 0, f"speaker '{name}': num_utts")
    return Speaker(mean, entry["num_utts"])


def _expect(sound: bool, what: str) -> None:
    if not sound:
        raise ValueError(f"{what} is not what it should be")


def _damaged(path: str | Path, why: str) -> UserError:
    return UserError(f"{path}: no speaker store, or damaged ({why}); bring back a copy, or remove it and enrol anew")


def find_speaker(name: str, speakers: Mapping[str, Speaker], where: str | Path) -> Speaker:
    """The speaker of a name; UserError, which tells where it is missing, if there is none."""
    if name in speakers:
        return speakers[name]
    some = ", ".join(sorted(speakers)[:NAMES_SHOWN]) + (", ..." if len(speakers) > NAMES_SHOWN else "")
    raise UserError(f"{where}: nobody is enrolled as '{name}' (there are: {some or 'none'})")


@contextmanager
def changing(path: str | Path, model: ModelIdentity | None) -> Iterator[dict[str, Speaker]]:
    """Reads the store, gives its speakers to be changed, and replaces the file at the end if there was no exception.

    Nobody else can change it meanwhile: whoever wants to, waits.

    Args:
        path: the file; with a model, made if it is not there. A link's target is replaced, its permissions stay.
        model: the network in use, see ``read_store``.

    Raises:
        UserError: as ``read_store``, or it cannot be written.
    """
    path = Path(path).resolve()
    with _lock(path):
        there = path.exists()
        store = Store(model) if model is not None and not there else read_store(path, model)
        yield store.speakers
        mode = path.stat().st_mode & 0o777 if there else PRIVATE
        with atomic_write(path) as file:
            os.fchmod(file.fileno(), mode)
            file.write(_text(Store(model or store.model, store.speakers)))


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Holds a lock beside a file: not on it, as it is replaced."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _text(store: Store) -> str:
    """The store as JSON, a line a speaker; the digits are those of float32, which is what networks compute in."""
    speakers = ",\n".join(
        f"  {json.dumps(name, ensure_ascii=False)}: "
        f'{{"num_utts": {speaker.num_utts}, "mean": [{", ".join(f"{value:.9g}" for value in speaker.mean)}]}}'
        for name, speaker in sorted(store.speakers.items())
    )
    model = json.dumps(vars(store.model), ensure_ascii=False)
    return f'{{\n "format": "{FORMAT}",\n "model": {model},\n "speakers": {{\n{speakers}\n }}\n}}\n'
