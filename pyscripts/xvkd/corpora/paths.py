"""What the relative paths in somebody else's tables are meant from.

Kaldi means them from the folder where the recipe ran, and does not write down which that was. It is nearly always one
above the data directory (``egs/x`` of ``egs/x/data/train``), so a path is looked for in the folder of its table,
then in each folder above that, and then where the user stands (``XVKD_CALLED_FROM``, which local/common.sh sets).
Folders above are those of the name as it is written, then those of the place that a link leads to.
Where the first path of a table is found, all others must be.
"""

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from xvkd.errors import UserError
from xvkd.kaldi.scripts import place_of

TableError = Callable[[int, str], UserError]


def called_from() -> Path:
    """The folder where the user stands."""
    return Path(os.environ.get("XVKD_CALLED_FROM", os.getcwd()))


class PathFinder:
    """Makes the paths of one table absolute.

    Args:
        table: the file in which they stand.
    """

    def __init__(self, table: Path) -> None:
        self._table = table
        above = [*Path(os.path.abspath(table)).parents, *table.resolve().parents]  # a link may stand for the folder
        self._bases = list(dict.fromkeys([*above, called_from()]))
        self._found: dict[str, str | None] = {}

    def __call__(self, path: str) -> str | None:
        """The absolute path, or None if there is no such file."""
        if path not in self._found:
            self._found[path] = self._find(path)
        return self._found[path]

    def _find(self, path: str) -> str | None:
        if os.path.isabs(path):
            return path if os.path.exists(path) else None
        for base in self._bases:
            if (base / path).exists():
                self._bases = [base]
                return os.path.normpath(base / path)
        return None

    def error(self, line: int, path: str, missing: int) -> UserError:
        """The exception for the first of ``missing`` paths that were not found; the caller raises it."""
        more = f" (the first of {missing} such lines)" if missing > 1 else ""
        remedy = "mend the path"
        if not os.path.isabs(path):
            seen = f"as seen from {self._bases[0]}"
            if len(self._bases) > 1:
                seen = f"as seen from {self._bases[0]}, the folders above it, or {self._bases[-1]}"
            remedy += f" (it is relative, and not there {seen})"
        return UserError(f"{self._table}, line {line}: '{path}' does not exist{more}: {remedy}, or remove the line")


def absolute_script(path: Path, script: Mapping[str, str]) -> dict[str, str]:
    """A script file of archives with absolute paths.

    Args:
        path: the file, for instance ``feats.scp``.
        script: its lines, key to ``archive:offset[range]``.

    Raises:
        UserError: an archive that does not exist, or a command.
    """
    found, missing, finder = {}, [], PathFinder(path)
    for line, (key, entry) in enumerate(script.items(), 1):
        if entry.endswith("|"):
            raise UserError(
                f"{path}, line {line}: a command ('{entry}'): these are read again and again, so write them to disk "
                "with Kaldi's copy-feats or copy-vector and name that script"
            )
        archive = place_of(entry).path
        absolute = finder(archive)
        if absolute is None:
            missing.append((line, archive))
        else:
            found[key] = absolute + entry[len(archive) :]
    if missing:
        raise finder.error(*missing[0], len(missing))
    return found


def absolute_command(command: str) -> str:
    """A command of a wav.scp, ``... |``, run from where the user stands wherever the recipe runs it."""
    if called_from() == Path.cwd():
        return command
    return f"cd {shlex.quote(str(called_from()))} && {command}"
