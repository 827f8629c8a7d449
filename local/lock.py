#!/usr/bin/env python3
"""Keeps two runs from working in one folder at a time.

usage: lock.py FD FILE PID

FD is a file descriptor that the calling shell has opened on FILE. The lock (flock) lies on the shell's open
file: the kernel holds it until the shell and the jobs that it started have ended, however they end, so that no
lock outlives its run. FILE says who has it, or had it last. Returns 1 and says so if another run has it. On a
file system without locks it warns. Needs nothing but Python's own library.
"""

import errno
import fcntl
import os
import socket
import sys
import time
from pathlib import Path

# Jobs of a run that was killed are ended by their launcher, within seconds.
PATIENCE = 5.0


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


def main() -> None:
    descriptor, file, pid = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    end = time.monotonic() + PATIENCE
    free = locked(descriptor)
    holder = (file.read_text(encoding="utf-8", errors="replace").split() + ["?", "?", "?"])[:3]
    while not free and ended(*holder[:2]) and time.monotonic() < end:
        time.sleep(0.1)
        free = locked(descriptor)
    if not free:
        host, first, since = holder
        jobs = "; that process has ended, but jobs of it have not" if ended(host, first) else ""
        sys.exit(
            f"error: {file.parent}: another run works here: process {first} on {host}, since {since}{jobs}; wait for "
            "its end, or name other folders with --data-root and --exp-root"
        )
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{socket.gethostname()} {pid} {time.strftime('%Y-%m-%dT%H:%M:%S')}\n".encode())


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        print(f"{sys.argv[2]}: cannot be locked ({error.strerror}): two runs at a time would not be noticed",
              file=sys.stderr)
