"""Figures, and comparisons of two systems, over training seeds and over strata, such as folds or corpora.

Trials of different strata are never pooled: each has networks, scores and thresholds of its own. A figure is computed
stratum by stratum, and strata count equally. In the bootstrap each stratum draws its own speakers and its own seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xvkd.evaluation.bootstrap import interval, quantiles

# (K,) a figure with each of K seeds, and (K, draws) the same in each draw of the bootstrap.
Stratum = tuple[np.ndarray, np.ndarray]


def average(strata: Sequence[Stratum], seed: int) -> tuple[float, np.ndarray]:
    """The mean over strata of the mean over seeds.

    Args:
        strata: at least one; all of as many draws.
        seed: of the draws of training seeds.

    Returns:
        the mean, and (draws,) that of each draw, which takes as many seeds of each stratum again, with replacement.
    """
    rng = np.random.default_rng(seed)
    means = []
    for _, draws in strata:
        seeds = rng.integers(len(draws), size=draws.shape)
        # Strata with as many speakers each have the same multiplicities in the same draw: shuffled, they have not.
        means.append(rng.permutation(np.take_along_axis(draws, seeds, axis=0).mean(axis=0)))
    return float(np.mean([values.mean() for values, _ in strata])), np.mean(means, axis=0)


@dataclass(frozen=True)
class Comparison:
    """How the EER of one system compares with that of another.

    Attributes:
        ratio: EER of the one by EER of the other; over seeds and strata, the geometric mean. None where it is not
            finite.
        interval: its interval, or None likewise.
        upper: the one-sided upper bound of the same confidence, or None likewise.
    """

    ratio: float | None
    interval: list[float] | None
    upper: float | None

    @classmethod
    def of(
        cls, rates: np.ndarray, draws: np.ndarray, other_rates: np.ndarray, other_draws: np.ndarray,
        confidence: float, seed: int,
    ) -> "Comparison":  # fmt: skip
        """Compares over seeds alone.

        Args:
            rates: (K,) EER of the system with each of K seeds.
            draws: (K, draws) of the bootstrap.
            other_rates: (K,) of the other system, seed by seed its counterpart.
            other_draws: (K, draws), of the same draws of the same speakers.
            confidence: of the interval, and of the upper bound.
            seed: of the draws of training seeds.
        """
        return cls.over([((rates, draws), (other_rates, other_draws))], confidence, seed)

    @classmethod
    def over(cls, pairs: Sequence[tuple[Stratum, Stratum]], confidence: float, seed: int) -> "Comparison":
        """Compares by ln(EER / EER of the other) in the same draws of speakers, averaged over seeds and strata.

        Args:
            pairs: the EER of the one and of the other in each stratum, seed by seed counterparts, in the same draws of
                the same speakers.
            confidence: of the interval, and of the upper bound.
            seed: of the draws of training seeds.
        """
        with np.errstate(divide="ignore", invalid="ignore"):  # an EER of 0 has no ratio that is of use
            logarithms = [tuple(np.log(a) - np.log(b) for a, b in zip(one, other, strict=True)) for one, other in pairs]
            mean, draws = average(logarithms, seed)
            ratio, ratios = float(np.exp(mean)), np.exp(draws)
        upper = quantiles(ratios, [confidence])
        return cls(ratio if np.isfinite(ratio) else None, interval(ratios, confidence), upper[0] if upper else None)
