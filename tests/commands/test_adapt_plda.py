"""adapt_plda.py as users run it: Kaldi's adapted model from Kaldi's files, or one clear sentence."""

import re

import numpy as np
from backend_files import command, kaldis_backend, read_table, write_table
from shell import ROOT

from xvkd.backend.backend import Backend
from xvkd.backend.plda import Plda
from xvkd.kaldi.plda_format import read_plda

SCALES = ("--within-covar-scale=0.3", "--between-covar-scale=0.7", "--mean-diff-scale=1.0")


def assert_same(ours, kaldis, atol=4e-6):
    """Two models, up to the sign of the transform's rows."""
    signs = np.sign(np.sum(ours[1] * kaldis[1], axis=1, keepdims=True))
    np.testing.assert_allclose(ours[0], kaldis[0], atol=atol)
    np.testing.assert_allclose(ours[1] * signs, kaldis[1], atol=atol)
    np.testing.assert_allclose(ours[2], kaldis[2], rtol=1e-6)


def test_the_model_is_kaldis(golden, oracle, tmp_path):
    """From raw vectors and a back end, and from what Kaldi's programs made of them, in Kaldi's text."""
    folder, config = oracle / "plda", ROOT / "conf" / "adaptation.yaml"
    backend = kaldis_backend(golden, tmp_path / "backend")
    raw = ("--config", config, f"--backend={backend}", backend / "plda", f"ark:{folder}/adapt.txt")
    done = command("adapt_plda.py", *raw, tmp_path / "adapted")
    assert "adapted: adapted to 300 utterances" in done.stderr
    assert_same(read_plda(tmp_path / "adapted"), read_plda(folder / "plda_adapt_default.txt"))
    keys, vectors = read_table(folder / "adapt.txt")
    projected = write_table(tmp_path / "projected.ark", keys, Backend.load(backend).project(vectors))
    command("adapt_plda.py", *SCALES, folder / "plda.txt", projected, tmp_path / "adapted")
    # Text has seven digits of the model.
    assert_same(read_plda(tmp_path / "adapted"), read_plda(folder / "plda_adapt_default.txt"), atol=1e-5)


def test_scales_say_where_the_excess_goes(golden, tmp_path):
    plda, random = Plda(*read_plda(golden / "kaldi" / "plda")), np.random.default_rng(3)
    vectors = (5 * random.standard_normal((200, 32))).astype(np.float32)
    table = write_table(tmp_path / "v.ark", [f"u{row}" for row in range(200)], vectors)
    for scales in ((0.0, 1.0, 0.0), (1.0, 0.0, 2.5)):
        options = [option.split("=")[0] + f"={scale}" for option, scale in zip(SCALES, scales, strict=True)]
        command("adapt_plda.py", *options, golden / "kaldi" / "plda", table, tmp_path / "adapted")
        expected = plda.adapt(vectors, *scales)
        assert_same(read_plda(tmp_path / "adapted"), (expected.mean, expected.transform, expected.psi))


def test_what_cannot_be_used_is_told(golden, tmp_path):
    backend, keys = kaldis_backend(golden, tmp_path / "backend"), ["a", "b", "c"]
    vectors = np.arange(96.0).reshape(3, 32)
    table = write_table(tmp_path / "v.ark", keys, vectors)
    wide = write_table(tmp_path / "wide.ark", keys, np.ones((3, 40)))
    bad = write_table(tmp_path / "bad.ark", keys, np.where(vectors == 40, np.inf, vectors))
    (tmp_path / "empty").write_bytes(b"")
    model = backend / "plda"
    for message, *options in [
        ("--within-covar-scale: not given; give it, or a --config that has it", model, table),
        ("wide.ark.scp: the PLDA model is for 32-dimensional vectors, these have 40", *SCALES, model, wide),
        ("made for 64-dimensional embeddings, these are 3 x 32", *SCALES, f"--backend={backend}", model, table),
        ("bad.ark: key 'b' at offset .*: NaN or infinity", *SCALES, model, bad),
        ("empty: no vectors", *SCALES, model, f"ark:{tmp_path}/empty"),
        ("mean.vec: not a PLDA model", *SCALES, backend / "mean.vec", table),
        ("mean_diff_scale: -1.* of at least 0", *SCALES[:2], "--mean-diff-scale=-1", model, table),
    ]:
        done = command("adapt_plda.py", *options, tmp_path / "adapted", status=1)
        assert re.search(message, done.stderr.splitlines()[-1]), done.stderr
        assert not (tmp_path / "adapted").exists()


def test_help_names_kaldis_program():
    assert "ivector-adapt-plda" in command("adapt_plda.py", "--help").stdout
