"""Trains toys as one rank of several, or alone.

usage: rank_training.py FOLDER CASE...

Leaves each case's weights in FOLDER/CASE/weights.RANK.pt, and the utterances that the rank has read, in their order, in
FOLDER/CASE/read.RANK.txt. With XVKD_DIE="RANK READS HOW" in the environment, when it has read so many utterances of a
case that rank is "killed", "raises", is "told" something, or "sleeps" (its process number goes to FOLDER/asleep).
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch
from small_networks import small_teacher
from torch import distributed
from torch.nn.modules.batchnorm import _BatchNorm
from toy_training import SPEAKERS, UTTERANCES, Fragile, make_task, toy_config, train, utterances

from xvkd import cli
from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.nets.extraction import ExtractionConfig
from xvkd.training.classification import SpeakerClassification
from xvkd.training.config import FineTuningConfig, SpecAugmentConfig
from xvkd.training.development import DevelopmentSet
from xvkd.training.objectives import aam
from xvkd.training.ranks import joined

AAM = {"kind": "aam", "objective": aam.Config("aam", 16.0, 0.2, 0.1, 0.6, "exponential", 0.0)}
# Where rounding grows from step to step, and with parameters whose gradient is nothing but rounding, to which AdamW
# gives whole steps.
GENTLE = {"optimiser": "sgd", "learning_rate": 0.003}
CASES = {
    "plain": {},
    "frozen": {},
    "odd": {"batch_size": 5},
    "resnet34": {"chunk_frames": 40, **GENTLE},
    "ecapa": {"chunk_frames": 40, **GENTLE},
    "ftdnn": {"chunk_frames": 40, **GENTLE},
    "bfloat16": {"precision": "bfloat16"},
    "float16": {"precision": "float16"},
    "all of it": {
        "dev_every": 1, "patience": 1, "epochs": 6, "fine_tuning": FineTuningConfig(2, 40, 0.003, 0.4),
        "balance": "speakers", "chunks_per_utterance": 2, "spec_augment": SpecAugmentConfig(2, 5, 1, 2), **GENTLE,
    },
    "averaging": {"average_epochs": 2},
    "every step": {"checkpoint_minutes": 0.0},
}  # fmt: skip


class Read(Fragile):
    """Utterances that note who was read, and who may be the last one."""

    def __init__(self, rank):
        super().__init__(utterances())
        self.names = []
        who, reads, self._how = os.environ.get("XVKD_DIE", "-1 0 -").split()
        self._last = int(reads) if int(who) == rank else -1

    def __getitem__(self, name):
        if len(self.names) == self._last:
            if self._how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self._how == "sleeps":
                with atomic_write(Path(sys.argv[1]) / "asleep") as file:
                    file.write(str(os.getpid()))
                time.sleep(600)
            raise UserError("enough read") if self._how == "told" else ZeroDivisionError("a defect")
        self.names.append(name)
        return super().__getitem__(name)


class Frozen(SpeakerClassification):
    """Whose BatchNorms keep their statistics."""

    def train(self, mode=True):
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self


def task_of(case):
    torch.manual_seed(0)
    if case in ("resnet34", "ecapa", "ftdnn"):
        speakers = torch.arange(UTTERANCES) % SPEAKERS
        return SpeakerClassification(small_teacher(case), speakers, AAM["kind"], AAM["objective"])
    task = make_task(**({} if case in ("plain", "odd", "frozen") else AAM))
    if case == "frozen":
        task.__class__ = Frozen
    return task


def development():
    frames = utterances(seed=1)
    speakers = {name: f"s{number % 3}" for number, name in enumerate(frames)}
    return DevelopmentSet(frames, speakers, 12, 40, ExtractionConfig(15, 100, 1000, 100), "dev")


def run(folder, case):
    """Trains one case; returns the task."""
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    task, reader = task_of(case), Read(rank)
    train(folder / case, toy_config(**CASES[case]), task, data=reader, development=development())
    torch.save(task.state_dict(), folder / case / f"weights.{rank}.pt")
    (folder / case / f"read.{rank}.txt").write_text(" ".join(reader.names))
    return task


def main():
    torch.set_num_threads(1)
    for case in sys.argv[2:]:
        run(Path(sys.argv[1]), case)


if __name__ == "__main__":
    cli.run(joined(main))
