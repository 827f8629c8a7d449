"""Verdicts: each comes out each way; what is missing is told; folds are averaged; choices are made on dev."""

import pytest
from claims_files import CONCATENATION, write_experiment, write_student, write_teacher

from xvkd import config as configuration
from xvkd.evaluation.claims import FAILS, HOLDS, NOT_SHOWN, Judge
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import collect
from xvkd.evaluation.trainings import best_on_dev, compare, mean_rate, read_cell


@pytest.fixture(scope="module")
def options(conf):
    return configuration.load(EvaluationConfig, conf / "evaluation.yaml")


@pytest.fixture
def judged(tmp_path, options):
    """The verdicts on an experiment of certain rates: [claim 1, 2, 3], [targets]."""

    def judge(further=False, name="eval", twin_ratio=0.8, **rates):
        write_experiment(tmp_path / "synthetic", **rates)
        cell = read_cell("cell", {"synthetic": collect(tmp_path / "synthetic", "synthetic")}, options)
        one = Judge(name, ["synthetic"], twin_ratio, options)
        return one.claims(cell), one.targets(cell, further)

    return judge


def outcomes(verdicts):
    return [verdict.outcome for verdict in verdicts]


# An EER of 4.9 by 5.0 is 0.98 and surely below 1.05; 5.2 is 1.04, within its interval; 6 is 1.2, surely above.
@pytest.mark.parametrize(("rate", "outcome"), [(4.9, HOLDS), (5.2, NOT_SHOWN), (6.0, FAILS)])
def test_claim_1_compares_students_of_frame_and_of_segment6(judged, rate, outcome):
    claims, _ = judged(frame=rate, segment6=5.0)
    assert claims[0].outcome == outcome
    assert f"frame (mse) by segment6 (mse) {rate / 5:.3f} [" in claims[0].line()


@pytest.mark.parametrize(("rate", "outcome"), [(4.9, HOLDS), (5.2, NOT_SHOWN), (6.0, FAILS)])
def test_claim_2_takes_the_best_single_level_and_claim_3_the_concatenation(judged, rate, outcome):
    claims, _ = judged(frame=rate, segment6=rate + 3, concatenation=rate)
    assert outcomes(claims[1:]) == [outcome, outcome]
    assert "frame (mse) by teacher (stats)" in claims[1].line()
    assert "frame4+frame+segment6 (mse) by teacher (stats)" in claims[2].line()


@pytest.mark.parametrize(("rate", "outcome"), [(4.5, HOLDS), (4.97, NOT_SHOWN), (5.5, FAILS)])
def test_the_target_of_a_better_concatenation_wants_the_interval_below_1(judged, rate, outcome):
    _, targets = judged(concatenation=rate)
    assert targets[0].outcome == outcome


@pytest.mark.parametrize(("rate", "outcome"), [(7.0, HOLDS), (5.6, NOT_SHOWN), (5.0, FAILS)])
def test_the_target_against_the_label_only_twin(judged, rate, outcome):
    _, targets = judged(label=rate, frame=5, segment6=5, concatenation=4.5)
    assert targets[1].outcome == outcome
    assert "by labels only" in targets[1].about and "20 % better" in targets[1].claim


def test_real_speech_asks_for_less_against_the_twin(judged):
    _, targets = judged(label=5.6, twin_ratio=0.9)
    assert targets[1].outcome == HOLDS and "10 % better" in targets[1].claim


@pytest.mark.parametrize(("rate", "outcome"), [(4.9, HOLDS), (5.2, NOT_SHOWN), (6.0, FAILS)])
def test_the_target_of_a_very_small_student(judged, rate, outcome):
    _, targets = judged(frame=rate, segment6=rate, concatenation=rate)
    assert targets[2].outcome == outcome and "120,000" in targets[2].claim


def test_students_with_further_speakers_are_judged_by_themselves(judged):
    claims, targets = judged(further=True, concatenation=6.0)
    assert claims[2].outcome == FAILS
    assert outcomes(targets) == [NOT_SHOWN] * 5  # there are none


@pytest.mark.parametrize(("rate", "outcome"), [(4.0, HOLDS), (4.5, NOT_SHOWN), (5.0, FAILS)])
def test_what_further_speakers_bring(tmp_path, options, rate, outcome):
    write_experiment(tmp_path / "synthetic", concatenation=4.5, further=rate)
    cell = read_cell("cell", {"synthetic": collect(tmp_path / "synthetic", "synthetic")}, options)
    assert sorted(student.further for student in cell.students) == [False] * 4 + [True]
    assert Judge("eval", ["synthetic"], 0.8, options).targets(cell, True)[-1].outcome == outcome


def test_too_few_seeds_show_nothing(judged):
    claims, targets = judged(seeds=(0, 1))
    assert set(outcomes([*claims, *targets])) == {NOT_SHOWN}
    assert claims[1].about.endswith("but 2 of 3 seeds")


def test_only_seeds_that_both_have_count(tmp_path, options):
    experiment = tmp_path / "synthetic"
    write_experiment(experiment, frame=None)
    for seed in (1, 2, 3):
        write_student(experiment, seed, ["frame"], 4.0)
    cell = read_cell("cell", {"synthetic": collect(experiment, "synthetic")}, options)
    claim = Judge("eval", ["synthetic"], 0.8, options).claims(cell)[0]
    assert claim.outcome == NOT_SHOWN and claim.about.endswith("but 2 of 3 seeds")


