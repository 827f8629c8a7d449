#!/usr/bin/env python3
"""Says whether a step is up to date.

usage: fingerprint.py DONE NEW [--input FILE]... -- COMMAND...

The step's fingerprint is its command and the content of its inputs (of folders and of files over 64 MB:
names, sizes and times). DONE is what the step left when it ended. Returns 0 if DONE has this fingerprint,
unless the variable XVKD_FORCE is set. Otherwise writes the fingerprint to NEW, which becomes DONE when the
step has ended, prints why, and returns 1; 2 if an input is missing. With NEW empty nothing is written, and
inputs may be missing (for --dry-run). Needs nothing but Python's own library, so that asking costs little.
"""

import hashlib
import os
import secrets
import socket
import sys
import time
from pathlib import Path

LARGEST_READ = 64 * 2**20


def of_file(path: Path) -> str:
    status = path.stat()
    if status.st_size > LARGEST_READ:
        return f"{status.st_size}:{status.st_mtime_ns}"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def of_folder(path: Path) -> str:
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            status = os.stat(os.path.join(folder, name))
            digest.update(os.fsencode(f"{folder}/{name}:{status.st_size}:{status.st_mtime_ns}\n"))
    return digest.hexdigest()


def main() -> int:
    words = sys.argv[1:]
    split = words.index("--")
    done, new, inputs, command = Path(words[0]), words[1], words[3:split:2], words[split + 1 :]
    lines = ["command " + " ".join(f"{word!r}" for word in command)]
    for name in inputs:
        path = Path(name)
        if not path.exists() and new:
            print(f"{name} is missing: run the earlier stages first (./run.sh without --stage)", file=sys.stderr)
            return 2
        lines.append(f"{name} {of_folder(path) if path.is_dir() else of_file(path) if path.exists() else 'missing'}")
    # The first line tells one run from another: what stands on this step is redone when it is redone.
    old = done.read_text(encoding="utf-8").splitlines()[1:] if done.exists() else None
    if old == lines and not os.environ.get("XVKD_FORCE"):
        return 0
    if old == lines:
        print("--force")
    elif old is not None:
        changed = [line.split()[0] for line in lines if line not in old] or ["its list of inputs"]
        print(f"changed since: {', '.join(changed)}")
    if new:
        Path(new).parent.mkdir(parents=True, exist_ok=True)
        head = f"# {time.strftime('%Y-%m-%d %H:%M:%S')} {socket.gethostname()} {secrets.token_hex(4)}"
        Path(new).write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return 1


if __name__ == "__main__":
    sys.exit(main())
