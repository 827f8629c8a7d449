"""Kaldi's PLDA files: read in both forms, written byte for byte, damage told."""

import contextlib
import gzip

import numpy as np
import pytest

from xvkd.errors import UserError
from xvkd.kaldi.plda_format import read_plda, write_plda


def test_kaldis_file_survives_byte_for_byte(golden, tmp_path):
    kaldis = golden / "kaldi" / "plda"
    mean, transform, psi = read_plda(kaldis)
    assert mean.shape == psi.shape == (32,) and transform.shape == (32, 32)
    assert all(part.dtype == np.float64 for part in (mean, transform, psi))
    write_plda(tmp_path / "plda", mean, transform, psi)
    assert (tmp_path / "plda").read_bytes() == kaldis.read_bytes()


def test_the_text_form_says_the_same(oracle):
    binary, text = (read_plda(oracle / "plda" / name) for name in ("plda", "plda.txt"))
    for one, other in zip(binary, text, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


def test_packed_files_and_commands(golden, tmp_path):
    kaldis = golden / "kaldi" / "plda"
    (tmp_path / "plda.gz").write_bytes(gzip.compress(kaldis.read_bytes()))
    for name in (tmp_path / "plda.gz", f"cat {kaldis} |"):
        for one, other in zip(read_plda(name, allow_pipes=True), read_plda(kaldis), strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(UserError, match="--allow-pipes"):
        read_plda(f"cat {kaldis} |")


@pytest.mark.parametrize("size", [0, 1, 5, 12, 200, 5000, 8740, 8749])
def test_a_truncated_file_is_told(golden, tmp_path, size):
    (tmp_path / "plda").write_bytes((golden / "kaldi" / "plda").read_bytes()[:size])
    with pytest.raises(UserError, match="plda: "):
        read_plda(tmp_path / "plda")


def test_files_that_are_no_plda_model_are_told(golden, tmp_path):
    for name in ("mean.vec", "train.ark", "README.md"):
        with pytest.raises(UserError, match=name):
            read_plda(golden / "kaldi" / name)
    write_plda(tmp_path / "shapes", np.zeros(3), np.eye(2), np.ones(3))
    with pytest.raises(UserError, match="inconsistent shapes"):
        read_plda(tmp_path / "shapes")
    write_plda(tmp_path / "negative", np.zeros(2), np.eye(2), np.array([1.0, -1.0]))
    with pytest.raises(UserError, match="negative variances"):
        read_plda(tmp_path / "negative")
    with pytest.raises(UserError, match="No such file"):
        read_plda(tmp_path / "missing")


def test_no_mutation_does_worse_than_an_error(golden, tmp_path):
    data, rng = (golden / "kaldi" / "plda").read_bytes(), np.random.default_rng(1)
    heads = [*range(30), *range(270, 290), *range(8475, 8490), *range(8735, 8750)]
    for place in heads:
        mutated = bytearray(data)
        mutated[place] = rng.integers(256)
        (tmp_path / "plda").write_bytes(mutated)
        with contextlib.suppress(UserError):
            assert all(np.isfinite(part).all() for part in read_plda(tmp_path / "plda"))
