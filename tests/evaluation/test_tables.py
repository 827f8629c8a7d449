"""The tables of results."""

import pytest

from xvkd import config
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.strata import Comparison
from xvkd.evaluation.tables import condition_table, cost_table, error_table, names_of, scatter_table, seed_table

BEST = {"teacher_t_s0": "teacher_t_s0/frame"}


@pytest.fixture(scope="session")
def options(conf):
    return config.load(EvaluationConfig, conf / "evaluation.yaml")


def records(system, role, levels, parameters, eer, **more):
    """The records of one system, by two scorings, of the list eval and of one that does not matter here."""
    common = {
        "system": system, "role": role, "teacher": "teacher_t_s0", "levels": levels, "loss": "mse", "seed": 0,
        "parameters": parameters, "reduction_percent": 100 - parameters / 10000,
        "deployed_parameters": parameters // 2, "plda_parameters": 40_400,
    }  # fmt: skip
    costs = {"mindcf_0.01": 0.5, "mindcf_0.05": 0.25, "actdcf_0.01": 0.525, "actdcf_0.05": 0.26, "min_cllr": 0.1,
             "cllr": 0.11}  # fmt: skip
    return [
        {**common, "set": "eval", "scoring": "cosine", "eer_percent": 2 * eer, "eer_ci": [eer, 3 * eer], **costs},
        {**common, "set": "eval", "scoring": "plda", "eer_percent": eer, "eer_ci": [eer - 0.5, eer + 0.5], **costs,
         **more},
        {**common, "set": "dev", "scoring": "plda", "eer_percent": 77.0},
    ]  # fmt: skip


def all_records():
    ratio = {"eer_ratio": 1.02, "eer_ratio_ci": [0.976, 1.063], "eer_ratio_upper": 1.049}
    worse = {"eer_ratio": 1.02, "eer_ratio_ci": [0.976, 1.063], "eer_ratio_upper": 1.051}
    return [
        *records("teacher_t_s0/frame", "teacher", ["frame"], 600_000, 2.75),
        *records("teacher_t_s0/segment6", "teacher", ["segment6"], 900_000, 3.3),
        *records("student_label_s0", "student", [], 150_000, 5.5, **worse),
        *records("student_both_s0", "student", ["frame", "segment6"], 253_000, 3.08, **ratio),
    ]


def rows_of(table):
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.markdown()]
    assert len({len(row) for row in rows}) == 1 and all(set(cell) <= {"-", ":"} for cell in rows[1])
    return rows[:1] + rows[2:]


def test_errors_stand_beside_sizes(options):
    assert rows_of(error_table(all_records(), "eval", BEST, options)) == [
        ["system", "levels", "loss", "seed", "parameters", "smaller by", "deployed + PLDA", "EER cosine (%)",
         "EER plda (%)", "plda: ratio to the teacher's", "no worse"],
        ["teacher", "frame (best on dev)", "mse", "0", "600,000", "40.0 %", "300,000 + 40,400", "5.50",
         "2.75 [2.25, 3.25]", "-", "-"],
        ["teacher", "segment6", "mse", "0", "900,000", "10.0 %", "450,000 + 40,400", "6.60", "3.30 [2.80, 3.80]", "-",
         "-"],
        ["student", "labels only", "mse", "0", "150,000", "85.0 %", "75,000 + 40,400", "11.00", "5.50 [5.00, 6.00]",
         "1.02 [0.98, 1.06]", "no"],
        ["student", "frame+segment6", "mse", "0", "253,000", "74.7 %", "126,500 + 40,400", "6.16",
         "3.08 [2.58, 3.58]", "1.02 [0.98, 1.06]", "yes"],
    ]  # fmt: skip


def test_costs_have_a_table_of_their_own(options):
    rows = rows_of(cost_table(all_records(), "eval", BEST, options))
    assert rows[0] == [
        "system", "loss", "seed", "minDCF 0.01", "actDCF 0.01", "minDCF 0.05", "actDCF 0.05", "minCllr", "Cllr"
    ]  # fmt: skip
    figures = ["0.500", "0.525", "0.250", "0.260", "0.100", "0.110"]
    assert rows[1] == ["teacher, frame (best on dev)", "mse", "0", *figures]
    assert rows[3] == ["student, labels only", "mse", "0", *figures]


def test_what_a_system_lacks_is_a_dash(options):
    """For instance a system of an earlier run: without intervals, without a scoring, without calibration."""
    kept = [r for r in all_records() if (r["system"], r["scoring"]) != ("student_label_s0", "plda")]
    new = {"eer_ci", "eer_ratio", "eer_ratio_ci", "eer_ratio_upper", "actdcf_0.01", "actdcf_0.05", "min_cllr", "cllr",
           "deployed_parameters", "plda_parameters"}  # fmt: skip
    kept = [{k: v for k, v in r.items() if r["system"] != "student_both_s0" or k not in new} for r in kept]
    rows = rows_of(error_table(kept, "eval", BEST, options))
    assert rows[3][7:] == ["11.00", "-", "-", "-"] and rows[4][6:] == ["-", "6.16", "3.08", "-", "-"]
    rows = rows_of(cost_table(kept, "eval", BEST, options))
    assert rows[3][3:] == ["-"] * 6 and rows[4][3:] == ["0.500", "-", "0.250", "-", "-", "-"]
    # A figure without an interval: too few speakers.
    one = {**all_records()[1], "eer_ci": None, "eer_ratio": 1.5, "eer_ratio_ci": None, "eer_ratio_upper": None}
    assert rows_of(error_table([one], "eval", BEST, options))[1][7:] == ["2.75", "1.50", "-"]


