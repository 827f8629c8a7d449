"""Data directories: what Kaldi would refuse is refused, and trial lists are found by their names."""

import pytest

from xvkd.errors import UserError
from xvkd.kaldi.datadir import DataDir, write_data_dir
from xvkd.kaldi.tables import read_table


def tables_of(utt2spk, **others):
    return {"utt2spk": utt2spk, "wav.scp": {utterance: f"/{utterance}.wav" for utterance in utt2spk}, **others}


def test_what_is_written_is_read(tmp_path):
    utt2spk = {"b-1": "b", "a-2": "a", "a-1": "a"}
    write_data_dir(tmp_path / "x" / "train", tables_of(utt2spk, spk2gender={"a": "f", "b": "m"}))
    data = DataDir(tmp_path / "x" / "train")
    assert list(data.speakers().items()) == [("a-1", "a"), ("a-2", "a"), ("b-1", "b")]
    assert data.table("spk2utt") == {"a": "a-1 a-2", "b": "b-1"}
    assert data.table("wav.scp")["b-1"] == "/b-1.wav" and data.table("spk2gender") == {"a": "f", "b": "m"}
    assert {path.name for path in data.path.iterdir()} == {"utt2spk", "spk2utt", "wav.scp", "spk2gender"}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (tables_of({}), "no utterances"),
        (tables_of({"a 1": "a"}), "'a 1' and 'a' must not contain white space"),
        (tables_of({"a-1": ""}), "must not contain white space"),
        (tables_of({"1-a": "a"}), "'1-a' must begin with its speaker 'a'"),
        # Sorted by utterance: a1-1, a2, a_; by speaker: a (a2), a1 (a1-1).
        (tables_of({"a2": "a", "a1-1": "a1"}), "sorting by utterance and sorting by speaker disagree"),
        (tables_of({"a-1": "a"}, utt2dur={"a-1": "1", "a-2": "1"}), "'a-2' stands in only one of utt2spk and utt2dur"),
        (tables_of({"a-1": "a"}, text={"a-2": "x"}), "'a-2' stands in only one of utt2spk and text"),
        (tables_of({"a-1": "a"}, segments={"a-1": "r 0 1"}), "'a-1' stands in only one of segments and wav.scp"),
        ({"utt2spk": {"a-1": "a"}, "wav.scp": {"a-1": "/x\ny.wav"}}, "wav.scp: 'a-1': a line break in '/x.ny.wav'"),
    ],
)
def test_what_kaldi_would_refuse_is_told_and_not_written(tmp_path, tables, message):
    with pytest.raises(UserError, match=message):
        write_data_dir(tmp_path / "bad", tables)
    assert not (tmp_path / "bad").exists()


def test_texts_sessions_and_noise_may_be_known_of_some(tmp_path):
    some = {"text": {"a-1": "x"}, "utt2session": {"a-2": "s"}, "utt2snr": {"a-2": "10"}}
    write_data_dir(tmp_path / "x", tables_of({"a-1": "a", "a-2": "a"}, **some))
    folder = DataDir(tmp_path / "x")
    for name, table in some.items():
        assert folder.table(name) == folder.table_if_any(name) == table
    assert folder.table_if_any("utt2dur") == {}


def test_wav_scp_has_recordings_where_there_are_segments(tmp_path):
    segments = {"a-1": "r 0 1", "a-2": "r 1 2 0"}
    tables = {"utt2spk": {"a-1": "a", "a-2": "a"}, "segments": segments, "wav.scp": {"r": "/r"}}
    write_data_dir(tmp_path / "x", tables)
    assert read_table(tmp_path / "x" / "wav.scp") == {"r": "/r"}


def test_trial_lists_are_found_by_their_names(tmp_path):
    folder = tmp_path / "eval"
    folder.mkdir()
    for name in ("trials", "trials_multi", "enrol_multi", "trials_hard", "enrol", "trials.bak", "trialsx"):
        (folder / name).write_text("")
    assert DataDir(folder).trial_lists() == {
        "eval": (folder / "trials", folder / "enrol"),
        "eval_hard": (folder / "trials_hard", None),
        "eval_multi": (folder / "trials_multi", folder / "enrol_multi"),
    }


def test_what_is_missing_is_told(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such data directory; run stage 1 first"):
        DataDir(tmp_path / "nowhere")
    with pytest.raises(UserError, match="utt2spk: no such file"):
        DataDir(tmp_path).speakers()
    assert DataDir(tmp_path).trial_lists() == {}


def test_speakers_whose_ids_begin_alike_are_fine_where_the_order_agrees(tmp_path):
    write_data_dir(tmp_path / "x", tables_of({"a-1": "a", "a1-1": "a1", "a_b-1": "a_b"}))
    assert read_table(tmp_path / "x" / "spk2utt") == {"a": "a-1", "a1": "a1-1", "a_b": "a_b-1"}
