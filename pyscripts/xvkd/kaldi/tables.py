"""Kaldi's text tables: ``key value...`` lines, sorted by key as ``LC_ALL=C sort`` does."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.streams import open_input


def read_table(path: str | Path, allow_pipes: bool = False) -> dict[str, str]:
    """Reads ``key value`` lines; the value is the rest of the line.

    Args:
        path: for instance ``wav.scp`` or ``utt2spk``; "-" and, if allowed, ``command |`` as Kaldi has them.
        allow_pipes: see ``streams.open_input``.

    Raises:
        UserError: no such file, a line without a value, or a key that stands twice.
    """
    table: dict[str, str] = {}
    for number, line in enumerate(read_lines(path, allow_pipes), 1):
        fields = line.rstrip().split(maxsplit=1)
        if len(fields) != 2:
            raise UserError(f"{path}, line {number}: expected 'key value', got '{line.strip()}'")
        key, value = fields
        if key in table:
            raise UserError(f"{path}, line {number}: '{key}' stands twice: remove one of the lines")
        table[key] = value
    return table


def read_lines(path: str | Path, allow_pipes: bool = False) -> Iterator[str]:
    """The lines of a text file, or of what else ``streams.open_input`` takes."""
    if str(path) != "-" and not str(path).endswith("|") and not os.path.exists(path):
        raise UserError(f"{path}: no such file; the stage that makes it has not been run")
    try:
        with open_input(path, allow_pipes) as lines:
            for line in lines:
                yield line.decode()
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text table of 'key value' lines") from None


def write_table(path: str | Path, table: Mapping[str, str]) -> None:
    """Writes ``key value`` lines, sorted, under the final name only when whole."""
    with atomic_write(path) as file:
        file.writelines(f"{key} {table[key]}\n" for key in sorted(table))


def numbers(path: str | Path, table: Mapping[str, str]) -> dict[str, float]:
    """The values of a table as numbers.

    Args:
        path: of the table, for messages.
        table: for instance utt2dur.

    Raises:
        UserError: a value is not a finite number.
    """
    found = {}
    for key, value in table.items():
        try:
            found[key] = float(value)
        except ValueError:
            found[key] = math.nan
        if not math.isfinite(found[key]):
            raise UserError(f"{path}: '{key}': expected a number, got '{value}': mend it, or remove the file")
    return found


def invert(table: Mapping[str, str]) -> dict[str, str]:
    """Turns utt2spk into spk2utt: ``value -> "key1 key2 ..."``, keys sorted."""
    groups: dict[str, list[str]] = {}
    for key in sorted(table):
        groups.setdefault(table[key], []).append(key)
    return {value: " ".join(keys) for value, keys in groups.items()}


def slice_part(keys: Iterable[str], part: tuple[int, int]) -> list[str]:
    """The contiguous part ``job`` of ``num_jobs`` (1-based) of sorted keys."""
    ordered = sorted(keys)
    job, num_jobs = part
    return ordered[len(ordered) * (job - 1) // num_jobs : len(ordered) * job // num_jobs]
