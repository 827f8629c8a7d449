"""EER by condition: which trials belong to which class, and what is reported of them."""

import dataclasses
import math

import numpy as np
import pytest

from xvkd import config
from xvkd.errors import UserError
from xvkd.evaluation.bootstrap import SpeakerBootstrap, interval
from xvkd.evaluation.conditions import Conditions, Properties, classes_of
from xvkd.evaluation.metrics import eer
from xvkd.evaluation.report import EvaluationConfig
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.trials import Trials


@pytest.fixture(scope="module")
def options(conf):
    loaded = config.load(EvaluationConfig, conf / "evaluation.yaml")
    return dataclasses.replace(loaded, duration_edges=[2.0, 4.5], snr_edges=[-5.0, 5.0], condition_trials=1)


def trials_of(pairs):
    """Trials of single utterances, whose speaker is their first letter, or of models named so."""
    models, tests = (list(dict.fromkeys(pair[side] for pair in pairs)) for side in (0, 1))
    return Trials(
        models, tests, np.array([models.index(model) for model, _ in pairs]),
        np.array([tests.index(test) for _, test in pairs]), np.array([model[0] == test[0] for model, test in pairs]),
    )  # fmt: skip


def members_of(pairs, classes):
    """The classes as lists of pairs."""
    return {
        condition: {
            name: [pair for pair, inside in zip(pairs, mask, strict=True) if inside] for name, mask in masks.items()
        }
        for condition, masks in classes.items()
    }  # fmt: skip


PAIRS = [("a1", "a2"), ("a1", "b1"), ("a1", "m1"), ("m1", "m2"), ("a2", "b1"), ("m2", "a1")]
ALONE = {name: [name] for name in ("a1", "a2", "b1", "m1", "m2")}


def test_trials_fall_into_classes_by_both_sides(options):
    known = Properties(
        {"a1": "f", "a2": "f", "b1": "f", "m1": "m", "m2": "m"},
        {"a1": 2.0, "a2": 1.99, "b1": 9.0, "m1": 4.5, "m2": 5.0},
        {"a1": -5.0, "a2": 20.0, "b1": 4.99, "m1": -5.1, "m2": 5.0},
    )
    found = members_of(PAIRS, classes_of(known, ALONE, trials_of(PAIRS), options))
    assert found == {
        # Across genders is neither.
        "gender": {"female": [("a1", "a2"), ("a1", "b1"), ("a2", "b1")], "male": [("m1", "m2")]},
        # By the shorter side; an edge belongs to what is above it.
        "duration": {
            "below 2 s": [("a1", "a2"), ("a2", "b1")], "2 to 4.5 s": [("a1", "b1"), ("a1", "m1"), ("m2", "a1")],
            "from 4.5 s": [("m1", "m2")],
        },
        # By the noisier.
        "snr": {
            "below -5 dB": [("a1", "m1"), ("m1", "m2")],
            "-5 to 5 dB": [("a1", "a2"), ("a1", "b1"), ("a2", "b1"), ("m2", "a1")], "from 5 dB": [],
        },
    }  # fmt: skip


def test_what_is_not_known_or_not_asked_for_has_no_classes(options):
    """A trial of which a side is not known belongs nowhere."""
    trials = trials_of(PAIRS)
    assert classes_of(Properties({}, {}, {}), ALONE, trials, options) == {}
    found = classes_of(Properties({"a1": "f", "a2": "f"}, {"a1": 1.0, "b1": 1.0}, {}), ALONE, trials, options)
    assert members_of(PAIRS, found) == {
        "gender": {"female": [("a1", "a2")], "male": []},
        "duration": {"below 2 s": [("a1", "b1")], "2 to 4.5 s": [], "from 4.5 s": []},
    }
    without = dataclasses.replace(options, duration_edges=[])
    assert "duration" not in classes_of(Properties({}, {"a1": 1.0}, {}), ALONE, trials, without)
    one = dataclasses.replace(options, duration_edges=[3.0])
    assert list(classes_of(Properties({}, {"a1": 1.0}, {}), ALONE, trials, one)["duration"]) == [
        "below 3 s", "from 3 s"
    ]  # fmt: skip


def test_a_model_is_as_long_as_its_utterances_together_and_as_noisy_as_their_mean(options):
    pairs = [("a", "a3"), ("a", "b1")]
    members = {"a": ["a1", "a2"]}
    known = Properties({"a1": "f", "a3": "f", "b1": "m"}, {"a1": 2.4, "a2": 2.4, "a3": 3.0, "b1": 6.0},
                       {"a1": 0.0, "a2": 20.0, "a3": 30.0, "b1": -9.0})  # fmt: skip
    found = members_of(pairs, classes_of(known, members, trials_of(pairs), options))
    assert found["duration"] == {"below 2 s": [], "2 to 4.5 s": [("a", "a3")], "from 4.5 s": [("a", "b1")]}
    assert found["snr"] == {"below -5 dB": [("a", "b1")], "-5 to 5 dB": [], "from 5 dB": [("a", "a3")]}
    assert found["gender"]["female"] == [("a", "a3")]


