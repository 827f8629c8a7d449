"""VoxCeleb 1 and 2: celebrities in interviews, ``idXXXXX/<video>/NNNNN.{wav,m4a,...}``; a session is a video.

Utterances are called ``idXXXXX-<video>-NNNNN``, as in Kaldi's recipe. How the parts are stored below the roots does
not matter: test speakers of VoxCeleb1 are known by their numbers, those of VoxCeleb2 by ``vox2_meta.csv``, else by the
folder ``dev`` or ``test`` that they lie in. ``vox1_meta.csv`` and ``vox2_meta.csv`` in the roots tell genders.

Lhotse's recipe describes recordings as this module does, but cannot be used: it tests for each recording whether it
stands in a list of all of a part, which is quadratic; it fetches the trial list from the net; it knows VoxCeleb1 as wav
and VoxCeleb2 as m4a alone, and wants their metadata; and it ends at the first file that cannot be read.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xvkd.config import choices, limits
from xvkd.corpora.audio_files import describe, walk
from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.corpus_set import CorpusSet, from_manifests
from xvkd.corpora.names import Names
from xvkd.corpora.split import Files, hold_out, some_of_each
from xvkd.corpora.trial_formats import read_trial_list, without
from xvkd.corpora.trials import TrialList, Utterance
from xvkd.errors import UserError
from xvkd.kaldi.datadir import GENDERS
from xvkd.progress import Progress

Parts = dict[str, Files]

_SPEAKER = re.compile(r"id\d{5}")
# Numbers of VoxCeleb1's speakers, VoxCeleb2's being lower, and of those to test with, whose names begin with E.
_FIRST_OF_1, _TEST_OF_1 = 10001, range(10270, 10310)
_SITE = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/"


@dataclass
class Options:
    """Schema of the section ``options`` of ``conf/corpora/voxceleb.yaml``."""

    voxceleb1_root: str
    voxceleb2_root: str  # either of them may be empty
    trials_root: str  # the folder of the trial lists; empty: voxceleb1_root
    train_parts: list[str] = choices("vox1_dev", "vox1_test", "vox2_dev", "vox2_test")
    dev_speakers: int = limits(0)  # of the training parts, held out to choose and calibrate on; 0: no dev
    dev_utterances: int = limits(2)  # of each of them, and of each test speaker of VoxCeleb2
    seed: int = limits(0)  # of these choices
    lists: list[str]  # the trials of eval, of those in files; the first is the main one
    files: dict[str, str]  # the files of the lists, in trials_root
    max_bad_utts: int = limits(0)  # recordings that cannot be read are left out, so many at most

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        roots = self.roots()
        if not roots:
            return "where is VoxCeleb? Give --voxceleb1-root DIR, --voxceleb2-root DIR or both"
        for corpus, root in roots.items():
            if not root.is_dir():
                return f"--voxceleb{corpus}-root {root}: no such folder"
        for part in self.train_parts:
            if int(part[3]) not in roots:
                return f"train_parts: {part} needs --voxceleb{part[3]}-root"
        if self.trials_root and 1 not in roots:
            return f"--trials-root {self.trials_root}: the lists are of VoxCeleb1: give --voxceleb1-root DIR"
        if not self.lists or len(set(self.lists)) < len(self.lists):
            return f"lists: {self.lists}: name each list once, and at least one"
        for name in self.lists:
            if name not in self.files:
                return f"lists: '{name}': no such list (there are: {', '.join(self.files)})"
        return None

    def roots(self) -> dict[int, Path]:
        """1 and 2, as far as they are given."""
        return {n: Path(root) for n, root in ((1, self.voxceleb1_root), (2, self.voxceleb2_root)) if root}


def sets(options: Options) -> dict[str, CorpusSet]:
    """Train, dev (unless no speakers are held out) and eval.

    Eval is what the trial lists name of VoxCeleb1. Without VoxCeleb1 it is a part of VoxCeleb2's test speakers, with
    trials that are made from them.

    Args:
        options: the roots, and what is made of which part.

    Raises:
        UserError: whatever is wrong with them.
    """
    parts = _scan(options.roots())
    train_parts = options.train_parts or ["vox2_dev" if 2 in options.roots() else "vox1_dev"]
    for part in train_parts:
        if not parts[part]:
            raise UserError(f"train_parts: {part}: there are no recordings of it in {options.roots()[int(part[3])]}; "
                            f"parts that there are: {', '.join(name for name in parts if parts[name])}")
    train = {name: file for part in train_parts for name, file in parts[part].items()}
    random = np.random.default_rng(options.seed)
    chosen: dict[str, Files] = {}
    lists: dict[str, TrialList] = {}
    if 1 in options.roots():
        lists, chosen["eval"] = _eval(options, parts, {utterance.speaker for utterance, _ in train.values()})
    elif parts["vox2_test"] and "vox2_test" not in train_parts:
        logging.warning("without --voxceleb1-root there is none of VoxCeleb's trial lists: eval has VoxCeleb2's test "
                        "speakers, with trials of ours; published error rates are not of these")
        chosen["eval"] = some_of_each(parts["vox2_test"], options.dev_utterances, random)
    else:
        logging.warning("nothing to test on: VoxCeleb's trial lists need --voxceleb1-root, and VoxCeleb2's test "
                        "speakers are not there, or trained on")
    if options.dev_speakers:
        train, chosen["dev"] = hold_out(train, options.dev_speakers, options.dev_utterances, random)
    chosen["train"] = train

    bad = BadRecordings(options.max_bad_utts)
    progress = Progress(sum(map(len, chosen.values())), "files")
    found = {}
    for name in [name for name in ("train", "dev", "eval") if name in chosen]:
        files = chosen.pop(name)
        found[name] = from_manifests(*describe((files[utterance] for utterance in sorted(files)), bad, progress))
    where = " and ".join(map(str, options.roots().values()))
    bad.report(where)
    if lists:
        found["eval"].trial_lists = {
            suffix: without(trial_list, bad.left_out, where)
            for suffix, trial_list in lists.items()
        }
    return found


def _scan(roots: Mapping[int, Path]) -> Parts:
    """One walk through each of the corpora; no file is opened."""
    parts: Parts = {f"vox{corpus}_{half}": {} for corpus in (1, 2) for half in ("dev", "test")}
    for corpus, root in roots.items():
        genders, halves = _metadata(root / f"vox{corpus}_meta.csv")
        by_folder: dict[str, str] = {}
        count = 0
        for path in walk(root):
            folder, speaker, video, name = ["", "", "", *path.rsplit("/", 3)][-4:]
            if not _SPEAKER.fullmatch(speaker):
                continue
            number = int(speaker[2:])
            if (number >= _FIRST_OF_1) != (corpus == 1):
                raise UserError(f"--voxceleb{corpus}-root {root}: {path} is of VoxCeleb{3 - corpus}: name the folder "
                                f"of VoxCeleb{corpus} alone")
            if corpus == 1:
                half = "test" if number in _TEST_OF_1 else "dev"
            else:
                if folder not in by_folder:
                    by_folder[folder] = _half_of(folder, root)
                half = halves.get(speaker) or by_folder[folder]
                if not half:
                    raise UserError(f"{path}: of VoxCeleb2's dev or test? Put vox2_meta.csv ({_SITE}) into {root}, or "
                                    "the speakers into folders dev and test")
            utterance = f"{speaker}-{video}-{name.rpartition('.')[0]}"
            files = parts[f"vox{corpus}_{half}"]
            if utterance in files:
                raise UserError(f"{path} and {files[utterance][1]} are the same utterance: give "
                                f"--voxceleb{corpus}-root the folder of one of the two forms, or remove one")
            gender = genders.get(speaker, "")
            files[utterance] = Utterance(utterance, speaker, f"{speaker}-{video}", gender), path
            count += 1
        logging.info("%s: %d recordings", root, count)
        if not count:
            packed = next((name.name for pattern in ("*.zip", "*_part*") for name in root.glob(pattern)), None)
            remedy = f"unpack {packed} and its like first" if packed else "is it the right folder?"
            raise UserError(f"--voxceleb{corpus}-root {root}: no recordings idXXXXX/<video>/NNNNN.wav (or m4a, flac, "
                            f"...) in it: {remedy}")
    return parts


def _half_of(folder: str, root: Path) -> str:
    """dev or test, by the name of the nearest folder that says it: below the root, or the root and the one above it."""
    inside = Path(folder).parts[max(len(root.parts) - 2, 0) :]
    return next((half for name in reversed(inside) for half in ("dev", "test") if half in name.lower()), "")


def _metadata(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Gender of speakers, and dev or test, as vox1_meta.csv and vox2_meta.csv tell them; empty if there is none."""
    if not path.is_file():
        logging.warning("%s: not there, so that genders are not known: impostors of dev are of any (it is at %s)", path,
                        _SITE)
        return {}, {}
    rows = [[cell.strip() for cell in re.split(r"[\t,]", line)] for line in path.read_text("utf-8").splitlines()]
    head = rows[0] if rows else []
    if not {"Gender", "Set"} <= set(head):
        raise UserError(f"{path}: expected a first line with the columns Gender and Set; get it anew from {_SITE}")
    gender, half = head.index("Gender"), head.index("Set")
    rows = [row for row in rows[1:] if len(row) >= len(head)]
    return {row[0]: GENDERS.get(row[gender], "") for row in rows}, {row[0]: row[half] for row in rows}


