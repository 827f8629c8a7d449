#!/usr/bin/env python3
"""Keeps two runs from working in one folder at a time, on one machine or on several that share the folder.

usage: lock.py FD FILE PID

FD is a file descriptor that the calling shell has opened on FILE. The lock (flock) lies on the shell's open
file: the kernel holds it until the shell and the jobs that it started have ended, however they end, so that no
lock outlives its run. Many a shared file system tells other machines nothing of it. FILE therefore says who has
it, and while somebody has, a process that this script leaves behind counts on in it every few seconds; who finds
another machine's name in it waits to see whether that still counts. No two clocks are compared. Returns 1 and says
so if another run has the lock. On a file system without locks it warns. Needs nothing but Python's own library.
"""

import contextlib
import errno
import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# Jobs of a run that was killed are ended by their launcher: here within seconds, on a cluster a little later.
PATIENCE = 20.0
# Seconds between two beats of who has the lock, and after which one that has not been seen to count is gone.
BEAT, GONE = 5.0, 20.0
LOOK = 0.5
OVER = "over"


def locked(descriptor: int) -> bool:
    """Takes the lock if it is free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def ended(host: str, pid: str) -> bool:
    """Whether a run is known to have ended: it was on this machine, and its process is not there."""
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def machine() -> str:
    """What no other machine is called, not even one of the same name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def record(file: Path) -> list[str]:
    """Host, process, time, machine and count of who has or had the lock; "?" where it is not told."""
    return (file.read_text(encoding="utf-8", errors="replace").split() + ["?"] * 5)[:5]


def tell(file: Path, mine: str, count: object) -> None:
    """Writes the record over the old one, so that no reader finds it empty."""
    descriptor = os.open(file, os.O_WRONLY)
    try:
        os.ftruncate(descriptor, os.write(descriptor, f"{mine} {count}\n".encode()))
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """One run at a time looks who has the lock, and takes it: to make a file that is not there is atomic everywhere."""
    claim = file.with_name(f"{file.name}.claim")
    end = time.monotonic() + PATIENCE + 2 * GONE
    while True:
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            if time.monotonic() > end:
                claim.unlink(missing_ok=True)  # of a run that was killed just then
        time.sleep(0.1)
    try:
        yield
    finally:
        claim.unlink(missing_ok=True)


def counting(file: Path) -> bool:
    """Whether a run on another machine still works here."""
    holder = record(file)
    if holder[3] in ("?", machine()) or holder[4] == OVER:
        return False
    print(f"{file.parent}: process {holder[1]} on {holder[0]} has worked here; waiting {GONE:.0f} s to see whether it "
          "still does", file=sys.stderr)  # fmt: skip
    end = time.monotonic() + GONE
    while time.monotonic() < end:
        time.sleep(LOOK)
        now = record(file)
        if now != holder:
            return now[4] != OVER
    return False


def count(file: Path, mine: str) -> None:
    """Counts while the run has the lock, which this process does not hold."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    beats, beaten = 0, time.monotonic()
    while True:
        time.sleep(LOOK)
        try:
            with open(file, "r+b") as own:
                if " ".join(record(file)[:4]) != mine:
                    return
                if locked(own.fileno()):
                    tell(file, mine, OVER)
                    return
                if time.monotonic() - beaten >= BEAT:
                    beats, beaten = beats + 1, time.monotonic()
                    tell(file, mine, beats)
        except OSError:
            # The folder is not to be seen for a while, or for ever.
            if ended(*mine.split()[:2]):
                return


def main() -> None:
    descriptor, file, pid = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    end = time.monotonic() + PATIENCE
    free = locked(descriptor)
    holder = record(file)
    while not free and ended(*holder[:2]) and time.monotonic() < end:
        time.sleep(0.1)
        free = locked(descriptor)
    with alone(file):
        if not free or counting(file):
            host, first, since = record(file)[:3]
            jobs = "; that process has ended, but jobs of it have not" if ended(host, first) else ""
            sys.exit(
                f"error: {file.parent}: another run works here: process {first} on {host}, since {since}{jobs}; wait "
                "for its end, or name other folders with --data-root and --exp-root"
            )
        mine = f"{socket.gethostname()} {pid} {time.strftime('%Y-%m-%dT%H:%M:%S')} {machine()}"
        tell(file, mine, 0)
    if os.fork() == 0:
        try:
            count(file, mine)
        finally:
            os._exit(0)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        print(f"{sys.argv[2]}: cannot be locked ({error.strerror}): two runs at a time would not be noticed",
              file=sys.stderr)
