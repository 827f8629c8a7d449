#!/usr/bin/env python3
"""Keeps the voiced frames of features, as Kaldi's select-voiced-frames.

usage: select_voiced_frames.py scp:feats.scp scp:vad.scp ark:-

As there, utterances without frames, without VAD, with VAD of another length or without any voiced frame are skipped
and logged, and it is an error if nothing is left. Unlike there, NaN, infinity or matrices of unequal width
in FEATURES are errors, and so are VAD decisions other than 0 and 1.
"""

import logging

import numpy as np

from xvkd import cli
from xvkd.errors import UserError
from xvkd.kaldi.archives import ArchiveReader, MatrixReader, open_random, open_writer, read_items
from xvkd.kaldi.specifiers import rspecifier, wspecifier


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_pipes(parser)
    parser.add_argument("features", type=rspecifier, metavar="FEATURES", help="scp:FEATS.SCP, ark:-, ...")
    parser.add_argument("vad", type=rspecifier, metavar="VAD", help="scp:VAD.SCP, ark:VAD.ARK (held in memory), ...")
    parser.add_argument("voiced", type=wspecifier, metavar="OUTPUT", help="ark:-, ark,scp:VOICED.ARK,VOICED.SCP, ...")
    args = parser.parse_args()
    done = skipped = 0
    vad = open_random(args.vad, args.allow_pipes)
    with open_writer(args.voiced, compress=False, allow_pipes=args.allow_pipes) as writer:
        for utterance, features in read_items(args.features, args.allow_pipes):
            if features.size and features.ndim != 2:
                raise UserError(f"{args.features}: '{utterance}' is a vector; matrices of features are expected")
            chosen = voiced_frames(utterance, len(features), vad, str(args.vad))
            if isinstance(chosen, str):
                logging.warning("skipped: '%s' has %s", utterance, chosen)
                skipped += 1
            else:
                writer.write(utterance, features[chosen])
                done += 1
        if not done:
            raise UserError(f"{args.features}: no utterance has voiced frames in {args.vad} ({skipped} tried)")
    logging.info("voiced frames of %d utterances, skipped %d", done, skipped)


def voiced_frames(utterance: str, frames: int, vad: MatrixReader | ArchiveReader, name: str) -> np.ndarray | str:
    """A mask of the frames to keep, bool (frames,); or why the utterance is skipped."""
    if frames == 0:
        return "no frames"
    if utterance not in vad:
        return f"no entry in {name}"
    decisions = vad[utterance]
    if decisions.ndim != 1:
        raise UserError(f"{name}: '{utterance}' is a matrix; vectors of decisions are expected")
    if not np.isin(decisions, (0, 1)).all():
        raise UserError(f"{name}: '{utterance}': decisions other than 0 and 1")
    if decisions.shape != (frames,):
        return f"{frames} frames, and in {name} {len(decisions)}"
    return decisions == 1 if decisions.any() else "no voiced frame"


if __name__ == "__main__":
    cli.run(main)
