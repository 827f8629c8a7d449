#!/usr/bin/env python3
"""Makes a part of the audio of a corpus that generates its own (the embedded synthetic corpus), or downloads a corpus.

What is already there is kept; the same seed gives the same bytes whatever the number of parts.
"""

from pathlib import Path

from xvkd import cli
from xvkd.corpora.prepare import generate, load_corpus


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/corpora/<name>.yaml")
    cli.add_overrides(parser)
    parser.add_argument("--part", type=cli.part, required=True, metavar="JOB/NUM_JOBS")
    parser.add_argument("data_root", type=Path, help="gets audio/<set>/<speaker>/<utterance>.wav")
    args = parser.parse_args()
    generate(*load_corpus(args.config, args.set), args.data_root, args.part)


if __name__ == "__main__":
    cli.run(main)
