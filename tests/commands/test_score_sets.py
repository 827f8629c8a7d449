"""score_sets.py and make_results.py as stages 9 and 10 run them: from embeddings to the table."""

import json

import kaldiio
import numpy as np
import pytest
import yaml
from shell import ROOT, run

from xvkd.backend.backend import Backend
from xvkd.evaluation.system import read_draws

LIBRARY = str(ROOT / "pyscripts")
SPEAKERS = {"train": 12, "dev": 8, "eval": 9}
UTTERANCES, DIM = 5, 16


def write_set(root, name, first, random, noise):
    """A data directory with trials, its embeddings, and the labels of its speakers."""
    data, embeddings = root / "data" / name, root / "exp" / "corpus" / "teacher_t_s0" / "embeddings" / name
    data.mkdir(parents=True)
    embeddings.mkdir(parents=True)
    speakers = [f"s{first + number:02d}" for number in range(SPEAKERS[name])]
    utt2spk = {f"{speaker}-u{number}": speaker for speaker in speakers for number in range(UTTERANCES)}
    (data / "utt2spk").write_text("".join(f"{utterance} {speaker}\n" for utterance, speaker in utt2spk.items()))
    centres = {speaker: random.normal(2, 2, DIM) for speaker in speakers}
    vectors = {u: (centres[s] + noise * random.normal(size=DIM)).astype(np.float32) for u, s in utt2spk.items()}
    kaldiio.save_ark(str(embeddings / "segment6.ark"), vectors, scp=str(embeddings / "segment6.scp"))
    (data / "utt2session").write_text("".join(f"{u} {u[:-1]}{int(u[-1]) // 2}\n" for u in utt2spk))
    if name != "train":
        (data / "spk2gender").write_text("".join(f"{s} {'fm'[int(s[1:]) % 2]}\n" for s in speakers))
        (data / "utt2dur").write_text("".join(f"{u} {1.5 + int(u[-1])}\n" for u in utt2spk))
        write_trials(data / "trials", [(u, u) for u in utt2spk], utt2spk)
        models = [(speaker, f"{speaker}-u0") for speaker in speakers]
        (data / "enrol_multi").write_text("".join(f"{model} {model}-u0 {model}-u1\n" for model in speakers))
        write_trials(data / "trials_multi", models, {u: s for u, s in utt2spk.items() if u[-1] not in "01"})
    return np.stack(list(vectors.values())), np.repeat(np.arange(len(speakers)), UTTERANCES)


