"""fold_model.py as users run it: a model's folder that scores as the one it was made of, or one clear sentence."""

import hashlib
import shutil

import numpy as np
import pytest
import torch
import yaml
from backend_files import command
from small_networks import FEATURES

from xvkd import config
from xvkd.backend.backend import SCORINGS, Backend, BackendConfig
from xvkd.backend.score_normalisation import Cohort
from xvkd.backend.scoring import TRIALS_AT_ONCE, Scorer, average
from xvkd.nets.extraction import ExtractionConfig, extract
from xvkd.nets.models import STUDENTS, TEACHERS, BuildRecord, build_network, finish_model, load_model

SPEAKERS = np.repeat(np.arange(10), 5)
CHUNKS = ExtractionConfig(20, 50, 500, 100)  # longer utterances are averages over chunks of 50 frames
SIZE = 40  # of the student's embedding, which reads 32 values
RECORDS = {
    "student": BuildRecord(STUDENTS, "tdnn", {"width": 16}, FEATURES, SIZE),
    "teacher": BuildRecord(TEACHERS, "tdnn", {"frame_widths": [16] * 5, "segment_widths": [12, 6]}, FEATURES, 0),
}


@pytest.fixture(scope="module")
def utterances():
    """Noise of a colour that its speaker has, of 30 to 130 frames."""
    random = np.random.default_rng(3)
    colours = random.standard_normal((10, FEATURES, FEATURES))
    noises = [random.standard_normal((random.integers(30, 130), FEATURES)) for _ in SPEAKERS]
    coloured = [noise @ colours[speaker] + 0.3 for noise, speaker in zip(noises, SPEAKERS, strict=True)]
    return [(f"u{number}", frames.astype(np.float32)) for number, frames in enumerate(coloured)]


def embeddings_of(network, level, utterances):
    found = extract(network, utterances, [level], CHUNKS, torch.device("cpu"))
    return np.stack([levels[level] for _, levels in found])


@pytest.fixture(scope="module")
def models(utterances, tmp_path_factory):
    """A student and a teacher whose BatchNorms know these utterances, with a back end of each level that matters."""
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    batch = torch.from_numpy(np.stack([frames[:30] for _, frames in utterances]))
    for name, record in RECORDS.items():
        network = build_network(record, name)
        for _ in range(50):
            network(batch)
        content = {"role": name, "loss": "mse", "seed": 7, "input": {"vad": "x"}}
        finish_model(root / name, network.eval(), record, content)
        for level in ("embedding",) if name == "student" else ("segment6", "segment7"):
            vectors = embeddings_of(network, level, utterances)
            Backend.train(vectors, SPEAKERS, 4, 8, 0.0, 3).save(root / name / "backend" / level)
    return root


def scores_of(folder, level, utterances, options):
    """By every scoring, plain and with AS-norm: models of one to three utterances against all."""
    network, backend = load_model(folder)[0], Backend.load(folder / "backend" / level)
    vectors = embeddings_of(network, level, utterances)
    averages, num_utts = average([(f"m{i}", range(5 * i, 5 * i + 1 + i % 3)) for i in range(10)], vectors)
    models, rows = (index.ravel() for index in np.indices((len(averages), len(vectors))))
    found = {}
    for name in SCORINGS:
        scorer = Scorer.of(name, backend, None, options)
        tests = scorer.tests(vectors)
        found[name] = scorer.models(averages, num_utts).score_trials(tests, models, rows, TRIALS_AT_ONCE)
        found[f"{name}_asnorm"] = Cohort.of("speakers", 4, vectors, SPEAKERS).normalise(
            found[name], scorer, averages, num_utts, tests, models, rows
        )
    return found


def assert_same(ours, expected):
    """As far as float32 goes: 1e-4 of the scores' deviation; 1e-3 after AS-norm, which divides by that of 4 scores."""
    for name in expected:
        most = 1e-3 if name.endswith("_asnorm") else 1e-4
        assert np.abs(ours[name] - expected[name]).max() < most * expected[name].std(), name


