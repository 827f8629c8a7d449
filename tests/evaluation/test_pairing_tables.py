"""The tables of test durations and of trials across models."""

import pytest

from xvkd import config
from xvkd.evaluation.pairing_tables import across_table, duration_table
from xvkd.evaluation.report import EvaluationConfig

BEST = {"teacher_t_s0": "teacher_t_s0/frame"}


@pytest.fixture(scope="session")
def options(conf):
    return config.load(EvaluationConfig, conf / "evaluation.yaml")


def record(system, role, levels, eer, scoring="plda", data_set="eval", **pairings):
    found = {"eer_percent": eer, "eer_ci": [eer - 0.5, eer + 0.5]}
    return {
        "system": system, "role": role, "teacher": "teacher_t_s0", "levels": levels, "loss": "mse", "seed": 0,
        "set": data_set, "scoring": scoring, **found, "pairings": pairings,
    }  # fmt: skip


def figures(eer, ratio=None):
    return {"eer_percent": eer, "eer_ci": [eer - 1, eer + 1], "eer_ratio": ratio, "eer_ratio_ci": ratio and [1, 2]}


def cells(table):
    lines = table.markdown()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[:1] + lines[2:])]


def test_durations_ascend_and_end_with_the_whole(options):
    records = [
        record("teacher_t_s0/frame", "teacher", ["frame"], 3.0, **{"10s": figures(3.1), "2s": figures(5.0)}),
        record("teacher_t_s0/stats", "teacher", ["stats"], 4.0, **{"2s": figures(6.0)}),
        record("student", "student", ["frame"], 3.5, **{"2s": figures(5.5), "teacher_enrols": figures(9.0)}),
        record("student", "student", ["frame"], 9.5, "cosine", **{"1s": figures(9.5)}),
        record("student", "student", ["frame"], 9.5, data_set="dev", **{"1s": figures(9.5)}),
    ]
    assert cells(duration_table(records, "eval", BEST, options)) == [
        ["system", "loss", "seed", "2 s", "10 s", "whole"],
        ["teacher, frame (best on dev)", "mse", "0", "5.00 [4.00, 6.00]", "3.10 [2.10, 4.10]", "3.00 [2.50, 3.50]"],
        ["student, frame", "mse", "0", "5.50 [4.50, 6.50]", "-", "3.50 [3.00, 4.00]"],
    ]
    plain = [{key: value for key, value in one.items() if key != "pairings"} for one in records]
    assert not duration_table(plain, "eval", BEST, options) and not across_table(plain, "eval", BEST, options)


def test_students_that_share_a_space_have_a_row_across_models(options):
    records = [
        record("teacher_t_s0/frame", "teacher", ["frame"], 3.0, **{"2s": figures(5.0)}),
        record("student_label", "student", [], 3.0, **{"2s": figures(5.0)}),
        record("student", "student", ["frame"], 3.5, teacher_enrols=figures(4.2, 1.2), teacher_backend=figures(3.5)),
    ]
    assert cells(across_table(records, "eval", BEST, options)) == [
        ["system", "loss", "seed", "own", "teacher's back end", "ratio to own", "enrolled by the teacher",
         "ratio to own", "tested by the teacher", "ratio to own"],
        ["student, frame", "mse", "0", "3.50 [3.00, 4.00]", "3.50 [2.50, 4.50]", "-", "4.20 [3.20, 5.20]",
         "1.20 [1.00, 2.00]", "-", "-"],
    ]  # fmt: skip
