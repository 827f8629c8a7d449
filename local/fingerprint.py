#!/usr/bin/env python3
"""Says whether a step is up to date.

usage: fingerprint.py DONE NEW [--input FILE | --output FILE | --scp FILE]... -- COMMAND...

The step's fingerprint is its command and the content of its inputs (of folders and of files over 64 MB:
names, sizes and times). DONE is what the step left when it ended. Returns 0 if DONE has this fingerprint and all
outputs are there (--scp: a script file and the archives that it names), unless the variable XVKD_FORCE is set.
Otherwise writes the fingerprint to NEW, which becomes DONE when the step has ended, removes what killed jobs have left
half written beside DONE and below, prints why, and returns 2; 1 if an input is missing or cannot be read. With
NEW empty nothing is written or removed, and inputs may be missing (for --dry-run). Needs nothing but Python's own
library, so that asking costs little.
"""

import hashlib
import os
import re
import secrets
import socket
import sys
import time
from pathlib import Path

LARGEST_READ = 64 * 2**20
MOST_NAMED = 3
PLACE = re.compile(r"(:\d+)?(\[[\d:,]*\])?$")  # behind an archive's name: an offset, and ranges of rows and columns
HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")  # as xvkd.kaldi.files has it
COMMENT = re.compile(rb"(^|\s)#[^\"']*$")


def of_file(path: Path) -> str:
    status = path.stat()
    if status.st_size > LARGEST_READ:
        return f"{status.st_size}:{status.st_mtime_ns}"
    content = path.read_bytes()
    if path.suffix == ".yaml":
        # Comments do not count: nobody wants to train again after mending one.
        lines = (COMMENT.sub(b"", line).rstrip() for line in content.splitlines())
        content = b"\n".join(line for line in lines if line)
    return hashlib.sha256(content).hexdigest()


def of_folder(path: Path) -> str:
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(path, followlinks=True):
        folders.sort()
        for name in sorted(files):
            file = os.path.join(folder, name)
            status = os.stat(file) if os.path.exists(file) else os.lstat(file)  # a link may lead nowhere
            digest.update(os.fsencode(f"{folder}/{name}:{status.st_size}:{status.st_mtime_ns}\n"))
    return digest.hexdigest()


def archives_of(scp: Path) -> list[str]:
    """The archives that a script file names; of a large one, the first."""
    if not scp.exists():
        return []
    with scp.open(encoding="utf-8", errors="surrogateescape") as file:
        lines = file if scp.stat().st_size <= LARGEST_READ else [file.readline()]
        entries = (line.rstrip("\n").split(maxsplit=1)[1] for line in lines if " " in line)
        return list(dict.fromkeys(PLACE.sub("", entry) for entry in entries))


def main() -> int:
    words = sys.argv[1:]
    split = words.index("--")
    done, new, command = Path(words[0]), words[1], words[split + 1 :]
    files: dict[str, list[str]] = {"--input": [], "--output": [], "--scp": []}
    for place in range(2, split, 2):
        files[words[place]].append(words[place + 1])
    lines = ["command " + " ".join(f"{word!r}" for word in command)]
    for path in map(Path, files["--input"]):
        try:
            lines.append(f"{path} {of_folder(path) if path.is_dir() else of_file(path)}")
        except FileNotFoundError:
            if new:
                print(f"{path} is missing: run the stage that makes it (./run.sh without --stage; with --force if "
                      "it says 'up to date')", file=sys.stderr)
                return 1
            lines.append(f"{path} missing")
    # The first line tells one run from another: what stands on this step is redone when it is redone.
    old = done.read_text(encoding="utf-8", errors="surrogateescape").splitlines()[1:] if done.exists() else None
    outputs = files["--output"] + [file for scp in files["--scp"] for file in (scp, *archives_of(Path(scp)))]
    gone = [file for file in outputs if not os.path.exists(file)]
    if old == lines and not gone and not os.environ.get("XVKD_FORCE"):
        return 0
    if old == lines:
        print(f"{gone[0]} is missing" if gone else "--force")
    elif old is not None:
        new_lines = [line for line in lines if line not in old]
        changed = ["command" if line == lines[0] else line.rsplit(" ", 1)[0] for line in dict.fromkeys(new_lines)]
        more = f" and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
        print(f"changed since: {', '.join(changed[:MOST_NAMED]) or 'its list of inputs'}{more}")
    if new:
        # Not where a given script file leads: another run may be writing there.
        own = done.absolute().parent
        folders = (Path(output).absolute().parent for output in outputs)
        for folder in {own, *(folder for folder in folders if own in folder.parents)}:
            for file in folder.glob(".*.tmp"):
                if HALF_WRITTEN.fullmatch(file.name):
                    file.unlink(missing_ok=True)
        try:
            Path(new).parent.mkdir(parents=True, exist_ok=True)
            head = f"# {time.strftime('%Y-%m-%d %H:%M:%S')} {socket.gethostname()} {secrets.token_hex(4)}"
            Path(new).write_text("\n".join([head, *lines]) + "\n", encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            sys.exit(f"error: {new}: cannot be written: {error.strerror}; free space or make it writable, and repeat")
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