@pytest.mark.parametrize("lacking", ["frame", "segment6"])
def test_a_missing_student_is_told(judged, lacking):
    claims, _ = judged(**{lacking: None})
    assert claims[0].outcome == NOT_SHOWN
    assert claims[0].about == "no students of frame and of segment6 with one loss"


def test_students_that_are_too_large_do_not_count(tmp_path, options):
    experiment = tmp_path / "synthetic"
    write_experiment(experiment, frame=None, segment6=None, concatenation=None)
    for seed in range(3):
        write_student(experiment, seed, ["frame"], 1.0, parameters=160_000)
        write_student(experiment, seed, CONCATENATION, 1.0, parameters=260_000)
    cell = read_cell("cell", {"synthetic": collect(experiment, "synthetic")}, options)
    judge = Judge("eval", ["synthetic"], 0.8, options)
    assert [verdict.about for verdict in judge.claims(cell)[1:]] == [
        "no student of a single level is 85 % smaller", "no student of a concatenation is 75 % smaller",
    ]  # fmt: skip
    assert judge.targets(cell, False)[1].about == "no student with a label-only twin of its deployed size"


@pytest.mark.parametrize(("deployed", "outcome"), [(60_000, HOLDS), (61_000, HOLDS), (62_000, NOT_SHOWN)])
def test_the_twin_is_as_large_as_the_student_as_deployed(tmp_path, options, deployed, outcome):
    """All are of 80,000 parameters as trained, the twin of 60,000 as deployed."""
    write_experiment(tmp_path / "synthetic", frame=None, segment6=None)
    records, draws = collect(tmp_path / "synthetic", "synthetic")
    for record in records:
        record["deployed_parameters"] = deployed if record["levels"] else 60_000
    cell = read_cell("cell", {"synthetic": (records, draws)}, options)
    assert {student.deployed for student in cell.students} == {deployed, 60_000}
    assert Judge("eval", ["synthetic"], 0.8, options).targets(cell, False)[1].outcome == outcome


def test_claim_4_wants_all_of_every_other_variant(judged, options):
    claims, _ = judged()
    judge = Judge("eval", ["synthetic"], 0.8, options)
    assert judge.carries_over({"b": claims}).outcome == HOLDS
    assert judge.carries_over({}).outcome == NOT_SHOWN
    for outcome in (FAILS, NOT_SHOWN):
        changed = [*claims[:2], type(claims[2])(claims[2].claim, claims[2].where, outcome, "")]
        verdict = judge.carries_over({"b": claims, "c": changed})
        assert verdict.outcome == outcome and f"c: claim 1 holds, claim 2 holds, claim 3 {outcome}" in verdict.line()


def test_choices_are_made_on_dev_alone(tmp_path, options):
    experiment = tmp_path / "synthetic"
    write_experiment(experiment, frame=None, segment6=None)
    for seed in range(3):
        write_student(experiment, seed, ["frame"], 4.0, rates={"eval": 9.0})
        write_student(experiment, seed, ["segment6"], 4.5, rates={"eval": 1.0})
    cell = read_cell("cell", {"synthetic": collect(experiment, "synthetic")}, options)
    claim = Judge("eval", ["synthetic"], 0.8, options).claims(cell)[1]
    assert claim.outcome == FAILS and "frame (mse)" in claim.about


def test_a_student_with_fewer_trainings_is_not_the_best(tmp_path, options):
    experiment = tmp_path / "synthetic"
    write_experiment(experiment, frame=None)
    write_student(experiment, 0, ["frame"], 0.5)
    cell = read_cell("cell", {"synthetic": collect(experiment, "synthetic")}, options)
    assert best_on_dev(cell.students, options).levels == "frame4+frame+segment6"


def test_the_best_level_is_that_of_each_teacher(tmp_path, options):
    for seed, rate in [(0, 4.0), (1, 6.0)]:
        write_teacher(tmp_path / "synthetic", seed, rate)
    cell = read_cell("cell", {"synthetic": collect(tmp_path / "synthetic", "synthetic")}, options)
    assert (cell.teacher.name, cell.teacher.levels) == ("teacher_t", "stats")
    mean, (low, high) = mean_rate(cell.teacher, "eval", options)
    assert mean == pytest.approx(5.0) and low < 4.0 and high > 6.0


def test_folds_are_averaged_and_a_missing_one_shows_nothing(tmp_path, options):
    for fold, rate in enumerate([2.5, 10.0]):
        write_experiment(tmp_path / f"fold{fold}", frame=rate, segment6=5.0)
    found = {f"fold{fold}": collect(tmp_path / f"fold{fold}", "x") for fold in range(2)}
    cell = read_cell("cell", found, options)
    frame, segment6 = (next(s for s in cell.students if s.levels == level) for level in ("frame", "segment6"))
    compared = compare(frame, segment6, "eval", ["fold0", "fold1"], options)
    assert compared.found.ratio == pytest.approx(1.0) and compared.seeds == 3
    assert mean_rate(frame, "eval", options)[0] == pytest.approx(6.25)
    assert compare(frame, segment6, "eval", ["fold0", "fold1", "fold2"], options).seeds == 0


def test_draws_of_other_speakers_give_no_interval(tmp_path, options):
    experiment = tmp_path / "synthetic"
    write_experiment(experiment, frame=None)
    for seed in range(3):
        write_student(experiment, seed, ["frame"], 4.0, key="others")
    cell = read_cell("cell", {"synthetic": collect(experiment, "synthetic")}, options)
    claim = Judge("eval", ["synthetic"], 0.8, options).claims(cell)[0]
    assert claim.outcome == NOT_SHOWN and claim.about.endswith("has no interval; repeat stage 9")
