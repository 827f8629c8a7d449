"""The training loop of teachers and students."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xvkd.errors import UserError
from xvkd.progress import Progress
from xvkd.training import checkpoint, ranks
from xvkd.training.averaging import Average
from xvkd.training.config import TrainingConfig
from xvkd.training.data import ChunkDataset, chunk_loader
from xvkd.training.development import DevelopmentSet
from xvkd.training.device import GpuUse, choose_device, choose_precision
from xvkd.training.log import Curves, write_history
from xvkd.training.objective import Objective
from xvkd.training.optimisation import Schedule, make_optimiser
from xvkd.training.parallel import parallel
from xvkd.training.sampling import ChunkSampler, Pool
from xvkd.training.spec_augment import hide

_FRAME_SECONDS = 0.01
# Steps between two looks at the loss. It is on a GPU, and each look waits for that.
_STEPS_BETWEEN_LOOKS = 10


@dataclass
class _Phase:
    """A part of the training with a schedule of its own."""

    name: str
    epochs: int
    chunk_frames: int
    learning_rate: float
    sampler: ChunkSampler

    @property
    def steps(self) -> int:
        return self.epochs * len(self.sampler)


class Trainer:
    """Trains a task over random chunks, and goes on from the last checkpoint of the same task.

    Of several ranks (:mod:`.ranks`), each has a trainer, and all of them the same weights; the first writes the files.

    Args:
        task: a module that maps (features, utterance indices) to (loss, share or distance to watch); it names that as
            ``watched``, and what is trained as ``network``. Of several ranks, each gets its part of the features.
        make_dataset: gives batches of chunks of so many frames.
        pool: the utterances of the dataset.
        config: how to train.
        folder: the model's; gets ``checkpoints/`` and ``log/``.
        seed: of the chunks. (Seed torch before making the task.)
        fingerprint: of configuration and data; see :mod:`xvkd.training.checkpoint`.
        about: what checkpoints say of the model, for those who start from their weights.
        development: utterances of other speakers.
    """

    def __init__(
        self, task: nn.Module, make_dataset: Callable[[int], ChunkDataset], pool: Pool, config: TrainingConfig,
        folder: Path, seed: int, fingerprint: str, about: Mapping[str, Any], development: DevelopmentSet | None = None,
    ) -> None:  # fmt: skip
        self._config, self._folder, self._fingerprint, self._about = config, folder, fingerprint, dict(about)
        self._device = choose_device()
        self._precision = choose_precision(self._device, config.precision)
        self._task, self._make_dataset, self._development = task.to(self._device), make_dataset, development
        self._model, self._gpu = parallel(self._task), GpuUse(self._device)
        self._objectives = [module for module in task.modules() if isinstance(module, Objective)]
        self._phases = _phases(config, pool, seed)
        self._step = 0  # of all phases
        self._phase_number = 0
        self._history: list[dict[str, float | None]] = []
        # Of the epoch so far.
        self._losses: list[torch.Tensor] = []
        self._watched: list[torch.Tensor] = []
        self._seconds = 0.0

    def run(self) -> None:
        """Trains to the end, and leaves the weights in the task that are the model.

        Raises:
            UserError: the loss is not a finite number.
        """
        state = ranks.from_first(self._checkpoint)
        if ranks.count() > 1:
            # Whatever all ranks draw, all draw alike.
            checkpoint.set_random_states(ranks.from_first(checkpoint.random_states))
        self._progress = Progress(sum(phase.steps for phase in self._phases), "steps")
        if state:
            self._restore(state)
            logging.info("going on from step %d of %d", self._step, self._progress.total)
        self._progress.resume(self._step)
        self._curves = Curves(self._folder / "log" / "tensorboard" if ranks.is_first() else None, self._step)
        self._task.train()
        for number in range(self._phase_number, len(self._phases)):
            self._begin_phase(number)
            if state:
                self._restore_phase(state)
                state = None
            while self._phase_step < self._phase.steps and not self._no_better():
                self._train_epoch()
            self._choose_weights()
        self._curves.close()
        self._task.eval()

    def _begin_phase(self, number: int) -> None:
        """Optimiser and schedule begin anew, with the weights that there are."""
        phase = self._phase = self._phases[number]
        self._phase_number, self._phase_step = number, 0
        self._loader = chunk_loader(
            self._make_dataset(phase.chunk_frames), phase.sampler, self._config.reader_workers,
            pinned=self._device.type == "cuda",
        )
        self._optimiser = make_optimiser(self._task.parameters(), self._config)
        self._schedule = Schedule(self._optimiser, self._config, phase.learning_rate, phase.steps)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._precision == torch.float16)
        self._average = Average()
        self._best: dict[str, Any] = {}
        self._since_best = 0  # evaluations
        logging.info(
            "%s on %s%s in %s: %d epochs of %d batches",
            phase.name, self._device, f", {ranks.count()} ranks," if ranks.count() > 1 else "",
            str(self._precision).removeprefix("torch."), phase.epochs, len(phase.sampler),
        )

    def _train_epoch(self) -> None:
        """Trains to the end of the epoch."""
        sampler = self._phase.sampler
        sampler.epoch, sampler.first_batch = len(self._history), self._phase_step % len(sampler)
        before, start = self._seconds, time.monotonic()
        saved = start
        for features, utterances in self._loader:
            # A GPU fetches them while the processor goes on.
            batch = (tensor.to(self._device, non_blocking=True) for tensor in (features, utterances))
            loss, watched = self._train_step(*batch)
            self._losses.append(loss)
            self._watched.append(watched)
            self._step += 1
            self._phase_step += 1
            self._seconds = before + time.monotonic() - start
            last = self._phase_step % len(sampler) == 0
            if last or len(self._losses) % _STEPS_BETWEEN_LOOKS == 0:
                self._look()
            if not last and time.monotonic() - saved > 60 * self._config.checkpoint_minutes:
                self._save()
                saved = time.monotonic()
        self._end_epoch(len(utterances) * features.shape[1] * _FRAME_SECONDS)
        self._save()

    def _train_step(self, features: torch.Tensor, utterances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self._schedule.set(self._phase_step)
        self._set_margin()
        features = hide(features, self._config.spec_augment, len(utterances))
        mixed = self._precision != torch.float32
        with torch.autocast(self._device.type, self._precision, enabled=mixed):
            loss, watch = self._model(features, utterances)
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimiser)
        nn.utils.clip_grad_norm_(self._task.parameters(), self._config.max_gradient_norm)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._task.network.constrain(self._step)
        return loss.detach(), watch.detach()

    def _set_margin(self) -> None:
        for objective in self._objectives:
            if self._phase_number:
                objective.fix_margin(self._config.fine_tuning.margin)
            else:
                objective.schedule(self._phase_step / self._phase.steps)

    def _margin(self) -> dict[str, float | None]:
        """That of the last step, of an objective that has one."""
        margins = [objective.margin for objective in self._objectives if objective.margin is not None]
        return {"margin": margins[0]} if margins else {}

    def _look(self) -> None:
        """Looks at the last losses, and shows them."""
        loss = self._finite_mean(self._losses[-_STEPS_BETWEEN_LOOKS:])
        self._gpu.look()
        note = f"epoch {len(self._history) + 1}, loss {loss:.3f}"
        self._progress.update(self._step - self._progress.done, note)
        self._curves.add(
            self._step, {"loss": loss, "learning_rate": self._schedule.learning_rate, **self._margin()}
        )

    def _end_epoch(self, seconds_a_batch: float) -> None:
        """Notes how the epoch went; ``seconds_a_batch`` is the speech in a batch."""
        speech = len(self._losses) * seconds_a_batch
        self._history.append({
            "epoch": len(self._history) + 1,
            "loss": self._finite_mean(self._losses),
            self._task.watched: torch.stack(self._watched).mean().item(),
            **self._margin(),
            "learning_rate": self._schedule.learning_rate,
            **self._evaluate(),
            "seconds": round(self._seconds, 2),
            "times_real_time": round(speech / self._seconds, 1),
            **self._gpu.figures(),
        })
        self._losses, self._watched, self._seconds = [], [], 0.0
        epoch = self._phase_step // len(self._phase.sampler)
        if self._config.average_epochs > 1 and epoch > self._phase.epochs - self._config.average_epochs:
            self._average.add(self._task.state_dict())
        figures = {name: value for name, value in self._history[-1].items() if value is not None}
        logging.info("; ".join(f"{name} {value:.4g}" for name, value in figures.items()))
        self._curves.add(self._step, {f"epoch/{name}": value for name, value in figures.items() if name != "epoch"})
        if ranks.is_first():
            write_history(self._folder / "log" / "training.csv", self._history)

    def _evaluate(self) -> dict[str, float | None]:
        """The EER on the development set, after those epochs that are to have one."""
        every = self._config.dev_every
        if self._development is None or not every:
            return {}
        epoch, steps = self._phase_step // len(self._phase.sampler), self._phase_step
        if epoch % every and steps < self._phase.steps:
            return {"dev_eer_percent": None}
        eer = ranks.from_first(partial(self._development.eer, self._task.network, self._device))
        self._since_best += 1
        if self._config.patience and eer < self._best.get("eer", float("inf")):
            weights = {name: tensor.detach().cpu().clone() for name, tensor in self._task.state_dict().items()}
            self._best, self._since_best = {"eer": eer, "epoch": len(self._history) + 1, "task": weights}, 0
        return {"dev_eer_percent": eer}

    def _no_better(self) -> bool:
        """Whether it is time to stop."""
        return 0 < self._config.patience <= self._since_best

    def _choose_weights(self) -> None:
        """The best ones, the mean of the last epochs' or the last: with them the phase ends."""
        if self._best:
            self._task.load_state_dict(self._best["task"])
            best = self._best["epoch"], self._best["eer"], len(self._history)
            logging.info("the model is that of epoch %d, EER %.2f %%, of %d", *best)
        elif self._config.average_epochs > 1:
            self._task.load_state_dict(self._average.mean())
            logging.info("the model is the mean of the last %d epochs", self._config.average_epochs)

    def _finite_mean(self, losses: list[torch.Tensor]) -> float:
        value = torch.stack(losses).mean().item()
        if not value < float("inf"):
            section = "fine_tuning." if self._phase_number else ""
            raise UserError(
                f"the loss became {value} at step {self._step}: lower training.{section}learning_rate "
                f"(now {self._phase.learning_rate})"
            )
        return value

    def _save(self) -> None:
        if not ranks.is_first():
            return
        self._curves.flush()
        checkpoint.save(self._folder / "checkpoints", {
            **self._about,
            "fingerprint": self._fingerprint,
            "step": self._step,
            "phase": self._phase_number,
            "phase_step": self._phase_step,
            "task": self._task.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "random": checkpoint.random_states(),
            "history": self._history,
            "losses": torch.tensor(self._losses),
            "watched": torch.tensor(self._watched),
            "seconds": self._seconds,
            "average": self._average.state_dict(),
            "best": self._best,
            "since_best": self._since_best,
        })  # fmt: skip

    def _checkpoint(self) -> dict[str, Any] | None:
        """The newest one, if it is of this training."""
        state = checkpoint.newest(self._folder / "checkpoints")
        if state is None or state["fingerprint"] == self._fingerprint:
            return state
        logging.info(
            "%s: its checkpoints are of another configuration or data: training from the beginning", self._folder
        )
        return None

    def _restore(self, state: dict[str, Any]) -> None:
        """What belongs to the whole training."""
        self._task.load_state_dict(state["task"])
        self._step, self._phase_number, self._history = state["step"], state["phase"], state["history"]
        self._losses = list(state["losses"].to(self._device))
        self._watched = list(state["watched"].to(self._device))
        self._seconds = state["seconds"]

    def _restore_phase(self, state: dict[str, Any]) -> None:
        """What belongs to the phase that is under way."""
        self._phase_step = state["phase_step"]
        self._optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        self._average.load_state_dict(state["average"])
        self._best, self._since_best = state["best"], state["since_best"]
        checkpoint.set_random_states(state["random"])


def _phases(config: TrainingConfig, pool: Pool, seed: int) -> list[_Phase]:
    """Training, and fine-tuning if it is wanted; batches of both have about as many frames."""

    def phase(name: str, epochs: int, chunk_frames: int, learning_rate: float) -> _Phase:
        batch_size = max(2, round(config.batch_size * config.chunk_frames / chunk_frames))
        sampler = ChunkSampler(
            pool, config.chunks_per_utterance, batch_size, config.balance, seed, config.window_gib * 2**30
        )
        return _Phase(name, epochs, chunk_frames, learning_rate, sampler)

    tuning = config.fine_tuning
    phases = [phase("training", config.epochs, config.chunk_frames, config.learning_rate)]
    if tuning.epochs:
        phases.append(phase("fine-tuning", tuning.epochs, tuning.chunk_frames, tuning.learning_rate))
    return phases
