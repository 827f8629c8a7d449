"""Calibration against scipy's optimiser, distributions whose likelihood ratios are known, and hopeless lists."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logit

from xvkd.backend.calibration import Calibration
from xvkd.errors import UserError
from xvkd.evaluation.metrics import cllr_losses, cost


def loss(parameters, target, nontarget, prior):
    """The objective, as its definition has it."""
    scale, offset = parameters
    misses = np.logaddexp(0, -(scale * target + offset + logit(prior))).mean()
    return prior * misses + (1 - prior) * np.logaddexp(0, scale * nontarget + offset + logit(prior)).mean()


def gaussian_ratios(random, separation, targets, nontargets):
    """Scores that are their own log-likelihood ratios: N(d, 2d) for targets, N(-d, 2d) for others."""
    deviation = np.sqrt(2 * separation)
    return random.normal(separation, deviation, targets), random.normal(-separation, deviation, nontargets)


@pytest.mark.parametrize("prior", [0.01, 0.5, 0.9])
@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (0.001, 50), (300, -2000), (-2, 1)])
def test_calibration_is_the_least_of_its_objective(prior, scale, offset):
    random = np.random.default_rng(0)
    target, nontarget = (scale * scores + offset for scores in gaussian_ratios(random, 3, 300, 2000))
    ours = Calibration.train(target, nontarget, prior)
    # scipy gets scores of a usual size, so that it can find the least as well.
    standard = [(scores - offset) / scale for scores in (target, nontarget)]
    best = minimize(loss, [1.0, 0.0], (*standard, prior), method="BFGS", options={"gtol": 1e-10})
    assert loss((ours.scale, ours.offset), target, nontarget, prior) <= best.fun + 1e-12
    assert ours.scale * scale == pytest.approx(best.x[0], rel=1e-4)
    assert ours.scale * offset + ours.offset == pytest.approx(best.x[1], abs=1e-4)


@pytest.mark.parametrize("prior", [0.05, 0.5])
def test_calibrated_scores_stay_as_they_are(prior):
    target, nontarget = gaussian_ratios(np.random.default_rng(1), 4, 100_000, 400_000)
    found = Calibration.train(target, nontarget, prior)
    assert (found.scale, found.offset) == (pytest.approx(1, abs=0.03), pytest.approx(0, abs=0.05))


def test_calibration_undoes_a_scale_and_an_offset():
    target, nontarget = gaussian_ratios(np.random.default_rng(2), 4, 500, 3000)
    found = Calibration.train(target, nontarget, 0.5)
    moved = Calibration.train(0.02 * target - 7, 0.02 * nontarget - 7, 0.5)
    np.testing.assert_allclose(moved(0.02 * target - 7), found(target), rtol=1e-7, atol=1e-7)
    before = cost(cllr_losses(3 * target + 2, 3 * nontarget + 2))
    better = Calibration.train(3 * target + 2, 3 * nontarget + 2, 0.5)
    assert cost(cllr_losses(better(3 * target + 2), better(3 * nontarget + 2))) < before - 0.01


def test_kinds_weigh_by_the_prior_and_not_by_their_numbers():
    target, nontarget = gaussian_ratios(np.random.default_rng(3), 2, 50, 80)
    found, repeated = (Calibration.train(target, np.tile(nontarget, n), 0.5) for n in (1, 100))
    assert (found.scale, found.offset) == (pytest.approx(repeated.scale), pytest.approx(repeated.offset))


@pytest.mark.parametrize(
    ("target", "nontarget"),
    [([3.0, 4, 5], [0.0, 1, 2]), ([2.0, 3], [1.0, 2]), ([1.0, 1], [0.0, 0]), ([0.0, 1], [2.0, 3]),
     ([2.0, 2], [2.0, 1])],
)  # fmt: skip
def test_scores_that_do_not_overlap_get_a_finite_scale(target, nontarget, caplog):
    with caplog.at_level(logging.WARNING):
        found = Calibration.train(np.array(target), np.array(nontarget), 0.5)
    assert np.isfinite([found.scale, found.offset]).all()
    assert (found.scale > 0) == (np.mean(target) > np.mean(nontarget))
    assert "do not overlap" in caplog.text
    # The surer, the more trials say so.
    many = Calibration.train(np.repeat(target, 100), np.repeat(nontarget, 100), 0.5)
    assert abs(many.scale) > abs(found.scale) or np.mean(target) == np.mean(nontarget)


def test_equal_scores_say_nothing():
    assert Calibration.train(np.full(5, 3.0), np.full(9, 3.0), 0.5)(np.array([3.0, 8.0])).tolist() == [0, 0]


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=8), st.lists(st.integers(-5, 5), min_size=1, max_size=8),
    st.floats(0.001, 0.999), st.sampled_from([1e-6, 1.0, 1e6]),
)  # fmt: skip
def test_calibration_ends_and_is_no_worse_than_saying_nothing(target, nontarget, prior, scale):
    target, nontarget = scale * np.array(target, float), scale * np.array(nontarget, float)
    found = Calibration.train(target, nontarget, prior)
    assert np.isfinite([found.scale, found.offset]).all()
    if max(target.min(), nontarget.min()) < min(target.max(), nontarget.max()):
        assert loss((found.scale, found.offset), target, nontarget, prior) <= loss((0, 0), target, nontarget, prior)


@pytest.mark.parametrize("target", [[], [np.nan, 1], [np.inf, 1]])
def test_scores_that_cannot_train_are_told(target):
    with pytest.raises(UserError, match="calibration: target trials with finite scores are needed"):
        Calibration.train(np.array(target), np.array([0.0, 2.0]), 0.5)
