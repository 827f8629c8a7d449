"""Results: one record a system, list and scoring, with all that identifies it; comparisons; damage told."""

import json

import numpy as np
import pytest
import yaml

from xvkd import config as configuration
from xvkd.errors import UserError
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import (
    best_levels,
    collect,
    compare_over_seeds,
    compare_pairings,
    compare_with_teachers,
    no_worse,
)
from xvkd.kaldi.plda_format import write_plda

KEYS = {
    "corpus", "system", "role", "teacher", "levels", "loss", "parameters", "teacher_parameters", "reduction_percent",
    "set", "scoring", "trials", "eer_percent", "mindcf_0.01", "mindcf_0.05", "seed", "deployed_parameters",
    "plda_parameters",
}  # fmt: skip


@pytest.fixture(scope="session")
def options(conf):
    return configuration.load(EvaluationConfig, conf / "evaluation.yaml")


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
    records, _ = collect(experiment, "synthetic")
    assert len(records) == 5 * 2 * 2
    for record in records:
        assert record.keys() >= KEYS
        assert record["corpus"] == "synthetic" and isinstance(record["levels"], list)
    json.dumps(records)  # plain values


def test_a_level_of_the_teacher_and_a_student_are_described(experiment):
    by_name = {(r["system"], r["set"], r["scoring"]): r for r in collect(experiment, "synthetic")[0]}
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


def test_deployed_sizes_are_those_of_folded_networks(experiment):
    """Of models whose layers are recorded and which have a back end; an earlier version's have no such sizes."""
    levels = {
        "frame": {"size": 8, "parameters": 600, "fan_in": None},
        "segment6": {"size": 5, "parameters": 900, "fan_in": 16},
    }
    embedding = {"size": 9, "parameters": 150, "fan_in": 4}
    student = student_config(150, [], "softmax", levels={"embedding": embedding})
    for name, config in (("teacher_t_s0", {**teacher_config(), "levels": levels}), ("student_label", student)):
        (experiment / name / "config.yaml").write_text(yaml.safe_dump(config))
        for level in config["levels"]:
            write_plda(experiment / name / "backend" / level / "plda", np.zeros(3), np.eye(3), np.ones(3))
    write_plda(experiment / "student_frame" / "backend" / "embedding" / "plda", np.zeros(3), np.eye(3), np.ones(3))
    (experiment / "teacher_t_s0" / "backend" / "frame" / "plda").unlink()
    found = {
        record["system"]: (record["deployed_parameters"], record["plda_parameters"])
        for record in collect(experiment, "synthetic")[0]
    }
    assert found == {
        "teacher_t_s0/frame": (None, None), "teacher_t_s0/segment6": (900 - 2 * 17, 15),
        "student_label": (150 - 6 * 5, 15), "student_frame": (None, None), "a_student_of_both": (None, None),
    }  # fmt: skip


def test_the_teacher_comes_first_then_students_by_size(experiment):
    systems = list(dict.fromkeys(record["system"] for record in collect(experiment, "synthetic")[0]))
    assert systems == [
        "teacher_t_s0/frame", "teacher_t_s0/segment6", "student_label", "student_frame", "a_student_of_both",
    ]  # fmt: skip


def test_the_best_level_is_chosen_on_dev(experiment):
    write_model(experiment, "teacher_u_s0", teacher_config(), {"segment6": 1.0, "frame": 1.5})
    records, _ = collect(experiment, "synthetic")
    assert best_levels(records, "dev", "plda") == {
        "teacher_t_s0": "teacher_t_s0/frame", "teacher_u_s0": "teacher_u_s0/segment6",
    }  # fmt: skip
    # What happens on eval, or by another scoring, has no say.
    for record in records:
        if (record["set"], record["scoring"]) != ("dev", "plda"):
            record["eer_percent"] = -record["eer_percent"]
    assert best_levels(records, "dev", "plda")["teacher_t_s0"] == "teacher_t_s0/frame"
    assert best_levels(records, "dev", "lda_cosine") == {}


