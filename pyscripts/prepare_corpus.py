#!/usr/bin/env python3
"""Writes Lhotse manifests, Kaldi data directories and trial lists of a corpus."""

from pathlib import Path

from xvkd import cli
from xvkd.corpora.prepare import load_corpus, prepare


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/corpora/<name>.yaml")
    cli.add_overrides(parser)
    parser.add_argument("data_root", type=Path, help="gets train/, dev/ and eval/")
    args = parser.parse_args()
    prepare(*load_corpus(args.config, args.set), args.data_root)


if __name__ == "__main__":
    cli.run(main)
