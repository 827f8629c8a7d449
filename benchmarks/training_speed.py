#!/usr/bin/env python3
"""The recipe's training loop against a plain float32 PyTorch loop of the same network.

usage: benchmarks/training_speed.py [--config FILE] [--steps N] [--repeats N] [--device cpu|cuda] [--set KEY=VALUE]...

Method: conf/teachers/tdnn.yaml (512/1500) in batches of 64 x 300 frames. Ours is the whole of a training: the Trainer
reads features and VAD from compressed Kaldi archives in a temporary folder (random, 4 to 8 s an utterance; nothing is
cached, so every chunk is read, decompressed, normalised and cut again), transfers, trains in the precision that
"auto" finds, clips, schedules and logs; the time is that of log/training.csv. The plain loop takes batches that lie in
memory (on a GPU: in its memory): forward, cross-entropy, backward, AdamW as torch has it by default. Both train --steps
steps a turn after one turn that does not count, and take turns, --repeats times, each in a process of its own, since
ours sets how its process keeps memory; the ratio is of neighbouring turns.
The softmax stands on 1000 speakers.
"""

import argparse
import csv
import os
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from machine import ROOT, machine, seconds_of
from torch.nn import functional

from xvkd.kaldi.tables import write_table
from xvkd.kaldi.writer import ArchiveWriter
from xvkd.nets.models import TEACHERS
from xvkd.training.setup import TrainingSetup, training_parser

BATCH, FRAMES, SPEAKERS = 64, 300, 1000


def write_data(folder: Path, utterances: int, dim: int) -> None:
    """A data directory of random features, 30 % of them unvoiced."""
    draw = np.random.default_rng(0)
    names = [f"s{number % SPEAKERS:04d}-{number:06d}" for number in range(utterances)]
    folder.mkdir()
    write_table(folder / "utt2spk", {name: name[:5] for name in names})
    with (
        ArchiveWriter(folder / "feats.ark", folder / "feats.scp", compress=True) as features,
        ArchiveWriter(folder / "vad.ark", folder / "vad.scp", compress=False) as vad,
    ):
        for name in sorted(names):
            frames = int(draw.integers(400, 800))
            features.write(name, draw.standard_normal((frames, dim), np.float32))
            vad.write(name, (draw.random(frames) < 0.7).astype(np.float32))


def prepare(config: Path, data: Path, folder: Path, changes: list[str]) -> TrainingSetup:
    """As train_teacher.py does."""
    words = ["--config", config, "--data-dir", data, "--seed", 0, folder]
    words += [word for change in changes for word in ("--set", change)]
    return TrainingSetup(training_parser("", "teachers").parse_args(list(map(str, words))))


def recipe(config: Path, data: Path, scratch: Path, changes: list[str]) -> Callable[[], float]:
    """A training from its beginning; gives the seconds that its log counts."""

    def train() -> float:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            setup = prepare(config, data, Path(folder), changes)
            setup.train(setup.classification(setup.network(TEACHERS)))
            with open(Path(folder) / "log" / "training.csv", encoding="utf-8") as file:
                return sum(float(row["seconds"]) for row in csv.DictReader(file))

    return train


def plain(config: Path, data: Path, scratch: Path, changes: list[str], steps: int, device: str) -> Callable[[], float]:
    """The plain loop over what lies in memory."""
    setup = prepare(config, data, scratch, changes)
    network = setup.network(TEACHERS).to(device).train()
    classifier = torch.nn.Sequential(
        torch.nn.ReLU(), torch.nn.BatchNorm1d(network.output_dim, affine=False),
        torch.nn.Linear(network.output_dim, SPEAKERS),
    ).to(device)  # fmt: skip
    optimiser = torch.optim.AdamW([*network.parameters(), *classifier.parameters()], lr=1e-3)
    batches = [torch.randn(BATCH, FRAMES, setup.features.dim, device=device) for _ in range(4)]
    labels = torch.randint(SPEAKERS, (BATCH,), device=device)

    def loop() -> None:
        for step in range(steps):
            loss = functional.cross_entropy(classifier(network(batches[step % 4])[network.output_level]), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return lambda: seconds_of(loop)


class Side:
    """What takes turns, in a process of its own.

    Args:
        make: makes a turn there.
        arguments: of ``make``.
    """

    _turn: Callable[[], float]  # in the process

    def __init__(self, make: Callable[..., Callable[[], float]], *arguments: object) -> None:
        self._process = ProcessPoolExecutor(1, get_context("spawn"), Side._begin, (make, arguments))

    @staticmethod
    def _begin(make: Callable[..., Callable[[], float]], arguments: tuple[object, ...]) -> None:
        Side._turn = staticmethod(make(*arguments))

    @staticmethod
    def _take() -> float:
        return Side._turn()

    def __call__(self) -> float:
        """The seconds of a turn."""
        return self._process.submit(Side._take).result()


class Utilisation(threading.Thread):
    """Asks nvidia-smi how busy the GPU is, while a block runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.percent: list[float] = []
        self._ended = threading.Event()

    def run(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
        while not self._ended.wait(0.2):
            try:
                answer = subprocess.run(query, capture_output=True, text=True, check=True).stdout
            except (OSError, subprocess.CalledProcessError):
                return
            self.percent.append(float(answer.split()[0]))

    def __enter__(self) -> "Utilisation":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "conf" / "teachers" / "tdnn.yaml", help="the teacher")
    parser.add_argument("--steps", type=int, help="of a turn (4, on a GPU 200)")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each (5)")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="cuda where there is one")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replaces a value of ours")
    args = parser.parse_args()
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU")
    steps = args.steps or (200 if device == "cuda" else 4)
    name = torch.cuda.get_device_name() if device == "cuda" else machine()
    print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads; {BATCH} x {FRAMES} frames a step")
    changes = [
        "objective=softmax", "training.epochs=1", f"training.batch_size={BATCH}", f"training.chunk_frames={FRAMES}",
        "training.cache_gib=0", *args.set,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, Utilisation() as busy:
        scratch, data = Path(folder), Path(folder) / "train"
        write_data(data, steps * BATCH, 30)
        turns = {
            "recipe": Side(recipe, args.config, data, scratch, changes),
            "plain float32 loop": Side(plain, args.config, data, scratch, changes, steps, device),
        }
        for turn in turns.values():
            turn()
        busy.percent, seconds, used = [], {key: [] for key in turns}, []
        for _ in range(args.repeats):
            for key, turn in turns.items():
                before = len(busy.percent)
                seconds[key].append(turn())
                used += busy.percent[before:] if key == "recipe" else []
    frames = steps * BATCH * FRAMES
    for key, times in seconds.items():
        best, worst = (frames / pick(times) for pick in (min, max))
        print(f"{key}: {best:,.0f} frames/s (slowest turn {worst:,.0f}), {best / 100:,.0f} x real time")
    ratios = sorted(theirs / ours for ours, theirs in zip(*seconds.values(), strict=True))
    print(f"ratio {statistics.median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f} in {len(ratios)} turns)")
    if used:
        print(f"GPU busy in the recipe's turns, its reading before training included: {statistics.mean(used):.0f} %")


if __name__ == "__main__":
    main()
