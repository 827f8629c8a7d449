"""Kaldi's rspecifiers and wspecifiers: what the commands call the tables that they read and write."""

import argparse
from dataclasses import dataclass

# Kaldi's hints on how a table will be read (sorted, called in order, each key once, in the background, binary or
# text) save it memory or time; we need none of them, and "p" alone changes what is read.
_HINTS = {"s", "ns", "cs", "ncs", "o", "no", "bg", "b", "t", "np", "p"}
_WAYS_TO_WRITE = {"b", "t", "f", "nf", "p"}


@dataclass(frozen=True)
class RSpecifier:
    """A table to read.

    Attributes:
        kind: "ark" or "scp"; of recordings also "cuts", our own: a file of Lhotse's cuts.
        name: a file, "-" for standard input, or a command that ends in "|".
        permissive: entries that cannot be read are skipped (option ``p``).
    """

    kind: str
    name: str
    permissive: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class WSpecifier:
    """A table to write.

    Attributes:
        ark: the archive: a file, "-" for standard output, or a command that begins with "|".
        scp: its script file, or None.
        text: the archive is text (option ``t``).
        flush: whoever reads from a pipe sees each entry at once (option ``f``).
    """

    ark: str
    scp: str | None = None
    text: bool = False
    flush: bool = False


def recordings_rspecifier(text: str) -> RSpecifier:
    """Parses what ``rspecifier`` does, and ``cuts:FILE`` with the option ``p``, as an argparse type."""
    options, _, name = text.partition(":")
    words = [word.strip() for word in options.split(",")]
    if "cuts" in words and set(words) <= {"cuts", "p"} and name.strip():
        return RSpecifier("cuts", name.strip(), permissive="p" in words)
    return rspecifier(text)


def rspecifier(text: str) -> RSpecifier:
    """Parses ``scp:FILE`` or ``ark:FILE`` with Kaldi's options before the colon, as an argparse type."""
    options, _, name = text.partition(":")
    kinds, others = _split(options)
    if len(kinds) != 1 or not name.strip() or not others <= _HINTS:
        raise argparse.ArgumentTypeError(
            f"'{text}': expected scp:FILE or ark:FILE (FILE may be - or 'command |'; options before the colon: "
            f"{', '.join(sorted(_HINTS))})"
        )
    return RSpecifier(kinds[0], name.strip(), permissive="p" in others)


def wspecifier(text: str) -> WSpecifier:
    """Parses ``ark:FILE``, ``ark,scp:ARK,SCP`` and the like, as an argparse type."""
    options, _, names = text.partition(":")
    kinds, others = _split(options)
    ark, scp = names.strip(), None
    if len(kinds) == 2:
        ark, _, scp = ark.partition(",")
        if kinds == ["scp", "ark"]:
            ark, scp = scp, ark
    if sorted(kinds) not in (["ark"], ["ark", "scp"]) or not ark or scp == "" or not others <= _WAYS_TO_WRITE:
        raise argparse.ArgumentTypeError(
            f"'{text}': expected ark:ARCHIVE or ark,scp:ARCHIVE,SCRIPT (ARCHIVE may be - or '| command'; options "
            f"before the colon: {', '.join(sorted(_WAYS_TO_WRITE))})"
        )
    if scp is not None and (ark == "-" or ark.startswith("|")):
        raise argparse.ArgumentTypeError(f"'{text}': a script can only name an archive that is a file")
    return WSpecifier(ark, scp, text="t" in others, flush="f" in others)


def _split(options: str) -> tuple[list[str], set[str]]:
    """The kinds of a specifier in their order, and its other options."""
    words = [word.strip() for word in options.split(",")]
    return [word for word in words if word in ("ark", "scp")], {word for word in words if word not in ("ark", "scp")}
