#!/usr/bin/env python3
"""Prints a network's layers, its levels, its size and what it computes.

Multiply-accumulates are those of convolutions and affine layers, counted on a forward pass of an utterance of 10 s
(100 frames a second) and given per second of speech. The work of Kaldi's nnet3-info, with the levels beside it.
"""

from pathlib import Path

from xvkd import cli
from xvkd.errors import UserError
from xvkd.nets.describe import FRAMES_PER_SECOND, Description, describe
from xvkd.nets.models import STUDENTS, TEACHERS, BuildRecord, build_network, load_model
from xvkd.nets.network import XvectorNetwork
from xvkd.training.config import load_model_config


def main() -> None:
    parser = cli.parser(__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--config", type=Path, metavar="FILE", help="conf/teachers/<name>.yaml or conf/students/<name>.yaml"
    )
    which.add_argument("--model", type=Path, metavar="DIR", help="a finished model's folder")
    cli.add_overrides(parser)
    parser.add_argument("--output-dim", type=int, metavar="SIZE", help="of a student: the size of what it learns")
    args = parser.parse_args()
    if args.model and (args.set or args.output_dim):
        raise UserError("--set and --output-dim go with --config: a finished model is as it is")
    network, input_dim = _finished(args.model) if args.model else _configured(args.config, args.set, args.output_dim)
    print("\n".join(_lines(describe(network, input_dim))))


def _configured(path: Path, overrides: list[str], output_dim: int | None) -> tuple[XvectorNetwork, int]:
    """The network of a configuration file, and the features that it reads."""
    student = path.absolute().parent.name == "students"
    if student and (output_dim is None or output_dim < 1):
        raise UserError(f"{path}: a student's last layer has the size of what it learns: give --output-dim, 1 or more")
    if output_dim is not None and not student:
        raise UserError(f"{path}: --output-dim goes with a file in conf/students; a teacher's file has all sizes")
    model, _, features, _ = load_model_config(path, overrides)
    package = STUDENTS if student else TEACHERS
    record = BuildRecord(package, model.network, model.arch, features.dim, output_dim or 0)
    return build_network(record, str(path)), features.dim


def _finished(folder: Path) -> tuple[XvectorNetwork, int]:
    """The network of a finished model, and the features that it reads."""
    network, record = load_model(folder)
    if not isinstance(network, XvectorNetwork):
        raise UserError(f"{folder}: came as an ONNX file, whose layers are not known here; see its config.yaml")
    return network, record["build"]["input_dim"]


def _lines(described: Description) -> list[str]:
    """What is printed."""
    layers = [
        (layer.name, layer.context, layer.width, layer.parameters, _millions(layer.macs)) for layer in described.layers
    ]
    levels = [
        (level, size, parameters, _millions(macs)) for level, (size, parameters, macs) in described.levels.items()
    ]
    field = described.receptive_field
    return [
        *_table(("layer", "context", "width", "parameters", "MMAC/s"), layers), "",
        *_table(("level", "size", "parameters", "MMAC/s"), levels), "",
        f"parameters            {described.parameters:,}",
        f"multiply-accumulates  {_millions(described.macs)} million per second of speech",
        f"receptive field       {field} frames, {field * 1000 // FRAMES_PER_SECOND} ms",
        f"shortest input        {described.min_frames} frames",
    ]  # fmt: skip


def _millions(count: float) -> str:
    return f"{count / 1e6:,.2f}"


def _table(head: tuple[str, ...], rows: list[tuple]) -> list[str]:
    """Aligned columns, numbers to the right."""
    cells = [list(head), *([f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    text = [head.index(name) for name in ("layer", "context", "level") if name in head]
    return [
        "  ".join(
            cell.ljust(width) if column in text else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
