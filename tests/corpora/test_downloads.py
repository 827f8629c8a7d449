"""Downloads from a server of the test's own: whole, interrupted, resumed, damaged, missing, unreachable."""

import hashlib
import http.server
import io
import re
import socket
import tarfile
import threading
import zipfile

import pytest
from book_files import write_librispeech
from shell import ROOT, run

from xvkd.corpora import downloads
from xvkd.corpora.downloads import Archive, Download
from xvkd.errors import UserError


@pytest.fixture
def server():
    """Serves ``files``; breaks off after ``most`` bytes of each answer; understands ranges if ``ranges``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append((self.path, self.headers.get("Range")))
            data = self.server.files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            start = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
            if start and self.server.ranges:
                if start >= len(data):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                data = data[start:]
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: self.server.most])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.files, running.most, running.ranges, running.asked = {}, None, True, []
        running.url = f"http://127.0.0.1:{running.server_address[1]}"
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def tar_of(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


NOISE = hashlib.shake_256(b"").digest(100_000)
CONTENT = {"corpus/part/a.flac": NOISE, "corpus/README": b"read me"}
TAR = tar_of(CONTENT)


def download(server, data=TAR, files=("12/part.tar.gz",), kind="md5"):
    """Of an archive, which the server has in as many pieces as it has names."""
    size = -(-len(data) // len(files))
    for number, name in enumerate(files):
        server.files.setdefault(f"/{name}", data[number * size : (number + 1) * size])
    return Download(f"{server.url}/", {"part": Archive(list(files), hashlib.new(kind, data).hexdigest())})


def unpacked(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_an_archive_is_fetched_unpacked_and_left_alone_afterwards(server, tmp_path, kind):
    wanted = download(server, kind=kind)
    for _ in range(2):
        wanted.fetch(["part"], tmp_path / "new" / "root")
    assert unpacked(tmp_path / "new" / "root") == {**CONTENT, ".part.fetched": b""}
    assert server.asked == [("/12/part.tar.gz", None)]


def test_what_is_there_already_stays(server, tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "README").write_text("mine")
    (tmp_path / "corpus" / "other").mkdir()
    download(server).fetch(["part"], tmp_path)
    assert (tmp_path / "corpus" / "README").read_text() == "mine"
    assert (tmp_path / "corpus" / "part" / "a.flac").read_bytes() == NOISE


def test_an_archive_in_pieces(server, tmp_path):
    download(server, files=("82/x.gzaa", "82/x.gzab", "82/x.gzac")).fetch(["part"], tmp_path)
    assert unpacked(tmp_path) == {**CONTENT, ".part.fetched": b""}


def test_a_zip(server, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in CONTENT.items():
            archive.writestr(name, content)
    download(server, buffer.getvalue(), ["part.zip"]).fetch(["part"], tmp_path)
    assert unpacked(tmp_path) == {**CONTENT, ".part.fetched": b""}


def test_an_interrupted_transfer_goes_on(server, tmp_path, caplog):
    server.most = 40_000
    with caplog.at_level("INFO"):
        download(server).fetch(["part"], tmp_path)
    assert (tmp_path / "corpus" / "part" / "a.flac").read_bytes() == NOISE
    assert [span for _, span in server.asked] == [None, "bytes=40000-", "bytes=80000-"]
    assert "interrupted after 40000 bytes; going on" in caplog.text


def test_a_killed_download_goes_on(server, tmp_path):
    (tmp_path / "part.tar.gz.part").write_bytes(TAR[:70_000])
    download(server).fetch(["part"], tmp_path)
    assert server.asked == [("/12/part.tar.gz", "bytes=70000-")]
    assert (tmp_path / "corpus" / "part" / "a.flac").read_bytes() == NOISE


def test_a_server_that_cannot_resume_sends_all_of_it_again(server, tmp_path):
    server.ranges = False
    (tmp_path / "part.tar.gz.part").write_bytes(b"x" * 70_000)
    download(server).fetch(["part"], tmp_path)
    assert (tmp_path / "corpus" / "part" / "a.flac").read_bytes() == NOISE


def test_a_part_that_is_longer_than_the_file_is_fetched_anew(server, tmp_path):
    (tmp_path / "part.tar.gz.part").write_bytes(b"x" * 200_000)
    download(server).fetch(["part"], tmp_path)
    assert (tmp_path / "corpus" / "part" / "a.flac").read_bytes() == NOISE


def test_a_wrong_checksum_is_told_and_nothing_is_unpacked(server, tmp_path):
    wanted = download(server)
    server.files["/12/part.tar.gz"] = TAR[:-1] + b"x"
    with pytest.raises(UserError, match=r"part\.tar\.gz: the checksum is \w+, not \w+: .* was removed; repeat, or"):
        wanted.fetch(["part"], tmp_path)
    assert unpacked(tmp_path) == {}


def test_a_file_that_the_server_has_not_got(server, tmp_path):
    wanted = download(server)
    del server.files["/12/part.tar.gz"]
    with pytest.raises(UserError, match=r"/12/part\.tar\.gz: the server says 404 .*: name a mirror .*--corpus-root"):
        wanted.fetch(["part"], tmp_path)


def test_a_server_that_breaks_off_at_once(server, tmp_path):
    server.most = 0
    with pytest.raises(UserError, match="breaks off again and again at 0 bytes: repeat later"):
        download(server).fetch(["part"], tmp_path)


def test_no_network(server, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    wanted = Download(f"http://127.0.0.1:{port}", download(server).archives)
    with pytest.raises(UserError, match=r"cannot be reached \(.*refused.*\): repeat where there is a network"):
        wanted.fetch(["part"], tmp_path)


def test_an_impossible_checksum(server, tmp_path):
    with pytest.raises(UserError, match="archives.part.checksum: 'abc': expected the 32 digits of an MD5"):
        Download(server.url, {"part": Archive(["x"], "abc")}).fetch(["part"], tmp_path)


def test_a_part_that_nobody_offers(server, tmp_path):
    with pytest.raises(UserError, match=r"'other': cannot be downloaded \(there are: part\): give --corpus-root DIR"):
        download(server).fetch(["other"], tmp_path)


@pytest.mark.parametrize("spoil", [{"../outside": b"x"}, {"/outside": b"x"}])
def test_archives_that_write_outside_are_refused(server, tmp_path, spoil):
    with pytest.raises(UserError, match=r"part\.tar\.gz: cannot be unpacked \('.*outside' is no plain file in it\)"):
        download(server, tar_of(spoil)).fetch(["part"], tmp_path / "root")
    assert not (tmp_path / "outside").exists() and not (tmp_path / "root" / ".part.fetched").exists()


def test_what_is_no_archive_is_told(server, tmp_path):
    with pytest.raises(UserError, match=r"part\.tar\.gz: cannot be unpacked .*; remove it and repeat"):
        download(server, TAR[:50_000]).fetch(["part"], tmp_path)


def test_a_full_disk_keeps_what_came(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "BLOCK", 10_000)
    monkeypatch.setattr(downloads.Progress, "update", full_after(3))
    with pytest.raises(UserError, match=r"part\.tar\.gz\.part: no space left: free some and repeat"):
        download(server).fetch(["part"], tmp_path)
    assert (tmp_path / "part.tar.gz.part").stat().st_size > 0


def full_after(count):
    """Stands in for a disk that is full after so many blocks."""
    left = [count]

    def update(*_):
        left[0] -= 1
        if left[0] <= 0:
            raise OSError(28, "No space left on device")

    return update


@pytest.mark.slow
def test_the_recipe_downloads_only_when_it_is_asked_to(server, tmp_path):
    parts = {"train-clean-5": ["19", "26", "32", "39", "40", "60"], "dev-clean-2": ["251", "422", "652", "777"]}
    overrides = [f"options.download.url={server.url}", "options.dev_share=0.3", "options.eval_share=0.4"]
    for name, members in parts.items():
        folder = tmp_path / name
        write_librispeech(folder / "LibriSpeech", {name: members})
        data = tar_of(unpacked(folder))
        server.files[f"/31/{name}.tar.gz"] = data
        overrides.append(f"options.download.archives.{name}.checksum={hashlib.md5(data).hexdigest()}")
    command = [ROOT / "run.sh", "--preset", "tiny", "--corpus", "mini_librispeech", "--data-root", tmp_path / "data",
               "--exp-root", tmp_path / "exp", "--stop-stage", "1", "--corpus-set", " ".join(overrides)]  # fmt: skip
    done = run(command)
    assert done.returncode == 1 and server.asked == []
    assert "downloads/mini_librispeech': no such folder: name the one where mini_librispeech is" in done.stderr
    done = run([*command, "--download"])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "mini_librispeech" / "eval" / "trials").exists()
    assert sorted(path for path, _ in server.asked) == ["/31/dev-clean-2.tar.gz", "/31/train-clean-5.tar.gz"]
    done = run(command)
    assert done.returncode == 0 and "up to date: manifests" in done.stderr and len(server.asked) == 2
