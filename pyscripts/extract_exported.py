#!/usr/bin/env python3
"""Dumps the embeddings of exported networks, as extract_embeddings.py does of models: those of a whole data directory.

Writes FOLDER/<name>/<set>/embedding.ark and .scp for each MODEL (<name> is that of its file, without .onnx) and each
data directory (<set> is its name). Models that read features are given those of the directory, models that read
waveforms its recordings; models that are named together read the same, which is read once. Every utterance is read as
a whole.
"""

import argparse
import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from xvkd import cli
from xvkd.deployment.embedder import INPUT, OUTPUT
from xvkd.errors import UserError
from xvkd.features.audio import INT16_RANGE
from xvkd.features.network_input import InputConfig
from xvkd.features.recordings import Recordings, read_segments
from xvkd.kaldi.archives import ArchiveWriter
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.specifiers import RSpecifier
from xvkd.nets.onnx_network import open_session, run_session
from xvkd.progress import Progress
from xvkd.training.data import UtteranceReader


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, action="append", help="a file of export_model.py")
    cli.add_pipes(parser)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="gets <name>/<set>/embedding.scp")
    parser.add_argument("data_dirs", nargs="+", metavar="DATA-DIR", help="with features and VAD, or with wav.scp")
    args = parser.parse_args()
    sessions = {path: open_session(path.read_bytes(), path, torch.device("cpu")) for path in args.model}
    read = {session.get_inputs()[0].name for session in sessions.values()}
    if len(read) > 1:
        raise UserError("--model: some read waveforms, some features; run the command once for each kind")
    properties = next(iter(sessions.values())).get_modelmeta().custom_metadata_map
    for data_dir in map(DataDir, args.data_dirs):
        wanted = data_dir.speakers().keys() - data_dir.bad_utterances()
        progress = Progress(len(wanted), "utterances")
        with ExitStack() as stack:
            writers = {}
            for path in sessions:
                folder = args.folder / path.stem / data_dir.path.name
                folder.mkdir(parents=True, exist_ok=True)
                writer = ArchiveWriter(folder / "embedding.ark", folder / "embedding.scp", compress=False)
                writers[path] = stack.enter_context(writer)
            for utterance, values in inputs(data_dir, wanted, read == {INPUT}, properties, args):
                for path, session in sessions.items():
                    (embedding,) = run_session(session, path, values[None], "", [OUTPUT])
                    if not np.isfinite(embedding).all():
                        raise UserError(f"{data_dir.path}: utterance '{utterance}' has no voiced frame; remove it")
                    writers[path].write(utterance, embedding[0])
                progress.update()
        if not progress.done:
            raise UserError(f"{data_dir.path}: no utterance can be read; run stage 3 again")
        if progress.done < len(wanted):
            logging.warning("%s: %d utterances cannot be used", data_dir.path, len(wanted) - progress.done)


def inputs(
    data_dir: DataDir, wanted: set[str], waveforms: bool, properties: dict[str, str], args: argparse.Namespace
) -> Iterator[tuple[str, np.ndarray]]:
    """What a network reads of the utterances, in the order of their ids."""
    if waveforms:
        segments = data_dir.path / "segments"
        recordings = Recordings(
            # Of the recordings that stage 3 has left out, some cannot be read.
            RSpecifier("scp", str(data_dir.path / "wav.scp"), permissive=bool(data_dir.bad_utterances())),
            read_segments(segments) if segments.exists() else None, (1, 1), args.allow_pipes,
        )  # fmt: skip
        for utterance, samples in recordings.utterances(int(properties["sample_rate"])):
            if utterance in wanted:
                yield utterance, samples / INT16_RANGE
        return
    reader = UtteranceReader([data_dir], InputConfig(**json.loads(properties["input"])))
    for utterance in sorted(wanted):
        if utterance in reader:
            yield utterance, reader[utterance]


if __name__ == "__main__":
    cli.run(main)
