"""Fetches the archives of a corpus: goes on where a transfer was interrupted, checks what came, unpacks it.

A file is called ``<name>.part`` until it is whole. An archive that was unpacked leaves the mark ``.<name>.fetched``
and goes. Lhotse's own downloads are not used: they check nothing, and append the beginning of a file to what is there
where a server cannot resume.
"""

import hashlib
import http.client
import io
import logging
import re
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xvkd.errors import UserError
from xvkd.kaldi.files import OUT_OF_SPACE
from xvkd.progress import Progress

BLOCK = 1 << 20
SECONDS = 60  # that a server may be silent
_HASHES = {32: "md5", 64: "sha256"}  # by the length of a checksum


@dataclass
class Archive:
    """An archive of a corpus.

    Attributes:
        files: its pieces in their order, below the corpus's url.
        checksum: MD5 or SHA-256 of the pieces one behind the other.
    """

    files: list[str]
    checksum: str


@dataclass
class Download:
    """Schema of the section ``options.download`` of a corpus's YAML."""

    url: str  # what the names of files are below; a mirror has another
    archives: dict[str, Archive]

    def fetch(self, names: Iterable[str], root: Path) -> None:
        """Fetches and unpacks archives, as far as they have not been.

        Args:
            names: of ``archives``.
            root: gets what they hold.

        Raises:
            UserError: a server that cannot be reached or has not got them, or what came is not what was expected.
        """
        for name in names:
            if name not in self.archives:
                raise UserError(f"'{name}': cannot be downloaded (there are: {', '.join(self.archives)}): give "
                                "--corpus-root DIR where it is")  # fmt: skip
            mark = root / f".{name}.fetched"
            if not mark.exists():
                self._fetch(self.archives[name], name, root)
                mark.touch()

    def _fetch(self, archive: Archive, name: str, root: Path) -> None:
        if len(archive.checksum) not in _HASHES:
            raise UserError(f"download.archives.{name}.checksum: '{archive.checksum}': expected the 32 digits of an "
                            "MD5 or the 64 of a SHA-256")
        root.mkdir(parents=True, exist_ok=True)
        pieces = [root / file.rsplit("/", 1)[-1] for file in archive.files]
        for file, piece in zip(archive.files, pieces, strict=True):
            if not piece.exists():
                _transfer(f"{self.url.rstrip('/')}/{file}", piece)
        found = _checksum(pieces, _HASHES[len(archive.checksum)])
        if found != archive.checksum:
            for piece in pieces:
                piece.unlink()
            names = ", ".join(map(str, pieces))
            raise UserError(f"{names}: the checksum is {found}, not {archive.checksum}: what came is damaged, or of "
                            f"another version, and was removed; repeat, or {_MIRROR}")
        logging.info("%s: whole; unpacking it", name)
        _unpack(pieces, root / f".{name}.unpacking", root)
        for piece in pieces:
            piece.unlink()


_MIRROR = "name a mirror with --corpus-set options.download.url=ADDRESS"


def _transfer(url: str, path: Path) -> None:
    """Fetches a file; as long as more of it comes, an interrupted transfer is taken up again."""
    part = path.with_name(f"{path.name}.part")
    while True:
        before = _size(part)
        try:
            if _receive(url, part, before):
                part.rename(path)
                return
        except urllib.error.HTTPError as error:
            if error.code == 416 and before:  # more is there than the server has
                part.unlink()
                continue
            raise UserError(f"{url}: the server says {error.code} {error.reason}: {_MIRROR}, or fetch the corpus by "
                            "other means and give --corpus-root DIR") from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            if getattr(error, "errno", None) in OUT_OF_SPACE:
                raise UserError(f"{part}: no space left: free some and repeat, which goes on from here") from None
            reason = getattr(error, "reason", None) or error
            if _size(part) <= before:
                raise UserError(f"{url}: cannot be reached ({reason}): repeat where there is a network, which goes on "
                                f"from here, or {_MIRROR}") from None
        now = _size(part)
        if now <= before:
            raise UserError(f"{url}: the transfer breaks off again and again at {now} bytes: repeat later, which goes "
                            f"on from here, or {_MIRROR}")
        logging.info("%s: interrupted after %d bytes; going on", url, now)


def _size(path: Path) -> int:
    """Bytes of a file; 0 if it is not there."""
    return path.stat().st_size if path.exists() else 0


def _receive(url: str, part: Path, start: int) -> bool:
    """Adds to a file what is missing; False if the transfer ended before its end."""
    headers = {"User-Agent": "xvkd", **({"Range": f"bytes={start}-"} if start else {})}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=SECONDS) as answer:
        resumed = re.match(rf"bytes {start}-", answer.headers.get("Content-Range", ""))
        if not (answer.status == 206 and resumed):
            start = 0  # the whole of it comes
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        logging.info("%s: %s", url, f"{total / 1e6:.0f} MB" if total else "of unknown size")
        progress = Progress((total or 0) // BLOCK, "MB")
        progress.resume(start // BLOCK)
        with part.open("ab" if start else "wb") as file:
            while block := answer.read(BLOCK):
                file.write(block)
                progress.update()
        return total is None or part.stat().st_size == total


def _checksum(pieces: Sequence[Path], kind: str) -> str:
    digest = hashlib.new(kind)
    for piece in pieces:
        with piece.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


class _Pieces(io.RawIOBase):
    """Files one behind the other, to be read from the first to the last byte."""

    def __init__(self, pieces: Sequence[Path]) -> None:
        self._left = list(pieces)
        self._file: io.BufferedReader | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            if self._file is None:
                if not self._left:
                    return 0
                self._file = self._left.pop(0).open("rb")
            count = self._file.readinto(buffer)
            if count:
                return count
            self._file.close()
            self._file = None


def _unpack(pieces: Sequence[Path], temporary: Path, root: Path) -> None:
    """Unpacks an archive beside its place and moves it there when it is whole."""
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        if pieces[0].suffix == ".zip":
            with zipfile.ZipFile(pieces[0]) as archive:
                archive.extractall(temporary)
        else:
            with tarfile.open(fileobj=io.BufferedReader(_Pieces(pieces), BLOCK), mode="r|*") as archive:
                for member in archive:
                    inside = (temporary / member.name).resolve().is_relative_to(temporary.resolve())
                    if not inside or not (member.isfile() or member.isdir()):
                        raise tarfile.TarError(f"'{member.name}' is no plain file in it")
                    archive.extract(member, temporary)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise UserError(f"{pieces[0]}: cannot be unpacked ({error}); remove it and repeat") from None
    _merge(temporary, root)


def _merge(source: Path, target: Path) -> None:
    """Moves what is in a folder into another one, folder by folder; what is there already stays."""
    for path in source.iterdir():
        there = target / path.name
        if not there.exists():
            path.rename(there)
        elif path.is_dir():
            _merge(path, there)
    shutil.rmtree(source)
