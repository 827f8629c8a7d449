"""Recordings that cannot be used."""

import logging
from collections.abc import Iterable

from xvkd.errors import UserError


class BadRecordings:
    """Lets a number of utterances pass whose recordings cannot be used, and keeps count of them.

    Args:
        most: utterances that may be left out.

    Attributes:
        left_out: their ids.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.left_out: set[str] = set()

    def leave_out(self, utterances: Iterable[str], error: UserError) -> None:
        """Says that utterances are left out, and why.

        Raises:
            UserError: with these there are too many.
        """
        names = sorted(set(utterances) - self.left_out)
        self.left_out.update(names)
        if len(self.left_out) > self._most:
            allowed = f" ({len(self.left_out)} utterances cannot be used, --max-bad-utts allows {self._most})"
            raise UserError(f"{error}{allowed if self._most else ''}")
        for name in names:
            logging.warning("left out: '%s': %s", name, error)

    def report(self, where: str) -> None:
        """Says how many were left out, if any."""
        if self.left_out:
            logging.warning("%s: %d utterances left out, whose recordings cannot be used", where, len(self.left_out))
