"""The training loop of teachers and students."""

import csv
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xvkd.errors import UserError
from xvkd.progress import Progress
from xvkd.training import checkpoint
from xvkd.training.config import TrainingConfig
from xvkd.training.data import ChunkDataset, chunk_loader
from xvkd.training.device import choose_device, choose_precision
from xvkd.training.sampling import ChunkSampler

_FRAME_SECONDS = 0.01


class Trainer:
    """Trains a task over random chunks, and goes on from the last checkpoint of the same task.

    Args:
        task: a module that maps (features, utterance indices) to (loss, share or distance to watch).
        dataset: gives batches of chunks.
        num_utterances: utterances in the dataset.
        config: how to train.
        folder: the model's; gets ``checkpoints/`` and ``log/training.csv``.
        seed: of the chunks. (Seed torch before making the task.)
        fingerprint: of configuration and data; see :mod:`xvkd.training.checkpoint`.
        about: what checkpoints say of the model, for those who start from their weights.
    """

    def __init__(
        self, task: nn.Module, dataset: ChunkDataset, num_utterances: int, config: TrainingConfig,
        folder: Path, seed: int, fingerprint: str, about: Mapping[str, Any],
    ) -> None:
        self._config, self._folder, self._fingerprint, self._about = config, folder, fingerprint, dict(about)
        self._device = choose_device()
        self._precision = choose_precision(self._device, config.precision)
        self._task = task.to(self._device)
        self._sampler = ChunkSampler(num_utterances, config, seed)
        self._loader = chunk_loader(dataset, self._sampler, config.reader_workers)
        self._total_steps = config.epochs * len(self._sampler)
        self._optimiser = torch.optim.AdamW(
            task.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, config.learning_rate, total_steps=self._total_steps, pct_start=config.warmup
        )
        self._step = 0
        self._history: list[dict[str, float]] = []
        # Of the epoch so far.
        self._losses: list[torch.Tensor] = []
        self._watched: list[torch.Tensor] = []
        self._seconds = 0.0

    def run(self) -> None:
        """Trains to the end.

        Raises:
            UserError: the loss is not a finite number.
        """
        self._resume()
        progress = Progress(self._total_steps, "steps")
        progress.resume(self._step)
        precision = str(self._precision).removeprefix("torch.")
        logging.info(
            "training on %s in %s: %d epochs of %d batches",
            self._device, precision, self._config.epochs, len(self._sampler),
        )
        self._task.train()
        saved = time.monotonic()
        while self._step < self._total_steps:
            self._sampler.epoch, self._sampler.first_batch = divmod(self._step, len(self._sampler))
            before, start = self._seconds, time.monotonic()
            for features, utterances in self._loader:
                loss, watched = self._train_step(features.to(self._device), utterances.to(self._device))
                self._losses.append(loss)
                self._watched.append(watched)
                self._step += 1
                self._seconds = before + time.monotonic() - start
                if len(self._losses) % 10 == 0 or self._step == self._total_steps:
                    value = self._finite_mean(self._losses[-10:])
                    progress.update(self._step - progress.done, f"epoch {self._sampler.epoch + 1}, loss {value:.3f}")
                within = self._step % len(self._sampler) != 0
                if within and time.monotonic() - saved > 60 * self._config.checkpoint_minutes:
                    self._save()
                    saved = time.monotonic()
            self._end_epoch(features.shape[0] * features.shape[1] * _FRAME_SECONDS)
            self._save()
            saved = time.monotonic()
        self._task.eval()

    def _train_step(
        self, features: torch.Tensor, utterances: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        mixed = self._precision != torch.float32
        with torch.autocast(self._device.type, self._precision, enabled=mixed):
            loss, watch = self._task(features, utterances)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._task.parameters(), self._config.max_gradient_norm)
        self._optimiser.step()
        self._schedule.step()
        return loss.detach(), watch.detach()

    def _end_epoch(self, seconds_a_batch: float) -> None:
        """Notes how the epoch went; ``seconds_a_batch`` is the speech in a batch."""
        speech = len(self._losses) * seconds_a_batch
        self._history.append({
            "epoch": self._sampler.epoch + 1,
            "loss": self._finite_mean(self._losses),
            self._task.watched: torch.stack(self._watched).mean().item(),
            "learning_rate": self._schedule.get_last_lr()[0],
            "seconds": round(self._seconds, 2),
            "times_real_time": round(speech / self._seconds, 1),
        })
        self._losses, self._watched, self._seconds = [], [], 0.0
        logging.info("; ".join(f"{name} {value:.4g}" for name, value in self._history[-1].items()))
        self._write_history()

    def _finite_mean(self, losses: list[torch.Tensor]) -> float:
        value = torch.stack(losses).mean().item()
        if not value < float("inf"):
            raise UserError(
                f"the loss became {value} at step {self._step}: lower training.learning_rate "
                f"(now {self._config.learning_rate})"
            )
        return value

    @property
    def _checkpoints(self) -> Path:
        return self._folder / "checkpoints"

    def _save(self) -> None:
        checkpoint.save(self._checkpoints, {
            **self._about,
            "fingerprint": self._fingerprint,
            "step": self._step,
            "task": self._task.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "random": checkpoint.random_states(),
            "history": self._history,
            "losses": torch.tensor(self._losses),
            "watched": torch.tensor(self._watched),
            "seconds": self._seconds,
        })

    def _resume(self) -> None:
        state = checkpoint.newest(self._checkpoints)
        if state is None:
            return
        if state["fingerprint"] != self._fingerprint:
            logging.info(
                "%s: its checkpoints are of another configuration or data: training from the beginning", self._folder
            )
            return
        self._task.load_state_dict(state["task"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        checkpoint.set_random_states(state["random"])
        self._step, self._history, self._seconds = state["step"], state["history"], state["seconds"]
        self._losses = list(state["losses"].to(self._device))
        self._watched = list(state["watched"].to(self._device))
        logging.info("going on from step %d of %d", self._step, self._total_steps)

    def _write_history(self) -> None:
        path = self._folder / "log" / "training.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._history[0].keys())
            writer.writeheader()
            writer.writerows(self._history)
