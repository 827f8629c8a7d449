"""VCTK, through Lhotse's recipe: about 400 sentences of each speaker, read in one session in one room."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xvkd.config import choices
from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.downloads import Download
from xvkd.corpora.lhotse_recipe import manifests_of, root_of, run_recipe, split_described
from xvkd.corpora.split import SplitOptions

if TYPE_CHECKING:
    import lhotse

_NEW = "wav48_silence_trimmed"


@dataclass
class Options(SplitOptions):
    """Schema of the section ``options`` of ``conf/corpora/vctk.yaml``."""

    corpus_root: str  # the corpus, or the folder that it was unpacked in
    microphone: str = choices("mic1", "mic2")  # of version 0.92; older ones have one
    download: Download

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        if not self.corpus_root:
            return "where is the corpus? Give --corpus-root DIR"
        return super().validate()


def generate(options: Options, audio_dir: Path, part: tuple[int, int]) -> None:
    """Downloads the corpus; in one job, however many there are."""
    if part[0] == 1:
        options.download.fetch(options.download.archives, Path(options.corpus_root))


def manifests(
    options: Options, audio_dir: Path
) -> "dict[str, tuple[lhotse.RecordingSet, lhotse.SupervisionSet]]":
    """Lhotse manifests of train, dev and eval, of different speakers.

    Args:
        options: the corpus and the split.
        audio_dir: not used: the recordings stay where they are.

    Raises:
        UserError: a corpus that is not there or not whole, or too few speakers.
    """
    from lhotse.recipes import prepare_vctk

    root = root_of(options.corpus_root, "speaker-info.txt", "VCTK-Corpus-0.92", "VCTK-Corpus").absolute()
    new = (root / _NEW).is_dir()
    bad = BadRecordings(options.max_bad_utts)
    described = run_recipe(
        root / (_NEW if new else "wav48"),
        lambda: [prepare_vctk(root, use_edinburgh_vctk_url=new, mic_id=options.microphone)],
        lambda _: "", {}, bad,
    )  # fmt: skip
    bad.report(str(root))
    return {name: manifests_of(items) for name, items in split_described(described, options, str(root)).items()}