def test_scatter_stands_with_the_list_that_is_named_as_its_set(experiment):
    folder = experiment / "teacher_t_s0" / "scores"
    metrics = json.loads((folder / "frame" / "metrics.json").read_text())
    (folder / "frame" / "metrics.json").write_text(json.dumps({**metrics, "eval_multi": metrics["eval"]}))
    seen, unseen = {"ratio": 0.5}, {"dev": {"ratio": 0.6, "quotient": 1.2}, "eval": {"ratio": 0.7, "quotient": 1.4}}
    (folder / "frame" / "scatter.json").write_text(json.dumps({"seen": seen, "unseen": unseen}))
    (folder / "segment6" / "scatter.json").write_text("{}")  # scored without the training set
    records, _ = collect(experiment, "synthetic")
    found = {(r["system"], r["set"]): r["scatter"] for r in records if "scatter" in r}
    assert found == {
        ("teacher_t_s0/frame", name): {"seen": seen, "unseen": unseen[name]} for name in ("dev", "eval")
    }  # fmt: skip


def test_records_of_an_earlier_version_stay_as_they_are(experiment, options):
    """They have no draws: ratios without intervals."""
    records, draws = collect(experiment, "synthetic")
    assert draws == {}
    compare_with_teachers(records, draws, best_levels(records, "dev", "plda"), options)
    student = next(r for r in records if (r["system"], r["set"], r["scoring"]) == ("student_frame", "eval", "plda"))
    assert student["compared_with"] == "teacher_t_s0/frame" and student["eer_ratio"] == pytest.approx(4 / 2.5)
    assert student["eer_ratio_ci"] is None and student["eer_ratio_upper"] is None
    assert no_worse(student["eer_ratio_upper"], options) is None
    assert not any("eer_ratio" in record for record in records if record["role"] == "teacher")


def write_draws(folder, rates, key="k"):
    """The draws of a system, for both lists by PLDA."""
    arrays = {"dev": np.array(key), "eval": np.array(key), "dev/plda": np.array(rates), "eval/plda": np.array(rates)}
    np.savez(folder / "draws.npz", **arrays)


def test_pairings_are_compared_with_the_system_itself(experiment, options):
    folder = experiment / "student_frame" / "scores" / "embedding"
    figures = json.loads((folder / "metrics.json").read_text())
    for scoring in figures["eval"]:
        figures["eval"][scoring]["pairings"] = {"1s": {"eer_percent": 8.8}}
    (folder / "metrics.json").write_text(json.dumps(figures))
    own = np.linspace(0.03, 0.05, 50)
    arrays = {"eval": np.array("k"), "eval/plda": own, "eval/plda/1s": 2 * own}
    np.savez(folder / "draws.npz", **arrays)
    records, draws = collect(experiment, "synthetic")
    compare_pairings(records, draws, options)
    found = {r["scoring"]: r["pairings"]["1s"] for r in records if "pairings" in r}
    assert found["plda"] == {
        "eer_percent": 8.8, "eer_ratio": pytest.approx(2), "eer_ratio_ci": pytest.approx([2, 2]),
        "eer_ratio_upper": pytest.approx(2),
    }  # fmt: skip
    # The draws of the other scoring are gone.
    assert found["cosine"]["eer_ratio"] == pytest.approx(1) and found["cosine"]["eer_ratio_ci"] is None
    assert not any("eer_ratio" in record for record in records)


def eval_record(experiment, options, system):
    records, draws = collect(experiment, "synthetic")
    compare_with_teachers(records, draws, best_levels(records, "dev", "plda"), options)
    return next(r for r in records if (r["system"], r["set"], r["scoring"]) == (system, "eval", "plda"))