def _eval(options: Options, parts: Parts, trained: set[str]) -> tuple[dict[str, TrialList], Files]:
    """The lists by their suffixes, and what they name."""
    first = {**parts["vox1_dev"], **parts["vox1_test"]}
    names = Names({name: name for name in first})
    root = Path(options.trials_root or options.voxceleb1_root)
    lists, wanted = {}, set()
    for place, name in enumerate(options.lists):
        file = root / options.files[name]
        if not file.is_file():
            raise UserError(f"{file}: the trial list {name} is not there: get it from {_SITE} (VoxCeleb1) and put it "
                            "there, or say with --trials-root where it is")
        if not parts["vox1_test"]:
            raise UserError(f"trial list {name}: it needs VoxCeleb1's test speakers, id{_TEST_OF_1[0]} to id"
                            f"{_TEST_OF_1[-1]}, and {options.voxceleb1_root} has none: unpack vox1_test_wav.zip there")
        found = read_trial_list(file, None, names, options.voxceleb1_root)
        named = {utterance for enrol, test, _ in found.trials for utterance in (enrol, test)}
        seen = trained & {first[utterance][0].speaker for utterance in named}
        if seen:
            raise UserError(
                f"trial list {name}: speaker {min(seen)} is trained on (options.train_parts): lists E and H are of all "
                "of VoxCeleb1, so train on VoxCeleb2 alone for them, or leave them out of options.lists"
            )
        lists[f"_{name}" if place else ""] = found
        wanted |= named
    return lists, {utterance: first[utterance] for utterance in wanted}
