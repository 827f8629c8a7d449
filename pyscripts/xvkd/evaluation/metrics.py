"""Equal error rate and minimum detection cost, by Kaldi's definitions."""

import numpy as np

from xvkd.errors import UserError


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
    passed = np.arange(len(target))
    # The nontarget score that as large a share of its list lies above.
    opposite = len(nontarget) - 1 - (len(nontarget) * passed / len(target)).astype(np.int64)
    crossed = nontarget[np.maximum(opposite, 0)] < target
    step = int(np.argmax(crossed)) if crossed.any() else len(target) - 1
    return step / len(target), float(target[step])


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
    target, nontarget = np.sort(_checked(target, "target")), np.sort(_checked(nontarget, "nontarget"))
    thresholds = np.append(-np.inf, np.unique(np.concatenate([target, nontarget])))
    misses = np.searchsorted(target, thresholds, side="right") / len(target)
    false_alarms = 1 - np.searchsorted(nontarget, thresholds, side="right") / len(nontarget)
    costs = c_miss * p_target * misses + c_fa * (1 - p_target) * false_alarms
    best = int(np.argmin(costs))
    return float(costs[best] / min(c_miss * p_target, c_fa * (1 - p_target))), float(thresholds[best])


def _checked(scores: np.ndarray, kind: str) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if not scores.size:
        raise UserError(f"no {kind} scores: an error rate needs target and nontarget trials")
    if np.isnan(scores).any():
        raise UserError(f"{int(np.isnan(scores).sum())} of {scores.size} {kind} scores are NaN; score again")
    return scores
