"""Optimisers, and the learning rate as a function of the step alone: there is no schedule to save or to resume."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from xvkd.training.config import TrainingConfig

# Of the one-cycle schedule (Smith and Topin, 2019), as in torch's OneCycleLR: the learning rate begins at 1/25 of its
# peak and ends at 1/10,000 of where it began; momentum is lowest where the learning rate is highest.
_FIRST, _LAST = 1 / 25, 1 / 25 / 1.0e4
_MOST_MOMENTUM, _LEAST_MOMENTUM = 0.95, 0.85
_SECOND_BETA = 0.999


def make_optimiser(parameters: Iterable[nn.Parameter], config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW, or SGD with Nesterov's momentum; all parameters decay alike.

    Args:
        parameters: on the device where they stay.
        config: which one.
    """
    if config.optimiser == "sgd":
        # Not fused: if float16 overflows in the first step, torch's fused SGD begins with whatever was in memory.
        return torch.optim.SGD(
            parameters, lr=config.learning_rate, momentum=config.momentum, nesterov=config.momentum > 0,
            weight_decay=config.weight_decay,
        )  # fmt: skip
    return torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


class Schedule:
    """Sets an optimiser's learning rate before each step.

    ``one_cycle`` rises and falls by half a cosine; ``cosine`` and ``exponential`` rise linearly, then fall to
    ``final_share`` of the peak. One-cycle moves AdamW's first beta too.

    Args:
        optimiser: of :func:`make_optimiser`.
        config: the kind.
        peak: the highest learning rate.
        steps: in all.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, config: TrainingConfig, peak: float, steps: int) -> None:
        self._optimiser, self._config, self._peak, self._steps = optimiser, config, peak, steps

    @property
    def learning_rate(self) -> float:
        """That of the last step."""
        return float(self._optimiser.param_groups[0]["lr"])

    def set(self, step: int) -> None:
        """Before the step of this number, from 0."""
        rising, share = self._progress(step)
        values = {"lr": self._peak * self._share_of_peak(rising, share)}
        if self._config.schedule == "one_cycle" and self._config.optimiser == "adamw":
            ends = (_MOST_MOMENTUM, _LEAST_MOMENTUM) if rising else (_LEAST_MOMENTUM, _MOST_MOMENTUM)
            values["betas"] = (_half_cosine(*ends, share), _SECOND_BETA)
        for group in self._optimiser.param_groups:
            group.update(values)

    def _progress(self, step: int) -> tuple[bool, float]:
        """Whether the learning rate rises, and how far it is on its way up or down: in [0, 1]."""
        last = self._steps - 1
        top = min(max(self._config.warmup * self._steps - 1, 0.0), last)
        if step < top:
            return True, step / top
        return False, (step - top) / (last - top) if last > top else 0.0

    def _share_of_peak(self, rising: bool, share: float) -> float:
        kind, final = self._config.schedule, self._config.final_share
        if kind == "one_cycle":
            return _half_cosine(_FIRST, 1, share) if rising else _half_cosine(1, _LAST, share)
        if rising:
            # Not from 0: the first step is a step.
            return share + (1 - share) * _FIRST
        return _half_cosine(1, final, share) if kind == "cosine" else final**share


def _half_cosine(begin: float, end: float, share: float) -> float:
    """From one value to another, slowly at both ends."""
    return end + (begin - end) / 2 * (1 + math.cos(math.pi * share))