def simulate(speakers=24, utterances=4):
    """All pairs of utterances, whose scores say more where the first letter of the speaker is f."""
    random = np.random.default_rng(0)
    names = [f"{'fm'[number % 2]}{number:02d}" for number in range(speakers) for _ in range(utterances)]
    left, right = np.triu_indices(len(names), 1)
    target = np.array([names[a] == names[b] for a, b in zip(left, right, strict=True)])
    women = np.array([names[a][0] == names[b][0] == "f" for a, b in zip(left, right, strict=True)])
    men = np.array([names[a][0] == names[b][0] == "m" for a, b in zip(left, right, strict=True)])
    scores = random.normal(np.where(target, np.where(women, 3, 1), 0), 1)
    return names, left, right, target, {"gender": {"female": women, "male": men}}, scores


def test_figures_are_those_of_the_class_alone(options):
    """Intervals too: they are of the women that there are, as if there were no men."""
    names, left, right, target, classes, scores = simulate()
    bootstrap = SpeakerBootstrap(names, names, left, right, target, 300, 7)
    found = Conditions(classes, target, bootstrap, options).report(scores, True)["gender"]
    for name, mask in classes["gender"].items():
        part, kind = scores[mask], target[mask]
        alone = [one for one in names if one[0] == name[0]]
        place = {row: number for number, row in enumerate(row for row, one in enumerate(names) if one[0] == name[0])}
        sides = [np.array([place[row] for row in side[mask]]) for side in (left, right)]
        draws = SpeakerBootstrap(alone, alone, *sides, kind, 300, 7).eer(part)
        assert found[name] == {
            "trials": len(part), "targets": np.count_nonzero(kind),
            "eer_percent": 100 * eer(part[kind], part[~kind])[0], "eer_ci": interval(100 * draws, options.confidence),
        }  # fmt: skip
        assert found[name]["eer_ci"][0] < found[name]["eer_percent"] < found[name]["eer_ci"][1]
    assert found["female"]["eer_ci"][1] < found["male"]["eer_ci"][0]


def test_without_intervals_the_rest_is_the_same(options):
    names, left, right, target, classes, scores = simulate()
    conditions = Conditions(classes, target, SpeakerBootstrap(names, names, left, right, target, 50, 0), options)
    both = [conditions.report(scores, intervals)["gender"]["female"] for intervals in (True, False)]
    assert both[0].pop("eer_ci") and both[0] == both[1]


@pytest.mark.parametrize(("least", "kept"), [(72, ["female", "male"]), (73, [])])
def test_classes_of_too_few_trials_are_left_out(options, least, kept):
    """12 women with 6 target trials each, and likewise men: 72."""
    names, left, right, target, classes, scores = simulate()
    options = dataclasses.replace(options, condition_trials=least)
    bootstrap = SpeakerBootstrap(names, names, left, right, target, 20, 0)
    found = Conditions(classes, target, bootstrap, options).report(scores, True)
    assert list(found.get("gender", {})) == kept
    # As many target trials, but hardly others.
    few = {"gender": {"female": target | (np.arange(len(target)) < 3)}}
    options = dataclasses.replace(options, condition_trials=10)
    assert Conditions(few, target, bootstrap, options).report(scores, True) == {}


def test_tables_of_a_data_directory(tmp_path):
    (tmp_path / "utt2spk").write_text("a-1 a\na-2 a\nb-1 b\n")
    assert Properties.read(DataDir(tmp_path)) == Properties({}, {}, {})
    (tmp_path / "spk2gender").write_text("a f\n")
    (tmp_path / "utt2dur").write_text("a-1 2.5\na-2 3\nb-1 1e1\n")
    (tmp_path / "utt2snr").write_text("b-1 -3.25\n")
    assert Properties.read(DataDir(tmp_path)) == Properties(
        {"a-1": "f", "a-2": "f"}, {"a-1": 2.5, "a-2": 3.0, "b-1": 10.0}, {"b-1": -3.25}
    )
    for wrong in ("loud", str(math.nan), "inf"):
        (tmp_path / "utt2snr").write_text(f"b-1 {wrong}\n")
        with pytest.raises(UserError, match=f"utt2snr: 'b-1': expected a number, got '{wrong}': mend it"):
            Properties.read(DataDir(tmp_path))
