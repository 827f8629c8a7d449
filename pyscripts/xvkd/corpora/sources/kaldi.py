"""What users have already: Kaldi data directories, or Lhotse manifests, one for each set."""

import logging
from dataclasses import dataclass
from pathlib import Path

from xvkd.config import limits
from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.corpus_set import CorpusSet
from xvkd.corpora.kaldi_directory import is_kaldi, read_kaldi
from xvkd.corpora.lhotse_input import is_lhotse, lhotse_set, read_parts
from xvkd.corpora.names import Names
from xvkd.corpora.trial_formats import read_trial_list, without
from xvkd.corpora.trials import TrialList
from xvkd.kaldi.datadir import DataDir


@dataclass
class Options:
    """Schema of the section ``options`` of ``conf/corpora/kaldi.yaml``; empty texts for what there is not."""

    train_dir: str
    dev_dir: str
    eval_dir: str
    trials: str  # of eval, in place of its own trials
    enrol: str  # the models of trials, "model utterance..." lines
    max_bad_utts: int = limits(0)  # utterances whose recordings cannot be read are left out, so many at most

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        given = self.directories()
        if not given:
            return "which data directories? Give --train-dir DIR (and --dev-dir and --eval-dir)"
        for name, folder in given.items():
            if not is_kaldi(Path(folder)) and not is_lhotse(Path(folder)):
                there = "is neither a Kaldi data directory (no utt2spk, no spk2utt) nor a Lhotse manifest (.jsonl[.gz])"
                return f"--{name}-dir {folder}: {there if Path(folder).exists() else 'no such folder or file'}"
        for name, path in {"trials": self.trials, "enrol": self.enrol}.items():
            if path and not Path(path).is_file():
                return f"--{name} {path}: no such file"
        if self.trials and "eval" not in given:
            return f"--trials {self.trials}: of which utterances? Give --eval-dir DIR"
        if self.enrol and not self.trials:
            return f"--enrol {self.enrol}: the models of which trials? Give --trials FILE"
        return None

    def directories(self) -> dict[str, str]:
        """Set to what was given for it."""
        given = {"train": self.train_dir, "dev": self.dev_dir, "eval": self.eval_dir}
        return {name: folder for name, folder in given.items() if folder}


def sets(options: Options) -> dict[str, CorpusSet]:
    """The sets that were given.

    Args:
        options: where they are.

    Raises:
        UserError: whatever is wrong with one of them.
    """
    found, aliases = {}, {}
    bad = BadRecordings(options.max_bad_utts)
    for name, folder in options.directories().items():
        found[name], aliases[name] = _read(Path(folder), bad)
        # Whoever gives no trials, or no labels, may want embeddings alone.
        found[name].needs_trials = False
    train = aliases.get("train", {}).keys()
    for name in [name for name in found if name != "train"]:
        shared = len(aliases[name].keys() & train)
        if shared:
            logging.warning("%s: %d utterances have the ids of some in %s; if they are the same, error rates of %s "
                            "flatter", options.directories()[name], shared, options.train_dir, name)
        found[name].trial_lists = _trial_lists(options, name, Names(aliases[name]), bad)
    bad.report(", ".join(options.directories().values()))
    return found


def _trial_lists(options: Options, name: str, names: Names, bad: BadRecordings) -> dict[str, TrialList]:
    """The lists that lie in the set's directory; those of eval that were given go before them."""
    folder = options.directories()[name]
    files = {}
    if is_kaldi(Path(folder)):
        lists = DataDir(folder).trial_lists().values()
        files = {path.name.removeprefix("trials"): (path, enrol) for path, enrol in lists}
    if name == "eval" and options.trials:
        files[""] = Path(options.trials), Path(options.enrol) if options.enrol else None
    lists = {suffix: read_trial_list(path, enrol, names, folder) for suffix, (path, enrol) in files.items()}
    return {suffix: without(trial_list, bad.left_out, folder) for suffix, trial_list in lists.items()}


def _read(path: Path, bad: BadRecordings) -> tuple[CorpusSet, dict[str, str]]:
    """A set, and its utterances, those left out too, by the names that they have and had."""
    if is_kaldi(path):
        found = read_kaldi(path, bad)
        return found, {name: name for name in bad.left_out} | {u.id: u.id for u in found.utterances}
    parts = read_parts(path)
    found = lhotse_set(path, parts, bad)
    return found, {part.name: part.id for part in parts} | {part.id: part.id for part in parts}
