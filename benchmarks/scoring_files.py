"""What the benchmarks of scoring share: files of any size for score_trials.py, and a run of it with its cost."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import ROOT

from xvkd.backend.backend import Backend
from xvkd.backend.plda import Plda
from xvkd.kaldi.writer import ArchiveWriter


def random_plda(dim: int, random: np.random.Generator) -> Plda:
    """A PLDA model of no meaning: its numbers do not matter to the speed."""
    return Plda(random.normal(size=dim), np.eye(dim) + 0.01 * random.normal(size=(dim, dim)), random.gamma(1, 2, dim))


def write_backend(folder: Path, raw_dim: int, dim: int, random: np.random.Generator) -> None:
    """mean.vec, transform.mat and plda, from ``raw_dim`` to ``dim`` dimensions."""
    transform = random.normal(size=(dim, raw_dim + 1)).astype(np.float32)
    mean = random.normal(size=raw_dim).astype(np.float32)
    Backend(mean, transform, random_plda(dim, random)).save(folder)


def write_vectors(path: Path, prefix: str, count: int, dim: int, random: np.random.Generator) -> list[str]:
    """Writes ``path``.ark and .scp; returns the keys."""
    keys = [f"{prefix}{number:06d}-u{number % 100:02d}" for number in range(count)]
    with ArchiveWriter(f"{path}.ark", f"{path}.scp", compress=False) as writer:
        for key in keys:
            writer.write(key, random.standard_normal(dim, np.float32))
    return keys


def write_trials(path: Path, models: list[str], tests: list[str], model: np.ndarray, test: np.ndarray) -> None:
    """Writes unlabelled trials: pairs of a row of ``models`` and one of ``tests``."""
    with open(path, "w", encoding="utf-8") as file:
        for start in range(0, len(model), 1 << 16):
            block = slice(start, start + (1 << 16))
            rows = zip(model[block].tolist(), test[block].tolist(), strict=True)
            file.writelines(f"{models[m]} {tests[t]}\n" for m, t in rows)


@dataclass
class Cost:
    """What a run has cost: wall-clock seconds, processor seconds and peak memory in MiB."""

    seconds: float
    processor_seconds: float
    mebibytes: float


def score_trials(*arguments: str | Path, threads: int) -> Cost:
    """Runs the command as a user does, its modules compiled already or from now on."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pyscripts"), "OMP_NUM_THREADS": str(threads)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, str(ROOT / "pyscripts" / "score_trials.py"), *map(str, arguments)]
    start = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    # Waited for by its number, so that time and memory are its own.
    _, status, usage = os.wait4(os.posix_spawn(sys.executable, command, environment, file_actions=silent), 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
