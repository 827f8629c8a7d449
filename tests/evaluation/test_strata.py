"""Averages over folds and seeds: one fold is as none; folds count equally and draw independently."""

import numpy as np
import pytest

from xvkd.evaluation import strata
from xvkd.evaluation.strata import Comparison

RNG = np.random.default_rng(0)


def stratum(rate, seeds=3, draws=4000, spread=0.1):
    rates = np.full(seeds, rate)
    return rates, rate * np.exp(spread * RNG.normal(size=(seeds, draws)))


def test_one_stratum_is_a_comparison_over_seeds():
    (rates, draws), (other, other_draws) = stratum(0.04), stratum(0.05)
    seeds = np.random.default_rng(0).integers(len(draws), size=draws.shape)
    ratios = np.exp(np.take_along_axis(np.log(draws / other_draws), seeds, axis=0).mean(axis=0))
    found = Comparison.over([((rates, draws), (other, other_draws))], 0.95, 0)
    assert found.ratio == pytest.approx(0.8)
    assert found.interval == pytest.approx(np.quantile(ratios, [0.025, 0.975]).tolist())
    assert found.upper == pytest.approx(np.quantile(ratios, 0.95))
    assert found == Comparison.of(rates, draws, other, other_draws, 0.95, 0)


def test_strata_count_equally_by_the_logarithm_of_their_ratios():
    pairs = [(stratum(0.02, seeds=1), stratum(0.04, seeds=1)), (stratum(0.40), stratum(0.20))]
    assert Comparison.over(pairs, 0.95, 0).ratio == pytest.approx(1.0)


def test_averages_over_strata_are_more_certain_though_these_have_the_same_draws():
    one = stratum(0.05)
    widths = [np.std(strata.average([one] * count, 0)[1]) for count in (1, 4)]
    assert widths[1] == pytest.approx(widths[0] / 2, rel=0.1)


def test_seeds_are_drawn_within_strata():
    """Seeds that differ widen the interval, though each of them has no spread of its own."""
    rates = np.array([0.02, 0.04, 0.08])
    same = np.repeat(rates[:, None], 1000, axis=1)
    found = Comparison.over([((rates, same), (np.full(3, 0.04), np.full((3, 1000), 0.04)))], 0.95, 0)
    assert found.ratio == pytest.approx(1.0)
    assert found.interval[0] == pytest.approx(0.5) and found.interval[1] == pytest.approx(2.0)


def test_without_draws_there_is_a_ratio_alone():
    nothing = np.empty((2, 0))
    found = Comparison.over([((np.array([0.1, 0.1]), nothing), (np.array([0.2, 0.2]), nothing))], 0.95, 0)
    assert found == Comparison(pytest.approx(0.5), None, None)
