"""From a corpus to Lhotse manifests, Kaldi data directories and trial lists."""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from xvkd import config as configuration
from xvkd.corpora.corpus_set import CorpusSet, from_manifests
from xvkd.corpora.trials import TrialConfig, TrialList, multi_trials, single_trials
from xvkd.corpora.unlabelled import read_unlabelled
from xvkd.errors import UserError
from xvkd.kaldi.datadir import check_tables, write_data_dir
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.tables import write_table
from xvkd.registry import find

if TYPE_CHECKING:
    import lhotse

SOURCES = "xvkd.corpora.sources"
MANIFESTS = ("recordings", "supervisions", "cuts")
# The names of the files that a preparation wrote, so that the next one can remove what is not part of it.
PREPARED = ".prepared"
# Marks a set without labels, which is none of the corpus's own, with what it was read from.
UNLABELLED = ".unlabelled"


@dataclass
class CorpusConfig:
    """Schema of ``conf/corpora/*.yaml``."""

    source: str  # the module in xvkd.corpora.sources
    about: str  # a sentence for the head of the results
    options: dict[str, Any]  # the source's own Options
    trials: TrialConfig


def load_corpus(path: str | Path, overrides: list[str]) -> tuple[CorpusConfig, ModuleType, Any]:
    """Reads a corpus's YAML; returns it, its source module and the source's options."""
    config = configuration.load(CorpusConfig, path, overrides)
    source = find(SOURCES, config.source)
    return config, source, configuration.build(source.Options, config.options, str(path), "options")


def prepare(config: CorpusConfig, source: ModuleType, options: Any, data_root: Path) -> None:
    """Writes ``<data_root>/<set>/`` for each set of a corpus.

    Each has a Kaldi data directory and, where there is audio, Lhotse manifests
    (``manifests/{recordings,supervisions,cuts}.jsonl.gz``); ``given/`` has features and VAD that came with the
    corpus. Sets other than train have ``trials``, and perhaps ``trials_X`` with ``enrol_X``: those that came with the
    corpus, or else ones made from the speakers. What an earlier preparation wrote and this one does not is removed.

    Args:
        config: of the corpus.
        source: its module. A module with ``sets`` reads what somebody else has made; the others have ``manifests``.
        options: of the source.
        data_root: gets a folder a set; ``audio/`` in it holds generated audio.

    Raises:
        UserError: whatever is wrong with the corpus; then nothing has been written.
    """
    if hasattr(source, "sets"):
        sets: dict[str, CorpusSet] = source.sets(options)
    else:
        manifests = source.manifests(options, data_root / "audio")
        sets = {name: from_manifests(*pair) for name, pair in manifests.items()}
    tables = {name: _tables(corpus_set) for name, corpus_set in sets.items()}
    for name, corpus_set in sets.items():
        check_tables(str(data_root / name), {**tables[name], **corpus_set.given})
        if "train" in sets:
            _check_labels(name, corpus_set)
        if name != "train" and not corpus_set.trial_lists:
            corpus_set.trial_lists = _make_trials(name, corpus_set, config.trials)
    own = {path.parent for path in data_root.glob(f"*/{PREPARED}") if not (path.parent / UNLABELLED).exists()}
    for name in {folder.name for folder in own} - sets.keys():
        logging.info("%s: not a set of this corpus any more", data_root / name)
        _remove_all_but(data_root / name, set())
    for name, corpus_set in sets.items():
        _write(data_root / name, corpus_set, tables[name])


def prepare_unlabelled(path: Path, folder: Path, max_bad_utts: int) -> None:
    """Writes a set of recordings without labels.

    Args:
        path: see :func:`read_unlabelled`.
        folder: ``<data_root>/<set>``; gets what :func:`prepare` writes of a set, without trials.
        max_bad_utts: utterances whose recordings cannot be read are left out, so many at most.

    Raises:
        UserError: whatever is wrong with them; then nothing has been written.
    """
    corpus_set = read_unlabelled(path, folder.name, max_bad_utts)
    tables = _tables(corpus_set)
    check_tables(str(folder), {**tables, **corpus_set.given})
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / UNLABELLED) as file:
        file.write(f"{path}\n")
    _write(folder, corpus_set, tables)


def _tables(corpus_set: CorpusSet) -> dict[str, dict[str, str]]:
    """All of Kaldi's tables of a set."""
    utterances = corpus_set.utterances
    tables = {
        **corpus_set.tables,
        "utt2spk": {utterance.id: utterance.speaker for utterance in utterances},
        "spk2gender": {u.speaker: u.gender[0] for u in utterances if u.gender},
        "utt2session": {u.id: u.session for u in utterances if u.session},
    }
    return {name: table for name, table in tables.items() if table}


