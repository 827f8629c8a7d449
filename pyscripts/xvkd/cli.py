"""What all commands share: argument parsing, logging, and how an error reaches the user."""

import argparse
import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xvkd.errors import UserError


def parser(description: str) -> argparse.ArgumentParser:
    """An argument parser that keeps the description's line breaks.

    Args:
        description: the command's docstring.
    """
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_overrides(parser: argparse.ArgumentParser, of: str = "") -> None:
    """Adds ``--set KEY=VALUE``, or ``--<of>-set KEY=VALUE``, which can be given several times.

    Args:
        parser: of a command.
        of: the option that names the configuration file, where it is not ``--config``.
    """
    parser.add_argument(
        f"--{of}-set" if of else "--set", action="append", default=[], metavar="KEY=VALUE",
        help=f"replaces a value of {f'--{of}' if of else 'the configuration'}",
    )  # fmt: skip


def add_pipes(parser: argparse.ArgumentParser) -> None:
    """Adds ``--allow-pipes``."""
    parser.add_argument(
        "--allow-pipes", action="store_true",
        help="runs the shell commands of specifiers and script files ('gunzip -c x.gz |'), as Kaldi always does",
    )


def add_schema(
    parser: argparse.ArgumentParser, schema: type, names: Sequence[str] = (), absent: Mapping[str, Any] | None = None
) -> None:
    """Adds ``--config FILE`` and an option for each key of its schema, in Kaldi's spelling.

    ``cmn_window`` becomes ``--cmn-window=300``, ``center`` takes ``--center``, ``--center=true`` and
    ``--center=false``. An option replaces the file's value; without a file, each must be given.

    Args:
        parser: of a command.
        schema: the dataclass that describes the file.
        names: the keys that become options; empty: all of them.
        absent: keys that need not be given, with what they mean then.
    """
    parser.add_argument("--config", metavar="FILE", help="has the values of the options below that are not given")
    for field in dataclasses.fields(schema):
        if names and field.name not in names:
            continue
        flag = field.type is bool
        value = (absent or {}).get(field.name)
        parser.add_argument(
            _flag(field.name), dest=field.name, nargs="?" if flag else None, const="true" if flag else None,
            type=_boolean if flag else str, metavar="true|false" if flag else "VALUE",
            help=None if value is None else f"{str(value).lower()} where neither this nor --config is given",
        )
    parser.set_defaults(_schema=schema, _names=tuple(names), _absent=dict(absent or {}))


def schema_values(args: argparse.Namespace) -> dict[str, Any]:
    """The values of the options that ``add_schema`` has added, from the command line or the file.

    Raises:
        UserError: a value that is missing or impossible.
    """
    fields = [field for field in dataclasses.fields(args._schema) if not args._names or field.name in args._names]
    given = {field.name: getattr(args, field.name) for field in fields if getattr(args, field.name) is not None}
    # Reading YAML and checking types costs a tenth of a second, more than some commands need in all. Flags have been
    # checked already.
    if not args.config and all(f.type is bool if f.name in given else f.name in args._absent for f in fields):
        return {**args._absent, **{name: value == "true" for name, value in given.items()}}
    import yaml

    from xvkd import config

    if args.config:
        instance = config.load(args._schema, args.config, [f"{name}={value}" for name, value in given.items()])
        return {field.name: getattr(instance, field.name) for field in fields}
    for field in fields:
        if field.name not in given and field.name not in args._absent:
            raise UserError(f"{_flag(field.name)}: not given; give it, or a --config that has it")
    # A command that takes some of the keys has a schema of these; all of them are checked together.
    chosen = [field for field in fields if field.name in given]
    keys = [(field.name, field.type, dataclasses.field(metadata=field.metadata)) for field in chosen]
    schema = dataclasses.make_dataclass("Options", keys) if args._names else args._schema
    try:
        values = {name: yaml.safe_load(value) for name, value in given.items()}
    except yaml.YAMLError as error:
        raise UserError(f"command line: {' '.join(str(error).split())}") from None
    if not args._names:
        values = {**args._absent, **values}
    return {**args._absent, **dataclasses.asdict(config.build(schema, values, "command line"))}


def _boolean(text: str) -> str:
    """Checks a flag's value: ``--center X`` takes X for it."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{text}': expected =true or =false behind the option's name")
    return text


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def part(text: str) -> tuple[int, int]:
    """Parses ``JOB/NUM_JOBS``, for ``--part``; returns a 1-based job and the number of jobs."""
    try:
        job, total = (int(number) for number in text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': expected JOB/NUM_JOBS, for instance 1/4") from None
    if not 1 <= job <= total:
        raise argparse.ArgumentTypeError(f"'{text}': the job must lie between 1 and the number of jobs")
    return job, total


def run(main: Callable[[], None]) -> None:
    """Runs a command: timestamps in the log, one clear sentence and exit status 1 on bad input."""
    # What is out of the ordinary is marked: local/steps.sh shows it on the screen.
    logging.addLevelName(logging.INFO, "")
    logging.addLevelName(logging.WARNING, "warning: ")
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, datefmt="%Y-%m-%d %H:%M:%S",
        format="%(asctime)s %(levelname)s%(message)s",
    )
    name = os.path.basename(sys.argv[0])
    try:
        main()
    except UserError as error:
        sys.exit(f"{name}: error: {error}")
    except OSError as error:
        if error.errno is None:
            raise
        subject = f"{error.filename}: " if error.filename else ""
        sys.exit(f"{name}: error: {subject}{error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)
