#!/usr/bin/env python3
"""Stands in for Kaldi's run.pl and slurm.pl, by the name that it is called by: what these take, and how they treat it.

Words without white space reach a shell as they are; JOB is replaced wherever it stands; slurm.pl's jobs have nothing
of the caller's environment but PATH, in the folder where it was called, after path.sh.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

NAME = Path(sys.argv[0]).name


def quoted(word: str) -> str:
    if not re.search(r"\s", word):
        return word
    return f"'{word}'" if '"' in word else f'"{word}"'


def main() -> int:
    words = sys.argv[1:]
    while words[0].startswith("-"):
        option, value, *words = words
        if not re.fullmatch(r"--(mem|gpu|num-threads|max-jobs-run|time|config)", option) or value.startswith("-"):
            sys.exit(f"{NAME}: suspicious option {option} {value}")
    first = last = 1
    array = re.fullmatch(r"JOB=(\d+)(?::(\d+))?", words[0])
    if array:
        first, last = int(array[1]), int(array[2] or array[1])
        words = words[1:]
    log, command = words[0], " ".join(map(quoted, words[1:]))
    if array and last > first and "JOB" not in log:
        sys.exit(f"{NAME}: the log must have JOB in its name")
    failed = 0
    for job in range(first, last + 1):
        path = Path(log.replace("JOB", str(job)) if array else log)
        path.parent.mkdir(parents=True, exist_ok=True)
        script = ". ./path.sh\n" if NAME == "slurm.pl" else ""
        script += command.replace("JOB", str(job)) if array else command
        environment = {"PATH": os.environ["PATH"]} if NAME == "slurm.pl" else None
        with path.open("w") as output:
            done = subprocess.run(["bash", "-c", script], stdout=output, stderr=subprocess.STDOUT, env=environment)
        failed += done.returncode != 0
    if failed:
        print(f"{NAME}: {failed} / {last - first + 1} failed, log is in {log}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