def _check_labels(name: str, corpus_set: CorpusSet) -> None:
    """Lists without labels can be scored with a finished model, but tell nothing about one that is trained."""
    for suffix, trial_list in corpus_set.trial_lists.items():
        if any(target is None for _, _, target in trial_list.trials):
            raise UserError(
                f"{name}: trials{suffix}: no labels: error rates need 'enrolment test target|nontarget' lines; lists "
                "without labels can be scored with a finished model (./run.sh --apply)"
            )


def _make_trials(name: str, corpus_set: CorpusSet, config: TrialConfig) -> dict[str, TrialList]:
    """Trials of single utterances, and of models if the speakers have utterances enough."""
    try:
        lists = {"": single_trials(corpus_set.utterances, config)}
    except UserError as error:
        if corpus_set.needs_trials:
            raise UserError(f"{name}: {error}") from None
        logging.warning("%s: no trials: %s", name, error)
        return {}
    try:
        lists["_multi"] = multi_trials(corpus_set.utterances, config)
    except UserError:
        logging.warning(
            "%s: no trials_multi: no speaker has utterances beside the first %d to test with, or no other speaker to "
            "be told from", name, config.enrol_utterances,
        )  # fmt: skip
    return lists


def _write(folder: Path, corpus_set: CorpusSet, tables: dict[str, dict[str, str]]) -> None:
    names = {*tables, "spk2utt", *(f"given/{name}" for name in corpus_set.given)}
    if corpus_set.manifests:
        names |= {f"manifests/{kind}.jsonl.gz" for kind in MANIFESTS}
    for suffix, trial_list in corpus_set.trial_lists.items():
        names |= {f"trials{suffix}"} | ({f"enrol{suffix}"} if trial_list.enrolments is not None else set())
    _remove_all_but(folder, names)
    if corpus_set.manifests:
        _write_manifests(folder / "manifests", *corpus_set.manifests)
    for name, script in corpus_set.given.items():
        write_table(folder / "given" / name, script)
    write_data_dir(folder, tables)
    seconds = [float(value) for value in tables.get("utt2dur", {}).values()]
    logging.info(
        "%s: %d utterances of %d speakers%s", folder, len(corpus_set.utterances),
        len({u.speaker for u in corpus_set.utterances}), f", {sum(seconds) / 3600:.2f} hours" if seconds else "",
    )  # fmt: skip
    for suffix, trial_list in corpus_set.trial_lists.items():
        _write_trials(folder, suffix, trial_list)


def _remove_all_but(folder: Path, names: set[str]) -> None:
    """Removes what an earlier preparation wrote and this one will not, and notes what this one will."""
    record = folder / PREPARED
    before = set(record.read_text(encoding="utf-8").split()) if record.exists() else set()
    for name in before - names:
        (folder / name).unlink(missing_ok=True)
    if names:
        with atomic_write(record) as file:
            file.writelines(f"{name}\n" for name in sorted(names))
    else:
        record.unlink()


def _write_manifests(
    folder: Path, recordings: "lhotse.RecordingSet", supervisions: "lhotse.SupervisionSet"
) -> None:
    from lhotse import CutSet

    folder.mkdir(parents=True, exist_ok=True)
    cuts = CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
    for kind, manifest in zip(MANIFESTS, (recordings, supervisions, cuts), strict=True):
        manifest.to_file(folder / f"{kind}.jsonl.gz")


def _write_trials(folder: Path, suffix: str, trial_list: TrialList) -> None:
    if trial_list.enrolments is not None:
        with atomic_write(folder / f"enrol{suffix}") as file:
            file.writelines(f"{model} {' '.join(utts)}\n" for model, utts in trial_list.enrolments.items())
    labels = {True: " target", False: " nontarget", None: ""}
    with atomic_write(folder / f"trials{suffix}") as file:
        file.writelines(f"{enrol} {test}{labels[target]}\n" for enrol, test, target in trial_list.trials)
    count = Counter(target for _, _, target in trial_list.trials)
    logging.info(
        "%s: %d target and %d non-target trials%s", folder / f"trials{suffix}", count[True], count[False],
        f", {count[None]} without labels" if count[None] else "",
    )  # fmt: skip


def generate(config: CorpusConfig, source: ModuleType, options: Any, data_root: Path, part: tuple[int, int]) -> None:
    """Makes a part of the audio of a corpus that generates its own; the others have nothing to do."""
    if not hasattr(source, "generate"):
        logging.info("corpus source '%s' makes no audio of its own", config.source)
        return
    source.generate(options, data_root / "audio", part)
