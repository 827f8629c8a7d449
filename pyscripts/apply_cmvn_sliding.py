#!/usr/bin/env python3
"""Normalises the mean (and variance) of features over a sliding window, as Kaldi's apply-cmvn-sliding.

usage: apply_cmvn_sliding.py --norm-vars=false --center=true --cmn-window=300 scp:feats.scp ark:-

--min-cmn-window counts without --center=true only and need not be given. Unlike Kaldi's program, the other options
have no defaults (give them, or a --config such as conf/inputs/mfcc_cmn_voiced.yaml), and NaN, infinity or
matrices of unequal width in FEATURES are errors. An utterance without a frame is skipped and logged.
"""

import logging

from xvkd import cli
from xvkd.errors import UserError
from xvkd.features.network_input import InputConfig, sliding_cmn
from xvkd.kaldi.archives import open_writer, read_items
from xvkd.kaldi.specifiers import rspecifier, wspecifier

OPTIONS = ("cmn_window", "min_cmn_window", "center", "norm_vars")


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_schema(parser, InputConfig, OPTIONS, absent={"min_cmn_window": 100})
    cli.add_pipes(parser)
    parser.add_argument("features", type=rspecifier, metavar="FEATURES", help="scp:FEATS.SCP, ark:-, ...")
    parser.add_argument("normalised", type=wspecifier, metavar="OUTPUT", help="ark:-, ark,scp:CMN.ARK,CMN.SCP, ...")
    args = parser.parse_args()
    options = cli.schema_values(args)
    done = skipped = 0
    with open_writer(args.normalised, compress=False, allow_pipes=args.allow_pipes) as writer:
        for utterance, features in read_items(args.features, args.allow_pipes):
            if features.size == 0:
                logging.warning("skipped: '%s' has no frames", utterance)
                skipped += 1
                continue
            if features.ndim != 2:
                raise UserError(f"{args.features}: '{utterance}' is a vector; matrices of features are expected")
            writer.write(utterance, sliding_cmn(features, **options))
            done += 1
        if not done:
            raise UserError(f"{args.features}: no utterance with frames ({skipped} without)")
    logging.info("normalised %d utterances, skipped %d", done, skipped)


if __name__ == "__main__":
    cli.run(main)
