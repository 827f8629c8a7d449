"""Recordings of whoever, whose speakers are not known or not told: students can be distilled on them.

A Kaldi data directory (``utt2spk`` may be missing), a Lhotse manifest, or a folder of audio files, each of which is an
utterance. Utterances and speakers get the set's name before their own, so that nothing has the name of something
in the corpus that they join.
"""

from dataclasses import replace
from pathlib import Path

from xvkd.corpora.audio_files import audio_files, claim, describe
from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.corpus_set import CorpusSet, from_manifests
from xvkd.corpora.kaldi_directory import has_tables, read_kaldi
from xvkd.corpora.lhotse_input import is_lhotse, lhotse_set, read_parts
from xvkd.corpora.names import SUFFIXES, safe
from xvkd.corpora.trials import Utterance
from xvkd.errors import UserError
from xvkd.progress import Progress

# Tables by utterance; of the others, wav.scp is by utterance where there are no segments.
_BY_UTTERANCE = {"segments", "utt2dur", "utt2snr", "text", "feats.scp", "vad.scp"}


def read_unlabelled(path: Path, name: str, max_bad_utts: int) -> CorpusSet:
    """Reads recordings without labels.

    Args:
        path: a Kaldi data directory, a Lhotse manifest or a folder of audio files.
        name: of the set.
        max_bad_utts: utterances whose recordings cannot be read are left out, so many at most.

    Raises:
        UserError: it is none of them, or whatever is wrong with it.
    """
    bad = BadRecordings(max_bad_utts)
    if path.is_dir() and has_tables(path):
        found = read_kaldi(path, bad)
    elif is_lhotse(path):
        found = lhotse_set(path, read_parts(path), bad)
    elif path.is_dir():
        found = _read_files(path, bad)
    else:
        there = "neither a data directory, a Lhotse manifest (.jsonl[.gz]) nor a folder of recordings"
        raise UserError(f"--distill-data {path}: {there if path.exists() else 'no such folder or file'}")
    bad.report(str(path))
    return _renamed(found, name)


def _read_files(root: Path, bad: BadRecordings) -> CorpusSet:
    """Every audio file below a folder."""
    files: dict[str, Path] = {}
    for path in audio_files(root):
        claim(files, safe("-".join(path.relative_to(root).with_suffix("").parts)), path)
    if not files:
        raise UserError(f"--distill-data {root}: no recordings in it ({', '.join(sorted(SUFFIXES))})")
    utterances = ((Utterance(name, name, "", ""), path) for name, path in files.items())
    return from_manifests(*describe(utterances, bad, Progress(len(files), "files")))


def _renamed(found: CorpusSet, name: str) -> CorpusSet:
    """The set with its name before those of utterances, speakers and sessions; recordings keep theirs."""
    by_utterance = _BY_UTTERANCE if "segments" in found.tables else _BY_UTTERANCE | {"wav.scp"}
    renamed = replace(
        found,
        utterances=[
            replace(
                utterance, id=f"{name}-{utterance.id}", speaker=f"{name}-{utterance.speaker}",
                session=f"{name}-{utterance.session}" if utterance.session else "",
            )
            for utterance in found.utterances
        ],
        tables={
            table: {f"{name}-{key}" if table in by_utterance else key: value for key, value in content.items()}
            for table, content in found.tables.items()
        },
        given={
            table: {f"{name}-{key}": value for key, value in content.items()} for table, content in found.given.items()
        },
        trial_lists={}, needs_trials=False,
    )  # fmt: skip
    if found.manifests:
        from lhotse import SupervisionSet

        recordings, supervisions = found.manifests
        renamed.manifests = recordings, SupervisionSet.from_segments(
            replace(one, id=f"{name}-{one.id}", speaker=f"{name}-{one.speaker}") for one in supervisions
        )
    return renamed
