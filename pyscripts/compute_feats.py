#!/usr/bin/env python3
"""Computes MFCC or log mel filterbanks, as Kaldi's compute-mfcc-feats and compute-fbank-feats.

usage: compute_feats.py --config conf/features/mfcc.yaml scp:wav.scp ark,scp:feats.ark,feats.scp
       compute_feats.py --config conf/features/mfcc.yaml --segments segments scp:wav.scp ark:- | ...
       compute_feats.py --config conf/features/mfcc.yaml cuts:cuts.jsonl.gz ark,scp:feats.ark,feats.scp

WAVS is a script of files, archives of wav files (x.ark:123) or, with --allow-pipes, commands; or an archive; or, as
Kaldi's programs do not read it, a file of Lhotse's cuts, noise and rooms included.

Unlike Kaldi's programs, it reads any audio format, resamples to the configured rate, averages channels and never
dithers. With --segments it does the work of extract-segments as well: a segment that begins behind the end of
its recording, ends 0.5 s or more behind it, is not longer than 0.1 s, or belongs to no recording or channel is
skipped and logged; one without a channel averages them; a malformed line is an error. An utterance too short
for one frame is an error if the configuration says allow_empty: false, else an empty matrix, as in Kaldi.
--compress=true does the work of copy-feats --compress=true.
"""

import logging

import numpy as np

from xvkd import cli
from xvkd.errors import UserError
from xvkd.features.cuts import CutRecordings
from xvkd.features.extraction import FeatureConfig, FeatureExtractor
from xvkd.features.recordings import Recordings, read_segments
from xvkd.kaldi.archives import open_writer, skip
from xvkd.kaldi.specifiers import recordings_rspecifier, wspecifier
from xvkd.progress import Progress


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_schema(parser, FeatureConfig, absent={"window_type": "povey", "compress": False, "allow_empty": True})
    cli.add_pipes(parser)
    parser.add_argument("--segments", metavar="FILE", help="lines 'utterance recording start end [channel]'")
    parser.add_argument("--part", type=cli.part, default=(1, 1), metavar="JOB/NUM_JOBS", help="of the sorted keys")
    parser.add_argument("wavs", type=recordings_rspecifier, metavar="WAVS", help="scp:FILE, ark:FILE or cuts:FILE")
    parser.add_argument("features", type=wspecifier, metavar="FEATURES", help="ark,scp:FEATS.ARK,FEATS.SCP, ark:-, ...")
    args = parser.parse_args()
    options = FeatureConfig(**cli.schema_values(args))
    extractor = FeatureExtractor(options)
    segments = read_segments(args.segments, args.allow_pipes) if args.segments else None
    recordings: Recordings | CutRecordings
    if args.wavs.kind == "cuts":
        if segments is not None:
            raise UserError("--segments: cuts are segments already; leave it out")
        recordings = CutRecordings(args.wavs, args.part, args.allow_pipes)
    else:
        recordings = Recordings(args.wavs, segments, args.part, args.allow_pipes)
    progress = Progress(len(recordings.keys or []), "utterances")
    done = 0
    with open_writer(args.features, options.compress, args.allow_pipes) as writer:
        for utterance, samples in recordings.utterances(options.sample_frequency):
            features = extractor(samples)
            if len(features) == 0:
                if not options.allow_empty:
                    skip(args.wavs, UserError(
                        f"{args.wavs}: '{utterance}' is too short for a single frame ({len(samples)} samples); remove "
                        "it, or write an empty matrix as Kaldi does: --allow-empty=true"
                    ))
                    continue
                logging.warning("'%s' is too short for a frame (%d samples): empty", utterance, len(samples))
            if not np.isfinite(features).all():
                skip(args.wavs, UserError(f"{args.wavs}: key '{utterance}': NaN or infinity, of too large samples"))
                continue
            writer.write(utterance, features)
            done += 1
            if recordings.keys is not None:
                progress.update()
        # A part may have few utterances, or none.
        if not done and args.part[1] == 1:
            raise UserError(f"{args.wavs}: no utterance could be used")
    logging.info("features of %d utterances", done)


if __name__ == "__main__":
    cli.run(main)
