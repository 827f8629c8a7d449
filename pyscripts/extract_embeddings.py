#!/usr/bin/env python3
"""Dumps a network's embeddings of a data directory, all levels from one forward pass.

Writes <level>.ark and <level>.scp, and their names to the file "levels", one a line, in the network's
order and each level once. Does the work of Kaldi's nnet3-xvector-compute for any number of levels. With --durations,
also those of the middle of each utterance, to FOLDER_1s and the like.
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
from xvkd.nets.extraction import ExtractionConfig, extract, pieces
from xvkd.nets.models import load_model
from xvkd.progress import Progress
from xvkd.training.data import UtteranceReader
from xvkd.training.device import choose_device


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/extraction.yaml")
    parser.add_argument("--model", type=Path, required=True, help="a finished model's folder")
    parser.add_argument(
        "--levels", default="all",
        help="names joined by +, among which all stands for those of the network's list; the mean and standard "
        "deviation of a layer's output are given when they are named (all+stats3); default: all",
    )  # fmt: skip
    parser.add_argument(
        "--durations", default="", metavar='"SECONDS ..."',
        help="also of the middle so many seconds of what the network reads of an utterance; of a shorter one, of all",
    )  # fmt: skip
    parser.add_argument("data_dir", help="with feats.scp and vad.scp")
    parser.add_argument("folder", type=Path, help="gets <level>.ark and <level>.scp")
    args = parser.parse_args()
    options = configuration.load(ExtractionConfig, args.config)
    network, record = load_model(args.model)
    known = network.levels | network.further_levels
    levels = [name for part in parse_levels(args.levels) for name in (network.levels if part == "all" else [part])]
    levels = list(dict.fromkeys(levels))
    for level in levels:
        if level not in known:
            raise UserError(f"{args.model}: no level '{level}' (there are: {', '.join(known)})")
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
    lengths = {args.folder: None, **cropped(args.folder, args.durations, record["features"]["frame_shift"])}
    with ExitStack() as stack:
        writers = {}
        for folder in lengths:
            folder.mkdir(parents=True, exist_ok=True)
            for level in levels:
                writer = ArchiveWriter(folder / f"{level}.ark", folder / f"{level}.scp", compress=False)
                writers[folder, level] = stack.enter_context(writer)
        inputs = (piece for utterance in utterances for piece in pieces(utterance, reader[utterance], lengths))
        for piece, embeddings in extract(network, inputs, levels, options, choose_device()):
            for folder in piece.names:
                for level, embedding in embeddings.items():
                    writers[folder, level].write(piece.utterance, embedding)
            progress.update(args.folder in piece.names)
    names = {level: alias for alias, level in aliases.items()}
    for folder in lengths:
        for alias, level in aliases.items():
            write_table(folder / f"{alias}.scp", read_table(folder / f"{level}.scp"))
        with atomic_write(folder / "levels") as file:
            file.writelines(f"{names.get(level, level)}\n" for level in levels)


def cropped(folder: Path, durations: str, frame_shift: float) -> dict[Path, int]:
    """The folder of each duration, and its frames, of ``frame_shift`` ms.

    Raises:
        UserError: a duration is not a number of seconds, at least a frame.
    """
    try:
        lengths = {Path(f"{folder}_{word}s"): round(1000 * float(word) / frame_shift) for word in durations.split()}
    except (ValueError, OverflowError):
        lengths = {folder: 0}
    if any(frames < 1 for frames in lengths.values()):
        raise UserError(f"--durations '{durations}': expected seconds with spaces between, such as \"1 2 4\"")
    return lengths


if __name__ == "__main__":
    cli.run(main)
