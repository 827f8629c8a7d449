"""Archives: what Kaldi and kaldiio write is read, what we write they read, damage is told."""

import contextlib
import gzip
import io
import os
import pickle
import resource
import struct

import kaldiio
import numpy as np
import pytest

from xvkd.errors import UserError
from xvkd.kaldi.archives import (
    MOST_OPEN_FILES,
    ArchiveWriter,
    MatrixReader,
    read_matrix,
    read_script,
    read_vector,
    read_vectors,
    write_matrix,
    write_vector,
)
from xvkd.kaldi.files import atomic_write


@pytest.fixture
def vectors(rng):
    return {f"utt{i}": rng.standard_normal(5).astype(np.float32) for i in range(6)}


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def saved(tmp_path, vectors):
    """A good archive of vectors, by kaldiio; the folder."""
    kaldiio.save_ark(str(tmp_path / "x.ark"), vectors, scp=str(tmp_path / "x.scp"))
    return tmp_path


def test_vectors_in_the_order_of_the_script_or_of_the_keys(saved, vectors):
    keys, read = read_vectors(saved / "x.scp")
    assert keys == list(vectors)
    np.testing.assert_array_equal(read, np.stack(list(vectors.values())))
    keys, read = read_vectors(saved / "x.scp", ["utt4", "utt0"])
    assert keys == ["utt4", "utt0"]
    np.testing.assert_array_equal(read, [vectors["utt4"], vectors["utt0"]])


def test_doubles_and_text_are_read_beside_floats(tmp_path, vectors):
    files = {"float": "<f4", "double": "<f8", "text": "<f4"}
    lines = []
    for key, kind in files.items():
        path = tmp_path / f"{key}.ark"
        array = {key: vectors["utt0"].astype(kind)}
        kaldiio.save_ark(str(path), array, scp=str(tmp_path / "one.scp"), text=key == "text")
        lines.append((tmp_path / "one.scp").read_text())
    (tmp_path / "all.scp").write_text("".join(lines))
    _, read = read_vectors(tmp_path / "all.scp")
    np.testing.assert_allclose(read, [vectors["utt0"]] * 3, rtol=1e-6)


def test_kaldis_text_matrix_is_read(golden):
    matrix = read_matrix(golden / "kaldi" / "transform.txt")
    assert matrix.shape == (32, 65) and matrix[0, 0] == np.float32(-0.2269393)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "x.ark").unlink(), "utt0.*No such file"),
        (lambda folder: os.truncate(folder / "x.ark", 70), "x.ark: key 'utt2' at offset 75: .* nothing"),
        (lambda folder: os.truncate(folder / "x.ark", 90), "x.ark: key 'utt2' at offset 75: truncated"),
        (lambda folder: (folder / "x.ark").write_bytes(b""), "utt0.*ends after 0 bytes"),
        (lambda folder: (folder / "x.scp").unlink(), "x.scp: no such file"),
        (lambda folder: (folder / "x.scp").write_text(""), "x.scp: no vectors"),
        (lambda folder: (folder / "x.scp").write_text("a x:1\na x:2\n"), "line 2: 'a' stands twice"),
        (lambda folder: (folder / "x.scp").write_text("a x:1\nb\n"), "line 2"),
        (lambda folder: (folder / "x.scp").write_text("a cat x.ark |\n"), "'a': commands"),
        (lambda folder: (folder / "x.scp").write_text(f"a {folder}\n"), "not a regular file"),
    ],
)
def test_damage_is_told_with_its_place(saved, damage, message):
    damage(saved)
    with pytest.raises(UserError, match=message):
        read_vectors(saved / "x.scp")


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (np.zeros(4, np.float32), r"'odd' at offset \d+: has shape \(4,\).*'utt0'.*\(5,\)"),
        (np.zeros((5, 1), np.float32), r"'odd' at offset \d+: has shape \(5, 1\)"),
        (np.array([0, 0, np.nan, 0, 0], np.float32), r"'odd' at offset \d+: NaN or infinity"),
        (np.array([0, 0, 1e300, 0, 0]), r"'odd' at offset \d+: NaN or infinity"),
    ],
)
def test_a_vector_unlike_the_others_is_told(tmp_path, vectors, odd, message):
    kaldiio.save_ark(str(tmp_path / "x.ark"), {**vectors, "odd": odd}, scp=str(tmp_path / "x.scp"))
    with pytest.raises(UserError, match=message):
        read_vectors(tmp_path / "x.scp")


