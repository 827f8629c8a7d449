"""Splitting a corpus by speaker."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from xvkd.config import limits
from xvkd.errors import UserError


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
