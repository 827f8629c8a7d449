"""Somebody's recipe folder with a Kaldi data directory, and the preparation of a corpus from it."""

import pytest
from corpus_files import UTTERANCES, write_sound, write_table

from xvkd.corpora.prepare import load_corpus, prepare


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Somebody's recipe folder, and the user in another one."""
    root = tmp_path / "egs" / "my $(touch x) recipe"
    (root / "data" / "train").mkdir(parents=True)
    write_table(root / "data" / "train" / "utt2spk", UTTERANCES)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return root


@pytest.fixture
def train(recipe):
    """A data directory with wav.scp, whose paths are relative to the recipe."""
    for name in UTTERANCES:
        write_sound(recipe / "wavs" / f"{name} x.wav")
    write_table(recipe / "data" / "train" / "wav.scp", {name: f"wavs/{name} x.wav" for name in UTTERANCES})
    return recipe / "data" / "train"


@pytest.fixture
def take(conf, tmp_path):
    """Prepares a corpus of the given directories; returns data/<name>."""

    def run(name="data", **options):
        overrides = [f"options.{key}='{value}'" for key, value in options.items()]
        prepare(*load_corpus(conf / "corpora" / "kaldi.yaml", overrides), tmp_path / name)
        return tmp_path / name

    return run
