"""A tree of recordings: all formats, odd names, sessions, genders; a split by speakers; mistakes told."""

import logging

import lhotse
import numpy as np
import pytest
import soundfile

from xvkd import config
from xvkd.corpora.sources import folder
from xvkd.errors import UserError

NAMES = ["anna", "Bob Smith", "c-3po", "d'Arc", 'e"f', "g$(touch x)", "h;i&j", "k", "l", "m.n", "o", "p"]
IDS = ["Bob_Smith", "anna", "c_3po", "d_Arc", "e_f", "g__touch_x_", "h_i_j", "k", "l", "m.n", "o", "p"]
# Format, rate, channels of each recording of a speaker.
RECORDINGS = {
    "one.wav": (16000, 1), "two words.flac": (8000, 1), "it's.ogg": (44100, 2), "$(x).mp3": (22050, 1),
    "UP.WAV": (16000, 2), "day 1/a.opus": (16000, 1), "day 1/b.wav": (48000, 1), "day 2/deep/c.wav": (16000, 1),
}  # fmt: skip


def write_sound(path, rate=16000, channels=1, seconds=0.3, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * rate), channels))
    options = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    soundfile.write(path, samples, rate, **options)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("my recordings")
    for seed, name in enumerate(NAMES):
        for recording, (rate, channels) in RECORDINGS.items():
            write_sound(root / name / recording, rate, channels, seed=seed)
    (root / "anna" / "notes.txt").write_text("not a recording, and not said to be one")
    (root / "README").write_text("nor this")
    return root


def options_of(root, **changes):
    values = {"audio": str(root), "dev_share": 0.25, "eval_share": 0.25, "min_utterances": 2, "seed": 0,
              "max_bad_utts": 0, **changes}
    return config.build(folder.Options, values, "folder.yaml", "options")


@pytest.fixture(scope="module")
def found(tree):
    return folder.manifests(options_of(tree), None)


@pytest.fixture
def small(tmp_path):
    """Six speakers with two recordings each."""
    for name in "abcdef":
        for recording in ("x.wav", "y.wav"):
            write_sound(tmp_path / name / recording)
    return tmp_path


def speakers_of(found):
    return {name: {s.speaker for s in supervisions} for name, (_, supervisions) in found.items()}


def test_sets_have_different_speakers(found):
    speakers = speakers_of(found)
    assert {name: len(members) for name, members in speakers.items()} == {"train": 6, "dev": 3, "eval": 3}
    assert sorted(set().union(*speakers.values())) == IDS  # a sum of 12: nobody is in two


def test_the_split_follows_from_the_seed(tree, found):
    assert speakers_of(folder.manifests(options_of(tree), None)) == speakers_of(found)
    assert speakers_of(folder.manifests(options_of(tree, seed=1), None)) != speakers_of(found)


def test_every_recording_is_an_utterance_with_a_name_that_kaldi_takes(found):
    for recordings, supervisions in found.values():
        ids = [supervision.id for supervision in supervisions]
        assert [recording.id for recording in recordings] == ids and len(set(ids)) == len(ids)
        by_speaker = {}
        for supervision in supervisions:
            by_speaker.setdefault(supervision.speaker, []).append(supervision.id.removeprefix(supervision.speaker))
        for names in by_speaker.values():
            assert names == sorted(names) == [
                "-UP", "-__x_", "-day_1-a", "-day_1-b", "-day_2-deep-c", "-it_s", "-one", "-two_words",
            ]  # fmt: skip


def test_the_folder_below_the_speakers_is_the_session(found):
    for _, supervisions in found.values():
        for supervision in supervisions:
            day = supervision.id.removeprefix(f"{supervision.speaker}-day_")[0]
            expected = f"{supervision.speaker}-day {day}" if "-day_" in supervision.id else None
            assert supervision.custom.get("session") == expected, supervision.id


def test_lhotse_reads_what_is_described(found):
    """Every format, rate and number of channels, under names that a shell would stumble over."""
    channels = {1: 0, 2: 0}
    for recordings, supervisions in found.values():
        cuts = lhotse.CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
        lhotse.validate(cuts)
        lhotse.validate_recordings_and_supervisions(recordings, supervisions)
        for cut in cuts:
            samples = cut.load_audio()
            assert samples.shape == (cut.num_channels, cut.num_samples)
            assert cut.duration == pytest.approx(0.3, abs=0.01)
            assert 0.05 < np.std(samples) < 0.2
            channels[cut.num_channels] += 1
            rate, expected = next(
                value for name, value in RECORDINGS.items() if cut.recording.sources[0].source.endswith(f"/{name}")
            )
            assert cut.num_channels == expected
            # Opus knows five rates; libsndfile tells 48 kHz or the one that went in.
            assert cut.sampling_rate in (rate, 48000)
    assert channels == {1: 12 * 6, 2: 12 * 2}


