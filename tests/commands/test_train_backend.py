"""train_backend.py as users run it: Kaldi's files from Kaldi's vectors, or one clear sentence."""

import re

import kaldiio
import numpy as np
import pytest
from backend_files import command, read_table, write_table
from shell import ROOT

from xvkd.kaldi.plda_format import read_plda

FLAGS = ("--lda-dim=32", "--num-em-iters=10", "--total-covariance-factor=0.0")
SPEAKERS, UTTERANCES, DIM = 6, 3, 8
KEYS = [f"s{speaker}-u{number}" for speaker in range(SPEAKERS) for number in range(UTTERANCES)]


def write_utt2spk(path, keys):
    path.write_text("".join(f"{key} {key.split('-')[0]}\n" for key in keys))
    return path


@pytest.fixture
def small(tmp_path):
    """Vectors (18, 8) of six speakers, and their utt2spk."""
    random = np.random.default_rng(4)
    vectors = np.repeat(random.normal(0, 2, (SPEAKERS, DIM)), UTTERANCES, axis=0) + random.normal(size=(len(KEYS), DIM))
    return vectors, write_utt2spk(tmp_path / "utt2spk", KEYS)


def test_the_files_are_kaldis_up_to_sign(golden, tmp_path):
    folder, keys = golden / "kaldi", read_table(golden / "kaldi" / "train.ark")[0]
    utt2spk = write_utt2spk(tmp_path / "utt2spk", keys)
    command("train_backend.py", *FLAGS, f"ark:{folder}/train.ark", utt2spk, tmp_path / "backend")
    assert sorted(path.name for path in (tmp_path / "backend").iterdir()) == ["mean.vec", "plda", "transform.mat"]
    mean = kaldiio.load_mat(str(tmp_path / "backend" / "mean.vec"))
    transform = kaldiio.load_mat(str(tmp_path / "backend" / "transform.mat"))
    expected = np.loadtxt((folder / "transform.txt").read_text().strip(" []\n").splitlines())
    signs = np.sign(np.sum(transform * expected, axis=1))
    np.testing.assert_allclose(mean, np.loadtxt([(folder / "mean.vec").read_text().strip(" []\n")]), atol=1e-6)
    np.testing.assert_allclose(transform * signs[:, None], expected, atol=1e-6)
    # A row of LDA that changes its sign changes that of a column of PLDA's transform.
    ours, kaldis = read_plda(tmp_path / "backend" / "plda"), read_plda(folder / "plda")
    rows = ours[1] * signs
    rows *= np.sign(np.sum(rows * kaldis[1], axis=1, keepdims=True))
    np.testing.assert_allclose(ours[0] * signs, kaldis[0], atol=4e-6)
    np.testing.assert_allclose(rows, kaldis[1], atol=4e-6)
    np.testing.assert_allclose(ours[2], kaldis[2], rtol=1e-6)


