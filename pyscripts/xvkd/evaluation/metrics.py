"""Error rates and costs of scores: EER and minDCF by Kaldi's definitions, Cllr and actDCF, the DET curve."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import ndtri, xlogy

from xvkd.errors import UserError

# What the losses of target trials, and those of nontarget trials, add up to a cost: the sum of their means.
Losses = tuple[np.ndarray, np.ndarray]


def eer(target: np.ndarray, nontarget: np.ndarray) -> tuple[float, float]:
    """Equal error rate by the step search of Kaldi's ``compute-eer``, without interpolation.

    The threshold moves up through the target scores until the share of nontarget scores at or
    above it is no larger than the share of targets below it.

    Args:
        target: scores of target trials.
        nontarget: scores of nontarget trials.

    Returns:
        The rate as a fraction, and the threshold.

    Raises:
        UserError: one of the lists is empty or holds NaN.
    """
    target, nontarget = np.sort(_checked(target, "target")), np.sort(_checked(nontarget, "nontarget"))
    below = np.arange(len(target) + 1.0)[:, None]
    alarms = len(nontarget) - np.searchsorted(nontarget, target)[:, None]
    (step,), (rate,) = step_search(below, alarms, np.array([len(target)]), np.array([len(nontarget)]))
    return float(rate), float(target[min(step, len(target) - 1)])


def step_search(
    below: np.ndarray, alarms: np.ndarray, targets: np.ndarray, nontargets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Kaldi's search for the EER, in K countings of the same trials, some of which count several times or never.

    Args:
        below: (n + 1, K) how many target trials come before each of n target trials, which follow each
            other from low to high scores; last row: before the one behind them.
        alarms: (n, K) how many nontarget trials score as high as each of them, or higher.
        targets: (K,) how many target trials there are, at least 1.
        nontargets: (K,) how many nontarget trials, at least 1.

    Returns:
        (K,) at which of the n the search ends (n: beyond them), and (K,) the rate, a fraction.
    """
    # As many targets must be missed as make a share no smaller than that of the false alarms. A trial that
    # counts several times is several steps.
    needed = np.ceil(alarms * targets / nontargets)
    step = len(alarms) - np.count_nonzero(needed < below[1:], axis=0)
    columns = np.arange(len(step))
    missed = np.maximum(below[step, columns], needed[np.minimum(step, len(alarms) - 1), columns])
    return step, np.minimum(missed, targets - 1) / targets


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Both error rates at every threshold: scores at or below a threshold are rejected.

    Attributes:
        thresholds: (n,) -inf and every score, ascending and each once.
        misses: (n,) share of the target trials that are rejected, from 0 up to 1.
        false_alarms: (n,) share of the nontarget trials that are accepted, from 1 down to 0.
    """

    thresholds: np.ndarray
    misses: np.ndarray
    false_alarms: np.ndarray

    @classmethod
    def of(cls, target: np.ndarray, nontarget: np.ndarray) -> "ErrorCurve":
        """The curve of target and nontarget scores.

        Raises:
            UserError: one of the lists is empty or holds NaN.
        """
        target, nontarget = np.sort(_checked(target, "target")), np.sort(_checked(nontarget, "nontarget"))
        thresholds = np.append(-np.inf, np.unique(np.concatenate([target, nontarget])))
        misses = np.searchsorted(target, thresholds, side="right") / len(target)
        return cls(thresholds, misses, 1 - np.searchsorted(nontarget, thresholds, side="right") / len(nontarget))

    def min_dcf(self, p_target: float, c_miss: float, c_fa: float) -> tuple[float, float]:
        """See the function ``min_dcf``."""
        costs = c_miss * p_target * self.misses + c_fa * (1 - p_target) * self.false_alarms
        best = int(np.argmin(costs))
        return float(costs[best] / _default_cost(p_target, c_miss, c_fa)), float(self.thresholds[best])

    def min_cllr(self) -> float:
        """Cllr, in bits, of the best ascending map of the scores to log-likelihood ratios (pool adjacent violators).

        Source: Brümmer, du Preez, Application-independent evaluation of speaker detection, 2006.
        """
        targets, nontargets = np.diff(self.misses), -np.diff(self.false_alarms)
        weights = targets + nontargets
        posteriors = isotonic_regression(targets / weights, weights=weights).x
        return float(-(xlogy(targets, posteriors) + xlogy(nontargets, 1 - posteriors)).sum() / (2 * math.log(2)))

    def det_points(self, most: int) -> "ErrorCurve":
        """At most ``most`` points of the curve, at least 2, evenly spread where both axes are probits."""
        deviates = [ndtri(_inside(rates)) for rates in (self.misses, 1 - self.false_alarms)]
        # Both only grow: their sum is how far along the curve a point lies.
        way = deviates[0] + deviates[1]
        chosen = np.unique(np.searchsorted(way, np.linspace(way[0], way[-1], most)))
        return ErrorCurve(self.thresholds[chosen], self.misses[chosen], self.false_alarms[chosen])


def min_dcf(
    target: np.ndarray, nontarget: np.ndarray, p_target: float, c_miss: float, c_fa: float
) -> tuple[float, float]:
    """Minimum of the NIST detection cost, normalised as Kaldi's ``sid/compute_min_dcf.py`` does.

    The cost ``c_miss p_target P_miss + c_fa (1 - p_target) P_fa`` is divided by that of the better
    of accepting all and rejecting all. Equal scores fall on the same side of the threshold, and
    accepting all is one of the choices (Kaldi's program orders equal scores by their place in the
    file, and always rejects at least one trial).

    Args:
        target: scores of target trials.
        nontarget: scores of nontarget trials.
        p_target: prior probability of a target trial, between 0 and 1.
        c_miss: cost of a miss, above 0.
        c_fa: cost of a false alarm, above 0.

    Returns:
        The cost, at most 1, and the threshold: scores at or below it are rejected.

    Raises:
        UserError: one of the lists is empty or holds NaN.
    """
    return ErrorCurve.of(target, nontarget).min_dcf(p_target, c_miss, c_fa)


def dcf_losses(
    target: np.ndarray, nontarget: np.ndarray, p_target: float, c_miss: float, c_fa: float
) -> Losses:
    """What each trial adds to the actual detection cost: that of Bayes decisions, at the prior's own threshold.

    Args:
        target: log-likelihood ratios (natural logarithm) of target trials.
        nontarget: those of nontarget trials.
        p_target: as for ``min_dcf``, whose normalisation is used; also ``c_miss`` and ``c_fa``.

    Returns:
        The losses of the target and of the nontarget trials. actDCF is the sum of their two means.
    """
    threshold = math.log(c_fa * (1 - p_target) / (c_miss * p_target))
    default = _default_cost(p_target, c_miss, c_fa)
    return (
        c_miss * p_target / default * (_checked(target, "target") <= threshold),
        c_fa * (1 - p_target) / default * (_checked(nontarget, "nontarget") > threshold),
    )


def cllr_losses(target: np.ndarray, nontarget: np.ndarray) -> Losses:
    """What each trial adds to Cllr, the cost of log-likelihood ratios over all priors (Brümmer, du Preez, 2006).

    Args:
        target: log-likelihood ratios (natural logarithm) of target trials.
        nontarget: those of nontarget trials.

    Returns:
        The losses of the target and of the nontarget trials, in bits. Cllr is the sum of their two
        means: 0 for a perfect system, 1 for one that says 0 to everything.
    """
    bits = 2 * math.log(2)
    return np.logaddexp(0, -_checked(target, "target")) / bits, np.logaddexp(0, _checked(nontarget, "nontarget")) / bits


def cost(losses: Losses) -> float:
    """The cost that trials' losses make: actDCF or Cllr."""
    return float(losses[0].mean() + losses[1].mean())


def _default_cost(p_target: float, c_miss: float, c_fa: float) -> float:
    """That of the better of accepting all and rejecting all."""
    return min(c_miss * p_target, c_fa * (1 - p_target))


def _inside(rates: np.ndarray) -> np.ndarray:
    """Rates with 0 and 1, whose probits are infinite, moved half of the way from the nearest other value."""
    inner = rates[(rates > 0) & (rates < 1)]
    low, high = (inner.min(), inner.max()) if inner.size else (0.5, 0.5)
    return np.clip(rates, low / 2, (1 + high) / 2)


def _checked(scores: np.ndarray, kind: str) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if not scores.size:
        raise UserError(f"no {kind} scores: an error rate needs target and nontarget trials")
    if np.isnan(scores).any():
        raise UserError(f"{int(np.isnan(scores).sum())} of {scores.size} {kind} scores are NaN; score again")
    return scores
