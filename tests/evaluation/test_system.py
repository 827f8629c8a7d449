"""A system over its lists: what is calibrated on what, and the files that come of it."""

import csv
import dataclasses
import json
import logging

import numpy as np
import pytest

from xvkd import config
from xvkd.errors import UserError
from xvkd.evaluation.bootstrap import SpeakerBootstrap
from xvkd.evaluation.conditions import Conditions
from xvkd.evaluation.metrics import cllr_losses, cost
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.system import SystemReport, read_draws

SPEAKER = np.repeat(np.arange(12), 3)
LEFT, RIGHT = np.triu_indices(36, 1)
TARGET = SPEAKER[LEFT] == SPEAKER[RIGHT]
NAMES = [f"s{number:02d}" for number in SPEAKER]


@pytest.fixture(scope="module")
def options(conf):
    return config.load(EvaluationConfig, conf / "evaluation.yaml")


def make(options, lists):
    """A report of lists (set, name, seed of the scores, scale of the scores), and the scores."""
    system, scores = SystemReport(options), {}
    bootstrap = SpeakerBootstrap(NAMES, NAMES, LEFT, RIGHT, TARGET, options.bootstrap_draws, options.bootstrap_seed)
    for data_set, name, seed, scale in lists:
        for scoring, offset in (("cosine", 0), ("plda", 5)):
            random = np.random.default_rng(seed)
            scores[name, scoring] = scale * random.normal(np.where(TARGET, 2, -2), 2) + offset
            system.add(data_set, name, scoring, scores[name, scoring], TARGET, bootstrap)
    return system, scores


LISTS = [("dev", "dev", 0, 1), ("dev", "dev_multi", 1, 4), ("eval", "eval", 2, 1), ("eval", "eval_multi", 3, 4),
         ("eval", "eval_noisy", 4, 1)]  # fmt: skip


def test_lists_are_calibrated_on_the_list_of_their_kind(options, tmp_path):
    system, scores = make(options, LISTS)
    system.save(tmp_path)
    figures = json.loads((tmp_path / "metrics.json").read_text())
    calibrations = json.loads((tmp_path / "calibration.json").read_text())
    assert calibrations.keys() == {"dev", "dev_multi"}
    sources = {"dev": "dev", "dev_multi": "dev_multi", "eval": "dev", "eval_multi": "dev_multi", "eval_noisy": "dev"}
    for (name, scoring), raw in scores.items():
        one, by = figures[name][scoring], calibrations[sources[name]][scoring]
        assert one["calibrated_on"] == sources[name]
        ratios = by["scale"] * raw + by["offset"]
        assert one["cllr"] == pytest.approx(cost(cllr_losses(ratios[TARGET], ratios[~TARGET])))
        assert one["min_cllr"] <= one["cllr"] < 1
    # Scores four times as large, and moved, come out at the same size.
    plain, large = (calibrations[name]["plda"]["scale"] for name in ("dev", "dev_multi"))
    assert plain == pytest.approx(4 * large, rel=0.3)
    assert figures["eval"]["plda"]["cllr"] == pytest.approx(figures["eval"]["cosine"]["cllr"])


def test_without_a_development_set_nothing_is_calibrated(options, tmp_path, caplog):
    system, _ = make(options, LISTS[2:])
    with caplog.at_level(logging.WARNING):
        system.save(tmp_path)
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert figures["eval"]["plda"].keys() == {
        "trials", "eer_percent", "eer_ci", "mindcf_0.01", "mindcf_0.05", "min_cllr"
    }  # fmt: skip
    assert caplog.text.count("no list of the set 'dev': nothing is calibrated") == 1


def test_intervals_and_draws_of_the_eer_are_kept(options, tmp_path):
    system, _ = make(options, LISTS[:3])
    system.save(tmp_path)
    figures = json.loads((tmp_path / "metrics.json").read_text())
    draws = read_draws(tmp_path)
    assert draws.keys() == {(name, scoring) for _, name, *_ in LISTS[:3] for scoring in ("cosine", "plda")}
    for (name, scoring), (key, rates) in draws.items():
        assert len(key) == 64 and len(rates) == options.bootstrap_draws
        low, high = figures[name][scoring]["eer_ci"]
        assert low <= figures[name][scoring]["eer_percent"] <= high
        assert [low, high] == pytest.approx(np.quantile(100 * rates, [0.025, 0.975]), rel=1e-6)
    assert read_draws(tmp_path / "scored by an earlier version") == {}


def test_conditions_stand_beside_the_figures_of_the_list(options, tmp_path):
    """With intervals where systems are compared, which cost the most."""
    options = dataclasses.replace(options, condition_trials=5)
    classes = {"snr": {"below 5 dB": LEFT % 2 == 0, "from 5 dB": LEFT % 2 == 1}}
    bootstrap = SpeakerBootstrap(NAMES, NAMES, LEFT, RIGHT, TARGET, 50, 0)
    conditions, system = Conditions(classes, TARGET, bootstrap, options), SystemReport(options)
    scores = np.random.default_rng(0).normal(np.where(TARGET, 2, -2), 2)
    for scoring in ("cosine", options.primary_scoring):
        system.add("dev", "dev", scoring, scores, TARGET, bootstrap, conditions)
    system.scatter = {"seen": {"ratio": 0.5}, "unseen": {}}
    files = system.save(tmp_path)
    assert all((tmp_path / name).exists() for name in files)
    assert json.loads((tmp_path / "scatter.json").read_text()) == system.scatter
    figures = json.loads((tmp_path / "metrics.json").read_text())["dev"]
    assert figures[options.primary_scoring]["conditions"] == conditions.report(scores, True)
    assert figures["cosine"]["conditions"] == conditions.report(scores, False)
    assert figures["cosine"]["conditions"]["snr"].keys() == {"below 5 dB", "from 5 dB"}


def test_damaged_draws_are_told(options, tmp_path):
    make(options, LISTS[:1])[0].save(tmp_path)
    whole = (tmp_path / "draws.npz").read_bytes()
    for damaged in (whole[:-200], b"", b"draws"):
        (tmp_path / "draws.npz").write_bytes(damaged)
        with pytest.raises(UserError, match="draws.npz: damaged .*; remove it and repeat stage 9"):
            read_draws(tmp_path)


def test_points_of_det_curves_are_kept(options, tmp_path):
    system, scores = make(options, LISTS[:1])
    system.save(tmp_path)
    with open(tmp_path / "det.tsv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    points = [row for row in rows if (row["list"], row["scoring"]) == ("dev", "plda")]
    assert 20 <= len(points) <= options.det_points and len(rows) == 2 * len(points)
    for row in points[1:]:
        accepted = scores["dev", "plda"] > float(row["threshold"]) + 1e-4
        assert np.mean(accepted[~TARGET]) == pytest.approx(float(row["false_alarms"]), abs=0.01)
        assert np.mean(~accepted[TARGET]) == pytest.approx(float(row["misses"]), abs=0.05)
