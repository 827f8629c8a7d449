"""Kaldi data directories as users have them: what is taken over, and what is wrong with one is told."""

import gzip
import logging
import os

import lhotse
import numpy as np
import pytest
from corpus_files import UTTERANCES, change, write_features, write_sound, write_table

from xvkd.corpora.prepare import load_corpus, prepare
from xvkd.corpora.sources import kaldi
from xvkd.errors import UserError
from xvkd.features.audio import read_audio
from xvkd.kaldi.archives import MatrixReader
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.tables import read_table


def test_a_directory_of_recordings(train, take, tmp_path):
    write_table(train / "spk2gender", {"anna": "f", "bob": "m"})
    folder = take(train_dir=train) / "train"
    assert read_table(folder / "utt2spk") == UTTERANCES
    assert read_table(folder / "spk2utt") == {"anna": "anna-0 anna-1 anna-2", "bob": "bob-0 bob-1 bob-2"}
    assert read_table(folder / "spk2gender") == {"anna": "f", "bob": "m"}
    for name, path in read_table(folder / "wav.scp").items():
        assert os.path.isabs(path) and len(read_audio(path, 16000)) == 8000 and f"/{name} x.wav" in path
    assert set(read_table(folder / "utt2dur").values()) == {"0.5000"}
    cuts = lhotse.load_manifest(folder / "manifests" / "cuts.jsonl.gz")
    lhotse.validate(cuts, read_data=True)
    assert {s.id: s.speaker for cut in cuts for s in cut.supervisions} == UTTERANCES
    assert not (folder / "given").exists() and not (tmp_path / "data" / "dev").exists()
    assert DataDir(folder).trial_lists() == {}


def test_sessions_may_be_known_of_some(train, take):
    (train / "utt2session").write_text("anna-0 monday\nanna-1 tuesday\nsomebody-0 monday\n")
    folder = take(train_dir=train, dev_dir=train) / "dev"
    assert read_table(folder / "utt2session") == {"anna-0": "monday", "anna-1": "tuesday"}
    assert "anna-0 anna-1 target\n" in (folder / "trials").read_text()


def test_noise_may_be_known_of_some(train, take):
    (train / "utt2snr").write_text("anna-0 12.5\nanna-1 -3\nsomebody-0 4\n")
    folder = take(train_dir=train, dev_dir=train) / "dev"
    assert read_table(folder / "utt2snr") == {"anna-0": "12.5", "anna-1": "-3"}


@pytest.mark.parametrize("name", ["utt2dur", "utt2snr"])
def test_what_is_no_number_is_told(train, take, name):
    write_table(train / name, {utterance: "much" if utterance == "bob-1" else "1" for utterance in UTTERANCES})
    with pytest.raises(UserError, match=f"{name}: 'bob-1': expected a number, got 'much': mend it, or remove the file"):
        take(train_dir=train)


def test_spk2utt_will_do(train, take):
    (train / "utt2spk").unlink()
    (train / "spk2utt").write_text("bob bob-2 bob-0 bob-1\nanna anna-0 anna-1 anna-2\n")
    assert read_table(take(train_dir=train) / "train" / "utt2spk") == UTTERANCES