def test_systems_are_told_apart_in_figures(options):
    """By seed where there are several; by folder where nothing else does."""
    few = [one for one in all_records() if one["set"] == "eval"]
    names = names_of(few, BEST, options)
    assert names["teacher_t_s0/frame"] == ("teacher", "frame (best on dev)")
    assert names["student_label_s0"] == ("student", "labels only, mse")
    wide = records("student_wide_label_s0", "student", [], 250_000, 5.0)
    other = records("student_label_s1", "student", [], 150_000, 5.0)
    names = names_of([*few, *wide, *({**one, "seed": 1} for one in other)], BEST, options)
    assert names["student_wide_label_s0"] == ("student", "labels only, mse, seed 0 (student_wide_label_s0)")
    assert names["student_label_s1"] == ("student", "labels only, mse, seed 1")
    assert len(set(names.values())) == len(names) == 6


def test_seeds_have_a_row_a_student(options):
    student = [{**records("s", "student", ["frame"], 1, eer)[1], "seed": seed} for seed, eer in enumerate([2.0, 2.5])]
    compared = {
        ("s", "eval", "plda"): (student, Comparison(0.95, [0.9, 1.01], 1.0)),
        ("s", "eval", "cosine"): (student, Comparison(7.0, None, None)),
        ("s", "dev", "plda"): (student, Comparison(7.0, None, None)),
    }
    assert rows_of(seed_table(compared, "eval", options)) == [
        ["student", "loss", "seeds", "EER plda (%)", "ratio to the teacher's", "no worse"],
        ["frame", "mse", "2", "2.00, 2.50", "0.95 [0.90, 1.01]", "yes"],
    ]
    assert not seed_table({}, "eval", options)


def test_conditions_have_a_row_a_student_and_one_for_the_best_level(options):
    def by(*figures):
        """The trials of a class are those of every system."""
        classes = [("gender", "female", 3000, 100), ("gender", "male", 2000, 90), ("snr", "below 5 dB", 1500, 80)]
        found = {"gender": {}, "snr": {}}
        for (condition, name, trials, targets), figure in zip(classes, figures, strict=True):
            if figure:
                found[condition][name] = {
                    "trials": trials, "targets": targets, "eer_percent": figure,
                    "eer_ci": [figure - 1, figure + 1.5],
                }  # fmt: skip
        return found

    systems = [
        *records("teacher_t_s0/frame", "teacher", ["frame"], 600_000, 2.75, conditions=by(2.0, 3.5, None)),
        *records("teacher_t_s0/segment6", "teacher", ["segment6"], 900_000, 3.3, conditions=by(9.0, 9.0, 9.0)),
        *records("student_old_s0", "student", [], 150_000, 5.5),
        *records("student_both_s0", "student", ["frame", "segment6"], 253_000, 3.08, conditions=by(2.5, 4.0, 7.0)),
    ]  # fmt: skip
    assert rows_of(condition_table(systems, "eval", BEST, options)) == [
        ["system", "loss", "seed", "female", "male", "SNR below 5 dB"],
        ["trials: target + nontarget", "", "", "100 + 2,900", "90 + 1,910", "80 + 1,420"],
        ["teacher, frame (best on dev)", "mse", "0", "2.00 [1.00, 3.50]", "3.50 [2.50, 5.00]", "-"],
        ["student, labels only", "mse", "0", "-", "-", "-"],
        ["student, frame+segment6", "mse", "0", "2.50 [1.50, 4.00]", "4.00 [3.00, 5.50]", "7.00 [6.00, 8.50]"],
    ]
    assert not condition_table(all_records(), "eval", BEST, options)  # of an earlier version, or nothing is known


def test_levels_generalise_or_not(options):
    def of(system, role, level, name, ratio, quotient):
        about = {"ratio": ratio, "ratio_ci": [0.4, 0.8], "quotient": quotient, "quotient_ci": [1.0, 1.5]}
        seen = {"ratio": 0.5, "ratio_ci": [0.45, 0.55]}
        return {"system": system, "role": role, "teacher": "teacher_t_s0", "levels": [level], "set": name,
                "scoring": "cosine", "scatter": {"seen": seen, "unseen": about}}  # fmt: skip

    systems = [
        of("t/frame", "teacher", "frame", "eval", 0.6, 1.2), of("t/frame", "teacher", "frame", "dev", 0.65, 1.3),
        of("t/stats", "teacher", "stats", "eval", None, None), of("s", "student", "frame", "eval", 0.9, 1.8),
        *all_records(),
    ]  # fmt: skip
    systems[2]["scatter"]["unseen"] |= {"ratio_ci": None, "quotient_ci": None}
    assert rows_of(scatter_table(systems, options)) == [
        ["teacher", "level", "known speakers", "dev", "dev / known", "eval", "eval / known"],
        ["teacher_t_s0", "frame", "0.50 [0.45, 0.55]", "0.65 [0.40, 0.80]", "1.30 [1.00, 1.50]", "0.60 [0.40, 0.80]",
         "1.20 [1.00, 1.50]"],
        ["teacher_t_s0", "stats", "0.50 [0.45, 0.55]", "-", "-", "-", "-"],
    ]  # fmt: skip
    assert not scatter_table(all_records(), options)