def write_trials(path, models, utt2spk):
    """Every model, (name, utterance), against every later utterance."""
    lines = []
    for model, utterance in models:
        for test, speaker in utt2spk.items():
            if test > utterance:
                kind = "target" if utterance.startswith(speaker) else "nontarget"
                lines.append(f"{model} {test} {kind}\n")
    path.write_text("".join(lines))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A corpus with a teacher, ready to be scored."""
    root, random = tmp_path_factory.mktemp("root"), np.random.default_rng(0)
    train = write_set(root, "train", 0, random, 2.0)
    write_set(root, "dev", 20, random, 2.0)
    write_set(root, "eval", 40, random, 2.0)
    model = root / "exp" / "corpus" / "teacher_t_s0"
    Backend.train(*train, 8, DIM, 0.0, 3).save(model / "backend" / "segment6")
    (model / "config.yaml").write_text(yaml.safe_dump({
        "role": "teacher", "loss": "softmax", "seed": 0, "parameters": 1000,
        "levels": {"segment6": {"size": DIM, "parameters": 900}},
    }))  # fmt: skip
    config = (ROOT / "conf" / "backend.yaml").read_text().replace("cohort_top: 100", "cohort_top: 10")
    scorings = "[cosine, plda_asnorm, plda]"
    lines = [f"scorings: {scorings}" if line.startswith("scorings:") else line for line in config.splitlines()]
    (root / "backend.yaml").write_text("\n".join(lines))
    config = (ROOT / "conf" / "evaluation.yaml").read_text()
    (root / "evaluation.yaml").write_text(config.replace("condition_trials: 100", "condition_trials: 8"))
    return root


def score(root, out, sets=("eval", "dev"), cohort=True, status=0, pairings=()):
    model = root / "exp" / "corpus" / "teacher_t_s0"
    done = run([
        "python3", ROOT / "pyscripts" / "score_sets.py", "--config", root / "backend.yaml", "--evaluation",
        root / "evaluation.yaml", "--backend", model / "backend" / "segment6", "--embeddings",
        model / "embeddings", "--level", "segment6", *(["--cohort", root / "data" / "train"] if cohort else []),
        *(word for pairing in pairings for word in ("--pairing", *pairing)), out,
        *(root / "data" / name for name in sets),
    ], PYTHONPATH=LIBRARY)  # fmt: skip
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def scored(root):
    out = root / "exp" / "corpus" / "teacher_t_s0" / "scores" / "segment6"
    score(root, out)
    return out


def test_every_list_is_scored_and_reported(root, scored):
    figures = json.loads((scored / "metrics.json").read_text())
    assert figures.keys() == {"dev", "dev_multi", "eval", "eval_multi"}
    for name, scorings in figures.items():
        assert scorings.keys() == {"cosine", "plda_asnorm", "plda"}
        trials = (root / "data" / name.partition("_")[0] / name.replace("dev", "trials").replace("eval", "trials"))
        asked = [line.rsplit(" ", 1) for line in trials.read_text().splitlines()]
        for scoring, one in scorings.items():
            lines = [line.rsplit(" ", 1) for line in (scored / f"{name}.{scoring}.txt").read_text().splitlines()]
            assert [line[0] for line in lines] == [line[0] for line in asked]
            assert one["trials"] == len(lines) and 0 < one["eer_percent"] < 50
            assert one["eer_ci"][0] < one["eer_percent"] < one["eer_ci"][1]
            # What is calibrated on the list of its kind costs little more than the least.
            assert one["calibrated_on"] == name.replace("eval", "dev")
            assert one["min_cllr"] < one["cllr"] < one["min_cllr"] + 0.2
    assert (scored / "det.tsv").read_text().count("\neval_multi\tplda_asnorm\t") > 20


def test_lists_are_reported_by_condition_as_well(root, scored):
    """By those that the data directory tells: here not by noise, nor by what has too few trials."""
    figures = json.loads((scored / "metrics.json").read_text())
    genders = dict(line.split() for line in (root / "data" / "eval" / "spk2gender").open())
    lines = [line.split() for line in (root / "data" / "eval" / "trials").open()]
    female = [kind for model, test, kind in lines if genders[model[:3]] == genders[test[:3]] == "f"]
    for one in figures["eval"].values():
        assert {condition: list(classes) for condition, classes in one["conditions"].items()} == {
            "gender": ["female", "male"], "duration": ["below 2 s", "2 to 3 s", "3 to 4 s", "4 to 8 s"]
        }  # fmt: skip
        about = one["conditions"]["gender"]["female"]
        assert (about["trials"], about["targets"]) == (len(female), female.count("target"))
    # Models of 1.5 and 2.5 s, tests from 3.5 s.
    assert list(figures["eval_multi"]["plda"]["conditions"]["duration"]) == ["3 to 4 s", "4 to 8 s"]
    with_intervals = {
        scoring for scoring, one in figures["eval"].items() if "eer_ci" in one["conditions"]["gender"]["male"]
    }
    assert with_intervals == {"plda"}


def test_scatter_of_the_training_speakers_and_of_others(root, scored, tmp_path):
    found = json.loads((scored / "scatter.json").read_text())
    assert (found["seen"]["speakers"], found["seen"]["utterances"]) == (12, 60)
    assert found["unseen"].keys() == {"dev", "eval"} and found["unseen"]["eval"]["speakers"] == 9
    for about in found["unseen"].values():
        low, high = about["quotient_ci"]
        # All speakers are drawn alike, and nothing has been trained on any.
        assert low < 1 < high and low < about["quotient"] < high


def test_processes_draw_alike(root, scored, tmp_path):
    """Another process, without the other set: the same draws, byte for byte the same scores."""
    score(root, tmp_path, ["eval"])
    before, again = read_draws(scored), read_draws(tmp_path)
    assert again and again.keys() < before.keys()
    for key, (name, rates) in again.items():
        assert before[key][0] == name and np.array_equal(before[key][1], rates)
    for path in tmp_path.glob("*.txt"):
        assert path.read_bytes() == (scored / path.name).read_bytes()


def test_without_a_development_set(root, tmp_path):
    done = score(root, tmp_path, ["eval"])
    assert done.stderr.count("no list of the set 'dev': nothing is calibrated") == 1
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert all("cllr" not in one and "eer_ci" in one for scorings in figures.values() for one in scorings.values())


def test_as_norm_needs_a_cohort(root, tmp_path):
    done = score(root, tmp_path / "scores", cohort=False, status=1)
    assert done.stderr.endswith("backend.yaml: scorings with AS-norm need --cohort; give it, or leave them out\n")
    assert not (tmp_path / "scores").exists()


def write_embeddings(path, change):
    """Embeddings of eval that differ from the teacher's; those of utterances that ``change`` gives None for are left
    out."""
    vectors = kaldiio.load_scp(str(path.parent / "eval" / "segment6.scp"))
    changed = {name: change(name, vector.copy()) for name, vector in vectors.items()}
    kaldiio.save_ark(f"{path}.ark", {name: v for name, v in changed.items() if v is not None}, scp=str(path))
    return path


def test_pairings_have_each_side_from_its_own_file(root, scored, tmp_path):
    model = root / "exp" / "corpus" / "teacher_t_s0"
    whole, backend = model / "embeddings" / "eval" / "segment6.scp", model / "backend" / "segment6"
    # Of eval_multi, u0 and u1 enrol and the others test: neither side may ask for those of the other.
    noise = np.random.default_rng(1)
    short = write_embeddings(
        model / "embeddings" / "short.scp", lambda name, v: None if name[-1] in "01" else v + noise.normal(size=DIM)
    )  # fmt: skip
    models = write_embeddings(
        model / "embeddings" / "models.scp", lambda name, v: v if name[-1] in "01" else None
    )  # fmt: skip
    # Another model's space is twice as large; its back end knows.
    large = write_embeddings(model / "embeddings" / "large.scp", lambda name, v: 2 * v)
    other = Backend.load(backend)
    Backend(2 * other.mean, np.hstack([other.transform[:, :-1] / 2, other.transform[:, -1:]]), other.plda).save(
        tmp_path / "other"
    )  # fmt: skip
    lists = [("eval", "same", whole, whole, backend), ("eval", "other", large, large, tmp_path / "other"),
             ("eval_multi", "2s", whole, short, backend), ("eval_multi", "2s_again", models, short, backend),
             ("eval_multi", "apart", models, whole, backend)]  # fmt: skip
    score(root, tmp_path / "scores", pairings=lists)
    figures, plain = (json.loads((path / "metrics.json").read_text()) for path in (tmp_path / "scores", scored))
    draws = read_draws(tmp_path / "scores")
    kept = ("trials", "eer_percent", "mindcf_0.01", "min_cllr")
    for name, scorings in figures.items():
        for scoring, one in scorings.items():
            found = one.pop("pairings", {})
            expected = {pairing for listed, pairing, *_ in lists if listed == name} if "_" not in scoring else set()
            assert found.keys() == expected and one == plain[name][scoring]
            for pairing in ("same", "other", "apart"):
                if pairing in found:
                    assert [found[pairing][key] for key in kept] == pytest.approx([one[key] for key in kept])
                    assert np.array_equal(draws[name, scoring, pairing][1], draws[name, scoring][1])
            if "2s" in found:
                assert found["2s"] == found["2s_again"] and found["2s"]["eer_percent"] != one["eer_percent"]
                assert draws[name, scoring, "2s"][0] == draws[name, scoring][0]
    assert "plda" in figures["eval"] and not list((tmp_path / "scores").glob("*2s*"))


def test_pairings_that_cannot_be(root, tmp_path):
    model = root / "exp" / "corpus" / "teacher_t_s0"
    whole, backend = model / "embeddings" / "eval" / "segment6.scp", model / "backend" / "segment6"
    done = score(root, tmp_path / "scores", pairings=[("evil", "1s", whole, whole, backend)], status=1)
    assert "--pairing evil: no such list (there are: dev, dev_multi, eval, eval_multi)" in done.stderr
    lacks = write_embeddings(
        model / "embeddings" / "lacks.scp", lambda name, v: None if name == "s41-u3" else v
    )  # fmt: skip
    done = score(root, tmp_path / "scores", ["eval"], pairings=[("eval", "1s", whole, lacks, backend)], status=1)
    assert f"data/eval/trials: 's41-u3' has no embedding in {lacks}; remove its trials, or add it" in done.stderr
    assert not (tmp_path / "scores" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("enrol_multi", "s41 s41-u0 s41-u1", "s41 s41-u0 s42-u1",
         "trials_multi: model 's41' is enrolled from 's41-u0' and 's42-u1', of two speakers"),
        ("enrol_multi", "s41 s41-u0 s41-u1\n", "", "trials_multi: model 's41' is not in "),
        ("trials", "s41-u0 s41-u1 target", "s41-u0 s41-u1 nontarget",
         "is a nontarget trial of the speakers 's41' and 's41'; mend the list of trials or utt2spk"),
        ("utt2spk", "s41-u1 s41\n", "", "trials: utterance 's41-u1' has no speaker; add it to utt2spk"),
    ],
)  # fmt: skip
def test_speakers_that_do_not_fit_are_told(root, tmp_path, file, old, new, message):
    path = root / "data" / "eval" / file
    whole = path.read_text()
    assert old in whole
    try:
        path.write_text(whole.replace(old, new))
        done = score(root, tmp_path, ["eval"], status=1)
    finally:
        path.write_text(whole)
    assert message in done.stderr and done.stderr.count("error:") == 1
    assert not (tmp_path / "metrics.json").exists()


def test_results_of_old_and_new_scores(root, scored, tmp_path):
    """A student whose scores an earlier version made stands in the table, and is named."""
    student = root / "exp" / "corpus" / "student_old_s0"
    (student / "scores" / "embedding").mkdir(parents=True)
    (student / "config.yaml").write_text(yaml.safe_dump({
        "role": "student", "teacher": "teacher_t_s0", "teacher_parameters": 1000, "parameters": 100, "seed": 0,
        "distilled": ["segment6"], "loss": "mse",
    }))  # fmt: skip
    old = {"trials": 10, "eer_percent": 12.5, "mindcf_0.01": 0.5, "mindcf_0.05": 0.4}
    (student / "scores" / "embedding" / "metrics.json").write_text(json.dumps(
        {name: {"cosine": old, "plda": old} for name in ("dev", "eval")}
    ))  # fmt: skip
    (tmp_path / "corpus.yaml").write_text((ROOT / "conf" / "corpora" / "tiny.yaml").read_text())
    for base in (ROOT / "conf" / "corpora").glob("*.yaml"):
        (tmp_path / base.name).write_text(base.read_text())
    done = run([
        "python3", ROOT / "pyscripts" / "make_results.py", "--evaluation", ROOT / "conf" / "evaluation.yaml",
        "--corpus", tmp_path / "corpus.yaml", root / "exp" / "corpus", tmp_path / "results",
    ], PYTHONPATH=LIBRARY)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "because an earlier version scored them: student_old_s0; repeat stage 9" in done.stderr
    records = json.loads((tmp_path / "results" / "results.json").read_text())
    by_key = {(record["role"], record["set"], record["scoring"]): record for record in records}
    teacher = by_key["teacher", "eval", "plda"]
    assert {"eer_ci", "cllr", "cllr_ci", "actdcf_0.01", "actdcf_0.05", "min_cllr", "calibrated_on"} <= teacher.keys()
    ratio = by_key["student", "eval", "plda"]
    assert ratio["eer_ratio"] == pytest.approx(12.5 / teacher["eer_percent"]) and ratio["eer_ratio_ci"] is None
    report = (tmp_path / "results" / "RESULTS.md").read_text()
    low, high = teacher["eer_ci"]
    assert f"| {teacher['eer_percent']:.2f} [{low:.2f}, {high:.2f}] |" in report
    assert f"| 12.50 | 12.50 | - | {ratio['eer_ratio']:.2f} | - |" in report
    assert report.index("## eval (") < report.index("## eval_multi (") < report.index("## dev (")
    assert report.index("## dev (") < report.index("## dev_multi (")