def test_students_are_compared_with_the_teachers_best_level_draw_by_draw(experiment, options):
    speakers = np.linspace(0.02, 0.06, 201)
    write_draws(experiment / "teacher_t_s0" / "scores" / "frame", speakers)
    write_draws(experiment / "teacher_t_s0" / "scores" / "segment6", speakers / 2)
    write_draws(experiment / "student_frame" / "scores" / "embedding", speakers * np.linspace(0.9, 1.1, 201))
    record = eval_record(experiment, options, "student_frame")
    assert record["eer_ratio_ci"] == pytest.approx([0.905, 1.095]) and record["eer_ratio_upper"] == pytest.approx(1.09)
    assert no_worse(record["eer_ratio_upper"], options) is False
    write_draws(experiment / "student_frame" / "scores" / "embedding", speakers * np.linspace(0.9, 1.05, 201))
    record = eval_record(experiment, options, "student_frame")
    assert record["eer_ratio_upper"] == pytest.approx(1.0425) and no_worse(record["eer_ratio_upper"], options) is True


@pytest.mark.parametrize(("number", "key"), [(200, "k"), (201, "another seed, or other speakers")])
def test_other_draws_are_not_compared(experiment, options, number, key):
    write_draws(experiment / "teacher_t_s0" / "scores" / "frame", np.full(201, 0.05))
    write_draws(experiment / "student_frame" / "scores" / "embedding", np.full(number, 0.05), key)
    record = eval_record(experiment, options, "student_frame")
    assert record["eer_ratio"] == pytest.approx(1.6) and record["eer_ratio_ci"] is None


def test_seeds_of_a_student_are_taken_together(experiment, options):
    draws = np.full(1000, 0.05)
    write_draws(experiment / "teacher_t_s0" / "scores" / "frame", draws)
    for seed, ratio in ((0, 0.9), (1, 1.0), (2, 1.2)):
        teacher = f"teacher_t_s{seed}"
        if seed:
            write_model(experiment, teacher, teacher_config(seed), {"frame": 2.5, "segment6": 3.0})
            write_draws(experiment / teacher / "scores" / "frame", draws)
        config = {**student_config(151, ["frame"], "cosine"), "seed": seed, "teacher": teacher}
        write_model(experiment, f"student_frame_cosine_s{seed}", config, {"embedding": 2.5 * ratio})
        write_draws(experiment / f"student_frame_cosine_s{seed}" / "scores" / "embedding", ratio * draws)
    records, draws = collect(experiment, "synthetic")
    compare_with_teachers(records, draws, best_levels(records, "dev", "plda"), options)
    compared = compare_over_seeds(records, draws, options)
    # One group a list and scoring; students with one seed have none.
    assert {key[0] for key in compared} == {"student_frame_cosine"} and len(compared) == 4
    group, found = compared["student_frame_cosine", "eval", "plda"]
    assert [record["seed"] for record in group] == [0, 1, 2]
    assert found.ratio == pytest.approx((0.9 * 1.0 * 1.2) ** (1 / 3))
    assert found.interval == pytest.approx([0.9, 1.2])  # at the ends, one seed alone
    assert compared["student_frame_cosine", "eval", "cosine"][1].interval is None


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.yaml", "role: [student"), ("config.yaml", "just words"), ("config.yaml", "role: student\n"),
        ("scores/embedding/metrics.json", '{"dev": {"pl'), ("scores/embedding/metrics.json", ""),
        ("scores/embedding/metrics.json", "[1]"), ("scores/embedding/scatter.json", '{"seen": {'),
        ("scores/embedding/scatter.json", "[1]"), ("scores/embedding/scatter.json", '{"unseen": {"dev": {}}}'),
    ],
)  # fmt: skip
def test_damage_is_told(experiment, file, content):
    (experiment / "student_frame" / file).write_text(content)
    with pytest.raises(UserError, match="student_frame: config.yaml, metrics.json or scatter.json is damaged"):
        collect(experiment, "synthetic")


def test_an_experiment_without_scores_is_told(tmp_path):
    with pytest.raises(UserError, match="no scores yet; run stages 4 to 9 first"):
        collect(tmp_path, "synthetic")
