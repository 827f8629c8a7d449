#!/usr/bin/env python3
"""Runs a training command as several ranks, on this machine or on several: torchrun, with errors told as elsewhere.

    run_ranks.py --ranks 4 --gpus pyscripts/train_teacher.py ...                              one machine
    run_ranks.py --ranks 4 --gpus --node 2/3 --meeting FILE --minutes 60 SCRIPT ...           the second of three

The machines meet through a file that all of them see, and that must be new for each training: the first one writes
into it where the others find torchrun's rendezvous. When a rank dies, all of them are ended, on all machines, and
the last lines of the log have what it died of. Started again, the training goes on from its last checkpoint.
"""

import argparse
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from xvkd import cli
from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.training.ranks import GPUS_WANTED

_POLL_SECONDS = 0.2


def main() -> None:
    args = parse()
    node, nodes = args.node
    if nodes > 1 and not (args.meeting and args.minutes):
        raise UserError("--node: several machines need --meeting, a file that all of them see, and --minutes")
    if args.gpus:
        os.environ[GPUS_WANTED] = str(args.ranks)
    # What the job may use is shared by its ranks.
    os.environ["OMP_NUM_THREADS"] = str(max(1, int(os.environ.get("OMP_NUM_THREADS", 1)) // args.ranks))
    options = ["--nnodes", nodes, "--nproc-per-node", args.ranks, "--max-restarts", 0]
    if nodes == 1:
        options += ["--standalone", "--local-addr", "localhost"]
    else:
        options += rendezvous(node, args.meeting, round(60 * args.minutes))
    with tempfile.TemporaryDirectory() as logs:
        options += ["--log-dir", logs]
        try:
            torchrun.main([str(word) for word in [*options, *args.command]])
        except ChildFailedError as error:
            sys.exit(cause(error.failures, nodes))
        except SignalException as error:
            sys.exit(128 + error.sigval)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--ranks", type=int, required=True, help="processes on this machine")
    parser.add_argument("--gpus", action="store_true", help="each has a GPU, or none is started")
    parser.add_argument(
        "--node", type=cli.part, default=(1, 1), metavar="K/M", help="this machine is the K-th of M (default 1/1)"
    )
    parser.add_argument("--meeting", type=Path, metavar="FILE", help="where the machines meet, if there are several")
    parser.add_argument("--minutes", type=float, help="how long the machines wait for each other")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="SCRIPT ...", help="a Python script and its arguments"
    )
    return parser.parse_args()


def rendezvous(node: int, meeting: Path, seconds: int) -> list[object]:
    """Options of torchrun with which several machines meet.

    Args:
        node: of this machine, from 1; the first one hosts the rendezvous.
        meeting: the file.
        seconds: how long to wait for the others.

    Raises:
        UserError: this machine has no address, or the first one has not come.
    """
    own = address()
    if node == 1:
        with socket.socket() as any_free:
            any_free.bind(("", 0))
            port = any_free.getsockname()[1]
        with atomic_write(meeting) as file:
            file.write(f"{own} {port}\n")
    deadline = time.monotonic() + seconds
    while not meeting.exists():
        if time.monotonic() > deadline:
            raise UserError(f"{meeting}: the first machine has not come within {seconds // 60} minutes; see its log")
        time.sleep(_POLL_SECONDS)
    host, port = meeting.read_text(encoding="utf-8").split()
    return [
        "--rdzv-backend", "c10d", "--rdzv-id", meeting.name, "--rdzv-endpoint", f"{host}:{port}", "--local-addr", own,
        "--rdzv-conf", f"is_host={int(node == 1)},join_timeout={seconds}",
    ]  # fmt: skip


def address() -> str:
    """The name under which other machines find this one."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError as error:
        raise UserError(f"{name}: this machine's name has no address ({error}); add it to /etc/hosts") from None
    return name


def cause(failures: dict[int, ProcessFailure], nodes: int) -> str:
    """What a training died of, as far as this machine knows: the first of the ranks that failed, and why.

    Args:
        failures: of the ranks of this machine.
        nodes: how many machines there are.
    """
    # The others fail because they miss it. A rank that was killed leaves no file that would tell when.
    killed = [rank for rank, failure in failures.items() if failure.exitcode not in (1, -signal.SIGTERM)]
    rank = killed[0] if killed else min(failures, key=lambda rank: _time_of(failures[rank]))
    failure = failures[rank]
    message = failure.error_file_data.get("message")
    if isinstance(message, dict):
        kind, _, sentence = message["message"].partition(": ")
        reason = f"error: {sentence}" if kind == UserError.__name__ else message["extraInfo"]["py_callstack"].rstrip()
    elif failure.exitcode < 0:
        reason = f"killed by {failure.signal_name()}"
    else:
        reason = f"exit status {failure.exitcode}; what it said stands above"
    elsewhere = "; the logs of the other machines may say more" if nodes > 1 else ""
    return (
        f"rank {rank} on {socket.gethostname()}: {reason}\n"
        f"run_ranks.py: error: rank {rank} failed, and all ranks were ended{elsewhere}; started again, the training "
        "goes on from its last checkpoint"
    )


def _time_of(failure: ProcessFailure) -> int:
    """When a rank failed, in ns; torchrun itself counts seconds, which is too coarse to tell which was the first."""
    return os.stat(failure.error_file).st_mtime_ns if os.path.exists(failure.error_file) else sys.maxsize


if __name__ == "__main__":
    cli.run(main)