def test_unknown_keys_are_named_and_counted(saved):
    with pytest.raises(UserError, match=r"no entry for 'b' \(2 of 3 keys"):
        read_vectors(saved / "x.scp", ["utt1", "b", "c"])
    with pytest.raises(UserError, match="no entry for 'b'"):
        MatrixReader(saved / "x.scp")["b"]


def test_no_mutation_of_an_archive_does_worse_than_an_error(tmp_path, rng):
    """Whatever byte is hit, the reader returns finite numbers or raises UserError."""
    matrices = {"a": rng.standard_normal((12, 3)).astype(np.float32), "b": np.ones((3, 2), np.float32)}
    whole, kinds = {}, {"plain": {}, "compressed": {"compression_method": 1}, "text": {"text": True}}
    for name, options in kinds.items():
        kaldiio.save_ark(str(tmp_path / "x.ark"), matrices, scp=str(tmp_path / f"{name}.scp"), **options)
        whole[name] = (tmp_path / "x.ark").read_bytes()
    for name, data in whole.items():
        for _ in range(300):
            mutated = bytearray(data)
            start = int(rng.integers(0, min(40, len(data))))
            mutated[start : start + 4] = rng.bytes(int(rng.integers(1, 5)))
            (tmp_path / "x.ark").write_bytes(mutated[: int(rng.integers(1, len(mutated) + 1))])
            reader = MatrixReader(tmp_path / f"{name}.scp")
            for key in matrices:
                with contextlib.suppress(UserError):
                    assert np.isfinite(reader[key]).all()


def test_a_header_that_claims_gigabytes_allocates_nothing(tmp_path):
    (tmp_path / "x.ark").write_bytes(b"\0BFM \4" + struct.pack("<ibi", 2**31 - 1, 4, 2**31 - 1) + b"\0" * 64)
    (tmp_path / "x.scp").write_text(f"a {tmp_path}/x.ark\n")
    with pytest.raises(UserError, match="truncated"):
        MatrixReader(tmp_path / "x.scp")["a"]


def test_objects_that_run_python_code_when_read_are_refused(tmp_path):
    """kaldiio would unpickle this; an archive from somewhere must not be able to run code."""
    (tmp_path / "x.ark").write_bytes(b"PKL" + pickle.dumps(np.zeros(3)))
    (tmp_path / "x.scp").write_text(f"a {tmp_path}/x.ark\n")
    with pytest.raises(UserError, match="neither a vector nor a matrix"):
        MatrixReader(tmp_path / "x.scp")["a"]


def test_matrices_vectors_and_ranges_by_key(tmp_path, rng):
    matrix, vector = rng.standard_normal((10, 3)).astype(np.float32), np.ones(7, np.float32)
    with ArchiveWriter(tmp_path / "x.ark", tmp_path / "x.scp", compress=False) as writer:
        writer.write("m", matrix)
        writer.write("v", vector)
    place = read_script(tmp_path / "x.scp")["m"]
    (tmp_path / "x.scp").open("a").write(f"part {place}[2:4]\nlate {place}[8:12]\nbeyond {place}[8:13]\n")
    reader = MatrixReader(tmp_path / "x.scp")
    assert reader.keys()[:2] == ["m", "v"] and len(reader) == 5 and "m" in reader and "w" not in reader
    np.testing.assert_array_equal(reader["m"], matrix)
    np.testing.assert_array_equal(reader["v"], vector)
    np.testing.assert_array_equal(reader["part"], matrix[2:5])
    np.testing.assert_array_equal(reader["late"], matrix[8:])
    with pytest.raises(UserError, match="'beyond'.*has 10 rows.*8 to 13"):
        reader["beyond"]


