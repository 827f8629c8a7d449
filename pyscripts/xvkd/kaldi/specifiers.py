"""The part of Kaldi's rspecifiers and wspecifiers that the commands take."""

import argparse
from pathlib import Path


def input_script(text: str) -> Path:
    """Parses ``scp:FILE``, as an argparse type."""
    kind, _, path = text.partition(":")
    if kind != "scp" or not path:
        raise argparse.ArgumentTypeError(f"'{text}': expected scp:FILE")
    return Path(path)


def output_pair(text: str) -> tuple[Path, Path]:
    """Parses ``ark,scp:ARK,SCP``, as an argparse type; returns archive and script file."""
    kind, _, paths = text.partition(":")
    ark, comma, scp = paths.partition(",")
    if kind != "ark,scp" or not comma or not ark or not scp:
        raise argparse.ArgumentTypeError(f"'{text}': expected ark,scp:ARCHIVE,SCRIPT")
    return Path(ark), Path(scp)
