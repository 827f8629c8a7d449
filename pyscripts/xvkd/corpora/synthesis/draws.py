"""Random draws that depend on a seed and a name alone, never on what was drawn before or elsewhere."""

import hashlib
from collections.abc import Sequence

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """The random stream of one thing, for instance of one utterance's noise.

    Args:
        seed: the corpus's seed, at least 0.
        names: what the stream is for; other names give independent streams.
    """
    digest = hashlib.sha256("\n".join(names).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:16], "little")])


def uniform(rng: np.random.Generator, bounds: Sequence[float]) -> float:
    """A number between ``bounds[0]`` and ``bounds[1]``, uniformly."""
    return float(rng.uniform(bounds[0], bounds[1]))


def ratio(rng: np.random.Generator, spread: float) -> float:
    """A factor around 1 whose logarithm is normal with standard deviation ``spread``.

    Cut at 2.5 standard deviations, so that no extreme draw leaves what eSpeak NG can speak.
    """
    return float(np.exp(spread * np.clip(rng.standard_normal(), -2.5, 2.5)))


def range_problem(**ranges: Sequence[float]) -> str | None:
    """What is wrong with ``[low, high]`` ranges of a configuration, or None."""
    for name, bounds in ranges.items():
        if len(bounds) != 2 or bounds[0] > bounds[1]:
            return f"{name}: expected [low, high] with low <= high, not {list(bounds)}"
    return None