def test_matrices_of_unequal_width_are_told(tmp_path):
    matrices = {"a": np.ones((4, 3), np.float32), "b": np.ones((4, 2), np.float32)}
    kaldiio.save_ark(str(tmp_path / "x.ark"), matrices, scp=str(tmp_path / "x.scp"))
    reader = MatrixReader(tmp_path / "x.scp")
    assert reader["a"].shape == (4, 3)
    with pytest.raises(UserError, match="'b' has 2 columns, 'a' has 3"):
        reader["b"]


def test_a_reader_survives_pickling_and_forking_and_bounds_its_files(tmp_path):
    lines = []
    for i in range(MOST_OPEN_FILES + 10):
        array = np.full((2, 2), i, np.float32)
        kaldiio.save_ark(str(tmp_path / f"{i}.ark"), {f"u{i}": array}, scp=str(tmp_path / "one.scp"))
        lines.append((tmp_path / "one.scp").read_text())
    (tmp_path / "x.scp").write_text("".join(lines))
    reader = MatrixReader(tmp_path / "x.scp")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        for i, key in enumerate(reader):
            assert reader[key][0, 0] == i
    assert len(os.listdir("/proc/self/fd")) - before <= MOST_OPEN_FILES
    assert pickle.loads(pickle.dumps(reader))["u3"][0, 0] == 3

    child = os.fork()
    if child == 0:
        os._exit(0 if all(reader[f"u{i}"][0, 0] == i for i in range(70)) else 1)
    assert all(reader[f"u{i}"][0, 0] == i for i in range(70))
    assert os.waitpid(child, 0)[1] == 0


def test_compression_writes_kaldis_bytes(golden, tmp_path):
    matrices = dict(kaldiio.load_ark(str(golden / "kaldi" / "mfcc.ark")))
    with ArchiveWriter(tmp_path / "x.ark", tmp_path / "x.scp", compress=True) as writer:
        for key, matrix in matrices.items():
            writer.write(key, matrix)
    assert (tmp_path / "x.ark").read_bytes() == (golden / "kaldi" / "mfcc_compressed.ark").read_bytes()


def test_compression_of_speech_is_kaldis_up_to_rounding(oracle, tmp_path):
    """One byte in ten thousand differs by one: float32 rounding at a step's edge."""
    kaldis = (oracle / "feats" / "mfcc_compressed.ark").read_bytes()
    with gzip.open(oracle / "feats" / "mfcc_compressed.txt.gz") as text:
        decoded = dict(kaldiio.load_ark(io.BytesIO(text.read())))
    matrices = dict(kaldiio.load_ark(str(oracle / "feats" / "mfcc.ark")))
    with ArchiveWriter(tmp_path / "x.ark", tmp_path / "x.scp", compress=True) as writer:
        for key, matrix in matrices.items():
            writer.write(key, matrix)
    ours = (tmp_path / "x.ark").read_bytes()
    lines = (tmp_path / "x.scp").read_text().splitlines()
    script = []
    for (key, matrix), line in zip(matrices.items(), lines, strict=True):
        start = int(line.rpartition(":")[2])
        size = 21 + 8 * 30 + matrix.size if len(matrix) > 8 else 22 + 2 * matrix.size
        offset = kaldis.index(key.encode() + b" \0B") + len(key) + 1
        one, other = (
            np.frombuffer(data, np.uint8, size, place).astype(int)
            for data, place in ((ours, start), (kaldis, offset))
        )
        assert np.abs(one - other).max() <= 1 and np.mean(one != other) < 3e-4
        script.append(f"{key} {oracle}/feats/mfcc_compressed.ark:{offset}\n")
    (tmp_path / "kaldis.scp").write_text("".join(script))
    reader = MatrixReader(tmp_path / "kaldis.scp")
    for key in reader:
        # The text has seven digits, C0 is about 20 and the others up to 100.
        np.testing.assert_allclose(reader[key], decoded[key], atol=6e-5)


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
