"""What all tests share: the library and ``shell.py`` on the path, and the folders with Kaldi's own output."""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "pyscripts"), str(ROOT / "tests")]

# The same examples in every run.
settings.register_profile("project", derandomize=True, deadline=None)
settings.load_profile("project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with most that takes long begin: where they are run side by side, nothing waits for one at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def conf() -> Path:
    """The project's configuration files."""
    return ROOT / "conf"


@pytest.fixture(scope="session")
def golden() -> Path:
    """The small files in ``tests/golden``, one folder a kind."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def oracle() -> Path:
    """The full set of Kaldi's outputs, of which ``golden`` holds a part; skips where it is not."""
    return _folder("XVKD_ORACLE", "kaldi_oracle", "the folder with Kaldi's outputs")


@pytest.fixture(scope="session")
def speech() -> Path:
    """Recordings of people, ``<corpus>/<speaker>/*.flac``; skips where they are not."""
    return _folder("XVKD_SPEECH", "speech", "a folder with <corpus>/<speaker>/*.flac")


def _folder(variable: str, name: str, what: str) -> Path:
    """What a variable names, else what stands beside the checkout; skips where it is not."""
    folder = Path(os.environ.get(variable, ROOT.parent / "shared" / name))
    if not folder.is_dir():
        pytest.skip(f"{folder}: no such folder; set {variable} to {what}")
    return folder
