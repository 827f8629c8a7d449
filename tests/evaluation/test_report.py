"""The figures of a list of scores."""

import dataclasses

import numpy as np
import pytest

from xvkd import config
from xvkd.errors import UserError
from xvkd.evaluation.bootstrap import SpeakerBootstrap
from xvkd.evaluation.metrics import cllr_losses, cost, dcf_losses, min_dcf
from xvkd.evaluation.report import EvaluationConfig, report, report_calibrated


@pytest.fixture
def options(conf):
    return config.load(EvaluationConfig, conf / "evaluation.yaml")


def test_figures_worked_out_by_hand(options):
    """Targets 1, 2, 3, 4 and impostors 2.5, 0, 1.5, 0.5, mixed: one in four on either side of 2."""
    scores = np.array([2.5, 1, 0, 2, 3, 1.5, 4, 0.5])
    target = np.array([False, True, False, True, True, False, True, False])
    figures, curve = report(scores, target, options)
    assert figures["trials"] == 8 and figures["eer_percent"] == pytest.approx(25)
    # Both priors are low: everything up to 2.5 is rejected, and with it two of the four targets.
    assert figures["mindcf_0.01"] == pytest.approx(0.5) and figures["mindcf_0.05"] == pytest.approx(0.5)
    # The best map pools 1 with 1.5, and 2 with 2.5: four trials of which half are targets, and four clear ones.
    assert figures["min_cllr"] == pytest.approx(0.5)
    assert list(figures) == ["trials", "eer_percent", *options.dcf_names("mindcf"), "min_cllr"]
    assert curve.misses.tolist() == sorted(curve.misses) and len(curve.misses) <= options.det_points


def test_priors_and_costs_are_those_of_the_configuration(options):
    options = dataclasses.replace(options, p_targets=[0.5, 0.001], c_miss=10.0, c_fa=2.0)
    random = np.random.default_rng(0)
    target = np.arange(300) % 3 == 0
    scores = random.standard_normal(300) + target
    figures, _ = report(scores, target, options)
    assert options.dcf_names("mindcf") == ["mindcf_0.5", "mindcf_0.001"]
    for name, prior in [("mindcf_0.5", 0.5), ("mindcf_0.001", 0.001)]:
        assert figures[name] == min_dcf(scores[target], scores[~target], prior, 10.0, 2.0)[0]
    assert figures["mindcf_0.5"] != figures["mindcf_0.001"]


def test_calibrated_figures_have_their_intervals(options):
    random = np.random.default_rng(1)
    speaker = np.repeat(np.arange(20), 2)
    left, right = np.triu_indices(40, 1)
    target = speaker[left] == speaker[right]
    ratios = random.normal(np.where(target, 2, -2), 2)
    names = [f"s{number:02d}" for number in speaker]
    bootstrap = SpeakerBootstrap(names, names, left, right, target, 300, 0)
    figures = report_calibrated(ratios, target, options, bootstrap)
    assert list(figures) == [
        "cllr", "cllr_ci", "actdcf_0.01", "actdcf_0.01_ci", "actdcf_0.05", "actdcf_0.05_ci"
    ]  # fmt: skip
    targets, nontargets = ratios[target], ratios[~target]
    assert figures["cllr"] == cost(cllr_losses(targets, nontargets))
    losses = dcf_losses(targets, nontargets, 0.05, options.c_miss, options.c_fa)
    assert figures["actdcf_0.05"] == cost(losses)
    assert figures["actdcf_0.05_ci"] == pytest.approx(np.quantile(bootstrap.cost(losses), [0.025, 0.975]))
    for name in ("cllr", "actdcf_0.01", "actdcf_0.05"):
        assert figures[f"{name}_ci"][0] < figures[name] < figures[f"{name}_ci"][1]


def test_a_list_of_one_kind_is_told(options):
    with pytest.raises(UserError, match="no nontarget scores"):
        report(np.zeros(3), np.ones(3, bool), options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"p_targets": [0.0]}, "p_targets: 0.0 is impossible"), ({"p_targets": [1.0]}, "p_targets: 1.0"),
     ({"c_miss": 0.0}, "c_miss: 0.0"), ({"c_fa": -1.0}, "c_fa: -1.0"), ({"bootstrap_draws": 0}, "bootstrap_draws: 0"),
     ({"confidence": 95.0}, "confidence: 95.0"), ({"det_points": 1}, "det_points: 1"),
     ({"duration_edges": [-1.0]}, "duration_edges: -1.0"), ({"condition_trials": 0}, "condition_trials: 0"),
     ({"duration_edges": [2.0, 2.0]}, "duration_edges must ascend"), ({"snr_edges": [5.0, 0.0]}, "snr_edges must asc")],
)  # fmt: skip
def test_impossible_values_are_told(options, changes, message):
    with pytest.raises(UserError, match=message):
        config.build(EvaluationConfig, {**dataclasses.asdict(options), **changes}, "evaluation.yaml")
