#!/usr/bin/env python3
"""Folds what follows a network's last affine layer into it: the same scores from fewer parameters.

usage: fold_model.py --method qr [--level LEVEL] [--backend DIR] MODEL OUT
       fold_model.py --method lda [--level LEVEL] --backend DIR MODEL OUT
       fold_model.py --method qr --method lda [--level LEVEL] --backend DIR MODEL OUT-QR OUT-LDA

  --method qr   The layer keeps as many outputs as its rank can be, its inputs and one: embeddings are rotated, nothing
                is lost. Centred cosines stay the same, and so does what any LDA, PLDA or adaptation makes of them.
                --backend is rotated as well.
  --method lda  Mean subtraction and LDA of --backend go into the layer, as Kaldi's ivector-subtract-global-mean and
                transform-vec apply them. Smallest, but the domain is frozen: a new mean or LDA needs the model that was
                folded. Only PLDA can be adapted.

OUT is a model's folder as any other: its level "embedding" is the output, OUT/backend/embedding its back end. What
stands behind LEVEL in MODEL is cut off. Behind levels that no affine layer gives (stats, frame), LDA becomes one, and
--method qr has nothing to fold. docs/folding.md tells what is exact and what is refused. Kaldi has no such program.
"""

import argparse
import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xvkd import cli
from xvkd.backend.backend import Backend
from xvkd.backend.folding import check_size, fold_lda, fold_rank, plda_parameters, rotate_backend
from xvkd.errors import UserError
from xvkd.nets.record import ONNX, network_file, read_record

if TYPE_CHECKING:
    from xvkd.nets.network import XvectorNetwork


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--method", required=True, action="append", choices=("qr", "lda"), help="given several times: an OUT for each"
    )
    parser.add_argument("--level", help="default: the network's output")
    parser.add_argument("--backend", type=Path, metavar="DIR", help="folder of mean.vec, transform.mat and plda")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a finished model's folder")
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="OUT", help="gets config.yaml, model.safetensors and backend/"
    )
    args = parser.parse_args()
    record = read_record(args.model)
    try:
        level = check(args, record)
        backend = Backend.load(args.backend) if args.backend else None
        if backend is not None:
            check_size(backend, record["levels"][level]["size"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{args.model / 'config.yaml'}: {error} is missing: this is no model of this recipe") from None
    # torch takes seconds to import: what the record tells to be impossible has been refused by now.
    from xvkd.nets.folded import last_layer
    from xvkd.nets.models import load_model

    network, _ = load_model(args.model)
    layer = last_layer(network, level)
    if layer is None and "qr" in args.method:
        raise UserError(
            f"{args.model}: no affine layer gives the level {level}, so that there is nothing to fold; --method lda "
            "makes its LDA one"
        )
    folds = []
    for method in args.method:
        if method == "lda":
            folds.append(fold_lda(layer, backend))
        else:
            basis, rotated = fold_rank(layer)
            folds.append((rotated, backend and rotate_backend(backend, basis, rotated)))
    for method, folder, (folded, left) in zip(args.method, args.folders, folds, strict=True):
        write(folder, args.model, network, record, method, level, folded, left)


def write(
    folder: Path, model: Path, network: "XvectorNetwork", record: dict[str, Any], method: str, level: str,
    layer: np.ndarray, backend: Backend | None,
) -> None:  # fmt: skip
    """Writes a folded model and its back end.

    Args:
        folder: gets them.
        model: what is folded: its folder,
        network: its network,
        record: and what its config.yaml says.
        method: how it is folded.
        level: of the network, which the new layer replaces.
        layer: the new one.
        backend: of its output.
    """
    from xvkd.nets.folded import with_last_layer
    from xvkd.nets.models import BuildRecord, finish_model
    from xvkd.nets.network import FOLDED

    about, plda = record["levels"][level], plda_parameters(backend.plda) if backend else None
    folded, build = with_last_layer(network, BuildRecord(**record["build"]), level, layer)
    if backend is not None:
        backend.save(folder / "backend" / FOLDED)
    finish_model(folder, folded, build, {
        **{key: value for key, value in record.items() if key not in ("parameters", "levels", "build")},
        "folded": {
            "model": model.resolve().name,
            "sha256": hashlib.sha256((model / network_file(record)).read_bytes()).hexdigest(),
            "method": method,
            "level": level,
            "size": about["size"],
            "parameters": about["parameters"],
            "plda_parameters": plda,
        },
    })  # fmt: skip
    logging.info(
        "%s: %s of %s: %d values from %d, %d parameters from %d%s", folder, method, level, len(layer), about["size"],
        folded.num_parameters(), about["parameters"], f", and {plda} of PLDA" if plda else "",
    )  # fmt: skip


def check(args: argparse.Namespace, record: dict[str, Any]) -> str:
    """The level that is folded; UserError for what cannot be, as far as the model's record tells."""
    if len(args.folders) != len(args.method):
        raise UserError(f"{len(args.method)} times --method, but {len(args.folders)} OUT: give as many")
    for folder in args.folders:
        if folder.resolve() == args.model.resolve():
            raise UserError(f"{folder}: is the model itself; name another folder for the folded one")
    if record["build"]["package"] == ONNX:
        raise UserError(f"{args.model}: came as an ONNX file, whose layers are not known here: it cannot be folded")
    before = record.get("folded")
    # What has been rotated can still take LDA in.
    if before and (before["method"], args.method) != ("qr", ["lda"]):
        raise UserError(
            f"{args.model}: has been folded before ({before['method']}); fold what it was made of, {before['model']}"
        )
    levels = record["levels"]
    level = args.level or list(levels)[-1]
    if level not in levels:
        raise UserError(f"{args.model}: no level '{level}' (there are: {', '.join(levels)})")
    if "lda" in args.method and not args.backend:
        raise UserError("--method lda: whose LDA? Give --backend DIR")
    of = args.backend.resolve().name if args.backend else level
    # A level under a second name, such as frame and frame5, has the same record.
    if levels.get(of, levels[level]) != levels[level]:
        raise UserError(f"{args.backend}: is the back end of the level {of}; give that of {level}, or --level {of}")
    return level


if __name__ == "__main__":
    cli.run(main)