@pytest.mark.parametrize("beside", ["egs/recipe", "egs/recipe/data/train", "egs", "home"])
def test_relative_paths_are_found_from_above_or_from_where_the_user_stands(take, tmp_path, monkeypatch, beside):
    train = tmp_path / "egs" / "recipe" / "data" / "train"
    train.mkdir(parents=True)
    write_table(train / "utt2spk", UTTERANCES)
    (tmp_path / beside).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / beside)
    arrays = write_features(train, archive=tmp_path / beside / "mfcc" / "raw.ark")
    change(train / "feats.scp", f"{tmp_path / beside}/", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XVKD_CALLED_FROM", str(tmp_path / "home"))
    script = take(train_dir=train) / "train" / "given" / "feats.scp"
    reader = MatrixReader(script)
    assert all(np.array_equal(reader[key], array) for key, array in arrays.items())


def test_all_paths_of_a_table_are_meant_from_where_its_first_is(recipe, train, take):
    write_sound(recipe / "data" / "wavs" / "anna-0 x.wav")  # nearer, but without the others
    with pytest.raises(UserError, match=r"wav\.scp, line 2: 'wavs/anna-1 x\.wav' does not exist \(the first of 5"):
        take(train_dir=train)


def test_features_alone_will_do(recipe, take, tmp_path):
    train = recipe / "data" / "train"
    features = write_features(train, recipe / "mfcc" / "a.ark")
    vad = write_features(train, recipe / "mfcc" / "v.ark", "vad")
    (train / "segments").write_text("left here, and of no use\n")
    folder = take(train_dir=train) / "train"
    assert not (folder / "wav.scp").exists() and not (folder / "manifests").exists()
    assert not (folder / "feats.scp").exists()  # that is stage 3's to do
    for name, arrays in (("feats", features), ("vad", vad)):
        reader = MatrixReader(folder / "given" / f"{name}.scp")
        assert list(reader) == sorted(UTTERANCES)
        assert all(np.array_equal(reader[key], array) for key, array in arrays.items())


def test_ranges_in_scripts_stay(recipe, take):
    train = recipe / "data" / "train"
    features = write_features(train, recipe / "mfcc" / "a.ark")
    lines = [f"{line}[10:19]" for line in (train / "feats.scp").read_text().splitlines()]
    (train / "feats.scp").write_text("\n".join(lines) + "\n")
    reader = MatrixReader(take(train_dir=train) / "train" / "given" / "feats.scp")
    np.testing.assert_array_equal(reader["bob-1"], features["bob-1"][10:20])


def test_features_do_without_recordings_that_are_not_there(recipe, train, take, caplog):
    write_features(train, recipe / "mfcc" / "a.ark")
    (recipe / "wavs" / "bob-1 x.wav").unlink()
    with caplog.at_level(logging.WARNING):
        folder = take(train_dir=train) / "train"
    assert "feats.scp is used without the recordings" in caplog.text and "bob-1 x.wav' does not exist" in caplog.text
    assert not (folder / "wav.scp").exists() and (folder / "given" / "feats.scp").exists()


def test_commands_are_taken_over_from_where_the_user_stands_but_not_run(train, take, tmp_path, monkeypatch):
    table = {name: f"sox wavs/{name}.mp3 -t wav - > {tmp_path}/run; cat x |" for name in UTTERANCES}
    write_table(train / "wav.scp", table)
    home = tmp_path / "it's home"
    home.mkdir()
    monkeypatch.setenv("XVKD_CALLED_FROM", str(home))
    folder = take(train_dir=train) / "train"
    assert read_table(folder / "wav.scp")["bob-1"] == f"cd '{tmp_path}/it'\"'\"'s home' && {table['bob-1']}"
    assert not (tmp_path / "run").exists() and not (folder / "manifests").exists()
    monkeypatch.setenv("XVKD_CALLED_FROM", os.getcwd())
    assert read_table(take(train_dir=train) / "train" / "wav.scp") == table


def test_recordings_in_archives_are_found(recipe, train, take):
    os.rename(recipe / "wavs" / "anna-0 x.wav", recipe / "wavs" / "w.ark")
    change(train / "wav.scp", "wavs/anna-0 x.wav", "wavs/w.ark:17")
    assert read_table(take(train_dir=train) / "train" / "wav.scp")["anna-0"] == f"{recipe}/wavs/w.ark:17"


@pytest.fixture
def calls(recipe):
    """Two recordings of two channels, with segments."""
    train = recipe / "data" / "train"
    write_table(train / "wav.scp", {f"call{n}": write_sound(recipe / f"call{n}.flac", 3, 8000, 2) for n in (1, 2, 3)})
    (train / "segments").write_text(
        "anna-0 call1 0.0 1.5 0\nanna-1 call1 1.5 3.2 0\nanna-2 call2 0.5 -1\n"
        "bob-0 call1 0.0 1.5 1\nbob-1 call1 1.25 2.0\nbob-2 call2 0 3 1\n"
    )
    return train


def test_segments(calls, take):
    folder = take(train_dir=calls) / "train"
    assert list(read_table(folder / "wav.scp")) == ["call1", "call2"]  # nothing is said in the third
    assert read_table(folder / "segments") == read_table(calls / "segments")
    expected = {"anna-0": 1.5, "anna-1": 1.5, "anna-2": 2.5, "bob-0": 1.5, "bob-1": 0.75, "bob-2": 3}
    assert {name: float(value) for name, value in read_table(folder / "utt2dur").items()} == expected
    lhotse.validate(lhotse.load_manifest(folder / "manifests" / "cuts.jsonl.gz"))
    supervisions = {s.id: s for s in lhotse.load_manifest(folder / "manifests" / "supervisions.jsonl.gz")}
    assert {name: s.duration for name, s in supervisions.items()} == expected
    assert supervisions["bob-0"].channel == [1] and supervisions["bob-1"].channel == [0, 1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("call2 0.5", "call9 0.5", "segments, line 3: recording 'call9' of segment 'anna-2' does not stand in wav.scp"),
        ("0.5 -1", "0.5 0.2", "segment 'anna-2': expected 'recording start end"),
        ("0.5 -1", "x y", "segment 'anna-2': expected 'recording start end"),
        ("1.5 3.2 0", "1.5 3.5 0", "segment 'anna-1' from 1.5 to 3.5 s, of recording 'call1' with 3.00 s, ends behind"),
        ("1.25 2.0", "1.25 1.3", r"segment 'bob-1' .* is not longer than 0.1 s"),
        ("1.25 2.0", "3.25 4.0", r"segment 'bob-1' from 3.25"),
        ("1.25 2.0", "1.25 2.0 2", r"segment 'bob-1' asks for channel 2, recording 'call1' has 2 \(counted from 0\)"),
        ("bob-1 call1 1.25 2.0\n", "", "utt2spk: utterance 'bob-1' does not stand in segments: add it there, or"),
        ("bob-1 ", "carl-1 ", "segments: utterance 'carl-1' does not stand in utt2spk, so that it has no speaker"),
    ],
)
def test_segments_that_do_not_fit_are_told(calls, take, tmp_path, old, new, message):
    change(calls / "segments", old, new)
    with pytest.raises(UserError, match=message):
        take(train_dir=calls)
    assert not (tmp_path / "data").exists()


