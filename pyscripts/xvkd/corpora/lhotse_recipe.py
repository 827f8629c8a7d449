"""What Lhotse's recipes make of a corpus, with names for Kaldi, and without the recordings that cannot be read."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xvkd.corpora.audio_files import walk
from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.corpus_set import span
from xvkd.corpora.split import SplitOptions, split_speakers
from xvkd.corpora.trials import Utterance
from xvkd.errors import UserError
from xvkd.features.lhotse_audio import checked_headers
from xvkd.kaldi.datadir import GENDERS
from xvkd.progress import Progress

if TYPE_CHECKING:
    import lhotse

    # An utterance, its recording and its text.
    Described = tuple[Utterance, lhotse.Recording, str | None]


def root_of(corpus_root: str, mark: str, *folders: str) -> Path:
    """The folder of a corpus: the one that was given, or one in it.

    Args:
        corpus_root: what was given.
        mark: what lies in a corpus's folder.
        folders: what such folders are called.

    Raises:
        UserError: there is none.
    """
    root = Path(corpus_root)
    if not root.is_dir():
        raise UserError(f"--corpus-root {root}: no such folder: name the one where the corpus is, or fetch it there "
                        "with --download")  # fmt: skip
    found = next((path for path in (root, *(root / name for name in folders)) if (path / mark).exists()), None)
    if found is None:
        packed = next((path.name for ending in ("*.tar.gz", "*.zip", "*.part") for path in root.glob(ending)), None)
        remedy = f"unpack {packed} first" if packed else "is it the right folder? --download fetches the corpus"
        raise UserError(f"--corpus-root {root}: no {mark} in it, nor in {' or '.join(folders)}: {remedy}")
    return found


def run_recipe(
    folder: Path, prepare: Callable[[], Iterable[Mapping[str, Any]]], session: Callable[[str], str],
    genders: Mapping[str, str], bad: BadRecordings,
) -> "list[Described]":  # fmt: skip
    """Runs a recipe; each of its supervisions is an utterance and a whole recording.

    Args:
        folder: of the corpus, or a part of it; its files are counted.
        prepare: returns manifests, each with ``recordings`` and ``supervisions``.
        session: of an utterance with the recipe's id; empty if it is not known.
        genders: of speakers, whose first letter tells; what they lack is taken from the supervisions.
        bad: recordings that cannot be read.

    Returns:
        Utterances, sorted by the ids that they have for Kaldi, the recipe's with hyphens in place of underscores.

    Raises:
        UserError: the recipe cannot do with the folder, or too many recordings cannot be read.
    """
    from lhotse.utils import fastcopy

    described = []
    with checked_headers(Progress(sum(1 for _ in walk(folder)), "files")) as unread:
        try:
            manifests = list(prepare())
        except (AssertionError, KeyError, OSError, ValueError) as error:
            said = " ".join(str(error).split()) or "nothing usable in it"
            raise UserError(f"{folder}: Lhotse's recipe cannot describe it ({type(error).__name__}: {said}): is the "
                            "corpus whole?") from None  # fmt: skip
    for manifest in manifests:
        for supervision in manifest["supervisions"]:
            recording = manifest["recordings"][supervision.recording_id]
            name = supervision.id.replace("_", "-")
            error = unread.get(recording.sources[0].source)
            if error is not None:
                bad.leave_out([name], error)
                continue
            gender = GENDERS.get((genders.get(supervision.speaker) or supervision.gender or " ")[0].lower(), "")
            utterance = Utterance(name, supervision.speaker, session(supervision.id), gender)
            described.append((utterance, fastcopy(recording, id=name), supervision.text))
    return sorted(described, key=lambda item: item[0].id)


def split_described(
    described: "Sequence[Described]", options: SplitOptions, where: str
) -> "dict[str, list[Described]]":
    """Train, dev and eval, of different speakers.

    Args:
        described: utterances.
        options: the split.
        where: what they are of, for messages.

    Raises:
        UserError: too few speakers.
    """
    counts = Counter(utterance.speaker for utterance, _, _ in described)
    speakers = [speaker for speaker, count in counts.items() if count >= options.min_utterances]
    split = split_speakers(speakers, options, where)
    set_of = {speaker: name for name, members in split.items() for speaker in members}
    return {name: [item for item in described if set_of.get(item[0].speaker) == name] for name in split}


def manifests_of(described: "Iterable[Described]") -> "tuple[lhotse.RecordingSet, lhotse.SupervisionSet]":
    """Lhotse's manifests of utterances that a recipe has described."""
    from lhotse import RecordingSet, SupervisionSet

    described = list(described)
    return (
        RecordingSet.from_recordings(recording for _, recording, _ in described),
        SupervisionSet.from_segments(span(utterance, recording, text=text) for utterance, recording, text in described),
    )
