"""Archives: what Kaldi and kaldiio write is read, what we write they read, damage is told."""

import os
import pickle
import struct

import kaldiio
import numpy as np
import pytest

from xvkd.errors import UserError
from xvkd.kaldi import archives
from xvkd.kaldi.archives import (
    ArchiveWriter,
    MatrixReader,
    load_vectors,
    open_random,
    open_writer,
    read_integers,
    read_items,
    read_matrix,
    read_vectors,
)
from xvkd.kaldi.scripts import MOST_OPEN_FILES, read_script
from xvkd.kaldi.specifiers import rspecifier, wspecifier


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
    with open(tmp_path / "x.scp", "a") as script:
        script.write(f"part {place}[2:4]\nlate {place}[8:12]\nbeyond {place}[8:13]\n")
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


def test_a_table_of_vectors_is_read_from_archives_too(tmp_path, vectors):
    for options in ("ark", "ark,t"):
        with open_writer(wspecifier(f"{options}:{tmp_path}/x"), compress=False) as writer:
            for key, vector in vectors.items():
                writer.write(key, vector)
        keys, read = load_vectors(rspecifier(f"ark:{tmp_path}/x"))
        assert keys == list(vectors) and read.dtype == np.float32
        np.testing.assert_array_equal(read, np.stack(list(vectors.values())))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"z": np.zeros(4)}, r"key 'z' at offset 212: has shape \(4,\), the first vector \('utt0'\) has \(5,\)"),
        ({"z": np.zeros((5, 1))}, r"key 'z' at offset 212: has shape \(5, 1\); vectors"),
        ({"z": np.array([0, 0, np.nan, 0, 0], np.float32)}, "key 'z' at offset 212: NaN or infinity"),
        ({"utt3": np.zeros(5, np.float32)}, "'utt3' stands twice"),
    ],
)
def test_an_archive_of_vectors_with_one_unlike_the_others_is_told(tmp_path, vectors, extra, message):
    """Behind a run of plain vectors, which are read in blocks."""
    kaldiio.save_ark(str(tmp_path / "x"), vectors)
    kaldiio.save_ark(str(tmp_path / "x"), {**extra, "last": np.zeros(5, np.float32)}, append=True)
    with pytest.raises(UserError, match=message):
        load_vectors(rspecifier(f"ark:{tmp_path}/x"))


def test_blocks_of_an_archive_are_joined(tmp_path, rng, monkeypatch):
    """Vectors that lie across the edges of what is read at once."""
    monkeypatch.setattr(archives, "BLOCK", 100)
    vectors = {f"{'u' * (1 + i % 40)}{i}": rng.standard_normal(7).astype(np.float32) for i in range(300)}
    kaldiio.save_ark(str(tmp_path / "x"), vectors)
    keys, read = load_vectors(rspecifier(f"ark:{tmp_path}/x"))
    assert keys == list(vectors)
    np.testing.assert_array_equal(read, np.stack(list(vectors.values())))


@pytest.mark.parametrize("kind", ["ark", "scp"])
def test_an_empty_table(tmp_path, kind):
    (tmp_path / "x").write_bytes(b"")
    table = rspecifier(f"{kind}:{tmp_path}/x")
    assert list(read_items(table)) == [] and "a" not in open_random(table) and read_integers(table) == {}
    with pytest.raises(UserError, match="x: no vectors"):
        load_vectors(table)
    with pytest.raises(UserError, match="x: no entry for 'a'"):
        open_random(table)["a"]


def test_an_archive_without_a_script_is_read_by_key(saved, vectors):
    reader = open_random(rspecifier(f"ark:{saved}/x.ark"))
    assert "utt5" in reader and "utt6" not in reader
    for key in ("utt5", "utt0", "utt3"):
        np.testing.assert_array_equal(reader[key], vectors[key])


@pytest.mark.parametrize("kind", ["ark", "scp"])
def test_what_cannot_be_read_is_skipped_if_that_is_allowed(saved, vectors, caplog, kind):
    os.truncate(saved / "x.ark", 120)
    table = rspecifier(f"{kind},p:{saved}/x.{kind}")
    assert [key for key, _ in read_items(table)] == ["utt0", "utt1", "utt2"]
    assert "skipped: " in caplog.text and "'utt3' at offset 110: truncated" in caplog.text
    reader = open_random(table)
    assert "utt2" in reader and "utt3" not in reader
    assert load_vectors(table)[0] == ["utt0", "utt1", "utt2"]


def test_integers_in_text_and_binary(tmp_path):
    (tmp_path / "text").write_text("a 1 \nb -7\nc 2147483647 \n")
    expected = {"a": 1, "b": -7, "c": 2147483647}
    assert read_integers(rspecifier(f"ark:{tmp_path}/text")) == expected
    (tmp_path / "binary").write_bytes(
        b"".join(key.encode() + b" \0B\4" + struct.pack("<i", number) for key, number in expected.items())
    )
    assert read_integers(rspecifier(f"ark:{tmp_path}/binary")) == expected
    (tmp_path / "x.scp").write_text(f"b {tmp_path}/binary:11\nt {tmp_path}/text:7\n")
    assert read_integers(rspecifier(f"scp:{tmp_path}/x.scp")) == {"b": -7, "t": -7}
    for wrong in ("a 1\na 2\n", "a 1.5\n", "a\n", "a x\n", "a 1 2\n"):
        (tmp_path / "text").write_text(wrong)
        with pytest.raises(UserError, match="text: .*(twice|an integer is expected)"):
            read_integers(rspecifier(f"ark:{tmp_path}/text"))


def test_kaldis_counts_of_utterances(oracle):
    counts = read_integers(rspecifier(f"ark:{oracle}/plda/enroll_num_utts.txt"))
    assert len(counts) == 40 and set(counts.values()) == {1, 2, 3}
