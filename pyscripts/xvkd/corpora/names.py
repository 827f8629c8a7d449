"""How utterances are called: names that Kaldi's tables can take, and the spellings of other toolkits."""

import re
from collections.abc import Mapping

from xvkd.features import decoding

SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3"} | decoding.SUFFIXES


def safe(name: str) -> str:
    """A name without what Kaldi's tables or a shell could take amiss."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def safe_speaker(name: str) -> str:
    """The same for a speaker: a hyphen ends the speaker's part of an utterance id, so none may stand within it."""
    return safe(name).replace("-", "_")


class Names:
    """Which utterance a name means, in the spellings of different toolkits.

    A name means the utterance that is called exactly so; otherwise the one that is, once the ending of an audio
    file is dropped and ``/`` is written ``-``: ``id10270/5r0dWxy17C8/00001.wav`` is
    ``id10270-5r0dWxy17C8-00001``, and the reverse.

    Args:
        utterances: name to utterance id; ids themselves, and names that they had elsewhere.
    """

    def __init__(self, utterances: Mapping[str, str]) -> None:
        self._exact = utterances
        self._alike: dict[str, str | None] = {}
        for name, utterance in utterances.items():
            plain = _plain(name)
            # Two utterances that are spelled alike are told apart by their exact names alone.
            self._alike[plain] = utterance if self._alike.get(plain, utterance) == utterance else None

    def get(self, name: str) -> str | None:
        """The utterance's id, or None."""
        return self._exact.get(name) or self._alike.get(_plain(name))


def _plain(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return (stem if dot + ending.lower() in SUFFIXES else name).replace("/", "-")
