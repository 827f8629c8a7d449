"""import_onnx.py as users run it: a teacher's folder that the other commands take, or one clear sentence."""

import hashlib

import kaldiio
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from onnx_files import xvector
from shell import ROOT, files, run

from xvkd.distillation.teacher import Teacher
from xvkd.errors import UserError
from xvkd.features.network_input import InputConfig, network_input
from xvkd.nets.models import TEACHERS, BuildRecord, build_network, load_model

INPUT = ROOT / "conf" / "inputs" / "fbank80_wespeaker.yaml"
EXTRACTION = ROOT / "conf" / "extraction.yaml"
LEVELS = {"frame": 24, "stats": 48, "segment6": 12}
NODES = "frame=FRAME5,stats=stats,segment6=segment6"  # a node's name is that of its tensor, in capitals


def python(command, *arguments, status=0):
    done = run(["python3", ROOT / "pyscripts" / command, *arguments], PYTHONPATH=str(ROOT / "pyscripts"))
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    arch = {"frame_widths": [16, 16, 16, 16, 24], "segment_widths": [12, 10]}
    network = build_network(BuildRecord(TEACHERS, "tdnn", arch, 80, 0), "small")
    with torch.no_grad():
        network(3 * torch.randn(8, 60, 80) + 1)
    return network.eval()


@pytest.fixture(scope="module")
def onnx_file(network, tmp_path_factory):
    return xvector(network).save(tmp_path_factory.mktemp("onnx") / "owned.onnx", "segment7")


