#!/usr/bin/env python3
"""Reads an x-vector network of Kaldi's (nnet3, binary or text) as a teacher: no training.

The network must be an x-vector (tdnn) or E-TDNN (etdnn) as Kaldi's recipes write them, of any widths; its classifier
is dropped. The folder then is that of a trained teacher: extract_embeddings.py takes its levels, of which segment6 is
what Kaldi's nnet3-xvector-compute gives with the recipes' extract.config, "output-node name=output
input=tdnn6.affine".
"""

import hashlib
import logging
from dataclasses import asdict
from pathlib import Path

from xvkd import cli
from xvkd.nets.kaldi_import import import_network
from xvkd.nets.models import finish_model
from xvkd.training.config import load_input_config


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/inputs/<name>.yaml: what the network reads")
    cli.add_overrides(parser)
    parser.add_argument("nnet3", type=Path, metavar="FINAL_RAW", help="the network")
    parser.add_argument("folder", type=Path, metavar="MODEL", help="gets config.yaml and model.safetensors")
    args = parser.parse_args()
    digest = hashlib.sha256(args.nnet3.read_bytes()).hexdigest()
    reads, features, vad = load_input_config(args.config, args.set)
    record, network, kaldi = import_network(args.nnet3, features.dim)
    affine = [layer.name for layer in kaldi.frame_layers + kaldi.segment_layers]
    levels = [level for level in network.levels if level not in ("frame", "stats")]
    for name, level in zip(affine, levels, strict=True):
        logging.info("%s: %s, %d values", name, level, network.levels[level])
    logging.info(
        "Kaldi's pooling takes at most %d frames: with a larger max_chunk_frames in conf/extraction.yaml, longer "
        "utterances get other embeddings than Kaldi's", kaldi.pooled_frames,
    )
    finish_model(args.folder, network, record, {
        "role": "teacher",
        "loss": "kaldi",
        "seed": 0,  # nothing was drawn
        "nnet3": {
            "file": args.nnet3.name,
            "sha256": digest,
            "pooled_frames": kaldi.pooled_frames,
            "components": dict(zip(levels, affine, strict=True)),
        },
        "input": asdict(reads),
        "features": asdict(features),
        "vad": asdict(vad),
    })
    logging.info("%s: %s, %d parameters", args.folder, record.network, network.num_parameters())


if __name__ == "__main__":
    cli.run(main)
