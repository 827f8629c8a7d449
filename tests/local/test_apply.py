"""run.sh --apply: a finished model on new data, with what the model recorded and not what conf/ says today."""

import shutil
from dataclasses import replace

import kaldiio
import numpy as np
import pytest
import soundfile
import torch
from shell import ROOT, files, run

from xvkd import config
from xvkd.backend.backend import Backend
from xvkd.features.audio import read_audio
from xvkd.features.extraction import FeatureConfig, FeatureExtractor
from xvkd.features.network_input import InputConfig, network_input
from xvkd.features.vad import VadConfig, energy_vad
from xvkd.nets.models import STUDENTS, TEACHERS, BuildRecord, build_network, finish_model

DIM = 6
SPEAKERS, UTTERANCES = ("anna", "bert", "carl"), 3
NAMES = [f"{speaker}-{number}" for speaker in SPEAKERS for number in range(UTTERANCES)]


@pytest.fixture(scope="module")
def settings():
    """What the model reads: other features and another VAD than those of conf/."""
    conf = ROOT / "conf"
    features = replace(config.load(FeatureConfig, conf / "features" / "mfcc.yaml"), num_ceps=13, compress=False)
    vad = replace(config.load(VadConfig, conf / "features" / "vad.yaml"), vad_proportion_threshold=0.6)
    return config.load(InputConfig, conf / "inputs" / "mfcc_cmn_voiced.yaml"), features, vad


def write_model(folder, settings, package=STUDENTS, arch=None):
    """A model that nobody has trained, with a back end of its output."""
    reads, features, vad = settings
    torch.manual_seed(0)
    record = BuildRecord(package, "tdnn", arch or {"width": 8}, features.dim, DIM if package == STUDENTS else 0)
    network = build_network(record, "test")
    role = "student" if package == STUDENTS else "teacher"
    finish_model(folder, network, record, {
        "role": role, "loss": "mse", "seed": 0, "input": vars(reads), "features": vars(features), "vad": vars(vad),
    })  # fmt: skip
    draw = np.random.default_rng(0)
    speakers = np.repeat(np.arange(8), 5)
    vectors = draw.standard_normal((8, DIM))[speakers] + 0.3 * draw.standard_normal((40, DIM))
    Backend.train(vectors, speakers, 4, DIM, 0.0, 2).save(folder / "backend" / network.output_level)
    return network.eval()


def write_data(folder):
    """A Kaldi data directory: every speaker has a noise of their own, in bursts; labelled trials beside it."""
    draw = np.random.default_rng(1)
    (folder / "audio").mkdir(parents=True)
    for name in NAMES:
        tone = 2 * np.pi * 300 * (1 + SPEAKERS.index(name[:4])) / 16000 * np.arange(20000)
        signal = 2000 * np.sin(tone) * (np.arange(20000) % 6000 > 2000) + 20 * draw.standard_normal(20000)
        soundfile.write(folder / "audio" / f"{name}.wav", signal.astype(np.int16), 16000)
    (folder / "wav.scp").write_text("".join(f"{name} audio/{name}.wav\n" for name in NAMES))
    (folder / "utt2spk").write_text("".join(f"{name} {name[:4]}\n" for name in NAMES))
    pairs = [(a, b) for a in NAMES for b in NAMES if a < b]
    labels = {True: "target", False: "nontarget"}
    (folder / "list").write_text("".join(f"{a} {b} {labels[a[:4] == b[:4]]}\n" for a, b in pairs))
    (folder / "unlabelled").write_text("".join(f"{a} {b}\n" for a, b in pairs[:7]))


@pytest.fixture
def place(tmp_path, settings):
    """A folder of the user's, with a model and data; paths have spaces."""
    write_model(tmp_path / "my models" / "student_x", settings)
    write_data(tmp_path / "new data")
    return tmp_path


MODEL, DATA = "my models/student_x", "new data"


def apply(place, *options, model=MODEL, data=DATA, status=0):
    words = ["--apply", model, *(["--eval-dir", data] if data else []), "--nj", "1", *options]
    done = run([ROOT / "run.sh", *words], cwd=place)
    assert done.returncode == status, done.stderr
    return done


