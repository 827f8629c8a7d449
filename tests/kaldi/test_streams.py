"""Files, gzip and commands as input and output: what fails is told, and nothing is taken for whole that is not."""

import gzip
import os
import subprocess
import sys

import numpy as np
import pytest

from xvkd.errors import UserError
from xvkd.kaldi.archives import load_vectors, open_random, open_writer, read_integers, read_items, read_vectors
from xvkd.kaldi.specifiers import rspecifier, wspecifier
from xvkd.kaldi.streams import open_input, open_output
from xvkd.kaldi.tables import read_table


@pytest.fixture
def archive(tmp_path):
    """A good archive of vectors; its path."""
    with open_writer(wspecifier(f"ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp"), compress=False) as writer:
        for i in range(5):
            writer.write(f"u{i}", np.full(4, i))
    return tmp_path / "x.ark"


def read(specifier, allow_pipes=True):
    return {key: array[0] for key, array in read_items(rspecifier(specifier), allow_pipes)}


WHOLE = {f"u{i}": i for i in range(5)}


def test_commands_are_run_where_they_are_allowed(archive, tmp_path):
    assert read(f"ark:cat {archive} |") == WHOLE
    assert read(f"scp:head -n 2 {tmp_path}/x.scp |") == {"u0": 0, "u1": 1}
    (tmp_path / "y.scp").write_text(f"a tail -c +4 {archive} |\nb {archive}:3\n")
    assert read(f"scp:{tmp_path}/y.scp") == {"a": 0, "b": 0}
    assert load_vectors(rspecifier(f"scp:{tmp_path}/y.scp"), True)[1].shape == (2, 4)
    assert read_table(f"echo a b c; cat {os.devnull} |", True) == {"a": "b c"}
    assert read_integers(rspecifier("ark:echo a 5 |"), True) == {"a": 5}


@pytest.mark.parametrize("use", [read, lambda text, pipes: open_random(rspecifier(text), pipes)["u0"]])
def test_commands_are_refused_where_they_are_not(archive, tmp_path, use):
    mark = tmp_path / "was_run"
    for specifier in (f"ark:touch {mark}; cat {archive} |", f"scp:touch {mark} |"):
        with pytest.raises(UserError, match=f"touch {mark}.*--allow-pipes"):
            use(specifier, False)
    (tmp_path / "y.scp").write_text(f"u0 touch {mark}; tail -c +4 {archive} |\n")
    with pytest.raises(UserError, match="y.scp: key 'u0': commands .*--allow-pipes"):
        use(f"scp:{tmp_path}/y.scp", False)
    with pytest.raises(UserError, match="--allow-pipes"), open_output(f"| touch {mark}"):
        pass
    assert not mark.exists()


@pytest.mark.parametrize(
    ("command", "how"),
    [("cat {}; exit 3", "status 3"), ("exit 4", "status 4"), ("head -c 30 {}; false", "status 1"),
     ("cat {}; kill -9 $$", "signal 9")],
)  # fmt: skip
def test_a_command_that_fails_is_told_with_its_status(archive, command, how):
    """Also where what it wrote is damaged, which follows from it."""
    command = command.format(archive)
    for reader in (read, lambda text: load_vectors(rspecifier(text), True)):
        with pytest.raises(UserError) as caught:
            reader(f"ark:{command} |")
        assert str(caught.value) == f"'{command}': the command ended with {how}"


def test_a_command_whose_output_is_not_read_to_its_end_is_ended(archive):
    items = read_items(rspecifier(f"ark:cat {archive}; exec sleep 1000 |"), True)
    assert next(items)[0] == "u0"
    items.close()
    reader = open_random(rspecifier(f"ark:cat {archive}; exec sleep 1000 |"), True)
    assert reader["u1"][0] == 1
    with pytest.raises(UserError, match="neither a vector nor a matrix"):
        read("ark:exec yes |")


