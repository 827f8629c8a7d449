#!/usr/bin/env python3
"""Writes a folded model as ONNX files that need nothing but ONNX Runtime and numpy.

Writes to FOLDER, for a student:
  student.onnx            waveform (1, samples) in [-1, 1] to embedding (1, size), with features, VAD and CMN in it
  student.features.onnx   what the network reads, features (1, frames, coefficients) after sliding CMN and the choice of
                          voiced frames, to embedding
  student.int8.onnx and student.features.int8.onnx, the same with the network in eight bits
  plda                    Kaldi's format; embeddings are length-normalised, then scored with it
and their names to the file "files". MODEL is what fold_model.py --method lda has made, with its back end. The
training utterances of --data-dir tell the range of the eight-bit values. docs/deployment.md has the details. Kaldi has
no such program; extract_embeddings.py gives the same embeddings with PyTorch.
"""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xvkd import cli, config
from xvkd.backend.backend import PLDA
from xvkd.errors import UserError
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.plda_format import read_plda, write_plda
from xvkd.nets.record import ONNX, read_record

if TYPE_CHECKING:
    from xvkd.deployment.export import ExportConfig


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/export.yaml")
    parser.add_argument("--extraction", required=True, help="conf/extraction.yaml")
    parser.add_argument("--data-dir", required=True, help="of training speech, with features and VAD")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a folded model's folder")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="gets the files")
    args = parser.parse_args()
    record = read_record(args.model)
    try:
        plda = check(args, record)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{args.model / 'config.yaml'}: {error} is missing: this is no model of this recipe") from None
    # torch takes seconds to import: what the record tells to be impossible has been refused by now.
    from xvkd.deployment.export import ExportConfig, Exporter, write_models
    from xvkd.nets.extraction import ExtractionConfig
    from xvkd.nets.models import load_model

    options = config.load(ExportConfig, args.config)
    exporter = Exporter(
        load_model(args.model)[0], record, str(args.model), options, config.load(ExtractionConfig, args.extraction)
    )  # fmt: skip
    utterances = calibration_utterances(DataDir(args.data_dir), record, options)
    paths = write_models(args.folder, record["role"], exporter.models(utterances))
    write_plda(args.folder / PLDA, *read_plda(plda), np.float32)
    with atomic_write(args.folder / "files") as file:
        file.writelines(f"{path.name}\n" for path in paths)


def check(args: argparse.Namespace, record: dict[str, Any]) -> Path:
    """The PLDA model; UserError for what cannot be exported, as far as the model's record tells."""
    if record["build"]["package"] == ONNX:
        raise UserError(f"{args.model}: came as an ONNX file: use that one")
    if record.get("folded", {}).get("method") != "lda":
        raise UserError(f"{args.model}: mean and LDA are not in the network; fold it with fold_model.py --method lda")
    plda = args.model / "backend" / list(record["levels"])[-1] / PLDA
    if not plda.exists():
        raise UserError(f"{plda}: no such file; fold the model again")
    return plda


def calibration_utterances(data_dir: DataDir, record: dict[str, Any], options: "ExportConfig") -> list[np.ndarray]:
    """What the network reads of some utterances, drawn at random."""
    from xvkd.features.network_input import InputConfig
    from xvkd.training.data import UtteranceReader

    reader = UtteranceReader([data_dir], InputConfig(**record["input"]))
    known = [utterance for utterance in data_dir.speakers() if utterance in reader]
    random = np.random.default_rng(options.calibration_seed)
    chosen = random.permutation(len(known))[: options.calibration_utterances]
    logging.info("%s: %d utterances tell the range of eight-bit values", data_dir.path, len(chosen))
    return [reader[known[number]] for number in sorted(chosen)]


if __name__ == "__main__":
    cli.run(main)
