"""Files that are either whole or absent."""

import errno
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from xvkd.errors import UserError

OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Opens a file that appears under its name only when the block ends without an exception.

    It is written under a temporary name in the same folder (made if missing) and renamed, so that
    a reader never sees half of it and an older file stays as it is until the new one is whole.

    Args:
        path: the final name.
        mode: "w" (UTF-8 text with Unix line ends) or "wb".

    Yields:
        The open file.

    Raises:
        UserError: the folder or the file cannot be written, or the disk is full.
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"mode '{mode}': expected w or wb")
    path = Path(path)
    # A random name: two runs that write the same file by mistake must not mix their bytes.
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    text = {} if mode == "wb" else {"encoding": "utf-8", "newline": "\n"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = open(temporary, mode, **text)  # noqa: SIM115 (closed below, before the renaming)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with stream:
            yield stream
        try:
            os.replace(temporary, path)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in OUT_OF_SPACE:
            raise UserError(f"{path}: cannot be written: {error.strerror}; free space and repeat") from None
        raise


def remove_half_written(path: Path) -> None:
    """Removes what :func:`atomic_write` of processes that were killed has left beside ``path``."""
    for file in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.tmp"):
        file.unlink(missing_ok=True)
