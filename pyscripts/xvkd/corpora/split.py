"""Splitting a corpus by speaker."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from xvkd.config import limits
from xvkd.corpora.trials import Utterance
from xvkd.errors import UserError

# Utterance id to what is known of it and its file.
Files = dict[str, tuple[Utterance, str]]


@dataclass
class SplitOptions:
    """How speakers are split into train, dev and eval."""

    dev_share: float = limits(0.0, 1.0)  # of the speakers
    eval_share: float = limits(0.0, 1.0)  # of the speakers
    min_utterances: int = limits(1)  # speakers with fewer are left out
    seed: int = limits(0)
    max_bad_utts: int = limits(0)  # utterances whose recordings cannot be read are left out, so many at most

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        if self.dev_share + self.eval_share >= 1:
            return "dev_share and eval_share leave no speaker for training"
        return None


def split_speakers(speakers: Iterable[str], options: SplitOptions, where: str) -> dict[str, list[str]]:
    """Train, dev and eval have different speakers, at least two each.

    Args:
        speakers: their ids.
        options: the shares and the seed.
        where: what they are speakers of, for messages.

    Returns:
        set -> speakers, sorted; the same for the same speakers in any order.

    Raises:
        UserError: too few speakers.
    """
    order = np.random.default_rng(options.seed).permutation(sorted(speakers))
    num_eval = round(options.eval_share * len(order))
    num_dev = round(options.dev_share * len(order))
    split = {
        "train": order[num_eval + num_dev :],
        "dev": order[num_eval : num_eval + num_dev],
        "eval": order[:num_eval],
    }
    for name, members in split.items():
        if len(members) < 2:
            raise UserError(
                f"{where}: {len(order)} speakers leave {len(members)} for {name}; at least 2 are needed "
                "(more speakers, or other options.dev_share and options.eval_share with --corpus-set)"
            )
    return {name: sorted(str(member) for member in members) for name, members in split.items()}


def hold_out(train: Files, speakers: int, utterances: int, random: np.random.Generator) -> tuple[Files, Files]:
    """Takes speakers out of the training set to choose and calibrate on.

    Args:
        train: the whole training set.
        speakers: how many are held out.
        utterances: how many of each of them are kept; the others belong to no set.
        random: draws both.

    Returns:
        What is left to train on, and dev.

    Raises:
        UserError: hardly anybody would be left.
    """
    known = sorted({utterance.speaker for utterance, _ in train.values()})
    if len(known) < speakers + 2:
        raise UserError(f"options.dev_speakers: {speakers} of {len(known)} speakers would leave fewer than 2 to train "
                        "on: hold out fewer with --corpus-set options.dev_speakers=N")
    held_out = set(random.choice(known, speakers, replace=False).tolist())
    left, dev = {}, {}
    for name, file in train.items():
        (dev if file[0].speaker in held_out else left)[name] = file
    return left, some_of_each(dev, utterances, random)


def some_of_each(files: Files, count: int, random: np.random.Generator) -> Files:
    """At most ``count`` utterances of each speaker, of as many sessions as there are."""
    speakers: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in sorted(files):
        utterance = files[name][0]
        speakers[utterance.speaker][utterance.session].append(name)
    return {
        name: files[name] for speaker in sorted(speakers)
        for name in _in_turn(list(speakers[speaker].values()), random)[:count]
    }  # fmt: skip


def _in_turn(sessions: Iterable[Sequence[str]], random: np.random.Generator) -> list[str]:
    """One utterance of each session, then the second ones, and so on; both in an order that is drawn."""
    shuffled = [random.permutation(names).tolist() for names in sessions]
    places = random.permutation(len(shuffled)).tolist()
    drawn = [(turn, place, name) for place, names in zip(places, shuffled, strict=True)
             for turn, name in enumerate(names)]  # fmt: skip
    return [name for _, _, name in sorted(drawn)]