def test_what_is_unsorted_is_sorted_and_windows_line_ends_go(train, take, caplog):
    lines = (train / "wav.scp").read_text().splitlines()
    (train / "wav.scp").write_text("\n".join(reversed(lines)) + "\n")
    (train / "utt2spk").write_bytes((train / "utt2spk").read_bytes().replace(b"\n", b"\r\n"))
    with caplog.at_level(logging.WARNING):
        folder = take(train_dir=train) / "train"
    assert list(read_table(folder / "wav.scp")) == sorted(UTTERANCES)
    assert b"\r" not in (folder / "utt2spk").read_bytes()
    assert [record.message for record in caplog.records] == [
        f"{train}: not in the order of LC_ALL=C sort: wav.scp; sorted in our copy",
        f"{train}: Windows line ends in utt2spk; not in our copy",
    ]


def empty(train):
    (train / "utt2spk").write_text("")


def twice(train):
    (train / "wav.scp").write_text((train / "wav.scp").read_text() + "bob-2 /x.wav\n")


def twice_in_spk2utt(train):
    (train / "utt2spk").unlink()
    (train / "spk2utt").write_text("anna anna-0 anna-1 anna-2 bob-1\nbob bob-0 bob-1 bob-2\n")


def two_opinions(train):
    (train / "spk2utt").write_text("anna anna-0 anna-1 anna-2 bob-1\nbob bob-0 bob-2\n")


def no_speaker(train):
    change(train / "utt2spk", "bob-1 bob\n", "")


