"""A Lhotse CutSet, or recordings and supervisions, split by speaker into train, dev and eval."""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from xvkd.corpora.bad_recordings import BadRecordings
from xvkd.corpora.corpus_set import CorpusSet
from xvkd.corpora.lhotse_input import is_lhotse, lhotse_set, read_parts
from xvkd.corpora.split import SplitOptions, split_speakers


@dataclass
class Options(SplitOptions):
    """Schema of the section ``options`` of ``conf/corpora/cuts.yaml``."""

    cuts: str  # a manifest, or a folder of manifests

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        if not self.cuts:
            return "which manifests? Give --cuts FILE, a CutSet (.jsonl[.gz]), or a folder of Lhotse manifests"
        if not is_lhotse(Path(self.cuts)):
            return f"--cuts {self.cuts}: no Lhotse manifest there (a .jsonl or .jsonl.gz file, or a folder of them)"
        return super().validate()


def sets(options: Options) -> dict[str, CorpusSet]:
    """Train, dev and eval, of different speakers.

    Args:
        options: the manifests and the split.

    Raises:
        UserError: damaged manifests, audio that cannot be read, or too few speakers.
    """
    path = Path(options.cuts)
    parts = read_parts(path)
    counts = Counter(part.speaker for part in parts)
    speakers = [speaker for speaker, count in counts.items() if count >= options.min_utterances]
    if len(speakers) < len(counts):
        logging.warning(
            "%s: %d speakers left out: fewer than min_utterances (%d)", path, len(counts) - len(speakers),
            options.min_utterances,
        )  # fmt: skip
    bad = BadRecordings(options.max_bad_utts)
    found = {}
    for name, members in split_speakers(speakers, options, str(path)).items():
        chosen = set(members)
        found[name] = lhotse_set(path, (part for part in parts if part.speaker in chosen), bad)
    bad.report(str(path))
    return found
