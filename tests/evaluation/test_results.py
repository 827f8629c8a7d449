"""Results: one record a system, list and scoring, with all that identifies it; the table; damage told."""

import json

import pytest
import yaml

from xvkd.errors import UserError
from xvkd.evaluation.results import best_levels, collect, table

KEYS = {
    "corpus", "system", "role", "teacher", "levels", "loss", "parameters", "teacher_parameters", "reduction_percent",
    "set", "scoring", "trials", "eer_percent", "mindcf_0.01", "mindcf_0.05", "seed",
}  # fmt: skip
DCF = ["mindcf_0.01", "mindcf_0.05"]


def write_model(experiment, name, config, errors):
    """A model's folder; ``errors``: level -> EER of dev by PLDA, from which all other figures follow."""
    folder = experiment / name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    for level, eer in errors.items():
        figures = {
            name: {
                scoring: {"trials": trials, "eer_percent": eer * factor * more, "mindcf_0.01": 0.5, "mindcf_0.05": 0.25}
                for scoring, more in [("cosine", 2.0), ("plda", 1.0)]
            }
            for name, trials, factor in [("dev", 100, 1.0), ("eval", 2000, 1.1)]
        }
        (folder / "scores" / level).mkdir(parents=True)
        (folder / "scores" / level / "metrics.json").write_text(json.dumps(figures))


def teacher_config(seed=0):
    levels = {"frame": {"size": 8, "parameters": 600}, "segment6": {"size": 5, "parameters": 900}}
    return {"role": "teacher", "loss": "softmax", "seed": seed, "parameters": 1000, "levels": levels}


def student_config(parameters, distilled, loss, **extra):
    return {
        "role": "student", "teacher": "teacher_t_s0", "teacher_parameters": 1000, "parameters": parameters,
        "distilled": distilled, "loss": loss, "seed": 0, **extra,
    }  # fmt: skip


@pytest.fixture
def experiment(tmp_path):
    write_model(tmp_path, "teacher_t_s0", teacher_config(), {"segment6": 3.0, "frame": 2.5})
    both = student_config(253, ["frame", "segment6"], "mse", teacher_level_parameters=900)
    write_model(tmp_path, "a_student_of_both", both, {"embedding": 2.8})
    write_model(tmp_path, "student_label", student_config(150, [], "softmax"), {"embedding": 5.0})
    write_model(tmp_path, "student_frame", student_config(151, ["frame"], "mse"), {"embedding": 4.0})
    (tmp_path / "log").mkdir()  # stages keep their logs here
    return tmp_path


def test_records_have_all_that_is_asked_for(experiment):
    records = collect(experiment, "synthetic")
    assert len(records) == 5 * 2 * 2
    for record in records:
        assert record.keys() >= KEYS
        assert record["corpus"] == "synthetic" and isinstance(record["levels"], list)
    json.dumps(records)  # plain values


def test_a_level_of_the_teacher_and_a_student_are_described(experiment):
    by_name = {(r["system"], r["set"], r["scoring"]): r for r in collect(experiment, "synthetic")}
    level = by_name["teacher_t_s0/frame", "eval", "cosine"]
    expected = {
        "role": "teacher", "teacher": "teacher_t_s0", "levels": ["frame"], "loss": "softmax", "parameters": 600,
        "teacher_parameters": 1000, "reduction_percent": 40.0, "trials": 2000, "eer_percent": pytest.approx(5.5),
        "mindcf_0.01": 0.5, "mindcf_0.05": 0.25, "seed": 0,
    }  # fmt: skip
    assert {key: level[key] for key in expected} == expected
    student = by_name["a_student_of_both", "dev", "plda"]
    expected = {
        "role": "student", "teacher": "teacher_t_s0", "levels": ["frame", "segment6"], "loss": "mse",
        "parameters": 253, "teacher_parameters": 1000, "reduction_percent": 74.7, "trials": 100, "eer_percent": 2.8,
    }  # fmt: skip
    assert {key: student[key] for key in expected} == expected


