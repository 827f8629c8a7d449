"""CN-Celeb 1 and 2: Chinese celebrities in eleven genres, ``data/idXXXXX/<genre>-NN-NNN.flac``.

Lhotse has no recipe; this one has the shape of VoxCeleb's. A session is a genre's number, ``<genre>-NN``. Utterances
are called ``idXXXXX-<genre>-NN-NNN``, as in Kaldi's recipe. CN-Celeb1 (``CN-Celeb_flac``) says in ``dev/dev.lst`` who
is trained on, and has trials of other speakers in ``eval``; CN-Celeb2 (``CN-Celeb2_flac``) is to train on.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xvkd.config import choices, limits
from xvkd.corpora.audio_files import describe, walk
from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.corpus_set import CorpusSet, from_manifests
from xvkd.corpora.downloads import Download
from xvkd.corpora.lhotse_recipe import root_of
from xvkd.corpora.names import Names
from xvkd.corpora.split import Files, hold_out
from xvkd.corpora.trial_formats import read_trial_list, without
from xvkd.corpora.trials import Utterance
from xvkd.errors import UserError
from xvkd.kaldi.tables import read_lines
from xvkd.progress import Progress

_FIRST, _SECOND = ("CN-Celeb_flac", "CN-Celeb_wav", "CN-Celeb"), ("CN-Celeb2_flac", "CN-Celeb2_wav", "CN-Celeb2")


@dataclass
class Options:
    """Schema of the section ``options`` of ``conf/corpora/cn_celeb.yaml``."""

    corpus_root: str  # the folder that CN-Celeb_flac and CN-Celeb2_flac lie in, or CN-Celeb_flac itself
    train_parts: list[str] = choices("cn1", "cn2")  # dev speakers of CN-Celeb1; CN-Celeb2
    enrol: str = choices("enroll.map", "enroll.lst")  # a model's utterances, or all of them in one recording
    dev_speakers: int = limits(0)  # of the training parts, held out to choose and calibrate on; 0: no dev
    dev_utterances: int = limits(2)  # of each of them
    seed: int = limits(0)  # of these choices
    max_bad_utts: int = limits(0)  # recordings that cannot be read are left out, so many at most
    download: Download

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        if not self.corpus_root:
            return "where is the corpus? Give --corpus-root DIR"
        return None if self.train_parts else "train_parts: name cn1, cn2 or both"


def generate(options: Options, audio_dir: Path, part: tuple[int, int]) -> None:
    """Downloads CN-Celeb1, and CN-Celeb2 if it is trained on; in one job, however many there are."""
    if part[0] == 1:
        options.download.fetch(["cn1", *(["cn2"] if "cn2" in options.train_parts else [])], Path(options.corpus_root))


def sets(options: Options) -> dict[str, CorpusSet]:
    """Train, dev (unless no speakers are held out) and eval.

    Args:
        options: the corpus, and what is made of it.

    Raises:
        UserError: whatever is wrong with it.
    """
    first = root_of(options.corpus_root, "eval/lists/trials.lst", *_FIRST)
    data = _scan(first / "data")
    train: Files = {}
    if "cn1" in options.train_parts:
        train |= _of_speakers(data, first / "dev" / "dev.lst")
    if "cn2" in options.train_parts:
        second = root_of(options.corpus_root, "spk.lst", *_SECOND)
        train |= _of_speakers(_scan(second / "data"), second / "spk.lst")
    random = np.random.default_rng(options.seed)
    chosen: dict[str, Files] = {"train": train}
    if options.dev_speakers:
        chosen["train"], chosen["dev"] = hold_out(train, options.dev_speakers, options.dev_utterances, random)

    lists = first / "eval" / "lists"
    test = _scan(first / "eval")
    aliases = {f"{Path(path).parent.name}/{name}": name for name, (_, path) in test.items()}
    known = {**data, **test}
    trial_list = read_trial_list(
        lists / "trials.lst", lists / options.enrol, Names({name: name for name in known} | aliases), str(first)
    )
    used = {enrol for enrol, _, _ in trial_list.trials}
    models = {model: names for model, names in (trial_list.enrolments or {}).items() if model in used}
    trial_list.enrolments = models
    named = {test for _, test, _ in trial_list.trials}.union(*models.values())
    chosen["eval"] = {name: known[name] for name in named}

    bad = BadRecordings(options.max_bad_utts)
    progress = Progress(sum(map(len, chosen.values())), "files")
    found = {name: from_manifests(*describe((files[name] for name in sorted(files)), bad, progress))
             for name, files in chosen.items()}  # fmt: skip
    bad.report(options.corpus_root)
    found["eval"].trial_lists[""] = without(trial_list, bad.left_out, str(lists))
    return found


def _scan(folder: Path) -> Files:
    """The utterances below a folder, whose speakers are their folders or stand in their names."""
    found: Files = {}
    for path in walk(folder):
        above, name = path.rsplit("/", 2)[-2:]
        stem = os.path.splitext(name)[0]
        utterance = f"{above}-{stem}" if above.startswith("id") else stem
        if utterance in found:
            raise UserError(f"{path} and {found[utterance][1]} are the same utterance: remove one")
        speaker, _, session = utterance.rpartition("-")[0].partition("-")
        found[utterance] = Utterance(utterance, speaker or utterance.partition("-")[0],
                                     f"{speaker}-{session}" if session else "", ""), path  # fmt: skip
    if not found:
        raise UserError(f"{folder}: no recordings in it: is it unpacked, and the right folder?")
    return found


def _of_speakers(files: Files, path: Path) -> Files:
    """Utterances of the speakers that a list names."""
    speakers = {line.strip() for line in read_lines(path)} - {""}
    found = {name: file for name, file in files.items() if file[0].speaker in speakers}
    missing = speakers - {utterance.speaker for utterance, _ in found.values()}
    if missing:
        raise UserError(f"{path}: speaker '{min(missing)}' has no recordings (the first of {len(missing)} such): is "
                        "the corpus unpacked as a whole?")  # fmt: skip
    return found
