"""The presets for real corpora and for telephones, whole, on the tiny corpus in place of what they are made for."""

import json
import re

import kaldiio
import numpy as np
import pytest
import soundfile
import yaml
from noise_trees import write_musan, write_rirs
from scipy.signal import resample_poly
from shell import ROOT, run

from xvkd.kaldi.tables import read_table

SPEAKERS = {"train": 8, "dev": 4, "eval": 4}
SMALL = [
    "--corpus", "tiny", "--teacher", "tdnn_tiny", "--student", "tdnn16", "--nj", "2", "--corpus-set",
    " ".join(f"options.sets.{name}.speakers={number}" for name, number in SPEAKERS.items()),
]  # fmt: skip


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    root = tmp_path_factory.mktemp("noise")
    return ["--musan", write_musan(root / "musan"), "--rirs", write_rirs(root / "RIRS_NOISES")]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Runs a preset; returns its folder of experiments, and what it said. All share data."""
    root = tmp_path_factory.mktemp("presets")

    def start(preset, *options, status=0):
        where = ["--data-root", root / "data", "--exp-root", root / preset]
        done = run([ROOT / "run.sh", "--preset", preset, *where, *options])
        assert done.returncode == status, done.stderr
        return root / preset, done

    return start


def results(experiment):
    return json.loads((experiment / "results" / "results.json").read_text())


@pytest.mark.parametrize("preset", ["kaldi_voxceleb", "aam_voxceleb"])
def test_what_is_missing_is_told_before_anything_runs(recipe, trees, preset, tmp_path):
    told = r"run\.sh: error: --preset {} needs --musan DIR \(MUSAN as .*org/17\), --rirs DIR \(.*org/28\): give it"
    _, done = recipe(preset, "--corpus", "tiny", "--corpus-set", "", status=1)
    assert re.match(told.format(preset), done.stderr) and len(done.stderr.splitlines()) == 1
    _, done = recipe(preset, "--corpus", "tiny", "--corpus-set", "", *trees[:2], status=1)
    assert f"--preset {preset} needs --rirs DIR" in done.stderr and "--musan" not in done.stderr
    _, done = recipe(preset, "--corpus", "tiny", *trees[:3], tmp_path / "nowhere", status=1)
    assert re.search(r"--rirs '.*nowhere': no such folder\n$", done.stderr)
    recipe(preset, *SMALL, "--teacher-set", "", "--student-set", "", "--needs", "", "--dry-run")


@pytest.mark.slow
def test_kaldis_protocol_runs_whole(recipe, trees):
    choice = "training.min_frames=230 training.min_utterances=16"
    students = ["--students", "label frame+segment6"]
    exp, done = recipe(
        "kaldi_voxceleb", *SMALL, *trees, *students, "--teacher-set", f"objective=softmax {choice}", "--student-set",
        choice,
    )  # fmt: skip
    copies = exp.parent / "data" / "tiny" / "train_kaldi"
    kinds = {name.removeprefix(f"{original}-") for name, original in read_table(copies / "utt2uniq").items()}
    assert kinds == {"noise", "music", "babble", "reverb"}
    experiment = exp / "tiny-kaldi"
    teacher = experiment / "teacher_tdnn_tiny_softmax_s0"
    told = (teacher / "log" / "train.1.log").read_text()
    left = re.search(r"(\d+) of (\d+) utterances left out: fewer than 230 frames", told)
    assert left and 0 < int(left[1]) < int(left[2]) == 5 * 6 * SPEAKERS["train"]
    # Of two speakers three utterances are long enough, fifteen with their copies.
    assert re.search(r"2 of 8 speakers left out, with 30 utterances: fewer than 16 each", told)
    # Back ends have seen every clean utterance, and no copy.
    assert "--further" not in (experiment / "log" / "train_backends.jobs").read_text()
    record = yaml.safe_load((teacher / "config.yaml").read_text())
    assert (record["training"]["min_frames"], record["training"]["min_utterances"]) == (230, 16)
    figures = results(experiment)
    assert {"mindcf_0.01", "mindcf_0.001"} <= {key for one in figures for key in one}
    assert not {one["set"] for one in figures if "noisy" in one["set"]}
    again = recipe(
        "kaldi_voxceleb", *SMALL, *trees, *students, "--teacher-set", f"objective=softmax {choice}", "--student-set",
        choice, "--backend-set", "lda_dim=5", "--stage", "4",
    )[1]  # fmt: skip
    redone = re.findall(r"\d (\S[^(\n]*) \(changed since: [^)]*\)", again.stderr)
    assert any(title.startswith("back end: ") for title in redone)
    assert any(title.startswith("scores: ") for title in redone)
    # Those of the exported student follow its back end, folded in, where the same student is the best before and after.
    kept = ("train ", "embeddings of the teacher", "embeddings of the student")
    assert not any(title.startswith(kept) for title in redone)


@pytest.mark.slow
def test_the_fields_protocol_runs_whole(recipe, trees):
    exp, _ = recipe(
        "aam_voxceleb", *SMALL, *trees, "--teacher-set",
        "input=fbank80_wespeaker training.fine_tuning.epochs=1 training.fine_tuning.margin=0.5",
        "--student-set", "input=fbank80_wespeaker", "--students", "label segment6",
    )  # fmt: skip
    experiment = exp / "tiny-online-sp"
    figures = results(experiment)
    assert {one["scoring"] for one in figures if one["role"] == "student"} == {"cosine", "cosine_asnorm", "plda"}
    assert {one["scoring"] for one in figures if one["role"] == "export"} == {"plda"}
    table = (experiment / "results" / "RESULTS.md").read_text()
    assert "EER cosine_asnorm (%)" in table and "by cosine_asnorm" in table
    record = yaml.safe_load((experiment / "teacher_tdnn_tiny_s0" / "config.yaml").read_text())
    assert record["input"]["features"] == "fbank80_hamming" and record["augmentation"]["online"] > 0
    assert (experiment / "best_student").read_text().strip().endswith("_s0")


@pytest.mark.slow
def test_telephone_runs_whole_and_its_verifier_takes_any_rate(recipe, tmp_path):
    """At 8 kHz from one end to the other: features, VAD, networks, the exported verifier."""
    exp, _ = recipe("telephone", *SMALL, "--students", "label segment6:lda_cosine")
    data, experiment = exp.parent / "data" / "tiny", exp / "tiny-8k-telephone"
    assert (data / "train" / "feats_mfcc_8k.scp").exists() and (data / "train" / "vad_8k.scp").exists()
    record = yaml.safe_load((experiment / "teacher_tdnn_tiny_s0" / "config.yaml").read_text())
    assert record["features"]["sample_frequency"] == 8000 and record["build"]["input_dim"] == 23
    assert record["input"]["vad"] == "vad_8k" and record["vad"]["features"] == "mfcc_8k"
    model = (experiment / "best_student").read_text().strip() + "/export"
    exported = [one for one in results(experiment) if one["role"] == "export" and one["set"] == "eval"]
    assert {one["reads"] for one in exported} == {"waveform", "features"}
    rates = {one["eer_percent"] for one in exported}
    assert max(rates) - min(rates) < 5  # points: the graph computes what stage 3 did
    wide = next((data / "audio" / "eval").rglob("*.wav"))
    samples, rate = soundfile.read(wide)
    soundfile.write(tmp_path / "narrow.wav", resample_poly(samples, 8000, rate), 8000)
    done = run(
        ["python3", ROOT / "pyscripts" / "verify.py", "embed", "--model", ROOT / model / "student.onnx", wide,
         tmp_path / "narrow.wav", "--output", f"ark:{tmp_path}/x.ark"],
        PYTHONPATH=str(ROOT / "pyscripts"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, other = (vector / np.linalg.norm(vector) for _, vector in kaldiio.load_ark(str(tmp_path / "x.ark")))
    assert rate == 16000 and one @ other > 0.99


def test_telephone_is_of_one_rate(recipe, tmp_path):
    """Features, VAD and networks, and a VAD of another rate is told."""
    roots = ["--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp"]  # where nothing is up to date
    _, done = recipe("telephone", "--corpus", "tiny", "--students", "label", *roots, "--dry-run")
    assert re.search(r"features of train, mfcc_8k\n", done.stderr) and "features of train\n" not in done.stderr
    assert re.search(r"compute_vad\.py' '--config' 'conf/features/vad_8k\.yaml'.*feats_mfcc_8k\.scp", done.stdout)
    for script in ("train_teacher", "train_student"):
        assert re.search(rf"{script}\.py .*--set input=mfcc_8k_cmn_voiced --set input\.vad=vad_8k", done.stdout)
    _, done = recipe("tiny", "--student-set", "input=mfcc_8k_cmn_voiced input.vad=vad", "--stop-stage", "0", status=1)
    assert "is of 8000 Hz, and vad: vad reads mfcc, of 16000 Hz" in done.stderr
