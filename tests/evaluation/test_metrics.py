"""EER and minDCF against Kaldi's figures, lists worked out by hand, and a plain loop."""

import gzip

import numpy as np
import pytest

from xvkd.errors import UserError
from xvkd.evaluation.metrics import eer, min_dcf


def test_metrics_are_kaldis(golden):
    with gzip.open(golden / "kaldi" / "scores_numutts.gz", "rt") as file:
        trials = [line.split() for line in file]
    scores = np.array([float(score) for _, _, score in trials])
    is_target = np.array([utterance.startswith(model) for model, utterance, _ in trials])
    line = (golden / "kaldi" / "metrics.txt").read_text().splitlines()[0]
    rate, threshold = eer(scores[is_target], scores[~is_target])
    assert f"EER% {100 * rate:.3f} | at threshold {threshold:g} " in line
    for p_target in (0.01, 0.05):
        cost, threshold = min_dcf(scores[is_target], scores[~is_target], p_target, 1, 1)
        assert f"minDCF is {cost:.4f} at threshold {threshold:.4f} (p-target={p_target}," in line


@pytest.mark.parametrize(
    ("target", "nontarget", "rate", "threshold"),
    [
        ([3, 4], [1, 2], 0, 3),
        ([1, 2, 3, 4], [2.5, 0, 1.5, 0.5], 0.25, 2),  # one of four on either side of 2
        ([1, 2], [3, 4], 0.5, 2),  # the step search never gets past the last target
        ([5], [1, 9], 0, 5),
        ([2, 2, 2], [2, 2], 2 / 3, 2),  # nothing lies strictly below
    ],
)
def test_eer_worked_out_by_hand(target, nontarget, rate, threshold):
    assert eer(np.array(target), np.array(nontarget)) == (pytest.approx(rate), threshold)


@pytest.mark.parametrize(
    ("target", "nontarget", "parameters", "cost", "threshold"),
    [
        ([3, 4], [1, 2], (0.01, 1, 1), 0, 2),
        # Rejecting up to 2 misses one of four and accepts none of the others' three.
        ([2, 5, 6, 7], [0, 1, 2], (0.5, 1, 1), 0.25, 2),
        # False alarms are dear: reject everything up to 3, and both targets below it.
        ([1, 2, 4, 5], [0, 0, 0, 3], (0.01, 1, 1), 0.5, 3),
        # Misses are dear: accept all but the one clear impostor.
        ([1, 2, 4, 5], [0, 3, 3, 3], (0.99, 1, 1), 0.75, 0),
        # Useless scores cost 1, whichever of accepting and rejecting all is the better.
        ([0, 0], [1, 1], (0.01, 1, 1), 1, 1),
        ([0, 0], [1, 1], (0.99, 1, 1), 1, -np.inf),
        # Costs weigh: a miss costs 10.
        ([1, 3], [0, 2], (0.5, 10, 1), 0.5, 0),
    ],
)
def test_min_dcf_worked_out_by_hand(target, nontarget, parameters, cost, threshold):
    assert min_dcf(np.array(target), np.array(nontarget), *parameters) == (pytest.approx(cost), threshold)


@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("p_target", [0.01, 0.3, 0.9])
def test_min_dcf_is_the_best_of_all_thresholds(decimals, p_target):
    """Also with equal scores, which must not be told apart by their order."""
    rng = np.random.default_rng(7)
    target, nontarget = rng.normal(1.5, 1, 80).round(decimals), rng.normal(0, 1, 300).round(decimals)
    costs = [
        2 * p_target * np.mean(target <= threshold) + 3 * (1 - p_target) * np.mean(nontarget > threshold)
        for threshold in [-np.inf, *target, *nontarget]
    ]
    cost, threshold = min_dcf(target, nontarget, p_target, 2, 3)
    assert cost == pytest.approx(min(costs) / min(2 * p_target, 3 * (1 - p_target)))
    assert min_dcf(target[::-1], nontarget[::-1], p_target, 2, 3) == (cost, threshold)


def test_metrics_ignore_the_scale_of_the_scores():
    rng = np.random.default_rng(8)
    target, nontarget = rng.normal(1, 1, 200), rng.normal(0, 1, 1000)
    assert eer(target, nontarget)[0] == eer(np.exp(target), np.exp(nontarget))[0]
    moved = min_dcf(7 * target - 3, 7 * nontarget - 3, 0.05, 1, 1)[0]
    assert min_dcf(target, nontarget, 0.05, 1, 1)[0] == pytest.approx(moved)


@pytest.mark.parametrize("metric", [eer, lambda a, b: min_dcf(a, b, 0.01, 1, 1)])
def test_scores_that_say_nothing_are_told(metric):
    good = np.array([1.0, 2.0])
    with pytest.raises(UserError, match="no target scores"):
        metric(np.array([]), good)
    with pytest.raises(UserError, match="no nontarget scores"):
        metric(good, np.array([]))
    with pytest.raises(UserError, match="1 of 2 nontarget scores are NaN"):
        metric(good, np.array([0.0, np.nan]))