def test_speakers_with_few_recordings_are_left_out(small):
    write_sound(small / "g" / "single.wav")
    (small / "nobody").mkdir()
    found = folder.manifests(options_of(small, dev_share=0.33, eval_share=0.33), None)
    assert set().union(*speakers_of(found).values()) == set("abcdef")
    found = folder.manifests(options_of(small, dev_share=0.33, eval_share=0.33, min_utterances=1), None)
    assert set().union(*speakers_of(found).values()) == set("abcdefg")


def test_genders_come_from_spk2gender(small):
    shares = {"dev_share": 0.33, "eval_share": 0.33}
    (small / "a").rename(small / "a-z")
    (small / "spk2gender").write_text("a-z f\nb M\nc female\nd male\ne F\nf m\nsomebody m\n")
    genders = {
        s.speaker: s.gender for _, supervisions in folder.manifests(options_of(small, **shares), None).values()
        for s in supervisions
    }  # fmt: skip
    assert genders == {"a_z": "female", "b": "male", "c": "female", "d": "male", "e": "female", "f": "male"}
    (small / "spk2gender").write_text("a-z f\nb m\nc f\nd m\nf m\n")
    with pytest.raises(UserError, match="spk2gender: speaker 'e' is missing"):
        folder.manifests(options_of(small, **shares), None)
    (small / "spk2gender").write_text("a-z f\nb x\nc f\nd m\ne f\nf m\n")
    with pytest.raises(UserError, match=r"spk2gender: speaker 'b': gender 'x' \(expected m or f\)"):
        folder.manifests(options_of(small, **shares), None)


def a_text_file(root):
    (root / "a" / "z.wav").write_text("RIFF? No.")


def an_empty_file(root):
    (root / "a" / "z.flac").write_bytes(b"")


def half_a_file(root):
    data = (root / "a" / "x.wav").read_bytes()
    (root / "a" / "z.wav").write_bytes(data[: len(data) // 2])


def two_formats(root):
    write_sound(root / "a" / "x.flac")


def like_speakers(root):
    (root / "b").rename(root / "a_1")
    (root / "a").rename(root / "a-1")


def like_paths(root):
    write_sound(root / "a" / "1-2.wav")
    write_sound(root / "a" / "1" / "2.wav")


def a_line_break(root):
    write_sound(root / "a" / "1\n2.wav")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (a_text_file, r"a/z\.wav: cannot be read as audio .*replace or remove it"),
        (an_empty_file, r"a/z\.flac: cannot be read as audio"),
        (half_a_file, r"a/z\.wav: truncated"),
        (two_formats, r"a/x\.wav and .*a/x\.flac would both be called 'a-x': rename one of them"),
        (like_speakers, r"a_1 and .*a-1 would both be called 'a_1': rename one of them"),
        (like_paths, r"(1-2\.wav and .*1/2|1/2\.wav and .*1-2)\.wav would both be called 'a-1-2': rename one of them"),
        (a_line_break, "a line break in the name"),
    ],
)
def test_files_that_cannot_be_used_are_told(small, spoil, message):
    spoil(small)
    with pytest.raises(UserError, match=message):
        folder.manifests(options_of(small, dev_share=0.33, eval_share=0.33), None)


def test_some_files_that_cannot_be_used_may_be_left_out(small, caplog):
    a_text_file(small)
    shares = {"dev_share": 0.33, "eval_share": 0.33}
    (small / "b" / "w.ogg").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        found = folder.manifests(options_of(small, **shares, max_bad_utts=2), None)
    assert "left out: 'a-z': " in caplog.text and "a/z.wav: cannot be read as audio" in caplog.text
    assert f"{small}: 2 utterances left out" in caplog.text
    names = {s.id for _, supervisions in found.values() for s in supervisions}
    assert names == {f"{speaker}-{recording}" for speaker in "abcdef" for recording in "xy"}
    with pytest.raises(UserError, match=r"cannot be read as audio .*\(2 utterances cannot be used, .* allows 1\)"):
        folder.manifests(options_of(small, **shares, max_bad_utts=1), None)


def test_too_few_speakers_are_told(small, tmp_path):
    with pytest.raises(UserError, match="6 speakers leave 1 for dev; at least 2 are needed .*more speakers"):
        folder.manifests(options_of(small, dev_share=0.2, eval_share=0.4), None)
    with pytest.raises(UserError, match="6 speakers leave 0 for train"):
        folder.manifests(options_of(small, dev_share=0.49, eval_share=0.5), None)
    with pytest.raises(UserError, match="no speaker with 3 recordings or more; expected <speaker>/.../<file>"):
        folder.manifests(options_of(small, min_utterances=3), None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"audio": ""}, "which recordings.* Give --audio DIR"),
        ({"audio": "/no/such/folder"}, "--audio /no/such/folder: no such folder"),
        ({"dev_share": 0.5, "eval_share": 0.5}, "leave no speaker for training"),
        ({"dev_share": 1.5}, "dev_share: 1.5 is impossible"),
    ],
)
def test_impossible_options_are_told(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        options_of(tmp_path, **changes)
