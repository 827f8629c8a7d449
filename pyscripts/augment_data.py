#!/usr/bin/env python3
"""Writes a data directory of augmented copies: of their audio, what Lhotse's cuts say of it.

usage: augment_data.py --config conf/augmentation/copies.yaml --noise data/noise data/train data/train_copies
       augment_data.py --config conf/augmentation/eval_noisy.yaml --noise data/noise_held_out --same-ids \\
         data/eval data/eval_noisy
       augment_data.py --speed-factors "0.9 1.1" data/train data/train_sp

Does the work of Kaldi's steps/data/augment_data_dir.py and reverberate_data_dir.py, and of
utils/data/perturb_data_dir_speed.sh, but no wav.scp with commands is written: compute_feats.py reads
cuts:DIR/manifests/cuts.jsonl.gz. Copies are called <utterance>-<kind>N, or sp0.9-<utterance> of the speaker
sp0.9-<speaker>; utt2uniq names their originals, utt2snr their signal-to-noise ratios in dB. Everything follows from
the configuration's seed and the utterances' names.
"""

from pathlib import Path

from xvkd import cli, config
from xvkd.augmentation.augmenter import Augmenter
from xvkd.augmentation.config import AugmentationConfig
from xvkd.augmentation.copies import write_copies, write_speed_copies
from xvkd.augmentation.noise_corpus import NoiseCorpus
from xvkd.errors import UserError
from xvkd.kaldi.datadir import DataDir


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", help="conf/augmentation/<name>.yaml")
    cli.add_overrides(parser)
    parser.add_argument("--noise", type=Path, metavar="DIR", help="what prepare_noise.py has written")
    parser.add_argument("--same-ids", action="store_true", help="one copy of each utterance, with its name and trials")
    parser.add_argument("--speed-factors", default="", metavar="FACTORS", help='such as "0.9 1.1", without --config')
    parser.add_argument("source", type=Path, help="a data directory with manifests")
    parser.add_argument("target", type=Path, help="gets the copies")
    args = parser.parse_args()
    source = DataDir(args.source)
    if args.speed_factors:
        write_speed_copies(source, args.target, speed_factors(args.speed_factors))
        return
    if not args.config or not args.noise:
        raise UserError("--config and --noise are needed, or else --speed-factors")
    options = config.load(AugmentationConfig, args.config, args.set)
    if not options.copies:
        raise UserError(f"{args.config}: copies: 0: there is nothing to write")
    if args.same_ids and (options.copies > 1 or options.deal != "random" or options.subset):
        raise UserError(f"{args.config}: --same-ids needs one copy an utterance (copies: 1, deal: random, subset: 0)")
    write_copies(source, args.target, Augmenter(options, NoiseCorpus(args.noise)), args.same_ids)


def speed_factors(text: str) -> list[float]:
    """Parses ``0.9 1.1``."""
    try:
        factors = [float(word) for word in text.split()]
    except ValueError:
        factors = []
    sound = factors and all(0.5 <= factor <= 2 and factor != 1 for factor in factors)
    if not sound or len({f"{factor:g}" for factor in factors}) < len(factors):
        raise UserError(f"--speed-factors '{text}': expected different numbers from 0.5 to 2, such as \"0.9 1.1\"")
    return factors


if __name__ == "__main__":
    cli.run(main)
