"""Where Kaldi's programs read from and write to: files, standard input and output, and shell commands."""

import gzip
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write

GZIP = b"\x1f\x8b"
DAMAGED_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)


@contextmanager
def open_input(name: str | Path, allow_pipes: bool = False) -> Iterator[IO[bytes]]:
    """Opens what an rxfilename of Kaldi's names, for reading from beginning to end.

    Args:
        name: a file, "-" for standard input, or a command that ends in "|", which the shell runs. What begins as
            gzip does is unpacked.
        allow_pipes: commands are run; otherwise they are refused.

    Raises:
        UserError: no such file, a damaged gzip file, or a command that is refused or fails.
    """
    name = str(name)
    with _raw_input(name, allow_pipes) as stream:
        if stream.peek(2)[:2] != GZIP:  # type: ignore[attr-defined]
            yield stream
            return
        try:
            with gzip.GzipFile(fileobj=stream) as unpacked:
                yield unpacked
                while unpacked.read(1 << 20):  # to the checksum at the end
                    pass
        except DAMAGED_GZIP as error:
            raise UserError(f"{name}: damaged gzip data ({error}); write or copy the file again") from None


@contextmanager
def _raw_input(name: str, allow_pipes: bool) -> Iterator[IO[bytes]]:
    if name.endswith("|"):
        with _reading_command(command_of(name, allow_pipes)) as stream:
            yield stream
    elif name == "-":
        yield sys.stdin.buffer
    else:
        try:
            stream = open(name, "rb")  # noqa: SIM115 (an error of the block must not look like one of opening)
        except OSError as error:
            raise cannot_be_opened(name, error) from None
        except ValueError as error:
            raise UserError(f"{name!r}: no name of a file: {error}") from None
        with stream:
            yield stream


def cannot_be_opened(name: str, error: OSError, where: str = "") -> UserError:
    """The exception for a file that cannot be opened; the caller raises it."""
    seen_from = "" if os.path.isabs(name) else f" (seen from {os.getcwd()})"
    return UserError(f"{where or name}: cannot be opened: {error.strerror}{seen_from}")


def command_of(name: str, allow_pipes: bool) -> str:
    """The shell command of ``command |`` or ``| command``; UserError if commands are not to be run."""
    if not allow_pipes:
        raise UserError(f"'{name}': a command, and commands are run with --allow-pipes only")
    return name.strip("|").strip()


@contextmanager
def _reading_command(command: str) -> Iterator[IO[bytes]]:
    process = subprocess.Popen(command, shell=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        try:
            yield process.stdout
        except UserError:
            # What is wrong with the output may follow from what went wrong in the command, which comes first.
            if not process.stdout.read(1):
                _check(command, process.wait())
            raise
        if not process.stdout.read(1):
            _check(command, process.wait())
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _check(command: str, status: int) -> None:
    if status:
        how = f"status {status}" if status > 0 else f"signal {-status}"
        raise UserError(f"'{command}': the command ended with {how}")


@contextmanager
def open_output(name: str | Path, allow_pipes: bool = False) -> Iterator[IO[bytes]]:
    """Opens what a wxfilename of Kaldi's names, for writing.

    Args:
        name: a file, which appears when it is whole; "-" for standard output; or a command behind a "|".
        allow_pipes: commands are run; otherwise they are refused.

    Raises:
        UserError: what cannot be written, or a command that is refused or fails.
    """
    name = str(name)
    if name.startswith("|"):
        with _writing_command(command_of(name, allow_pipes)) as stream:
            yield stream
    elif name == "-":
        sys.stdout.flush()
        with open(sys.stdout.fileno(), "wb", closefd=False) as stream:
            yield stream
    elif os.path.exists(name) and not os.path.isfile(name) and not os.path.isdir(name):
        with open(name, "wb") as stream:  # a device or a named pipe must not be renamed away
            yield stream
    else:
        with atomic_write(name, "wb") as stream:
            yield stream


@contextmanager
def _writing_command(command: str) -> Iterator[IO[bytes]]:
    process = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE)
    assert process.stdin is not None
    try:
        try:
            yield process.stdin
            process.stdin.close()
        except BrokenPipeError:
            _check(command, process.wait())
            raise UserError(f"'{command}': the command ended before all was written") from None
        _check(command, process.wait())
    finally:
        process.kill()
        process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()