@pytest.fixture(scope="module")
def model(onnx_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "teacher"
    python("import_onnx.py", "--config", INPUT, "--levels", NODES, onnx_file, folder)
    return folder


def test_the_model_says_what_it_is(model, onnx_file):
    assert sorted(path.name for path in model.iterdir()) == ["config.yaml", "model.onnx"]
    network, record = load_model(model)
    assert (record["role"], record["loss"], record["seed"]) == ("teacher", "given", 0)
    assert {level: about["size"] for level, about in record["levels"].items()} == network.levels == LEVELS
    assert record["parameters"] == network.num_parameters() > record["levels"]["segment6"]["parameters"]
    assert record["levels"]["frame"] == {"size": 24, "parameters": network.num_parameters("frame")}
    assert record["build"]["input_dim"] == 80 and record["build"]["arch"]["min_frames"] == 15
    assert record["onnx"]["file"] == "owned.onnx" and record["onnx"]["levels"]["frame"] == "frame5"
    assert record["onnx"]["sha256"] == hashlib.sha256(onnx_file.read_bytes()).hexdigest()
    assert record["input"] == {**yaml.safe_load(INPUT.read_text())}
    assert (record["features"]["window_type"], record["features"]["num_mel_bins"]) == ("hamming", 80)
    assert record["vad"]["kind"] == "energy"


def test_its_outputs_are_the_levels(model, network):
    """For whoever runs model.onnx alone."""
    session = onnxruntime.InferenceSession(model / "model.onnx")
    features = np.random.default_rng(0).standard_normal((2, 40, 80), np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(features), levels=list(LEVELS))
    for (level, size), output, values in zip(
        LEVELS.items(), session.get_outputs(), session.run(None, {"feats": features}), strict=True
    ):
        assert output.name.rstrip("_") == level and output.shape == ["batch", size]
        np.testing.assert_allclose(values, expected[level], rtol=1e-4, atol=1e-4)


def test_embeddings_are_those_of_the_network_in_pytorch(model, network, tmp_path):
    random = np.random.default_rng(0)
    data = tmp_path / "data"
    data.mkdir()
    reads = InputConfig(**load_model(model)[1]["input"])
    features = {f"a-{i}": 5 + random.standard_normal((n, 80), np.float32) for i, n in enumerate((90, 7, 41, 25))}
    kaldiio.save_ark(str(data / "feats.ark"), features, scp=str(data / f"{reads.feats_name}.scp"))
    (data / "utt2spk").write_text("".join(f"{name} a\n" for name in features))
    python("extract_embeddings.py", "--config", EXTRACTION, "--model", model, data, tmp_path / "found")
    assert (tmp_path / "found" / "levels").read_text() == "frame\nstats\nsegment6\n"
    for level in LEVELS:
        found = kaldiio.load_scp(str(tmp_path / "found" / f"{level}.scp"))
        for name, frames in features.items():
            read = network_input(frames, None, reads)
            np.testing.assert_allclose(read, frames - frames.mean(axis=0), atol=1e-5)
            missing = max(25 - len(read), 0)
            read = np.pad(read, ((missing // 2, missing - missing // 2), (0, 0)), mode="edge")
            with torch.no_grad():
                expected = network(torch.from_numpy(read)[None], levels=[level])[level][0]
            np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-4, err_msg=f"{name} {level}")


def test_a_student_knows_it_as_any_teacher(model):
    teacher = Teacher.read(model)
    assert teacher.levels == LEVELS and teacher.label_size() == 12
    assert teacher.parameters_for(["frame", "segment6"]) == load_model(model)[0].num_parameters("segment6")


def test_it_can_be_applied(model, tmp_path):
    """With what it recorded; its output is the level where it has no scores."""
    done = python("model_settings.py", "--conf", ROOT / "conf", model, tmp_path)
    assert yaml.safe_load((tmp_path / "features.yaml").read_text())["window_type"] == "hamming", done.stderr
    assert python("model_settings.py", "--conf", ROOT / "conf", model).stdout == "segment6\n"


def test_the_list_names_what_can_be_a_level(onnx_file):
    lines = python("import_onnx.py", "--config", INPUT, "--list", onnx_file).stdout.splitlines()
    rows = [line.split() for line in lines]
    assert ["24", "1", "x", "24", "x", "time", "BatchNormalization", "frame5"] in rows
    assert rows[-1] == ["10", "1", "x", "10", "Gemm", "segment7"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--levels", "segment6=segment66"], "owned.onnx: no node 'segment66' (there are segment6"),
        (["--levels", "segment.6=segment6"], "'segment.6' cannot be a level's name"),
        ([], "--levels LEVEL=NODE,... and FOLDER are both needed"),
        (["--levels", NODES, "--config", ROOT / "conf/inputs/mfcc_cmn_voiced.yaml"],
         "owned.onnx: its input 'feats' is ? x ? x 80, expected batch x frames x 30"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_leaves_nothing(onnx_file, tmp_path, arguments, message):
    done = python("import_onnx.py", "--config", INPUT, *arguments, onnx_file, tmp_path / "model", status=1)
    assert done.stderr.startswith("import_onnx.py: error: ") and message in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not files(tmp_path)


def test_a_damaged_model_is_told(model, tmp_path):
    config, network = ((model / name).read_bytes() for name in ("config.yaml", "model.onnx"))

    def folder(config, network):
        (tmp_path / "config.yaml").write_bytes(config)
        (tmp_path / "model.onnx").write_bytes(network)
        return tmp_path

    with pytest.raises(UserError, match=r"model.onnx: no ONNX file, or damaged"):
        load_model(folder(config, network[:-100]))
    with pytest.raises(UserError, match=r"model.onnx: has not as many outputs as config.yaml has levels"):
        part = onnx.load_from_string(network)
        part.graph.output.pop()
        load_model(folder(config, part.SerializeToString()))
    with pytest.raises(UserError, match=r"config.yaml: build.arch.min_frames: missing key"):
        load_model(folder(config.replace(b"min_frames: 15", b""), network))
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(UserError, match=r"no finished model \(model.onnx is missing\)"):
        load_model(tmp_path)


def test_it_cannot_be_trained_on(model):
    with pytest.raises(UserError, match=r"model.onnx: cannot be trained on; name a model that was trained here"):
        load_model(model)[0].state_dict()


def test_help_names_kaldis_program():
    assert "import_kaldi_nnet.py" in python("import_onnx.py", "--help").stdout