def test_the_recipes_configuration_gives_the_same_as_its_values(small, tmp_path):
    vectors, utt2spk = small
    table, config = write_table(tmp_path / "v.ark", KEYS, vectors), ROOT / "conf" / "backend.yaml"
    done = command("train_backend.py", "--config", config, "--lda-dim=4", table, utt2spk, tmp_path / "a")
    assert "PLDA: 18 utterances of 6 speakers, 4 dimensions" in done.stderr
    values = ("--lda-dim=4", "--pca-dim=512", "--num-em-iters=10", "--total-covariance-factor=0.0", "--allow-pipes")
    command("train_backend.py", *values, f"ark:cat {tmp_path}/v.ark |", utt2spk, tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_further_embeddings_count_like_those_of_one_archive(small, tmp_path):
    vectors, utt2spk = small
    whole = write_table(tmp_path / "whole.ark", KEYS, vectors)
    parts = [write_table(tmp_path / f"{i}.ark", KEYS[i::2], vectors[i::2]) for i in range(2)]
    command("train_backend.py", *FLAGS, whole, utt2spk, tmp_path / "a")
    command("train_backend.py", *FLAGS, "--further", parts[1], utt2spk, parts[0], utt2spk, tmp_path / "b")
    for read in (lambda x: kaldiio.load_mat(f"{x}/mean.vec"), lambda x: read_plda(x / "plda")[2]):
        np.testing.assert_allclose(read(tmp_path / "a"), read(tmp_path / "b"), rtol=1e-5, atol=1e-6)
    narrow = write_table(tmp_path / "narrow.ark", KEYS, vectors[:, :5])
    assert_error("narrow.*: 5 dimensions, but .*whole.* has 8; give one level", "--further", narrow, utt2spk, whole,
                 utt2spk, tmp_path / "out")  # fmt: skip
    further = ("--further", "x.ark", utt2spk)
    done = command("train_backend.py", *FLAGS, *further, whole, utt2spk, tmp_path / "out", status=2)
    assert "argument --further: " in done.stderr


def test_lda_keeps_what_speakers_and_vectors_can_give(small, tmp_path):
    vectors, utt2spk = small
    table = write_table(tmp_path / "v.ark", KEYS, vectors)
    done = command("train_backend.py", *FLAGS, table, utt2spk, tmp_path / "out")
    assert "warning: LDA: 32 dimensions asked for, 5 used (6 speakers" in done.stderr
    assert kaldiio.load_mat(str(tmp_path / "out" / "transform.mat")).shape == (5, DIM + 1)
    assert read_plda(tmp_path / "out" / "plda")[1].shape == (5, 5)


def test_a_within_speaker_covariance_that_is_singular_is_floored(small, tmp_path):
    """As by ivector-compute-lda: one direction in which no speaker varies, far more dimensions than utterances."""
    vectors, utt2spk = small
    vectors = np.hstack([vectors, np.random.default_rng(5).normal(size=(len(vectors), 40))])
    vectors[:, 0] = np.repeat(np.arange(SPEAKERS), UTTERANCES)
    table = write_table(tmp_path / "v.ark", KEYS, vectors)
    done = command("train_backend.py", *FLAGS, table, utt2spk, tmp_path / "out")
    assert "have next to no within-speaker variance and are floored" in done.stderr
    mean, transform, psi = read_plda(tmp_path / "out" / "plda")
    assert mean.shape == (5,) and np.isfinite(transform).all() and (psi > 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: np.where(np.arange(v.size).reshape(v.shape) == 20, np.nan, v), "v.ark: key 's0-u2' at offset"),
        (lambda v: np.where(np.arange(v.size).reshape(v.shape) == 20, -np.inf, v), "'s0-u2' at offset .*NaN or inf"),
        (lambda v: [*v[:-1], v[-1][:5]], r"key 's5-u2' .*shape \(5,\), the first vector \('s0-u0'\) has \(8,\)"),
        (lambda v: np.repeat(v[::3], 3, axis=0), "v.ark.scp: LDA: each speaker's utterances are all the same"),
        (np.ones_like, "v.ark.scp: .*all embeddings are the same"),
    ],
)  # fmt: skip
def test_unusable_vectors_are_told(small, tmp_path, change, message):
    vectors, utt2spk = small
    table = write_table(tmp_path / "v.ark", KEYS, change(vectors))
    assert_error(message, table, utt2spk, tmp_path / "out")


def test_unusable_labels_are_told(small, tmp_path):
    vectors, utt2spk = small
    table, out = write_table(tmp_path / "v.ark", KEYS, vectors), tmp_path / "out"
    for lines, message in [
        ([f"{key} s{row}" for row, key in enumerate(KEYS)], "18 utterances of 18 speakers; it takes at least two"),
        ([f"{key} s0" for key in KEYS], "18 utterances of 1 speakers; it takes at least two"),
        ([f"{key} s0" for key in KEYS[:-2]], "utt2spk: 's5-u1' of .*v.ark.scp is missing \\(2 of 18 utterances"),
    ]:
        utt2spk.write_text("".join(f"{line}\n" for line in lines))
        assert_error(message, table, utt2spk, out)
    (tmp_path / "empty.ark").write_bytes(b"")
    assert_error("empty.ark: no vectors", f"ark:{tmp_path}/empty.ark", utt2spk, out)
    assert_error("no such file|cannot be opened", table, tmp_path / "nowhere", out)


def assert_error(message, *arguments):
    done, out = command("train_backend.py", *FLAGS, *arguments, status=1), arguments[-1]
    assert re.search(message, done.stderr.splitlines()[-1]), done.stderr
    assert not out.exists()


def test_help_names_kaldis_programs():
    text = command("train_backend.py", "--help").stdout
    assert all(name in text for name in ("ivector-mean", "ivector-compute-lda", "ivector-compute-plda", "--lda-dim"))
