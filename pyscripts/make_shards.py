#!/usr/bin/env python3
"""Writes shards: what a network reads of a set's utterances, CMN and VAD applied, in archives that training reads from
end to end.

usage: make_shards.py --config conf/shards.yaml --input conf/inputs/mfcc_cmn_voiced.yaml --part 1/4 data/train \\
         data/train/shards/mfcc_cmn_voiced

Does the work of Kaldi's apply-cmvn-sliding and select-voiced-frames, and of allocating utterances to archives as for
nnet3-xvector-get-egs; but archives have whole utterances, of which training cuts new chunks in each epoch. Each part
writes inputs.JOB.NUMBER.ark, inputs.JOB.scp and index.JOB; those of all parts, sorted together, are inputs.scp and
index.
"""

from pathlib import Path

from xvkd import cli, config
from xvkd.kaldi.datadir import DataDir
from xvkd.training.config import load_input_config
from xvkd.training.data import UtteranceReader
from xvkd.training.shards import ShardConfig, shard_settings, write_shards


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/shards.yaml")
    parser.add_argument("--input", required=True, help="conf/inputs/<name>.yaml: what the network reads")
    cli.add_overrides(parser)
    parser.add_argument("--part", type=cli.part, default=(1, 1), metavar="JOB/NUM_JOBS", help="of the utterances")
    parser.add_argument("data_dir", help="with features, VAD and utt2spk")
    parser.add_argument("folder", type=Path, help="gets the shards")
    args = parser.parse_args()
    options = config.load(ShardConfig, args.config)
    reads, features, vad = load_input_config(args.input, args.set)
    data_dir = DataDir(args.data_dir)
    reader = UtteranceReader([data_dir], reads)
    write_shards(data_dir, reader, args.folder, options, shard_settings(reads, features, vad), args.part)


if __name__ == "__main__":
    cli.run(main)
