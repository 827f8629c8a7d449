"""Writing Kaldi's archives (ark) and their script files (scp)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.objects import write_object
from xvkd.kaldi.scripts import finite_float32
from xvkd.kaldi.specifiers import WSpecifier
from xvkd.kaldi.streams import open_output


class ArchiveWriter:
    """Writes an archive and its script file, which appear when the block ends without exception.

    Args:
        ark: the archive; the script names it as given here. Without a script it can also be "-" or ``| command``.
        scp: the script file, or None.
        compress: matrices are stored as by Kaldi's ``copy-feats --compress=true``: an error of at
            most a few thousandths of a column's range, a quarter of the size.
        text: text that loses nothing, whatever ``compress`` says.
        flush: each object is passed on at once.
        allow_pipes: a command is run.
    """

    def __init__(
        self, ark: str | Path, scp: str | Path | None, compress: bool, text: bool = False, flush: bool = False,
        allow_pipes: bool = False,
    ) -> None:  # fmt: skip
        self.ark, self.scp = str(ark), None if scp is None else str(scp)
        self._compress, self._text, self._flush, self._allow_pipes = compress, text, flush, allow_pipes
        self._stack = ExitStack()
        self._data: IO[bytes]
        self._lines: IO[str] | None = None
        self._keys: set[str] = set()
        self._offset = 0

    def __enter__(self) -> "ArchiveWriter":
        # Left in the reverse order: the archive gets its name first, so no script names what is
        # not there.
        with ExitStack() as stack:
            if self.scp is not None:
                self._lines = stack.enter_context(atomic_write(self.scp))
            self._data = stack.enter_context(open_output(self.ark, self._allow_pipes))
            if self.scp is not None:
                stack.enter_context(self._without_old_script(self.scp))
            self._stack = stack.pop_all()
        return self

    @contextmanager
    def _without_old_script(self, scp: str) -> Iterator[None]:
        """Removes an older script before the new archive has its name: it would misread that one."""
        yield
        self._data.flush()
        assert self._lines is not None
        self._lines.flush()
        Path(scp).unlink(missing_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def write(self, key: str, array: np.ndarray) -> None:
        """Appends one object.

        Args:
            key: the utterance, without white space.
            array: (N,) or (T, D); stored as float32.

        Raises:
            UserError: a key that Kaldi cannot take or that stands twice, NaN or infinity, or a
                disk that is full.
        """
        if not key or len(key.split()) != 1 or key != key.strip():
            raise UserError(f"{self.ark}: the key '{key}' must be one word without white space")
        if key in self._keys:
            raise UserError(f"{self.ark}: the key '{key}' is written twice; keys must be unique")
        array = finite_float32(array, f"{self.ark}: key '{key}'")
        self._keys.add(key)
        self._offset += self._data.write(key.encode() + b" ")
        if self._lines is not None:
            self._lines.write(f"{key} {self.ark}:{self._offset}\n")
        self._offset += write_object(self._data, array, self._compress, self._text)
        if self._flush:
            self._data.flush()


def open_writer(wspecifier: WSpecifier, compress: bool, allow_pipes: bool = False) -> ArchiveWriter:
    """A writer, to be used in a ``with`` block, for what a wspecifier names; see ``ArchiveWriter``."""
    return ArchiveWriter(
        wspecifier.ark, wspecifier.scp, compress, wspecifier.text, wspecifier.flush, allow_pipes
    )
