#!/usr/bin/env python3
"""Checks features and VAD that came with data directories: whether the networks of a run can read them."""

from pathlib import Path

from xvkd import cli, config
from xvkd.errors import UserError
from xvkd.features.network_input import MOST_FRAMES_APART
from xvkd.kaldi.archives import MatrixReader
from xvkd.nets.record import read_record
from xvkd.training.config import load_input_config, load_model_config


def main() -> None:
    parser = cli.parser(__doc__)
    for kind in ("teacher", "student"):
        parser.add_argument(f"--{kind}", help=f"conf/{kind}s/<{kind}>.yaml")
        parser.add_argument(f"--{kind}-set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--teacher-input", metavar="FILE", help="conf/inputs/<name>.yaml, in place of --teacher")
    parser.add_argument("--model", type=Path, help="a finished model, in place of all these")
    parser.add_argument("data_dirs", nargs="+", type=Path, help="with given/feats.scp and perhaps given/vad.scp")
    args = parser.parse_args()
    wanted: dict[str, int] = {}
    for path, overrides in ((args.teacher, args.teacher_set), (args.student, args.student_set)):
        if path:
            _, reads, features, _ = load_model_config(path, overrides)
            wanted[f"{path} reads {config.neighbour(path, 'features', reads.features)}"] = features.dim
    if args.teacher_input:
        wanted[f"the teacher reads {args.teacher_input}"] = load_input_config(args.teacher_input)[1].dim
    if args.model:
        record = read_record(args.model)
        wanted[f"{args.model} reads what its config.yaml recorded"] = record["build"]["input_dim"]
    for data_dir in args.data_dirs:
        check(data_dir / "given", wanted)


def check(folder: Path, wanted: dict[str, int]) -> None:
    """Looks at the first utterance that has frames."""
    reader = MatrixReader(folder / "feats.scp")
    first = next(((key, reader[key]) for key in reader if reader[key].size), None)
    if first is None:
        raise UserError(f"{reader.scp}: no utterance has a frame")
    utterance, matrix = first
    if matrix.ndim != 2:
        raise UserError(f"{reader.scp}: '{utterance}' is a vector; features are matrices, a row a frame")
    for reads, dim in wanted.items():
        if matrix.shape[1] != dim:
            raise UserError(
                f"{reader.scp}: '{utterance}' has {matrix.shape[1]} coefficients a frame; {reads}, which says "
                f"{dim}: let it name a configuration of these features (docs/your_data.md), or take feats.scp "
                "out of the data directory, so that they are computed"
            )
    if (folder / "vad.scp").exists():
        vad = MatrixReader(folder / "vad.scp")
        marks = vad[utterance]
        if marks.ndim != 1 or not set(marks) <= {0.0, 1.0} or abs(len(marks) - len(matrix)) > MOST_FRAMES_APART:
            raise UserError(
                f"{vad.scp}: '{utterance}': expected {len(matrix)} marks of 0 or 1, one a frame, got the shape "
                f"{marks.shape}; take vad.scp out of the data directory, so that it is computed"
            )


if __name__ == "__main__":
    cli.run(main)
