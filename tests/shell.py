"""Runs the project's shell scripts as a user does, with the environment that pytest runs in."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def environment(**changes: str) -> dict[str, str]:
    """The scripts' environment: this Python first on the path, nothing of the project set from outside."""
    ours = ("PYTHONPATH", "cmd_backend", "slurm_config")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("XVKD_") and key not in ours}
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    return {**kept, "PATH": path, "OMP_NUM_THREADS": "1", **changes}


def run(command: Sequence[str | Path], cwd: Path = ROOT, **changes: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; ``changes`` are variables of its environment."""
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment(**changes), capture_output=True, text=True,
        stdin=subprocess.DEVNULL, errors="surrogateescape", timeout=600,
    )


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def running(process: int) -> bool:
    """True if there is such a process, and it is not a zombie that nobody has reaped yet."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder, with its time of change and size; not who had the lock last."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
