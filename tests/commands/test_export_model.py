"""export_model.py and what follows it, as users run them: files, embeddings, scores, and a card."""

import json
import shutil

import numpy as np
import onnxruntime
import pytest
import soundfile
import yaml
from backend_files import command, read_table
from shell import ROOT
from signals import bursts
from small_networks import seasoned
from student_files import write_data

from xvkd import config
from xvkd.backend.backend import Backend
from xvkd.nets.models import STUDENTS, BuildRecord, finish_model

CONF = ROOT / "conf"
FILES = ["student.features.onnx", "student.onnx", "student.features.int8.onnx", "student.int8.onnx"]
UTTERANCES = [f"{speaker}-{number}" for speaker in "abcdef" for number in range(3)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A student of width 8, its back end folded in, and a data directory with audio, features, VAD and trials."""
    root = tmp_path_factory.mktemp("export")
    data = write_data(root / "dev", UTTERANCES)
    for seed, utterance in enumerate(UTTERANCES):
        soundfile.write(data / f"{utterance}.wav", bursts(16000, seed=seed), 16000)
    (data / "wav.scp").write_text("".join(f"{utterance} {data / utterance}.wav\n" for utterance in UTTERANCES))
    pairs = [(one, other) for one in UTTERANCES[::3] for other in UTTERANCES if one != other]
    kinds = {True: "target", False: "nontarget"}
    (data / "trials").write_text("".join(f"{a} {b} {kinds[a[0] == b[0]]}\n" for a, b in pairs))
    record = BuildRecord(STUDENTS, "tdnn", {"width": 8}, 30, 12)
    sections = {
        "features": config.read_tree(CONF / "features" / "mfcc.yaml"),
        "vad": config.read_tree(CONF / "features" / "vad.yaml"),
        "input": config.read_tree(CONF / "inputs" / "mfcc_cmn_voiced.yaml"),
    }
    content = {"role": "student", "teacher": "t", "distilled": ["frame"], "loss": "mse", "seed": 0, **sections}
    finish_model(root / "model", seasoned(record, 0), record, content)
    random = np.random.default_rng(0)
    vectors = random.standard_normal((60, 12)) + np.repeat(3 * random.standard_normal((20, 12)), 3, axis=0)
    backend = Backend.train(vectors, np.repeat(np.arange(20), 3), 6, 12, 0.0, 2)
    backend.save(root / "model" / "backend" / "embedding")
    command(
        "fold_model.py", "--method", "lda", "--backend", root / "model" / "backend" / "embedding", root / "model",
        root / "folded",
    )  # fmt: skip
    return root


def export(model, data, folder, status=0):
    return command(
        "export_model.py", "--config", CONF / "export.yaml", "--extraction", CONF / "extraction.yaml", "--data-dir",
        data, model, folder, status=status,
    )  # fmt: skip


def test_from_a_model_to_a_card(root, tmp_path):
    folder, data = tmp_path / "export", root / "dev"
    done = export(root / "folded", data, folder)
    assert (folder / "files").read_text().split() == FILES
    assert {path.name for path in folder.iterdir()} == {*FILES, "files", "plda"}
    # One line a file, and nothing that is meant for somebody else.
    assert len(done.stderr.splitlines()) == 5, done.stderr
    ours, given = (Backend.load(root / "folded" / "backend" / "embedding").plda.psi, kaldis_psi(folder / "plda"))
    np.testing.assert_allclose(given, ours, rtol=1e-6)

    # Embeddings of the data directory: those of PyTorch.
    command("extract_embeddings.py", "--config", CONF / "extraction.yaml", "--model", root / "folded", "--levels",
            "embedding", data, tmp_path / "torch")  # fmt: skip
    for kind in ("student.features", "student"):
        models = [word for name in (kind, f"{kind}.int8") for word in ("--model", folder / f"{name}.onnx")]
        command("extract_exported.py", *models, tmp_path / "embeddings", data)
    keys, expected = read_table(tmp_path / "torch" / "embedding.ark")
    found = {name: read_table(tmp_path / "embeddings" / name / "dev" / "embedding.ark")
             for name in ("student.features", "student.features.int8", "student", "student.int8")}  # fmt: skip
    assert all(names == keys for names, _ in found.values())
    np.testing.assert_allclose(found["student.features"][1], expected, atol=1e-4)
    session = onnxruntime.InferenceSession(folder / "student.onnx")
    samples, _ = soundfile.read(data / f"{keys[0]}.wav", dtype="float32")
    np.testing.assert_allclose(
        session.run(["embedding"], {"waveform": samples[None]})[0][0], found["student"][1][0], atol=1e-4
    )
    mixed = [word for name in FILES[:2] for word in ("--model", folder / name)]
    done = command("extract_exported.py", *mixed, tmp_path / "mixed", data, status=1)
    assert "some read waveforms, some features; run the command once for each kind" in done.stderr

    for name in found:
        command(
            "score_sets.py", "--config", CONF / "backend.yaml", "--scorings", "plda", "--evaluation",
            CONF / "evaluation.yaml", "--backend", root / "folded" / "backend" / "embedding", "--embeddings",
            tmp_path / "embeddings" / name, "--level", "embedding", folder / "scores" / name, data,
        )  # fmt: skip
    about = ["--evaluation", CONF / "evaluation.yaml", "--config", CONF / "backend.yaml", "--corpus",
             CONF / "corpora" / "synthetic.yaml", "--data-dir", data]  # fmt: skip
    command("write_card.py", *about, "--dev-dir", data, root / "folded", folder)
    card, rule = (folder / "README.md").read_text(), json.loads((folder / "calibration.json").read_text())
    calibrated = json.loads((folder / "scores" / "student.int8" / "calibration.json").read_text())["dev"]["plda"]
    assert rule["scale"] == pytest.approx(calibrated["scale"], rel=0.1)  # scores have few digits in files
    assert list(rule["operating_points"]) == ["eer", "0.01", "0.05"]
    assert rule["scoring"] == {
        "normalize_length": True, "simple_length_normalization": False, "smoothing": 0.0
    }  # fmt: skip
    figures = json.loads((folder / "scores" / "student.int8" / "metrics.json").read_text())["dev"]["plda"]
    assert f"| student.int8.onnx | {(folder / 'student.int8.onnx').stat().st_size:,} | waveform | " in card
    assert f"{figures['eer_percent']:.2f} [" in card
    for words in ("distilled from frame of t", "synthetic speech", "18 utterances of 6 speakers", "Apache-2.0"):
        assert words in card


def kaldis_psi(path):
    """The variances of a PLDA file, by another reader: the vector in front of the last tag."""
    size = 6
    return np.frombuffer(path.read_bytes().split(b"</Plda>")[0][-4 * size :], "<f4")


def test_what_cannot_be_exported_is_told(root, tmp_path):
    def edited(name, change):
        shutil.copytree(root / "folded", tmp_path / name)
        record = yaml.safe_load((tmp_path / name / "config.yaml").read_text())
        change(record)
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump(record))
        return tmp_path / name

    onnx = edited("onnx", lambda record: record["build"].update(package="onnx"))
    (onnx / "model.onnx").write_bytes(b"")
    bare = edited("bare", lambda record: None)
    shutil.rmtree(bare / "backend")
    for model, message in [
        (root / "model", "model: mean and LDA are not in the network; fold it with fold_model.py --method lda"),
        (onnx, "onnx: came as an ONNX file: use that one"),
        (bare, "plda: no such file; fold the model again"),
        (tmp_path / "nobody", "nobody: no finished model (config.yaml is missing)"),
    ]:
        done = export(model, root / "dev", tmp_path / "out", status=1)
        assert message in done.stderr and not (tmp_path / "out").exists()
