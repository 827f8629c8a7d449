#!/usr/bin/env python3
"""Writes a Kaldi data directory of recordings whose speakers are not known: students can be distilled on them.

Takes a Kaldi data directory, of which wav.scp or feats.scp is enough, a Lhotse manifest, or a folder of audio files.
Utterances get the name of the set before their own.
"""

from pathlib import Path

from xvkd import cli
from xvkd.corpora.prepare import prepare_unlabelled


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--max-bad-utts", type=int, default=0, metavar="N", help="recordings that may be left out (0)")
    parser.add_argument("source", type=Path, help="data directory, manifest or folder of recordings")
    parser.add_argument("folder", type=Path, help="the set's, data/<corpus>/<set>")
    args = parser.parse_args()
    prepare_unlabelled(args.source, args.folder, args.max_bad_utts)


if __name__ == "__main__":
    cli.run(main)
