"""The figures of a list of scores."""

import dataclasses

import numpy as np
import pytest

from xvkd import config
from xvkd.errors import UserError
from xvkd.evaluation.metrics import min_dcf
from xvkd.evaluation.report import EvaluationConfig, report


@pytest.fixture
def options(conf):
    return config.load(EvaluationConfig, conf / "evaluation.yaml")


def test_figures_worked_out_by_hand(options):
    """Targets 1, 2, 3, 4 and impostors 2.5, 0, 1.5, 0.5, mixed: one in four on either side of 2."""
    scores = np.array([2.5, 1, 0, 2, 3, 1.5, 4, 0.5])
    target = np.array([False, True, False, True, True, False, True, False])
    figures = report(scores, target, options)
    assert figures["trials"] == 8 and figures["eer_percent"] == pytest.approx(25)
    # Both priors are low: everything up to 2.5 is rejected, and with it two of the four targets.
    assert figures["mindcf_0.01"] == pytest.approx(0.5) and figures["mindcf_0.05"] == pytest.approx(0.5)
    assert list(figures) == ["trials", "eer_percent", *options.dcf_names()]


def test_priors_and_costs_are_those_of_the_configuration():
    options = EvaluationConfig([0.5, 0.001], 10.0, 2.0)
    random = np.random.default_rng(0)
    target = np.arange(300) % 3 == 0
    scores = random.standard_normal(300) + target
    figures = report(scores, target, options)
    assert options.dcf_names() == ["mindcf_0.5", "mindcf_0.001"]
    for name, prior in [("mindcf_0.5", 0.5), ("mindcf_0.001", 0.001)]:
        assert figures[name] == min_dcf(scores[target], scores[~target], prior, 10.0, 2.0)[0]
    assert figures["mindcf_0.5"] != figures["mindcf_0.001"]


def test_a_list_of_one_kind_is_told(options):
    with pytest.raises(UserError, match="no nontarget scores"):
        report(np.zeros(3), np.ones(3, bool), options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"p_targets": [0.0]}, "p_targets: 0.0 is impossible"), ({"p_targets": [1.0]}, "p_targets: 1.0"),
     ({"c_miss": 0.0}, "c_miss: 0.0"), ({"c_fa": -1.0}, "c_fa: -1.0")],
)  # fmt: skip
def test_impossible_priors_and_costs_are_told(options, changes, message):
    with pytest.raises(UserError, match=message):
        config.build(EvaluationConfig, {**dataclasses.asdict(options), **changes}, "evaluation.yaml")
