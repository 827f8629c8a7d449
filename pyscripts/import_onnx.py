#!/usr/bin/env python3
"""Reads a network in an ONNX file as a teacher: no training.

usage: import_onnx.py --config conf/inputs/fbank80_wespeaker.yaml --list MODEL.onnx
       import_onnx.py --config conf/inputs/fbank80_wespeaker.yaml --levels frame=NODE,segment6=NODE MODEL.onnx FOLDER

--list prints every tensor that can be a level: values of the level, shape, operator, name. NODE is such a name, or
that of a node, whose first output is meant. What grows with the utterance is averaged over time, the rest is taken
as it is. The last level is the network's output. The folder then is that of a trained teacher:
extract_embeddings.py takes its levels.

Kaldi has no such program; for networks of its own, import_kaldi_nnet.py does the same.
"""

import hashlib
import logging
from dataclasses import asdict
from pathlib import Path

from xvkd import cli
from xvkd.errors import UserError
from xvkd.nets.models import finish_model
from xvkd.nets.onnx_import import import_network, parse_nodes, possible_levels
from xvkd.training.config import load_input_config


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/inputs/<name>.yaml: what the network reads")
    cli.add_overrides(parser)
    parser.add_argument("--levels", default="", metavar="LEVEL=NODE,...", help="the levels, and where they are")
    parser.add_argument("--list", action="store_true", help="prints what can be a level")
    parser.add_argument("onnx", type=Path, metavar="MODEL.onnx", help="the network")
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="gets config.yaml and model.onnx")
    args = parser.parse_args()
    reads, features, vad = load_input_config(args.config, args.set)
    if args.list:
        for operator, level in possible_levels(args.onnx, features.dim):
            print(f"{level.size:8d}  {level!s:24s}  {operator:18s}  {level.tensor}")
        return
    if not args.folder or not args.levels:
        raise UserError("--levels LEVEL=NODE,... and FOLDER are both needed, or --list, which prints the nodes")
    nodes = parse_nodes(args.levels)
    record, network, levels = import_network(args.onnx, nodes, features.dim)
    for level, made in levels.items():
        logging.info("%s: %s, %s, %d values", made.tensor, level, made, made.size)
    finish_model(args.folder, network, record, {
        "role": "teacher",
        "loss": "given",
        "seed": 0,  # nothing was drawn
        "onnx": {
            "file": args.onnx.name,
            "sha256": hashlib.sha256(args.onnx.read_bytes()).hexdigest(),
            "levels": {level: made.tensor for level, made in levels.items()},
        },
        "input": asdict(reads),
        "features": asdict(features),
        "vad": asdict(vad),
    })
    logging.info("%s: %s, %d parameters, from %d frames on", args.folder, args.onnx.name, network.num_parameters(),
                 network.min_frames)


if __name__ == "__main__":
    cli.run(main)
