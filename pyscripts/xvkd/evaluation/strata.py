"""Figures over several training seeds and several strata, such as folds of a cross-validation or corpora.

Trials of different strata are never pooled: each has networks, scores and thresholds of its own. A figure is computed
stratum by stratum, and strata count equally. In the bootstrap each stratum draws its own speakers and its own seeds.
"""

from collections.abc import Sequence

import numpy as np

from xvkd.evaluation.bootstrap import Comparison, interval

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


def compare(pairs: Sequence[tuple[Stratum, Stratum]], confidence: float, seed: int) -> Comparison:
    """Compares two systems: ln(EER / EER of the other), averaged.

    With one stratum this is ``Comparison.of``.

    Args:
        pairs: the EER of the one and of the other in each stratum, seed by seed counterparts, in the same draws of the
            same speakers.
        confidence: of the interval, and of the one-sided upper bound.
        seed: of the draws of training seeds.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # an EER of 0 has no ratio that is of use
        logarithms = [tuple(np.log(a) - np.log(b) for a, b in zip(one, other, strict=True)) for one, other in pairs]
        mean, draws = average(logarithms, seed)
        ratio, ratios = float(np.exp(mean)), np.exp(draws)
    ends, both = interval(ratios, confidence), interval(ratios, 2 * confidence - 1)
    return Comparison(ratio if np.isfinite(ratio) else None, ends, both[1] if both else None)
