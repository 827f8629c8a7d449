#!/usr/bin/env python3
"""Computes MFCC or log mel filterbanks, as Kaldi's compute-mfcc-feats and compute-fbank-feats.

Unlike those, it reads any audio format, resamples to the configured rate and averages channels; it
never dithers.
"""

from xvkd import cli, config
from xvkd.errors import UserError
from xvkd.features.audio import read_audio
from xvkd.features.extraction import FeatureConfig, FeatureExtractor
from xvkd.kaldi.archives import ArchiveWriter
from xvkd.kaldi.specifiers import input_script, output_pair
from xvkd.kaldi.tables import read_table, slice_part
from xvkd.progress import Progress


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/features/<name>.yaml")
    parser.add_argument("--part", type=cli.part, default=(1, 1), metavar="JOB/NUM_JOBS")
    parser.add_argument("wavs", type=input_script, metavar="scp:WAV.SCP")
    parser.add_argument("features", type=output_pair, metavar="ark,scp:FEATS.ARK,FEATS.SCP")
    args = parser.parse_args()
    options = config.load(FeatureConfig, args.config)
    extractor = FeatureExtractor(options)
    wavs = read_table(args.wavs)
    utterances = slice_part(wavs, args.part)
    progress = Progress(len(utterances), "utterances")
    with ArchiveWriter(*args.features, compress=options.compress) as writer:
        for utterance in utterances:
            features = extractor(read_audio(wavs[utterance], options.sample_frequency))
            if len(features) == 0:
                raise UserError(f"{wavs[utterance]}: too short for a single frame; replace or remove it")
            writer.write(utterance, features)
            progress.update()


if __name__ == "__main__":
    cli.run(main)
