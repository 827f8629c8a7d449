#!/usr/bin/env python3
"""Prepares the noise corpus that augmentation adds: noises, music, speech for babble, and rooms.

usage: prepare_noise.py --config conf/noise.yaml --speech data/train data/noise
       prepare_noise.py --config conf/noise.yaml --musan DIR --rirs DIR data/noise
       prepare_noise.py --config conf/noise.yaml --speech data/dev --held-out data/noise_held_out

Does the work of Kaldi's steps/data/make_musan.sh, by Lhotse's recipes, which read local folders and fetch nothing.
Without MUSAN noises and music are synthesised, and babble is mixed from the data's own utterances; without RIRS_NOISES
rooms are drawn.
"""

from pathlib import Path

from xvkd import cli, config
from xvkd.augmentation.config import NoiseConfig
from xvkd.augmentation.noise_corpus import Given, prepare_noise


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/noise.yaml")
    cli.add_overrides(parser)
    parser.add_argument("--musan", type=Path, metavar="DIR", help="with music/, noise/ and speech/")
    parser.add_argument("--rirs", type=Path, metavar="DIR", help="RIRS_NOISES, with simulated_rirs/")
    parser.add_argument("--speech", type=Path, action="append", default=[], metavar="DIR", help="a data directory")
    parser.add_argument("--held-out", action="store_true", help="what training never uses")
    parser.add_argument("folder", type=Path, help="gets noise, music, speech and rirs.jsonl.gz, and audio/")
    args = parser.parse_args()
    options = config.load(NoiseConfig, args.config, args.set)
    prepare_noise(options, Given(args.musan, args.rirs, args.speech), args.held_out, args.folder)


if __name__ == "__main__":
    cli.run(main)
