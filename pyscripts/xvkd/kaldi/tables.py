"""Kaldi's text tables: ``key value...`` lines, sorted by key as ``LC_ALL=C sort`` does."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write


def read_table(path: str | Path) -> dict[str, str]:
    """Reads ``key value`` lines; the value is the rest of the line.

    Args:
        path: for instance ``wav.scp`` or ``utt2spk``.

    Raises:
        UserError: no such file, a line without a value, or a key that stands twice.
    """
    table: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                fields = line.rstrip().split(maxsplit=1)
                if len(fields) != 2:
                    raise UserError(f"{path}, line {number}: expected 'key value', got '{line.strip()}'")
                key, value = fields
                if key in table:
                    raise UserError(f"{path}, line {number}: '{key}' stands twice: remove one of the lines")
                table[key] = value
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the stage that makes it has not been run") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text table of 'key value' lines") from None
    return table


def write_table(path: str | Path, table: Mapping[str, str]) -> None:
    """Writes ``key value`` lines, sorted, under the final name only when whole."""
    with atomic_write(path) as file:
        file.writelines(f"{key} {table[key]}\n" for key in sorted(table))


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
