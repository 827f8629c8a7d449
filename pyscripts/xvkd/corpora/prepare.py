"""From a corpus to Lhotse manifests, Kaldi data directories and trial lists."""

import logging
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from xvkd import config as configuration
from xvkd.corpora.trials import TrialConfig, TrialList, Utterance, multi_trials, single_trials
from xvkd.errors import UserError
from xvkd.kaldi.datadir import write_data_dir
from xvkd.kaldi.files import atomic_write
from xvkd.registry import find

if TYPE_CHECKING:
    import lhotse

SOURCES = "xvkd.corpora.sources"


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

    Each has the Lhotse manifests (``manifests/{recordings,supervisions,cuts}.jsonl.gz``) and a Kaldi data
    directory; sets other than train have ``trials``, and eval has ``trials_multi`` with ``enrol_multi``, if
    its speakers have utterances enough.

    Args:
        config: of the corpus.
        source: its module.
        options: of the source.
        data_root: gets a folder a set; ``audio/`` in it holds generated audio.
    """
    for name, (recordings, supervisions) in source.manifests(options, data_root / "audio").items():
        folder = data_root / name
        _write_manifests(folder / "manifests", recordings, supervisions)
        utterances = [
            Utterance(s.id, s.speaker, (s.custom or {}).get("session", ""), s.gender or "") for s in supervisions
        ]
        write_data_dir(folder, _tables(recordings, supervisions, utterances))
        logging.info(
            "%s: %d utterances of %d speakers, %.2f hours", folder, len(utterances),
            len({u.speaker for u in utterances}), sum(s.duration for s in supervisions) / 3600,
        )
        if name != "train":
            _write_trials(folder, "", single_trials(utterances, config.trials))
        if name == "eval":
            _write_multi_trials(folder, utterances, config.trials)


def _write_manifests(
    folder: Path, recordings: "lhotse.RecordingSet", supervisions: "lhotse.SupervisionSet"
) -> None:
    from lhotse import CutSet

    folder.mkdir(parents=True, exist_ok=True)
    recordings.to_file(folder / "recordings.jsonl.gz")
    supervisions.to_file(folder / "supervisions.jsonl.gz")
    cuts = CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
    cuts.to_file(folder / "cuts.jsonl.gz")


def _tables(
    recordings: "lhotse.RecordingSet", supervisions: "lhotse.SupervisionSet", utterances: list[Utterance]
) -> dict[str, dict[str, str]]:
    """Kaldi's tables; one utterance a recording."""
    tables = {
        "wav.scp": {recording.id: recording.sources[0].source for recording in recordings},
        "utt2spk": {utterance.id: utterance.speaker for utterance in utterances},
        "utt2dur": {supervision.id: f"{supervision.duration:.4f}" for supervision in supervisions},
        "spk2gender": {u.speaker: u.gender[0] for u in utterances if u.gender},
        "utt2session": {u.id: u.session for u in utterances if u.session},
        "text": {supervision.id: supervision.text for supervision in supervisions if supervision.text},
    }
    return {name: table for name, table in tables.items() if table}


def _write_multi_trials(folder: Path, utterances: list[Utterance], config: TrialConfig) -> None:
    try:
        trial_list = multi_trials(utterances, config)
    except UserError:
        logging.warning(
            "%s: no trials_multi: no speaker has utterances beside the first %d to test with, or no other speaker to "
            "be told from", folder, config.enrol_utterances,
        )
        for name in ("trials_multi", "enrol_multi"):  # of an earlier run
            (folder / name).unlink(missing_ok=True)
        return
    _write_trials(folder, "_multi", trial_list)


def _write_trials(folder: Path, suffix: str, trial_list: TrialList) -> None:
    if trial_list.enrolments is not None:
        with atomic_write(folder / f"enrol{suffix}") as file:
            file.writelines(f"{model} {' '.join(utts)}\n" for model, utts in trial_list.enrolments.items())
    with atomic_write(folder / f"trials{suffix}") as file:
        file.writelines(
            f"{enrol} {test} {'target' if target else 'nontarget'}\n" for enrol, test, target in trial_list.trials
        )
    targets = sum(target for _, _, target in trial_list.trials)
    logging.info(
        "%s: %d target and %d non-target trials", folder / f"trials{suffix}", targets,
        len(trial_list.trials) - targets,
    )


def generate(config: CorpusConfig, source: ModuleType, options: Any, data_root: Path, part: tuple[int, int]) -> None:
    """Makes a part of the audio of a corpus that generates its own; the others have nothing to do."""
    if not hasattr(source, "generate"):
        logging.info("corpus source '%s' makes no audio of its own", config.source)
        return
    source.generate(options, data_root / "audio", part)
