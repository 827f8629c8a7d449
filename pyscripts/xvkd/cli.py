"""What all commands share: argument parsing, logging, and how an error reaches the user."""

import argparse
import logging
import os
import sys
from collections.abc import Callable

from xvkd.errors import UserError


def parser(description: str) -> argparse.ArgumentParser:
    """An argument parser that keeps the description's line breaks.

    Args:
        description: the command's docstring.
    """
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Adds ``--set KEY=VALUE``, which can be given several times."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="replaces a value of the configuration"
    )


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
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, datefmt="%Y-%m-%d %H:%M:%S",
        format="%(asctime)s %(message)s",
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