def no_speaker_in_its_line(train):
    change(train / "utt2spk", "bob-1 bob\n", "bob-1\n")


def no_recording(train):
    change(train / "wav.scp", "bob-1 wavs/bob-1 x.wav\n", "")


def white_space(train):
    change(train / "utt2spk", "bob-1 bob\n", "bob-1 bob smith\n")


def another_beginning(train):
    change(train / "utt2spk", "bob-1 bob\n", "bob-1 carl\n")


def two_orders(train):
    change(train / "utt2spk", "bob-1 bob\n", "bob-1 b\n")


def no_file(train):
    change(train / "wav.scp", "wavs/bob-1 x.wav", "wavs/bob-1.wav")
    change(train / "wav.scp", "wavs/bob-2 x.wav", "/nowhere/bob-2.wav")


def no_audio(train):
    (train.parent.parent / "wavs" / "bob-1 x.wav").write_text("RIFF? No.")


def half_a_recording(train):
    path = train.parent.parent / "wavs" / "bob-1 x.wav"
    path.write_bytes(path.read_bytes()[:4000])


def an_empty_recording(train):
    (train.parent.parent / "wavs" / "bob-1 x.wav").write_bytes(b"")


def nothing(train):
    (train / "wav.scp").unlink()


def no_gender(train):
    (train / "spk2gender").write_text("anna f\n")


def odd_gender(train):
    (train / "spk2gender").write_text("anna f\nbob male\n")


