"""LibriSpeech, Mini LibriSpeech and LibriTTS, through Lhotse's recipes: people who read books, chapter by chapter."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xvkd.config import choices
from xvkd.corpora.audio_files import READERS
from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.downloads import Download
from xvkd.corpora.lhotse_recipe import manifests_of, root_of, run_recipe, split_described
from xvkd.corpora.split import SplitOptions
from xvkd.errors import UserError

if TYPE_CHECKING:
    import lhotse


@dataclass
class Parts:
    """The parts of the corpus that each set is made of."""

    train: list[str]
    dev: list[str]
    eval: list[str]

    def all(self) -> list[str]:
        """The parts of all sets."""
        return [*self.train, *self.dev, *self.eval]


@dataclass
class Options(SplitOptions):
    """Schema of the section ``options`` of ``conf/corpora/librispeech.yaml``.

    Where dev and eval have no parts, the speakers of train's are split by the shares.
    """

    corpus_root: str  # the corpus, or the folder that it was unpacked in
    recipe: str = choices("librispeech", "libritts")  # Lhotse's
    folder: str  # what the corpus's own folder is called
    parts: Parts
    download: Download

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        if not self.corpus_root:
            return "where is the corpus? Give --corpus-root DIR"
        if not self.parts.train or len(set(self.parts.all())) < len(self.parts.all()):
            return "parts: name each part once, and at least one of train"
        return super().validate()


def generate(options: Options, audio_dir: Path, part: tuple[int, int]) -> None:
    """Downloads the parts of the corpus that are wanted; in one job, however many there are."""
    if part[0] == 1:
        options.download.fetch(options.parts.all(), Path(options.corpus_root))


def manifests(
    options: Options, audio_dir: Path
) -> "dict[str, tuple[lhotse.RecordingSet, lhotse.SupervisionSet]]":
    """Lhotse manifests of the sets.

    Args:
        options: the corpus and its parts.
        audio_dir: not used: the recordings stay where they are.

    Raises:
        UserError: a part that is not there or not whole, or too few speakers.
    """
    from lhotse.recipes import prepare_librispeech, prepare_libritts

    first = options.parts.train[0]
    root = root_of(options.corpus_root, first, options.folder).absolute()
    for part in options.parts.all():
        if not (root / part).is_dir():
            there = ", ".join(sorted(path.name for path in root.iterdir() if path.is_dir()))
            raise UserError(f"{root}: no {part} in it (there are: {there}): fetch it with --download, or choose other "
                            "parts with --corpus-set options.parts.train=[...]")  # fmt: skip
    genders, bad = _genders(root), BadRecordings(options.max_bad_utts)

    def prepare(part: str) -> Iterable[Mapping[str, Any]]:
        if options.recipe == "librispeech":
            return prepare_librispeech(root, dataset_parts=[part], num_jobs=READERS).values()
        return prepare_libritts(root, dataset_parts=[part]).values()

    described = {
        name: [
            item for part in parts
            for item in run_recipe(root / part, lambda part=part: prepare(part), _chapter, genders, bad)
        ]
        for name, parts in vars(options.parts).items() if parts
    }  # fmt: skip
    bad.report(str(root))
    if list(described) == ["train"]:
        described = split_described(described["train"], options, str(root))
    return {name: manifests_of(items) for name, items in described.items()}


def _chapter(utterance: str) -> str:
    """The session of 1272-128104-0000 or 84_121123_000007_000001."""
    return "-".join(re.split("[-_]", utterance)[:2])


def _genders(root: Path) -> dict[str, str]:
    """Of SPEAKERS.TXT (``14 | F | train-clean-360 | ...``), which LibriTTS calls SPEAKERS.txt, if it is there."""
    path = next((path for path in root.iterdir() if path.name.lower() == "speakers.txt"), None)
    if path is None:
        return {}
    lines = (line.split("|") for line in path.read_text("utf-8").splitlines() if not line.startswith(";"))
    return {fields[0].strip(): fields[1].strip() for fields in lines if len(fields) > 1 and fields[1].strip()}
