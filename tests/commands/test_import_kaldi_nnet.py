"""import_kaldi_nnet.py as users run it: a model folder that the other commands take, or one clear sentence."""

import hashlib

import kaldiio
import numpy as np
import pytest
import soundfile
import yaml
from nnet3_files import small_etdnn, small_tdnn, write
from shell import ROOT, files, run

from xvkd.features.extraction import FeatureExtractor
from xvkd.features.vad import energy_vad
from xvkd.nets.models import load_model
from xvkd.training.config import load_input_config

INPUT = ROOT / "conf" / "inputs" / "mfcc_cmn_voiced.yaml"


def python(command, *arguments, status=0):
    done = run(["python3", ROOT / "pyscripts" / command, *arguments], PYTHONPATH=str(ROOT / "pyscripts"))
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def model(golden, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "teacher"
    python("import_kaldi_nnet.py", "--config", INPUT, golden / "nnet3" / "final.raw", folder)
    return folder


def test_the_model_says_what_it_is(model, golden, conf):
    network, record = load_model(model)
    assert sorted(path.name for path in model.iterdir()) == ["config.yaml", "model.safetensors"]
    assert (record["role"], record["loss"], record["seed"]) == ("teacher", "kaldi", 0)
    assert record["parameters"] == network.num_parameters() == 35456
    assert record["levels"]["frame"] == {"size": 96, "parameters": 28224, "fan_in": None}
    assert record["build"]["network"] == "tdnn" and record["input"] == yaml.safe_load(INPUT.read_text())
    assert record["features"]["num_ceps"] == 30 and record["vad"]["vad_frames_context"] == 2
    assert record["nnet3"]["components"]["segment6"] == "tdnn6.affine"
    content = (golden / "nnet3" / "final.raw").read_bytes()
    assert record["nnet3"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_from_the_recording_to_kaldis_xvector(model, golden, tmp_path):
    """Our features, VAD, CMN and network against Kaldi's, on a recording and on one too short for the network."""
    _, features, vad = load_input_config(INPUT)
    extractor, data = FeatureExtractor(features), tmp_path / "data"
    data.mkdir()
    frames = {
        name: extractor(soundfile.read(golden / "features" / f"{name}.wav", dtype="int16")[0].astype(np.float32))
        for name in ("s2-u1", "x2-short")
    }
    voiced = {name: energy_vad(matrix, vad) for name, matrix in frames.items()}
    kaldiio.save_ark(str(data / "feats.ark"), frames, scp=str(data / "feats.scp"))
    kaldiio.save_ark(str(data / "vad.ark"), voiced, scp=str(data / "vad.scp"))
    (data / "utt2spk").write_text("s2-u1 s2\nx2-short x2\n")
    options = ["--config", ROOT / "conf" / "extraction.yaml", "--model", model, "--levels", "segment6"]
    python("extract_embeddings.py", *options, data, tmp_path / "found")
    found = kaldiio.load_scp(str(tmp_path / "found" / "segment6.scp"))
    for name, expected in kaldiio.load_ark(str(golden / "nnet3" / "xvector.txt")):
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=2e-3, err_msg=name)


def test_an_extended_network_in_text_form(tmp_path):
    """With features of its own size, configured beside it."""
    for name in ("inputs", "features"):
        (tmp_path / "conf" / name).mkdir(parents=True)
    for path in ("features/vad.yaml", "inputs/mfcc_cmn_voiced.yaml"):
        (tmp_path / "conf" / path).write_text((ROOT / "conf" / path).read_text())
    mfcc = (ROOT / "conf" / "features" / "mfcc.yaml").read_text().replace("num_ceps: 30", "num_ceps: 3")
    (tmp_path / "conf" / "features" / "mfcc.yaml").write_text(mfcc)
    nnet3 = write(tmp_path / "final.raw.txt", small_etdnn(), binary=False)
    done = python(
        "import_kaldi_nnet.py", "--config", tmp_path / "conf/inputs/mfcc_cmn_voiced.yaml", nnet3, tmp_path / "model"
    )
    network, record = load_model(tmp_path / "model")
    assert (record["build"]["network"], record["build"]["input_dim"]) == ("etdnn", 3)
    assert list(network.levels)[-4:] == ["frame", "stats", "segment6", "segment7"]
    assert "tdnn10.affine: frame10, 7 values" in done.stderr


def truncated(path):
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, r"final.raw: truncated"),
        (lambda path: write(path, small_tdnn()),
         "final.raw: reads 3 features a frame, but the configured ones have 30: configure the features"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_leaves_nothing(golden, tmp_path, damage, message):
    path = tmp_path / "final.raw"
    path.write_bytes((golden / "nnet3" / "final.raw").read_bytes())
    damage(path)
    before = files(tmp_path)
    done = python("import_kaldi_nnet.py", "--config", INPUT, path, tmp_path / "model", status=1)
    assert done.stderr.startswith("import_kaldi_nnet.py: error: ") and message in done.stderr
    assert len(done.stderr.splitlines()) == 1 and files(tmp_path) == before


def test_help_names_kaldis_program():
    assert "nnet3-xvector-compute" in python("import_kaldi_nnet.py", "--help").stdout
