#!/usr/bin/env python3
"""Dumps a network's embeddings of a data directory, all levels from one forward pass.

Writes <level>.ark and <level>.scp, and their names to the file "levels", one a line, in the network's
order and each level once. Does the work of Kaldi's nnet3-xvector-compute for any number of levels.
"""

import logging
from contextlib import ExitStack
from pathlib import Path

from xvkd import cli
from xvkd import config as configuration
from xvkd.distillation.levels import parse_levels
from xvkd.errors import UserError
from xvkd.features.network_input import InputConfig
from xvkd.kaldi.archives import ArchiveWriter
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.tables import read_table, write_table
from xvkd.nets.extraction import ExtractionConfig, extract
from xvkd.nets.models import load_model
from xvkd.progress import Progress
from xvkd.training.data import UtteranceReader
from xvkd.training.device import choose_device


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/extraction.yaml")
    parser.add_argument("--model", type=Path, required=True, help="a finished model's folder")
    parser.add_argument("--levels", default="all", help="names joined by +; default: all that the network has")
    parser.add_argument("data_dir", help="with feats.scp and vad.scp")
    parser.add_argument("folder", type=Path, help="gets <level>.ark and <level>.scp")
    args = parser.parse_args()
    options = configuration.load(ExtractionConfig, args.config)
    network, record = load_model(args.model)
    levels = list(network.levels) if args.levels == "all" else parse_levels(args.levels)
    for level in levels:
        if level not in network.levels:
            raise UserError(f"{args.model}: no level '{level}' (there are: {', '.join(network.levels)})")
    aliases = {alias: level for alias, level in network.aliases.items() if {alias, level} <= set(levels)}
    levels = [level for level in levels if level not in aliases]

    data_dir = DataDir(args.data_dir)
    reader = UtteranceReader([data_dir], InputConfig(**record["input"]))
    everything = data_dir.speakers()
    utterances = [utterance for utterance in everything if utterance in reader]
    if not utterances:
        raise UserError(f"{data_dir.path}: no utterance has features and voiced frames; run stage 3 again")
    if len(utterances) < len(everything):
        logging.warning("%s: %d utterances cannot be used", data_dir.path, len(everything) - len(utterances))
    progress = Progress(len(utterances), "utterances")
    args.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        writers = {
            level: stack.enter_context(
                ArchiveWriter(args.folder / f"{level}.ark", args.folder / f"{level}.scp", compress=False)
            )
            for level in levels
        }
        inputs = ((utterance, reader[utterance]) for utterance in utterances)
        for utterance, embeddings in extract(network, inputs, levels, options, choose_device()):
            for level, embedding in embeddings.items():
                writers[level].write(utterance, embedding)
            progress.update()
    for alias, level in aliases.items():
        write_table(args.folder / f"{alias}.scp", read_table(args.folder / f"{level}.scp"))
    names = {level: alias for alias, level in aliases.items()}
    with atomic_write(args.folder / "levels") as file:
        file.writelines(f"{names.get(level, level)}\n" for level in levels)


if __name__ == "__main__":
    cli.run(main)