def packed(train):
    (train / "utt2spk").write_bytes(gzip.compress((train / "utt2spk").read_bytes())[:40])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (empty, r"train/utt2spk: is empty; fill it, or remove it"),
        (twice, r"train/wav.scp, line 7: 'bob-2' stands twice: remove one"),
        (twice_in_spk2utt, r"train/spk2utt: 'bob-1' stands twice: remove it from one of its places"),
        (two_opinions, r"train: utt2spk and spk2utt do not agree on 'bob-1': remove the one that is wrong"),
        (no_speaker, r"train/wav.scp: utterance 'bob-1' does not stand in utt2spk, so that it has no speaker: add it"),
        (no_speaker_in_its_line, r"train/utt2spk, line 5: expected 'key value', got 'bob-1'"),
        (no_recording, r"train/utt2spk: utterance 'bob-1' does not stand in wav.scp: add it there, or remove it"),
        (white_space, r"train: the ids 'bob-1' and 'bob smith' must not contain white space: rename them"),
        (another_beginning, r"utterance 'bob-1' must begin with its speaker 'carl': rename it to 'carl-bob-1'"),
        (two_orders, r"train: 'b.*sorting by utterance and sorting by speaker disagree; give"),
        (no_file, r"wav.scp, line 5: 'wavs/bob-1.wav' does not exist \(the first of 2 such lines\): mend the path \(it "
                  r"is relative, and not there as seen from .*recipe\), or remove the line"),
        (no_audio, r"bob-1 x.wav: cannot be read as audio .*replace or remove it"),
        (half_a_recording, r"bob-1 x.wav: truncated .*replace or remove it"),
        (an_empty_recording, r"bob-1 x.wav: cannot be read as audio"),
        (nothing, r"train: neither wav.scp nor feats.scp is there; one of them is needed"),
        (no_gender, r"spk2gender: speaker 'bob' is missing: add it, or remove the file"),
        (odd_gender, r"spk2gender: speaker 'bob': gender 'male' \(expected m or f\)"),
        (packed, r"utt2spk: damaged gzip data"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_nothing_is_written(train, take, tmp_path, spoil, message):
    spoil(train)
    with pytest.raises(UserError, match=message):
        take(train_dir=train)
    assert not (tmp_path / "data").exists()


def test_some_recordings_that_cannot_be_used_may_be_left_out(train, recipe, take, tmp_path, caplog):
    """With the trials that name them, counted and listed."""
    no_file(train)
    half_a_recording(train)
    (recipe / "wavs" / "anna-1 x.wav").write_text("no audio")
    write_features(train, recipe / "mfcc" / "v.ark", "vad")
    (tmp_path / "trials").write_text("1 anna-0 anna-2\n0 anna-0 bob-0\n1 bob-0 bob-1\n0 anna-1 bob-0\n")
    options = {"train_dir": train, "eval_dir": train, "trials": tmp_path / "trials"}
    with caplog.at_level(logging.WARNING):
        folder = take(**options, max_bad_utts=3) / "eval"
    left = {"anna-0", "anna-2", "bob-0"}
    for name in ("utt2spk", "wav.scp", "utt2dur", "given/vad.scp"):
        assert read_table(folder / name).keys() == left, name
    assert (folder / "trials").read_text() == "anna-0 anna-2 target\nanna-0 bob-0 nontarget\n"
    assert "left out: 'bob-1': " in caplog.text and "wav.scp, line 5: 'wavs/bob-1.wav' does not exist" in caplog.text
    assert "left out: 'anna-1': " in caplog.text and "anna-1 x.wav: cannot be read as audio" in caplog.text
    assert "2 trials of utterances that are left out go too" in caplog.text
    assert "3 utterances left out, whose recordings cannot be used" in caplog.text
    with pytest.raises(UserError, match=r"cannot be read .*\(3 utterances cannot be used, --max-bad-utts allows 2\)"):
        take("other", **options, max_bad_utts=2)
    assert not (tmp_path / "other").exists()
    (tmp_path / "trials").write_text("1 bob-1 bob-2\n0 anna-1 bob-2\n")
    with pytest.raises(UserError, match="no trial is left without the utterances that cannot be used"):
        take("other", **options, max_bad_utts=3)


def test_segments_that_cannot_be_used_may_be_left_out(calls, take):
    change(calls / "segments", "1.5 3.2 0", "1.5 3.5 0")
    folder = take(train_dir=calls, max_bad_utts=1) / "train"
    assert read_table(folder / "segments").keys() == read_table(folder / "utt2spk").keys() == {*UTTERANCES} - {"anna-1"}
    (calls.parent.parent / "call2.flac").unlink()
    folder = take(train_dir=calls, max_bad_utts=3) / "train"
    assert read_table(folder / "wav.scp").keys() == {"call1"} and len(read_table(folder / "segments")) == 3
    assert len(lhotse.load_manifest(folder / "manifests" / "recordings.jsonl.gz")) == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("mfcc/b.ark:5", r"feats.scp, line 3: 'mfcc/b.ark' does not exist: mend the path"),
        ("copy-feats x ark:- |", r"feats.scp, line 3: a command \('copy-feats x ark:- \|'\): .*write them to disk"),
    ],
)
def test_scripts_that_cannot_be_reused_are_told(recipe, take, entry, message):
    train = recipe / "data" / "train"
    write_features(train, recipe / "mfcc" / "a.ark")
    table = read_table(train / "feats.scp") | {"anna-2": entry}
    write_table(train / "feats.scp", {key: value.replace(f"{recipe}/", "") for key, value in table.items()})
    with pytest.raises(UserError, match=message):
        take(train_dir=train)


def test_a_folder_with_a_line_break_in_its_name_is_told(tmp_path, conf):
    train = tmp_path / "egs" / "data"
    train.mkdir(parents=True)
    write_table(train / "utt2spk", UTTERANCES)
    train = tmp_path / "new\nline"
    train.mkdir()
    write_table(train / "utt2spk", UTTERANCES)
    write_table(train / "wav.scp", dict.fromkeys(UTTERANCES, "x.wav"))
    write_sound(train / "x.wav")
    config, source, _ = load_corpus(conf / "corpora" / "kaldi.yaml", [f"options.train_dir={tmp_path / 'egs'}/data"])
    with pytest.raises(UserError, match=r"wav.scp: 'anna-0': a line break in '.*new\\nline/x.wav': rename the file"):
        prepare(config, source, kaldi.Options(str(train), "", "", "", "", 0), tmp_path / "data")
    assert not (tmp_path / "data").exists()