@pytest.mark.parametrize(
    ("name", "level", "sizes"),
    [("student", "embedding", {"qr": 33, "lda": 4}), ("teacher", "segment6", {"lda": 4})],
)
def test_scores_stay_as_they_are(models, utterances, conf, tmp_path, name, level, sizes):
    model, options = models / name, config.load(BackendConfig, conf / "backend.yaml")
    chosen = () if name == "student" else ("--level", level)
    methods = [word for method in sizes for word in ("--method", method)]
    folders = [tmp_path / method for method in sizes]
    done = command("fold_model.py", *methods, *chosen, "--backend", model / "backend" / level, model, *folders)
    before = yaml.safe_load((model / "config.yaml").read_text())
    expected = scores_of(model, level, utterances, options)
    for method, size in sizes.items():
        after = yaml.safe_load((tmp_path / method / "config.yaml").read_text())
        assert after["folded"] == {
            "model": name, "sha256": hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest(),
            "method": method, "level": level, "size": before["levels"][level]["size"],
            "parameters": before["levels"][level]["parameters"], "plda_parameters": 24,
        }  # fmt: skip
        assert after["levels"]["embedding"]["size"] == size and list(after["levels"])[-1] == "embedding"
        assert (after["role"], after["seed"], after["input"]) == (name, 7, {"vad": "x"})
        assert f"{method} of {level}: {size} values from" in done.stderr
        assert f"{after['parameters']} parameters from {before['levels'][level]['parameters']}" in done.stderr
        if method == "lda":
            expected |= {scoring: expected[f"lda_{scoring}"] for scoring in ("cosine", "cosine_asnorm")}
        assert_same(scores_of(tmp_path / method, "embedding", utterances, options), expected)


def test_what_cannot_be_folded_is_told(models, tmp_path):
    def edited(name, change):
        """A copy of the student with another record."""
        shutil.copytree(models / "student", tmp_path / name)
        record = yaml.safe_load((tmp_path / name / "config.yaml").read_text())
        change(record)
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump(record))
        return tmp_path / name

    student, teacher = models / "student", models / "teacher"
    lda, backend = ("--method", "lda"), ("--backend", student / "backend" / "embedding")
    once = edited("once", lambda record: record.update(folded={"method": "lda", "model": "first"}))
    onnx = edited("onnx", lambda record: record["build"].update(package="onnx"))
    (onnx / "model.onnx").write_bytes(b"")
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "config.yaml").write_text("role: teacher\n")
    for message, *arguments in [
        ("--method lda: whose LDA? Give --backend DIR", *lda, student),
        ("2 times --method, but 1 OUT: give as many", *lda, "--method", "qr", *backend, student),
        ("once: has been folded before (lda); fold what it was made of, first", *lda, *backend, once),
        ("once: has been folded before (lda)", "--method", "qr", once),
        ("onnx: came as an ONNX file, whose layers are not known here", *lda, *backend, onnx),
        ("given: no finished model (model.safetensors is missing)", *lda, *backend, tmp_path / "given"),
        ("no level 'segment9' (there are: frame1, ", *lda, *backend, "--level", "segment9", teacher),
        (f"embedding: made for {SIZE}-dimensional embeddings, this network's have 6", *lda, *backend, teacher),
        ("segment7: is the back end of the level segment7; give that of segment6", *lda, "--backend",
         teacher / "backend" / "segment7", "--level", "segment6", teacher),
        ("teacher: no affine layer gives the level stats, so that there is nothing to fold", "--method", "qr",
         "--level", "stats", teacher),
    ]:  # fmt: skip
        done = command("fold_model.py", *arguments, tmp_path / "folded", status=1)
        assert message in done.stderr.splitlines()[-1], done.stderr
        assert not (tmp_path / "folded").exists()
    done = command("fold_model.py", *lda, *backend, student, student / "backend" / "..", status=1)
    assert "is the model itself; name another folder" in done.stderr
