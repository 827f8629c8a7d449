"""The logs of a training: a line an epoch in ``log/training.csv``, and curves for TensorBoard."""

import contextlib
import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from xvkd.errors import UserError
from xvkd.kaldi.files import OUT_OF_SPACE, atomic_write


def write_history(path: Path, history: Sequence[Mapping[str, float | None]]) -> None:
    """Writes a line an epoch; what was not measured after an epoch is left empty."""
    columns = list(dict.fromkeys(name for line in history for name in line))
    with atomic_write(path) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


class Curves:
    """Curves over the steps of a training, in ``log/tensorboard``. Without the package, there are none.

    Args:
        folder: where TensorBoard's files are; None: there are to be no curves.
        steps: how many steps are behind; what an earlier run has written of further ones is no longer shown.
    """

    def __init__(self, folder: Path | None, steps: int) -> None:
        self._folder, self._writer = folder, None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logging.warning("tensorboard is not installed: no curves; log/training.csv has the figures of each epoch")
            return
        with self._told():
            # TensorBoard reads in the order of the names, in which a new file has the time, the process's
            # number and a counter: within a second, or where clocks differ, it may come before an earlier one.
            for number, earlier in enumerate(sorted(folder.glob("events.out.tfevents.*"))):
                earlier.rename(folder / f"events.out.tfevents.{number:010}")
            self._writer = SummaryWriter(str(folder), purge_step=steps + 1)

    def add(self, step: int, values: Mapping[str, float | None]) -> None:
        """One point of each curve; of those that are None, none."""
        if self._writer is None:
            return
        with self._told():
            for name, value in values.items():
                if value is not None:
                    self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        """To disk: a training that goes on from here will not add these points again."""
        if self._writer is not None:
            with self._told():
                self._writer.flush()

    def close(self) -> None:
        """Ends the files."""
        if self._writer is not None:
            with self._told():
                self._writer.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """The disk may be full."""
        try:
            yield
        except OSError as error:
            remedy = "; free space and repeat" if error.errno in OUT_OF_SPACE else ""
            raise UserError(f"{self._folder}: cannot be written: {error.strerror}{remedy}") from None