@pytest.mark.slow
def test_a_model_is_applied(place, settings):
    done = apply(place, "--trials", "new data/list")
    out = place / MODEL / "applied" / DATA
    assert "eval (36 trials)\n  cosine      EER " in done.stdout and done.stdout.count("minDCF(0.01)") == 3
    # The embeddings are those of the recorded features and VAD.
    reads, features, vad = settings
    network = write_model(place / "the same", settings)
    found = kaldiio.load_scp(str(out / "embeddings" / "eval" / "embedding.scp"))
    assert list(found) == NAMES
    for name in NAMES:
        frames = FeatureExtractor(features)(read_audio(place / DATA / "audio" / f"{name}.wav", 16000))
        frames = network_input(frames, energy_vad(frames, vad), reads)
        with torch.no_grad():
            expected = network(torch.from_numpy(frames)[None])["embedding"][0]
        np.testing.assert_allclose(found[name], expected, atol=1e-4)
    lines = (out / "scores" / "embedding" / "eval.plda.txt").read_text().splitlines()
    trials = (place / DATA / "list").read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [line.split()[:2] for line in trials]

    before = files(place)
    again = apply(place, "--trials", "new data/list")
    assert again.stdout == done.stdout and files(place) == before
    assert "up to date: embeddings, level embedding" in again.stderr

    # Without labels there are scores and no error rates; features and embeddings are as they were.
    done = apply(place, "--trials", "new data/unlabelled")
    assert done.stdout.endswith("eval (7 trials without labels)\n")
    assert len((out / "scores" / "embedding" / "eval.cosine.txt").read_text().splitlines()) == 7

    # The folder of another place is not mistaken for this one; a model that was moved still works.
    shutil.copytree(place / DATA, place / "elsewhere" / DATA)
    done = apply(place, data=f"elsewhere/{DATA}", status=1)
    assert f"has what was made of {place}/new data: name another folder with --apply-to, or remove it" in done.stderr
    shutil.move(place / MODEL, place / "moved")
    apply(place, "--apply-to", "there", model="moved", data=f"elsewhere/{DATA}")
    assert kaldiio.load_scp(str(place / "there" / "embeddings" / "eval" / "embedding.scp")).keys() == found.keys()
    assert not (place / MODEL).exists()


def test_what_is_missing_is_told(place, settings):
    before = files(place)
    assert "to which data? Give --eval-dir DIR" in apply(place, data="", status=1).stderr
    assert f"--eval-dir {place}/nowhere: no such folder" in apply(place, data="nowhere", status=1).stderr
    done = apply(place, model="new data", status=1)
    assert "new data: no finished model (config.yaml is missing); train it to its end, or name another" in done.stderr
    done = apply(place, "--level", "segment6", status=1)
    assert "--level segment6: " in done.stderr and "has no such level (there are: frame1, " in done.stderr
    done = apply(place, "--level", "stats", "--trials", "new data/list", status=1)
    assert "has no back end of the level 'stats'" in done.stderr and "or name a level that has one" in done.stderr
    assert "not --train-dir" in apply(place, "--train-dir", "new data", status=1).stderr
    assert {name: files(place)[name] for name in before} == before
    assert not list(place.glob("**/*.ark"))


def test_a_data_directory_that_lacks_something_is_told(place):
    (place / DATA / "wav.scp").unlink()
    done = apply(place, status=1)
    assert "neither wav.scp nor feats.scp is there; one of them is needed" in done.stderr


def test_dry_run(place):
    before = files(place)
    done = apply(place, "--dry-run", "--trials", "new data/list")
    for command in ("prepare_corpus", "compute_feats", "compute_vad", "extract_embeddings", "score_trials"):
        assert f"pyscripts/{command}.py" in done.stdout
    assert files(place) == before


LEVELS = {"frame4": 5.0, "stats": 4.0, "segment7": 6.0}


def test_a_teachers_level_is_the_best_on_dev(tmp_path, settings):
    arch = {"frame_widths": [6, 6, 6, 6, 8], "segment_widths": [DIM, DIM]}
    model = tmp_path / "teacher"
    write_model(model, settings, TEACHERS, arch)

    def level(*words):
        command = ["python3", ROOT / "pyscripts" / "model_settings.py", "--conf", ROOT / "conf", *words, model]
        return run(command, PYTHONPATH=str(ROOT / "pyscripts"))

    assert level().stdout == "segment7\n" and "level segment7 (its output)" in level().stderr
    for name, error in LEVELS.items():
        path = model / "scores" / name / "metrics.json"
        path.parent.mkdir(parents=True)
        path.write_text(f'{{"dev": {{"plda": {{"eer_percent": {error}}}}}, "eval": {{}}}}')
    assert level().stdout == "stats\n" and "level stats (best on dev, by plda)" in level().stderr
    assert level("--level", "frame4").stdout == "frame4\n"
    (model / "scores" / "stats" / "metrics.json").write_text("{")
    assert level().stdout == "frame4\n" and "stats/metrics.json: not counted" in level().stderr
