"""Several processes, the ranks, that train one network together: one a GPU, on one machine or on several.

Each rank reads its own part of every batch and computes the network's outputs of it. Whatever looks across a batch
sees the whole of it, whichever rank computes: losses (:func:`gather`), the statistics of BatchNorm
(:mod:`.parallel`) and random numbers, which all ranks draw alike. So the number of ranks makes no difference but
that of rounding, and a training can go on with another number. In a process that torchrun has not started, there is
one rank, and every function here gives back what it is given.
"""

import ctypes
import logging
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing.errors import record

from xvkd.errors import UserError

T = TypeVar("T")

# Set by run_ranks.py where each rank is to have a GPU.
GPUS_WANTED = "XVKD_GPUS_WANTED"
# Of prctl(2): the signal that a process gets when the one that has started it is gone.
_SET_PARENT_DEATH_SIGNAL = 1
# How long ranks wait for one that computes alone, or has gone without a word.
_PATIENCE = timedelta(minutes=30)


def joined(main: Callable[[], None]) -> Callable[[], None]:
    """A command that is one rank of several if torchrun has started it; whatever ends it is told to torchrun."""
    return record(partial(_as_rank, main)) if distributed.is_torchelastic_launched() else main


def _as_rank(main: Callable[[], None]) -> None:
    """Joins the others, runs the command, and ends when all have done so."""
    _end_with_torchrun()
    gpus, here = torch.cuda.device_count(), ranks_here()
    if gpus < here and (gpus or GPUS_WANTED in os.environ):
        raise UserError(
            f"{here} ranks need a GPU each, and there are {gpus} here: give --ngpu no more than that; without a GPU, "
            "--nproc trains on the processor"
        )
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if gpus else "gloo", timeout=_PATIENCE)
    if not is_first():
        # What all ranks have to say, one says.
        logging.getLogger().setLevel(logging.ERROR)
    main()
    # A rank that ended earlier would be taken for a training that is done.
    distributed.barrier()
    distributed.destroy_process_group()


def _end_with_torchrun() -> None:
    """Lets the system kill this process when torchrun is killed: it must not train on, beside its successor.

    On Linux; elsewhere, such a rank ends when it next waits for the others in vain.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def count() -> int:
    """How many ranks there are, on all machines."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def ranks_here() -> int:
    """How many of them share this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if distributed.is_torchelastic_launched() else 1


def is_first() -> bool:
    """Whether this rank is the one that writes files and logs."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def part(size: int) -> slice:
    """This rank's rows of so many; those of all ranks follow each other, and differ by one row at most."""
    return _part(distributed.get_rank() if distributed.is_initialized() else 0, size)


def _part(rank: int, size: int) -> slice:
    return slice(rank * size // count(), (rank + 1) * size // count())


def gather(rows: torch.Tensor, size: int) -> torch.Tensor:
    """The rows of all ranks.

    Backward, each rank's rows get the sum of the gradients on all ranks. Where all compute the same loss of what was
    gathered, that is ``count()`` times its gradient, of which DistributedDataParallel's mean over the ranks makes the
    gradient of the loss, for what lies before the gathering as for what lies behind it.

    Args:
        rows: (rows of :func:`part`, ...).
        size: rows in all.

    Returns:
        (size, ...), the same on all ranks.
    """
    return _Gather.apply(rows, size) if distributed.is_initialized() else rows


class _Gather(torch.autograd.Function):
    """See :func:`gather`."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, rows: torch.Tensor, size: int) -> torch.Tensor:
        """Parts are padded to equal length on their way."""
        ctx.size = size
        parts = [_part(rank, size) for rank in range(count())]
        lengths = [rows_of.stop - rows_of.start for rows_of in parts]
        padded = rows.new_zeros((max(lengths), *rows.shape[1:]))
        padded[: len(rows)] = rows
        every = [torch.empty_like(padded) for _ in parts]
        distributed.all_gather(every, padded)
        return torch.cat([rows_of[:length] for rows_of, length in zip(every, lengths, strict=True)])

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total[part(ctx.size)], None


def union(own: dict[str, T]) -> dict[str, T]:
    """The dictionaries of all ranks in one, in the ranks' order."""
    if not distributed.is_initialized():
        return own
    every: list[dict[str, T]] = [{} for _ in range(count())]
    distributed.all_gather_object(every, own)
    return {name: value for one in every for name, value in one.items()}


def from_first(compute: Callable[[], T]) -> T:
    """What the first rank computes, while the others wait: what is read from a disk, or takes a decision."""
    if not distributed.is_initialized():
        return compute()
    found = [compute() if is_first() else None]
    distributed.broadcast_object_list(found, src=0)
    return found[0]

