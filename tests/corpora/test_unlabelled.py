"""Recordings without labels: every form that they come in, their names, and that they are no set of the corpus."""

import lhotse
import numpy as np
import pytest
import soundfile

from xvkd.corpora.prepare import prepare_unlabelled
from xvkd.corpora.unlabelled import read_unlabelled
from xvkd.errors import UserError
from xvkd.features.cuts import utterance_cuts
from xvkd.kaldi.tables import read_table, write_table

FILES = ("anna/one.wav", "anna/day 1/two.flac", "bob/one.wav", "three.ogg")
NAMES = ["more-anna-day_1-two", "more-anna-one", "more-bob-one", "more-three"]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings of whoever")
    for seed, name in enumerate(FILES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, 0.1 * np.random.default_rng(seed).standard_normal(4800), 16000)
    (root / "notes.txt").write_text("not a recording")
    return root


@pytest.fixture
def data_dir(recordings, tmp_path):
    """A Kaldi data directory with two speakers."""
    folder = tmp_path / "data dir"
    folder.mkdir()
    write_table(folder / "wav.scp", {f"{s}-{i}": str(recordings / FILES[0]) for s in ("a", "b") for i in (1, 2)})
    write_table(folder / "utt2spk", {f"{s}-{i}": s for s in ("a", "b") for i in (1, 2)})
    write_table(folder / "trials", {"a-1": "a-2 target"})
    return folder


def test_every_file_of_a_folder_is_an_utterance_and_its_own_speaker(recordings):
    found = read_unlabelled(recordings, "more", 0)
    assert [(utterance.id, utterance.speaker) for utterance in found.utterances] == [(name, name) for name in NAMES]
    assert found.tables["wav.scp"]["more-anna-one"] == str(recordings / "anna" / "one.wav")
    assert found.trial_lists == {}


def test_two_files_of_one_name_are_told_apart_or_refused(recordings, tmp_path):
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, np.zeros(1600), 16000)
    with pytest.raises(UserError, match="would both be called 'a': rename one of them"):
        read_unlabelled(tmp_path, "more", 0)


def test_data_directory(data_dir):
    found = read_unlabelled(data_dir, "more", 0)
    assert [(u.id, u.speaker) for u in found.utterances][:2] == [("more-a-1", "more-a"), ("more-a-2", "more-a")]
    assert set(found.tables["wav.scp"]) == set(found.tables["utt2dur"]) == {u.id for u in found.utterances}


def test_data_directory_without_speakers(data_dir):
    (data_dir / "utt2spk").unlink()
    found = read_unlabelled(data_dir, "more", 0)
    assert [(u.id, u.speaker) for u in found.utterances][0] == ("more-a-1", "more-a-1")


def test_segments_keep_their_recordings(data_dir, recordings):
    write_table(data_dir / "wav.scp", {"long": str(recordings / FILES[0])})
    write_table(data_dir / "segments", {f"{s}-{i}": f"long 0.0{i} 0.2{i}" for s in ("a", "b") for i in (1, 2)})
    found = read_unlabelled(data_dir, "more", 0)
    assert list(found.tables["wav.scp"]) == ["long"]
    assert found.tables["segments"]["more-b-2"].split() == ["long", "0.02", "0.22"]


def test_given_features_keep_their_places(data_dir):
    (data_dir / "wav.scp").unlink()
    write_table(data_dir / "feats.scp", {f"{s}-{i}": f"{data_dir}/x.ark:{i}" for s in ("a", "b") for i in (1, 2)})
    (data_dir / "x.ark").write_bytes(b"")
    found = read_unlabelled(data_dir, "more", 0)
    assert found.given["feats.scp"]["more-b-2"] == f"{data_dir}/x.ark:2"


def test_lhotse_manifest(recordings, tmp_path):
    one = lhotse.Recording.from_file(recordings / FILES[0], recording_id="one")
    supervision = lhotse.SupervisionSegment("one", "one", 0.0, one.duration, speaker="anna")
    cuts = lhotse.CutSet.from_manifests(
        lhotse.RecordingSet.from_recordings([one]), lhotse.SupervisionSet.from_segments([supervision])
    )
    cuts.to_file(tmp_path / "cuts.jsonl.gz")
    found = read_unlabelled(tmp_path / "cuts.jsonl.gz", "more", 0)
    assert [utterance.id for utterance in found.utterances] == ["more-anna-one"]


@pytest.mark.parametrize("make, message", [
    (lambda path: None, "no such folder or file"),
    (lambda path: path.mkdir(), "no recordings in it"),
    (lambda path: path.write_text("x"), "neither a data directory"),
])  # fmt: skip
def test_anything_else_is_refused(tmp_path, make, message):
    make(tmp_path / "x")
    with pytest.raises(UserError, match=f"--distill-data {tmp_path / 'x'}: {message}"):
        read_unlabelled(tmp_path / "x", "more", 0)


def test_recordings_that_cannot_be_read(recordings, tmp_path):
    for name in ("good.wav", "bad.wav"):
        (tmp_path / name).write_bytes((recordings / FILES[0]).read_bytes() if name == "good.wav" else b"RIFF")
    with pytest.raises(UserError, match=r"bad\.wav"):
        read_unlabelled(tmp_path, "more", 0)
    assert [utterance.id for utterance in read_unlabelled(tmp_path, "more", 1).utterances] == ["more-good"]


def test_the_set_stays_when_its_corpus_is_prepared_again(recordings, train, take):
    data = take(train_dir=train)
    prepare_unlabelled(recordings, data / "distill_more", 0)
    take(train_dir=train)
    assert list(read_table(data / "distill_more" / "utt2spk")) == [f"distill_{name}" for name in NAMES]


def test_copies_can_be_made_of_it(recordings, tmp_path):
    prepare_unlabelled(recordings, tmp_path / "more", 0)
    assert sorted(cut.id for cut in utterance_cuts(tmp_path / "more")) == NAMES
