"""Writing archives: Kaldi's bytes, and files that are whole or absent."""

import os
import resource

import kaldiio
import numpy as np
import pytest

from xvkd.errors import UserError
from xvkd.kaldi.archives import (
    ArchiveWriter,
    MatrixReader,
    open_writer,
    read_items,
    read_matrix,
    read_vector,
    write_matrix,
    write_vector,
)
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.specifiers import rspecifier, wspecifier


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def saved(tmp_path, rng):
    """A good archive of vectors, by kaldiio; the folder."""
    vectors = {f"utt{i}": rng.standard_normal(5).astype(np.float32) for i in range(6)}
    kaldiio.save_ark(str(tmp_path / "x.ark"), vectors, scp=str(tmp_path / "x.scp"))
    return tmp_path


def test_what_is_written_others_can_read(tmp_path, rng):
    arrays = {"m": rng.standard_normal((9, 4)), "v": rng.standard_normal(6), "none": np.zeros((0, 0))}
    with ArchiveWriter(tmp_path / "x.ark", tmp_path / "x.scp", compress=False) as writer:
        for key, array in arrays.items():
            writer.write(key, array)
    read = kaldiio.load_scp(str(tmp_path / "x.scp"))
    assert list(read) == list(arrays)
    for key, array in arrays.items():
        assert read[key].dtype == np.float32
        np.testing.assert_array_equal(read[key], array.astype(np.float32))
    write_vector(tmp_path / "v", arrays["v"])
    write_matrix(tmp_path / "m", arrays["m"])
    np.testing.assert_array_equal(read_vector(tmp_path / "v"), arrays["v"].astype(np.float32))
    np.testing.assert_array_equal(read_matrix(tmp_path / "m"), arrays["m"].astype(np.float32))
    np.testing.assert_array_equal(kaldiio.load_mat(str(tmp_path / "m")), arrays["m"].astype(np.float32))
    with pytest.raises(UserError, match="expected one vector"):
        read_vector(tmp_path / "m")


@pytest.mark.parametrize("file", ["train_lda_ln", "eval_lda_ln", "enroll_mean", "enroll_lda_ln"])
def test_kaldis_text_survives_byte_for_byte(oracle, tmp_path, file):
    kaldis = oracle / "plda" / f"{file}.txt"
    with open_writer(wspecifier(f"ark,t:{tmp_path}/x"), compress=False) as writer:
        for key, vector in read_items(rspecifier(f"ark,t:{kaldis}")):
            writer.write(key, vector)
    assert (tmp_path / "x").read_bytes() == kaldis.read_bytes()


@pytest.mark.parametrize(
    "file", ["mfcc", "mfcc_cmn", "mfcc_cmn_voiced", "mfcc_cmvn_var", "fbank80", "fbank80_default", "vad"]
)
def test_kaldis_archives_survive_byte_for_byte(oracle, tmp_path, file):
    """In the default set there is an empty matrix."""
    kaldis = oracle / "feats" / f"{file}.ark"
    with open_writer(wspecifier(f"ark:{tmp_path}/x"), compress=False) as writer:
        for key, array in read_items(rspecifier(f"ark:{kaldis}")):
            writer.write(key, array)
    assert (tmp_path / "x").read_bytes() == kaldis.read_bytes()


def test_text_has_kaldis_layout_and_loses_nothing(tmp_path, rng):
    with open_writer(wspecifier(f"ark,t,scp:{tmp_path}/x.ark,{tmp_path}/x.scp"), compress=True) as writer:
        writer.write("m", np.array([[1, -2.5], [1e-9, 3e20]]))
        writer.write("none", np.zeros((0, 3)))
        writer.write("v", np.array([0.1, 1 / 3]))
    assert (tmp_path / "x.ark").read_text() == (
        "m  [\n  1 -2.5 \n  1e-09 3e+20 ]\nnone  [ ]\nv  [ 0.1 0.333333343 ]\n"
    )
    assert MatrixReader(tmp_path / "x.scp")["m"].tolist() == np.float32([[1, -2.5], [1e-9, 3e20]]).tolist()
    values = rng.integers(0, 2**31, 4000, dtype=np.int32).view(np.float32)
    values = values[np.isfinite(values)]
    with open_writer(wspecifier(f"ark,t:{tmp_path}/x"), compress=False) as writer:
        writer.write("v", values)
    np.testing.assert_array_equal(dict(read_items(rspecifier(f"ark:{tmp_path}/x")))["v"], values)


def write_two(folder, **arrays):
    with ArchiveWriter(folder / "x.ark", folder / "x.scp", compress=False) as writer:
        for key, array in arrays.items():
            writer.write(key, array)


def test_a_writer_that_fails_leaves_what_was_there(saved):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    with pytest.raises(KeyboardInterrupt), ArchiveWriter(saved / "x.ark", saved / "x.scp", False) as writer:
        writer.write("a", np.zeros(3))
        raise KeyboardInterrupt
    with pytest.raises(UserError, match="'b': NaN or infinity"):
        write_two(saved, a=np.zeros(3), b=np.array([np.nan]))
    with pytest.raises(UserError, match="white space"):
        write_two(saved, **{"a b": np.zeros(3)})
    with pytest.raises(UserError, match="'a' is written twice"), ArchiveWriter(
        saved / "x.ark", saved / "x.scp", False
    ) as writer:  # fmt: skip
        writer.write("a", np.zeros(3))
        writer.write("a", np.zeros(3))
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_nothing_has_its_final_name_before_the_end(tmp_path):
    with ArchiveWriter(tmp_path / "x.ark", tmp_path / "x.scp", compress=False) as writer:
        writer.write("a", np.zeros(3))
        assert not (tmp_path / "x.ark").exists() and not (tmp_path / "x.scp").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.ark", "x.scp"]


def test_killed_between_the_two_names_no_old_script_describes_the_new_archive(saved, monkeypatch):
    replace = os.replace

    def killed(source, target):
        if str(target).endswith(".scp"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_two(saved, a=np.zeros(7))
    assert [path.name for path in saved.iterdir()] == ["x.ark"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(UserError, match=r"x\.ark: cannot be written: File too large"):
            write_two(tmp_path, a=np.zeros(1 << 17))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_atomic_write_makes_folders_and_keeps_the_old_file_on_failure(tmp_path):
    path = tmp_path / "new" / "file"
    with atomic_write(path) as file:
        file.write("first\n")
    with pytest.raises(RuntimeError), atomic_write(path, "wb") as file:
        file.write(b"second")
        raise RuntimeError
    assert path.read_text() == "first\n" and list(path.parent.iterdir()) == [path]
    with pytest.raises(UserError, match="cannot be written"), atomic_write(path / "below"):
        pass
