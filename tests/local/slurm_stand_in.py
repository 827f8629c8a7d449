#!/usr/bin/env python3
"""Stands in for sbatch, squeue, scancel and scontrol, by the name that it is called by: runs tasks on this machine.

The folder FAKE_SLURM has a folder a job, with a file a task: PENDING, or the number of its process. Files in it tell
what is to go wrong: "slow" (sbatch answers late), "down" (nobody answers), "lose.N" (task N is gone at once), "refuse"
(sbatch says what stands there), "unheard" (the first sbatch submits, and its answer is lost). "asked" says that sbatch
was.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(os.environ["FAKE_SLURM"])


def option(name: str) -> str:
    return next((word.split("=", 1)[1] for word in sys.argv if word.startswith(f"--{name}=")), "")


def jobs() -> list[Path]:
    wanted = option("name"), option("jobs"), sys.argv[-1]
    folders = [path.parent for path in ROOT.glob("*/name")]
    return [path for path in folders if (path / "name").read_text() == wanted[0] or path.name in wanted[1:]]


def state(task: Path) -> str:
    text = task.read_text()
    if not text.isdigit():
        return text
    try:
        return "RUNNING" if Path(f"/proc/{text}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z" else "FAILED"
    except OSError:
        return "FAILED"


def sbatch() -> None:
    if (ROOT / "refuse").exists():
        sys.exit("sbatch: error: " + (ROOT / "refuse").read_text())
    (ROOT / "asked").touch()
    time.sleep(1.5 if (ROOT / "slow").exists() else 0)
    (ROOT / "called").write_text(json.dumps(sys.argv))
    folder = ROOT / str(100 + len(list(ROOT.glob("*/name"))))
    folder.mkdir()
    first, last = map(int, option("array").split("%")[0].split("-"))
    for number in range(first, last + 1):
        process = ""
        if not (ROOT / f"lose.{number}").exists():
            environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(number), "SLURMD_NODENAME": "node1"}
            with open(option("output").replace("%a", str(number)).replace("%%", "%"), "w") as output:
                process = subprocess.Popen(
                    ["sh", sys.argv[-1]], env=environment, stdout=output, stderr=output, start_new_session=True
                ).pid
        (folder / f"task.{number}").write_text(str(process) or "NODE_FAIL")
    (folder / "name").write_text(option("job-name"))
    if (ROOT / "unheard").exists():
        (ROOT / "unheard").unlink()
        sys.exit("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation")
    print(folder.name)


def squeue() -> None:
    for folder in jobs():
        for task in sorted(folder.glob("task.*")):
            print(folder.name if option("format") == "%F" else f"{task.name[5:]}|{state(task)}|None")


def scancel() -> None:
    for task in [task for folder in jobs() for task in folder.glob("task.*")]:
        if state(task) == "RUNNING" and not option("state"):
            os.killpg(int(task.read_text()), signal.SIGTERM)


def scontrol() -> None:
    print("MaxArraySize            = 4")


if __name__ == "__main__":
    if (ROOT / "down").exists():
        sys.exit("error: Unable to contact slurm controller (connect failure)")
    {"sbatch": sbatch, "squeue": squeue, "scancel": scancel, "scontrol": scontrol}[Path(sys.argv[0]).name]()