def test_the_teacher_comes_first_then_students_by_size(experiment):
    systems = list(dict.fromkeys(record["system"] for record in collect(experiment, "synthetic")))
    assert systems == [
        "teacher_t_s0/frame", "teacher_t_s0/segment6", "student_label", "student_frame", "a_student_of_both",
    ]  # fmt: skip


def test_the_best_level_is_chosen_on_dev(experiment):
    write_model(experiment, "teacher_u_s0", teacher_config(), {"segment6": 1.0, "frame": 1.5})
    records = collect(experiment, "synthetic")
    assert best_levels(records, "dev", "plda") == {
        "teacher_t_s0": "teacher_t_s0/frame", "teacher_u_s0": "teacher_u_s0/segment6",
    }  # fmt: skip
    # What happens on eval, or by another scoring, has no say.
    for record in records:
        if (record["set"], record["scoring"]) != ("dev", "plda"):
            record["eer_percent"] = -record["eer_percent"]
    assert best_levels(records, "dev", "plda")["teacher_t_s0"] == "teacher_t_s0/frame"
    assert best_levels(records, "dev", "lda_cosine") == {}


def rows_of(lines):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_has_a_row_a_system_and_marks_the_best(experiment):
    records = collect(experiment, "synthetic")
    header, rule, *rows = rows_of(table(records, "eval", DCF, best_levels(records, "dev", "plda")))
    assert header == [
        "system", "levels", "loss", "seed", "parameters", "smaller by", "EER cosine (%)", "EER plda (%)",
        "minDCF 0.01 plda", "minDCF 0.05 plda",
    ]  # fmt: skip
    assert len(rule) == len(header) and all(set(cell) <= {"-", ":"} for cell in rule)
    assert rows == [
        ["teacher", "frame (best on dev)", "softmax", "0", "600", "40.0 %", "5.50", "2.75", "0.500", "0.250"],
        ["teacher", "segment6", "softmax", "0", "900", "10.0 %", "6.60", "3.30", "0.500", "0.250"],
        ["student", "labels only", "softmax", "0", "150", "85.0 %", "11.00", "5.50", "0.500", "0.250"],
        ["student", "frame", "mse", "0", "151", "84.9 %", "8.80", "4.40", "0.500", "0.250"],
        ["student", "frame+segment6", "mse", "0", "253", "74.7 %", "6.16", "3.08", "0.500", "0.250"],
    ]


def test_a_system_that_was_scored_in_fewer_ways_has_gaps(experiment):
    """For instance one of an earlier run, before a scoring or a prior was added."""
    records = collect(experiment, "synthetic")
    kept = [record for record in records if (record["system"], record["scoring"]) != ("student_frame", "plda")]
    kept = [{k: v for k, v in r.items() if (r["system"], k) != ("student_label", "mindcf_0.05")} for r in kept]
    rows = rows_of(table(kept, "eval", DCF, {}))[2:]
    assert rows[2][6:] == ["11.00", "5.50", "0.500", "-"]
    assert rows[3][6:] == ["8.80", "-", "-", "-"]
    assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.yaml", "role: [student"), ("config.yaml", "just words"), ("config.yaml", "role: student\n"),
        ("scores/embedding/metrics.json", '{"dev": {"pl'), ("scores/embedding/metrics.json", ""),
    ],
)  # fmt: skip
def test_damage_is_told(experiment, file, content):
    (experiment / "student_frame" / file).write_text(content)
    with pytest.raises(UserError, match="student_frame: config.yaml or metrics.json is damaged"):
        collect(experiment, "synthetic")


def test_an_experiment_without_scores_is_told(tmp_path):
    with pytest.raises(UserError, match="no scores yet; run stages 4 to 9 first"):
        collect(tmp_path, "synthetic")
