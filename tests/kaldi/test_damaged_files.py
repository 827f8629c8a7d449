"""Whatever bytes a reader of Kaldi's files is given: a sound result or a UserError, in bounded time and memory."""

import gzip
import resource
import signal
import struct
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xvkd.errors import UserError
from xvkd.features.audio import duration, read_audio
from xvkd.features.recordings import Recordings, read_segments
from xvkd.kaldi.archives import (
    ArchiveReader,
    MatrixReader,
    load_vectors,
    open_writer,
    read_integers,
    read_items,
    read_matrix,
    read_vector,
    read_vectors,
)
from xvkd.kaldi.compression import HEADER
from xvkd.kaldi.plda_format import read_plda, write_plda
from xvkd.kaldi.specifiers import rspecifier, wspecifier
from xvkd.kaldi.tables import read_table

MEMORY = 1 << 28  # bytes beyond what the process has
SECONDS = 20


@contextmanager
def bounded():
    """Memory and time run out inside this block long before a machine would notice."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail(f"not done after {SECONDS} s"))
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def archive(folder, options, arrays, compress=False):
    with open_writer(wspecifier(f"{options}:{folder}/good"), compress) as writer:
        for key, array in arrays.items():
            writer.write(key, array)
    return (folder / "good").read_bytes()


def wave(samples):
    data = samples.astype("<i2").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16,
                       b"data", len(data))  # fmt: skip
    return head + data


@pytest.fixture(scope="module")
def good(folder):
    """The bytes of a good file of each kind."""
    rng = np.random.default_rng(0)
    matrices = {"a": rng.standard_normal((12, 3)), "bb": rng.standard_normal((3, 3))}
    vectors = {f"utt{i}": rng.standard_normal(4) for i in range(4)}
    compressed = archive(folder, "ark", matrices, compress=True)
    third = b"c \0BCM3 " + HEADER.pack(-1, 2, 2, 3) + bytes(range(6))
    files = {
        "matrices": archive(folder, "ark", matrices),
        "doubles": b"".join(b"%s \0BDV \4\3\0\0\0" % key + np.arange(3.0).tobytes() for key in (b"a", b"b")),
        "compressed": compressed + third,
        "text": archive(folder, "ark,t", {**matrices, **vectors}),
        "vectors": archive(folder, "ark", vectors),
        "packed": gzip.compress(archive(folder, "ark", vectors)),
        "integers": b"a 5 \nb 17 \n",
        "binary_integers": b"a \0B\4\5\0\0\0b \0B\4\x11\0\0\0",
        "table": b"a 1\nb 2 3\nc x\n",
        "segments": b"a rec 0.5 1.25\nb rec 2 -1 0\n",
        "vector": b" [ 1 2 3 ]\n",
        "matrix": archive(folder, "ark", matrices)[2:],
        "wave": wave(rng.integers(-99, 99, 500)),
        "waves": b"".join(key + b" " + wave(rng.integers(-99, 99, 90)) for key in (b"a", b"b")),
    }
    write_plda(folder / "good", rng.standard_normal(3), rng.standard_normal((3, 3)), np.ones(3))
    files["plda"] = (folder / "good").read_bytes()
    files["text_plda"] = b"<Plda>  [ 1 2 ]\n [\n  1 0 \n  0 1 ]\n [ 1 2 ]\n</Plda> "
    archive(folder, "ark", vectors)
    files["script"] = b"".join(b"%d %s/good:%d\n" % (i, bytes(folder), 5 + 31 * i) for i in range(4))
    return files


def ark(path):
    return rspecifier(f"ark:{path}")


def every_item(path):
    return [array for _, array in read_items(ark(path))]


def script_of(path):
    """A script that names places in the file, good ones and not."""
    scp = path.with_suffix(".scp")
    scp.write_text(f"a {path}:2\nb {path}:2[0:1]\nc {path}:40\nd {path}\n")
    return scp


def by_script(path):
    reader, found = MatrixReader(script_of(path)), []
    for key in reader:
        try:
            found.append(reader[key])
        except UserError as error:
            assert path.name in str(error)
    return found


def in_memory(path):
    reader = ArchiveReader(ark(path))
    return [reader["bb"]] if "bb" in reader else []


def entries(path):
    reader = MatrixReader(path)
    return [reader[key] for key in reader]


def samples_of(path):
    return [samples for _, samples in Recordings(ark(path), None, (1, 1), False).utterances(16000)]


ARRAYS = ["matrices", "doubles", "compressed", "text", "vectors", "packed", "vector", "matrix", "plda"]
READERS = [
    *[(every_item, kind) for kind in ARRAYS],
    *[(by_script, kind) for kind in ARRAYS],
    *[(read, "script") for read in (entries, lambda path: [read_vectors(path)[1]])],
    *[(in_memory, kind) for kind in ("matrices", "packed")],
    *[(lambda path: [load_vectors(ark(path))[1]], kind) for kind in ("vectors", "doubles", "text", "packed")],
    *[(lambda path: [np.array(list(read_integers(ark(path)).values()), float)], kind)
      for kind in ("integers", "binary_integers", "packed")],
    *[(lambda path: read_table(path) and [], kind) for kind in ("table", "packed", "matrices")],
    (lambda path: read_segments(path) and [], "segments"),
    (lambda path: [read_vector(path)], "vector"),
    (lambda path: [read_matrix(path)], "matrix"),
    *[(read_plda, kind) for kind in ("plda", "text_plda", "packed")],
    *[(lambda path: [read_audio(path, 16000)], kind) for kind in ("wave", "packed")],
    (lambda path: [np.array(duration(path))], "wave"),
    (samples_of, "waves"),
]  # fmt: skip

edits = st.tuples(st.sampled_from(["overwrite", "insert", "delete", "cut"]), st.floats(0, 1), st.binary(max_size=9))


def apply(edit, data):
    """A file with one thing wrong."""
    what, place, new = edit
    at = int(place * len(data))
    if what == "cut":
        return data[:at]
    return data[:at] + (b"" if what == "delete" else new) + data[at + (0 if what == "insert" else len(new)) :]


@settings(max_examples=40)
@given(edits=st.lists(edits, min_size=1, max_size=3))
@example(edits=[("cut", 0.0, b"")])
@pytest.mark.parametrize(("read", "kind"), READERS)
def test_a_damaged_file_gives_a_result_or_an_error_of_ours(folder, good, read, kind, edits):
    path = folder / f"{kind}.bad"
    data = good[kind]
    for edit in edits:
        data = apply(edit, data)
    path.write_bytes(data)
    with bounded():
        try:
            for array in read(path):
                assert np.isfinite(array).all()
        except UserError as error:
            assert kind == "script" or path.name in str(error)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\0BFM \4\xff\xff\xff\x7f\4\xff\xff\xff\x7f", "truncated"),
        (b"\0BDV \4\xff\xff\xff\x7f", "truncated"),
        (b"\0BFM \4\xff\xff\xff\x7f\4\0\0\0\0", "damaged header"),
        (b"\0BFV \4\xff\xff\xff\xff", "damaged header"),
        (b"\0BFV \5\1\0\0\0\0", "damaged header"),
        (b"\0BCM " + HEADER.pack(0, 1, 2**31 - 1, 2**31 - 1), "truncated"),
        (b"\0BCM2 " + HEADER.pack(0, 1, 2**31 - 1, 1), "truncated"),
        (b"\0BCM3 " + HEADER.pack(0, 1, 2**31 - 1, 0), "damaged header"),
        (b"\0BCM " + HEADER.pack(0, 1, -1, 5), "damaged header"),
        (b"\0BCM " + HEADER.pack(0, np.nan, 1, 1) + bytes(9), "NaN or infinity"),
        (b"\0BFV \4\2\0\0\0\0\0\x80\x7f\0\0\0\0", "NaN or infinity"),
        (b"\0BSM \4\2\0\0\0", "'SM' is neither a vector nor a matrix"),
        (b"\0B" + b"x" * 50, "not a Kaldi object"),
        (b" [ 1 2", "no '\\]' up to the end"),
        (b" [ 1 x ]", "not a number"),
        (b" [\n 1 2\n 3 ]", "rows of unequal lengths"),
        (b"PKL\x80", "neither a vector nor a matrix"),
    ],
)
def test_archive_key_and_offset_are_named_and_nothing_is_allocated(tmp_path, head, message):
    """Found by its script, in the archive itself, and in a packed one; behind a good entry."""
    good = b"good \0BFV \4\1\0\0\0" + struct.pack("<f", 7)
    (tmp_path / "x.ark").write_bytes(good + b"bad " + head)
    (tmp_path / "x.gz").write_bytes(gzip.compress(good + b"bad " + head))
    place = len(good) + 4
    (tmp_path / "x.scp").write_text(f"good {tmp_path}/x.ark:5\nbad {tmp_path}/x.ark:{place}\n")
    for specifier, name in [("scp:x.scp", "x.ark"), ("ark:x.ark", "x.ark"), ("ark:x.gz", "x.gz")]:
        items = read_items(rspecifier(specifier.replace(":", f":{tmp_path}/")))
        with bounded():
            assert next(items)[1] == [7]
            with pytest.raises(UserError, match=rf"{name}: key 'bad' at offset {place}: .*{message}"):
                next(items)
        permissive = read_items(rspecifier(specifier.replace(":", f",p:{tmp_path}/")))
        assert [key for key, _ in permissive] == ["good"]


def test_a_wav_header_that_claims_hours_or_a_strange_rate(tmp_path):
    data = bytearray(wave(np.zeros(100)))
    for place, number in [(24, 2**31 - 1), (24, 1), (40, 2**31 - 5), (22, 1000)]:
        broken = data.copy()
        broken[place : place + 4] = struct.pack("<I", number)
        (tmp_path / "x.wav").write_bytes(broken)
        with bounded():
            try:
                assert len(read_audio(tmp_path / "x.wav", 16000)) <= 100
            except UserError as error:
                assert "x.wav" in str(error)
