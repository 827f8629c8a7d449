"""Data directories of copies: no audio, but Lhotse's cuts that say what is done to that of the originals."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xvkd.augmentation.augmenter import Augmenter
from xvkd.augmentation.config import AugmentationConfig
from xvkd.corpora.synthesis.draws import stream
from xvkd.errors import UserError
from xvkd.features.cuts import CUTS, utterance_cuts, write_cuts
from xvkd.kaldi.datadir import DataDir, write_data_dir
from xvkd.kaldi.files import atomic_write

if TYPE_CHECKING:
    from lhotse.cut import Cut

# Marks a set that stage 2 has made, with the name of the set that it was made of.
AUGMENTED = ".augmented"


class Copies:
    """The tables of a set of copies, and its cuts, which are made while they are written."""

    def __init__(self, source: DataDir, target: Path) -> None:
        self.source, self._target = source, target
        self.speakers = source.speakers()
        self.tables: dict[str, dict[str, str]] = {"utt2spk": {}, "utt2dur": {}, "utt2uniq": {}, "utt2snr": {}}
        if source.path.resolve() == target.resolve():
            raise UserError(f"{target}: a set cannot be a copy of itself")
        if (target / "utt2spk").exists() and not (target / AUGMENTED).exists():
            raise UserError(f"{target}: is there, and not made by this stage: rename or remove it")
        for path in target.glob("*"):
            if path.is_file() and not path.name.startswith(".done"):
                path.unlink()
        with atomic_write(target / AUGMENTED) as file:
            file.write(f"{source.path.name}\n")

    def originals(self) -> "Iterator[Cut]":
        """The cuts of the source's utterances."""
        for cut in utterance_cuts(self.source.path):
            if cut.id in self.speakers:
                yield cut

    def add(self, name: str, original: str, speaker: str, seconds: float, snr: float | None = None) -> None:
        """Notes a copy. One of another speaker is an utterance of its own: utt2uniq does not know it."""
        self.tables["utt2spk"][name] = speaker
        self.tables["utt2dur"][name] = f"{seconds:.4f}"
        if speaker == self.speakers[original]:
            self.tables["utt2uniq"][name] = original
        if snr is not None:
            self.tables["utt2snr"][name] = f"{snr:.2f}"

    def write(self, cuts: "Iterator[Cut]", genders: dict[str, str], more: Sequence[str] = ()) -> None:
        """Writes cuts and tables; ``more`` names what is taken over from the source as it is."""
        write_cuts(self._target / "manifests" / CUTS, cuts)
        if not self.tables["utt2spk"]:
            raise UserError(f"{self.source.path}: none of its utterances has audio that Lhotse can describe")
        write_data_dir(
            self._target, {name: table for name, table in {**self.tables, "spk2gender": genders}.items() if table}
        )
        for path in sorted(path for pattern in more for path in self.source.path.glob(pattern)):
            with atomic_write(self._target / path.name, "wb") as file:
                file.write(path.read_bytes())
        seconds = sum(map(float, self.tables["utt2dur"].values()))
        logging.info("%s: %d copies, %.2f hours", self._target, len(self.tables["utt2spk"]), seconds / 3600)


def write_copies(
    source: DataDir, target: Path, augmenter: Augmenter, same_ids: bool = False
) -> None:
    """Writes copies of a set as the configuration of the augmenter says.

    All that is random about a copy follows from the seed and the copy's name.

    Args:
        source: a data directory with manifests.
        target: gets the copies; what this function wrote there before is removed.
        augmenter: with its configuration.
        same_ids: one copy of each utterance, with its name, trials and enrolments, in place of ``<utterance>-<kind>N``.
    """
    config = augmenter.config
    copies = Copies(source, target)
    kept = _subset(config, list(copies.speakers), _slots(config, augmenter))

    def cuts() -> "Iterator[Cut]":
        from lhotse.utils import fastcopy

        for cut in copies.originals():
            speaker = copies.speakers[cut.id]
            for number, kind in enumerate([None] if same_ids else _slots(config, augmenter)):
                if kept is not None and (cut.id, number) not in kept:
                    continue
                rng = stream(config.seed, source.path.name, cut.id, str(number), kind or "")
                drawn = kind or augmenter.draw_kind(rng)
                which = number + 1 if kind is None or config.copies > 1 else ""
                name = cut.id if same_ids else f"{cut.id}-{drawn}{which}"
                augmented, snr = augmenter(cut, speaker, drawn, rng)
                copies.add(name, cut.id, speaker, augmented.duration, snr)
                yield fastcopy(augmented, id=name)

    genders = source.table_if_any("spk2gender")
    copies.write(cuts(), genders, ("trials*", "enrol*", "utt2session", "text") if same_ids else ())


def write_speed_copies(source: DataDir, target: Path, factors: Sequence[float]) -> None:
    """Writes copies that are faster or slower, of further speakers: pitch and formants move as well.

    Args:
        source: a data directory with manifests.
        target: gets ``sp<factor>-<utterance>`` of ``sp<factor>-<speaker>``.
        factors: such as 0.9 and 1.1.
    """
    copies = Copies(source, target)
    genders = source.table_if_any("spk2gender")

    def cuts() -> "Iterator[Cut]":
        from lhotse.utils import fastcopy

        for factor in factors:
            for cut in copies.originals():
                name = f"sp{factor:g}-{cut.id}"
                perturbed = cut.perturb_speed(factor, affix_id=False)
                copies.add(name, cut.id, f"sp{factor:g}-{copies.speakers[cut.id]}", perturbed.duration)
                yield fastcopy(perturbed, id=name)

    copies.write(cuts(), {f"sp{f:g}-{speaker}": gender for f in factors for speaker, gender in genders.items()})


def _slots(config: AugmentationConfig, augmenter: Augmenter) -> list[str | None]:
    """The copies of an utterance: their kinds, or None where the kind is drawn."""
    return [None] * config.copies if config.deal == "random" else [*augmenter.kinds] * config.copies


def _subset(
    config: AugmentationConfig, utterances: list[str], slots: list[str | None]
) -> set[tuple[str, int]] | None:  # fmt: skip
    """Which copies are kept, as (utterance, number); None: all."""
    each = len(slots)
    total = len(utterances) * each
    if not 0 < config.subset < total:
        return None
    if config.subset_by == "even":
        # In the order of the copies' names: of an utterance, in that of the kinds.
        order = sorted(range(each), key=lambda number: (slots[number] or "", number))
        return {(utterances[row // each], order[row % each]) for row in evenly(0, total, config.subset)}
    rows = stream(config.seed, "subset").permutation(total)[: config.subset]
    return {(utterances[row // each], row % each) for row in rows.tolist()}


def evenly(begin: int, end: int, count: int) -> Iterator[int]:
    """So many of the rows of a list, from all over it, as Kaldi's utils/subset_scp.pl: half of them from each half.

    Args:
        begin, end: the rows; count of them at most.
        count: at least 0.
    """
    if count == end - begin:
        yield from range(begin, end)
    elif count:
        middle = begin + (end - begin) // 2
        yield from evenly(begin, middle, count // 2)
        yield from evenly(middle, end, count - count // 2)
