"""Error rates and costs against Kaldi's figures, lists worked out by hand, and plain loops."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xvkd.errors import UserError
from xvkd.evaluation.metrics import ErrorCurve, cllr_losses, cost, dcf_losses, eer, min_dcf


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


SCORE_FILES = [
    "scores_numutts", "scores_nonumutts", "scores_numutts_noln", "scores_numutts_adapt_default", "scores_utt",
    "scores_utt_cosine",
]  # fmt: skip


@pytest.mark.parametrize("name", SCORE_FILES)
def test_metrics_of_all_of_kaldis_score_files(oracle, name):
    trials = [line.split() for line in (oracle / "plda" / name).read_text().splitlines()]
    scores = np.array([float(score) for _, _, score in trials])
    is_target = np.array([utterance[:6] == model[:6] for model, utterance, _ in trials])
    line = next(x for x in (oracle / "plda" / "metrics.txt").read_text().splitlines() if x.split()[0] == name)
    rate, threshold = eer(scores[is_target], scores[~is_target])
    assert f" EER% {float(f'{100 * rate:.4g}'):g} | at threshold {threshold:g} " in line
    for p_target in (0.01, 0.05):
        cost, threshold = min_dcf(scores[is_target], scores[~is_target], p_target, 1, 1)
        assert f"minDCF({p_target}) {cost:.4f} minDCF is {cost:.4f} at threshold {threshold:.4f} " in line


def kaldis_eer(target, nontarget):
    """The loop of compute-eer, on lists."""
    target, nontarget = sorted(target), sorted(nontarget)
    for step in range(len(target) - 1):
        other = len(nontarget) - 1 - len(nontarget) * step // len(target)
        if nontarget[max(other, 0)] < target[step]:
            return step / len(target), target[step]
    return (len(target) - 1) / len(target), target[-1]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_eer_is_that_of_kaldis_loop(targets, nontargets, seed):
    """Also with equal scores, few trials, and targets below the others."""
    random = np.random.default_rng(seed)
    target = random.integers(0, 15, targets).astype(float)
    nontarget = random.integers(-10, 10, nontargets).astype(float)
    assert eer(target, nontarget) == kaldis_eer(target, nontarget)


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
    curve, moved = ErrorCurve.of(target, nontarget), ErrorCurve.of(7 * target - 3, 7 * nontarget - 3)
    assert curve.min_cllr() == pytest.approx(moved.min_cllr())


@pytest.mark.parametrize(
    ("target", "nontarget", "value"),
    [
        ([0, 0], [0, 0, 0], 1),  # says nothing
        ([1000], [-1000], 0),  # is always right
        # log2(1 + 1/3) for a target that is three times as likely as not, log2(1 + 1) for an undecided impostor.
        ([np.log(3)], [0], (np.log2(4 / 3) + 1) / 2),
        ([0, -np.log(7)], [np.log(3), 0], ((1 + 3) / 2 + (2 + 1) / 2) / 2),
    ],
)
def test_cllr_worked_out_by_hand(target, nontarget, value):
    assert cost(cllr_losses(np.array(target, float), np.array(nontarget, float))) == pytest.approx(value)


@pytest.mark.parametrize(
    ("target", "nontarget", "parameters", "value"),
    [
        # At a prior of 0.5 and equal costs the threshold is 0: one of two is missed, one of four accepted.
        ([-1, 1], [-2, -1, -3, 0.5], (0.5, 1, 1), 0.75),
        # At 0.01 it is log 99, about 4.6.
        ([4.5, 4.7], [4.5, 4.5], (0.01, 1, 1), 0.5),
        ([9, 9], [4.7, -9, -9, -9], (0.01, 1, 1), 99 / 4),  # worse than rejecting all, which costs 1
        # A miss that costs 99 brings the threshold back to 0.
        ([-0.1, 0.1], [-0.1, -0.1], (0.01, 99, 1), 0.5),
        ([0, 0], [0, 0], (0.01, 1, 1), 1),
    ],
)
def test_actual_dcf_worked_out_by_hand(target, nontarget, parameters, value):
    assert cost(dcf_losses(np.array(target, float), np.array(nontarget, float), *parameters)) == pytest.approx(value)


def test_actual_dcf_of_true_likelihood_ratios_is_nearly_the_least():
    """Scores with N(d/2, d) and N(-d/2, d) are their own log-likelihood ratios."""
    rng = np.random.default_rng(9)
    target, nontarget = rng.normal(4, np.sqrt(8), 20000), rng.normal(-4, np.sqrt(8), 50000)
    for p_target in (0.05, 0.3):
        least = min_dcf(target, nontarget, p_target, 1, 1)[0]
        assert least <= cost(dcf_losses(target, nontarget, p_target, 1, 1)) <= least + 0.01
        assert cost(dcf_losses(target + 2, nontarget + 2, p_target, 1, 1)) > least + 0.05
    assert ErrorCurve.of(target, nontarget).min_cllr() == pytest.approx(cost(cllr_losses(target, nontarget)), abs=2e-3)


@pytest.mark.parametrize(
    ("target", "nontarget", "value"),
    [
        ([3, 4], [1, 2], 0),
        ([1, 2], [3, 4], 1),  # no ascending map helps
        ([5, 5], [5, 5, 5], 1),
        # Pooled: 0 | 1, 2 with one of either kind | 3, in shares of a half of each kind.
        ([1, 3], [0, 2], 0.5),
        # The middle holds all of the targets and half of the others: log2(1 + 1/2), and log2(1 + 2).
        ([2, 2], [1, 2], (np.log2(1.5) + np.log2(3) / 2) / 2),
    ],
)
def test_least_cllr_worked_out_by_hand(target, nontarget, value):
    assert ErrorCurve.of(np.array(target), np.array(nontarget)).min_cllr() == pytest.approx(value, abs=1e-12)


def test_points_of_the_det_curve():
    rng = np.random.default_rng(10)
    target, nontarget = rng.normal(2, 1, 3000), rng.normal(0, 1, 20000)
    points = ErrorCurve.of(target, nontarget).det_points(50)
    assert 40 <= len(points.thresholds) <= 50
    # Each is a point of the curve, from accepting all to rejecting all.
    for threshold, miss, alarm in zip(points.thresholds, points.misses, points.false_alarms, strict=True):
        assert miss == pytest.approx(np.mean(target <= threshold))
        assert alarm == pytest.approx(np.mean(nontarget > threshold))
    assert (points.misses[0], points.false_alarms[0]) == (0, 1)
    assert (points.misses[-1], points.false_alarms[-1]) == (1, 0)
    # Dense where it matters: around the EER no gap is wide.
    near = points.false_alarms[(points.false_alarms > 0.01) & (points.false_alarms < 0.5)]
    assert len(near) >= 8 and (np.abs(np.diff(near)) < 0.1).all()


@pytest.mark.parametrize(
    "metric",
    [eer, lambda a, b: min_dcf(a, b, 0.01, 1, 1), cllr_losses, lambda a, b: dcf_losses(a, b, 0.01, 1, 1),
     ErrorCurve.of],
)  # fmt: skip
def test_scores_that_say_nothing_are_told(metric):
    good = np.array([1.0, 2.0])
    with pytest.raises(UserError, match="no target scores"):
        metric(np.array([]), good)
    with pytest.raises(UserError, match="no nontarget scores"):
        metric(good, np.array([]))
    with pytest.raises(UserError, match="1 of 2 nontarget scores are NaN"):
        metric(good, np.array([0.0, np.nan]))