def test_a_command_that_is_written_to(tmp_path):
    with open_writer(wspecifier(f"ark:| gzip -c > {tmp_path}/x.gz"), False, allow_pipes=True) as writer:
        writer.write("a", np.ones(3))
    assert gzip.decompress((tmp_path / "x.gz").read_bytes())[:8] == b"a \0BFV \4"
    for command, how in [("cat >/dev/null; exit 5", "ended with status 5"), ("true", "ended before all was written")]:
        with pytest.raises(UserError, match=f"'{command}': the command {how}"), open_writer(
            wspecifier(f"ark:| {command}"), False, allow_pipes=True
        ) as writer:  # fmt: skip
            writer.write("a", np.ones(1 << 18))


def test_packed_files_are_read_as_they_are(archive, tmp_path):
    packed = tmp_path / "x.ark.gz"
    packed.write_bytes(gzip.compress(archive.read_bytes()))
    assert read(f"ark:{packed}", False) == WHOLE
    (tmp_path / "v.gz").write_bytes(gzip.compress(b" [ 1 2 ]\n"))
    (tmp_path / "y.scp").write_bytes(gzip.compress(f"a {tmp_path}/v.gz\n".encode()))
    assert read(f"scp:{tmp_path}/y.scp", False) == {"a": 1}
    assert read_vectors(tmp_path / "y.scp")[1].tolist() == [[1, 2]]
    (tmp_path / "two").write_bytes(gzip.compress(b"a 1\n") + gzip.compress(b"b 2\n"))
    assert read_table(tmp_path / "two") == {"a": "1", "b": "2"}


@pytest.mark.parametrize("cut", [1, 4, 9, 20, 40])
def test_a_packed_archive_that_was_cut_short_is_told(archive, tmp_path, cut):
    (tmp_path / "x.gz").write_bytes(gzip.compress(archive.read_bytes())[:-cut])
    with pytest.raises(UserError, match="x.gz.*damaged gzip data"):
        read(f"ark:{tmp_path}/x.gz")


def test_a_packed_archive_with_a_flipped_bit_is_told(archive, tmp_path):
    data = bytearray(gzip.compress(os.urandom(1000)))
    data[500] ^= 1
    (tmp_path / "x.gz").write_bytes(data)
    with pytest.raises(UserError, match="x.gz: damaged gzip data"), open_input(tmp_path / "x.gz") as stream:
        stream.read()


@pytest.mark.parametrize("name", ["nothing", ".", "a\0b", "x" * 300])
def test_what_cannot_be_opened_is_told(tmp_path, name):
    with pytest.raises(UserError, match="cannot be opened|no name of a file|no such file"):
        read(f"ark:{tmp_path}/{name}")
    with pytest.raises(UserError, match="cannot be opened|no name of a file|no such file"):
        read(f"scp:{tmp_path}/{name}")


def test_devices_are_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        with open_writer(wspecifier(f"ark,t:{tmp_path}/pipe"), False) as writer:
            writer.write("a", np.arange(2))
        assert reader.stdout.read() == b"a  [ 0 1 ]\n"
    with open_writer(wspecifier(f"ark:{os.devnull}"), False) as writer:
        writer.write("a", np.arange(2))
    assert not os.path.isfile(os.devnull)


def test_standard_input_and_output(archive, tmp_path):
    copy = (
        "import sys; from xvkd.kaldi.archives import *; from xvkd.kaldi.specifiers import *\n"
        "with open_writer(wspecifier(sys.argv[2]), False) as writer:\n"
        "    for item in read_items(rspecifier(sys.argv[1])): writer.write(*item)"
    )
    run = [sys.executable, "-c", copy]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    whole = archive.read_bytes()
    done = subprocess.run([*run, "ark:-", "ark:-"], input=whole, env=environment, capture_output=True, check=True)
    assert done.stdout == whole
    script = (tmp_path / "x.scp").read_bytes()
    done = subprocess.run([*run, "scp:-", "ark,t:-"], input=script, env=environment, capture_output=True, check=True)
    assert done.stdout == b"".join(b"u%d  [ %d %d %d %d ]\n" % ((i,) * 5) for i in range(5))


def test_flushing_shows_each_entry_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (
        subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, bufsize=0) as reader,
        open_writer(wspecifier(f"ark,t,f:{tmp_path}/pipe"), False) as writer,
    ):
        writer.write("a", np.arange(2))
        assert reader.stdout.readline() == b"a  [ 0 1 ]\n"
