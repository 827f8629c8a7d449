"""Lhotse manifests as users have them: whole recordings, parts, channels; split by speaker or a set each."""

import json

import lhotse
import numpy as np
import pytest
import soundfile
from lhotse import AudioSource, CutSet, MonoCut, Recording, RecordingSet, SupervisionSegment, SupervisionSet

from xvkd.corpora.lhotse_input import read_parts
from xvkd.corpora.prepare import load_corpus, prepare
from xvkd.errors import UserError
from xvkd.features.recordings import Recordings, read_segments
from xvkd.kaldi.specifiers import RSpecifier
from xvkd.kaldi.tables import read_table
from xvkd.kaldi.trials import read_trials

RATE = 8000


def write_sound(path, levels, seconds=2.0):
    """A file of constant channels: what is read tells which one it is."""
    samples = np.tile(np.array(levels, dtype=float), (round(seconds * RATE), 1))
    soundfile.write(path, samples, RATE)
    return path


def describe(recordings, *supervisions):
    recordings = RecordingSet.from_recordings(recordings)
    segments = [SupervisionSegment(**{"start": 0.0, "duration": 2.0, "channel": 0, **s}) for s in supervisions]
    return recordings, SupervisionSet.from_segments(segments)


@pytest.fixture
def take(conf, tmp_path):
    """Prepares a corpus; returns data/."""

    def run(source="kaldi", **options):
        overrides = [f"options.{key}='{value}'" for key, value in options.items()]
        prepare(*load_corpus(conf / "corpora" / f"{source}.yaml", overrides), tmp_path / "data")
        return tmp_path / "data"

    return run


@pytest.fixture
def whole(tmp_path):
    """Mono recordings of 12 speakers, with ids that Kaldi cannot take as they are."""
    recordings, supervisions = [], []
    for speaker in range(12):
        for number in range(3):
            path = write_sound(tmp_path / f"r {speaker} {number}.wav", [0.25])
            recordings.append(Recording.from_file(path, recording_id=f"r {speaker} {number}"))
            supervisions.append({
                "id": f"s {speaker} {number}", "recording_id": recordings[-1].id, "speaker": f"sp-{speaker}",
                "gender": ["Female", "m"][speaker % 2], "custom": {"session": f"day {number}"}, "text": "yes\nno",
            })
    return describe(recordings, *supervisions)


@pytest.mark.parametrize("kind", ["cuts", "cuts in a folder", "recordings and supervisions"])
def test_a_corpus_is_split_by_speaker(whole, take, tmp_path, kind):
    folder = tmp_path / "lhotse"
    folder.mkdir()
    if kind == "recordings and supervisions":
        whole[0].to_file(folder / "my_recordings_all.jsonl.gz")
        whole[1].to_file(folder / "my_supervisions_all.jsonl.gz")
        given = folder
    else:
        given = folder / "cuts.jsonl.gz" if kind == "cuts" else folder
        CutSet.from_manifests(*whole).to_file(folder / "cuts.jsonl.gz")
    data = take("cuts", cuts=given, seed=1)
    sets = {name: set(read_table(data / name / "utt2spk").values()) for name in ("train", "dev", "eval")}
    assert {name: len(speakers) for name, speakers in sets.items()} == {"train": 7, "dev": 2, "eval": 3}
    assert set().union(*sets.values()) == {f"sp_{speaker}" for speaker in range(12)}
    for name in sets:
        utt2spk = read_table(data / name / "utt2spk")
        assert all(utt.startswith(f"{speaker}-s_{speaker[3:]}_") for utt, speaker in utt2spk.items())
        genders = read_table(data / name / "spk2gender")
        assert all(gender == "fm"[int(speaker[3:]) % 2] for speaker, gender in genders.items())
        assert set(read_table(data / name / "utt2session").values()) == {"day 0", "day 1", "day 2"}
        assert set(read_table(data / name / "text").values()) == {"yes no"}
        assert not (data / name / "segments").exists()
        assert read_table(data / name / "wav.scp").keys() == utt2spk.keys()
        lhotse.validate(lhotse.load_manifest(data / name / "manifests" / "cuts.jsonl.gz"), read_data=True)
    trials = read_trials(data / "eval" / "trials")
    assert trials.target.any() and not trials.target.all()


def test_ids_that_kaldi_can_take_stay(tmp_path, take):
    path = write_sound(tmp_path / "x.wav", [0.1])
    recordings = [Recording.from_file(path, recording_id=name) for name in ("a-1", "b-1")]
    manifests = describe(recordings, *({"id": r.id, "recording_id": r.id, "speaker": r.id[0]} for r in recordings))
    CutSet.from_manifests(*manifests).to_file(tmp_path / "c.jsonl")
    assert read_table(take(train_dir=tmp_path / "c.jsonl") / "train" / "utt2spk") == {"a-1": "a", "b-1": "b"}


def test_each_set_may_have_its_own_manifest_and_trials_name_the_original_ids(whole, take, tmp_path):
    cuts = CutSet.from_manifests(*whole)
    for name, speakers in (("train", range(8)), ("eval", range(8, 12))):
        part = cuts.filter(lambda cut, speakers=speakers: int(cut.supervisions[0].speaker[3:]) in speakers)
        part.to_eager().to_file(tmp_path / f"{name}.jsonl.gz")
    (tmp_path / "trials").write_text("1 sp_8-s_8_1 sp_8-s_8_2\n0 sp_9-s_9_0 sp_8-s_8_2\n")
    given = {"train_dir": tmp_path / "train.jsonl.gz", "eval_dir": tmp_path / "eval.jsonl.gz"}
    data = take(**given, trials=tmp_path / "trials")
    assert len(read_table(data / "train" / "utt2spk")) == 24
    assert read_trials(data / "eval" / "trials").tests == ["sp_8-s_8_2"]


@pytest.fixture
def parts(tmp_path):
    """Parts and channels of recordings, on one and on several files; 0.1 is the level of channel 1, and so on."""
    call = Recording.from_file(write_sound(tmp_path / "a call.wav", [0.1, 0.2]), recording_id="a call")
    files = [write_sound(tmp_path / f"array{n}.wav", [0.1 * n]) for n in (3, 4)]
    array = Recording(
        id="array", sources=[AudioSource("file", [n], str(path)) for n, path in enumerate(files)],
        sampling_rate=RATE, num_samples=2 * RATE, duration=2.0,
    )
    return describe(
        [call, array],
        {"id": "x-1", "recording_id": "a call", "speaker": "x", "start": 0.5, "duration": 1.0, "channel": 0},
        {"id": "x-2", "recording_id": "a call", "speaker": "x", "start": 0.25, "duration": 1.75, "channel": 1},
        {"id": "y-1", "recording_id": "a call", "speaker": "y", "channel": [0, 1]},
        {"id": "y-2", "recording_id": "array", "speaker": "y", "channel": 1},
    )


EXPECTED = {"x-1": (1.0, 0.1), "x-2": (1.75, 0.2), "y-1": (2.0, 0.15), "y-2": (2.0, 0.4)}


def heard(folder):
    """Seconds and level of every utterance, as stage 3 reads them."""
    recordings = Recordings(
        RSpecifier("scp", str(folder / "wav.scp")), read_segments(folder / "segments"), (1, 1), allow_pipes=False
    )
    return {
        name: (len(samples) / RATE, round(float(np.median(samples)) / 32768, 2))
        for name, samples in recordings.utterances(RATE)
    }


def test_parts_and_channels_become_segments(parts, take, tmp_path):
    (tmp_path / "l").mkdir()
    parts[0].to_file(tmp_path / "l" / "recordings.jsonl.gz")
    parts[1].to_file(tmp_path / "l" / "supervisions.jsonl.gz")
    folder = take(train_dir=tmp_path / "l") / "train"
    assert heard(folder) == EXPECTED
    lhotse.validate(lhotse.load_manifest(folder / "manifests" / "cuts.jsonl.gz"), read_data=True)


def test_cuts_of_a_recording_with_offsets(parts, take, tmp_path):
    """A supervision counts as far as its cut reaches."""
    call = parts[0]["a call"]
    cuts = [
        MonoCut(id=f"cut{n}", start=start, duration=duration, channel=channel, recording=call, supervisions=[
            SupervisionSegment(id=name, recording_id=call.id, start=begin, duration=length, speaker=name[0],
                               channel=channel)
        ])
        for n, (name, start, duration, channel, begin, length) in enumerate([
            ("x-1", 0.5, 1.0, 0, 0.0, 1.0), ("x-2", 0.0, 2.0, 1, 0.5, 1.0), ("y-1", 0.25, 1.0, 0, -0.25, 2.0),
        ])
    ]  # fmt: skip
    CutSet.from_cuts(cuts).to_file(tmp_path / "c.jsonl.gz")
    folder = take(train_dir=tmp_path / "c.jsonl.gz") / "train"
    assert heard(folder) == {"x-1": (1.0, 0.1), "x-2": (1.0, 0.2), "y-1": (1.0, 0.1)}
    starts = {name: float(segment.split()[1]) for name, segment in read_table(folder / "segments").items()}
    assert starts == {"x-1": 0.5, "x-2": 0.5, "y-1": 0.25}


def test_windows_of_one_supervision_are_called_as_their_cuts(whole, take, tmp_path):
    cuts = CutSet.from_manifests(*whole).to_eager().subset(first=2).cut_into_windows(1.0).to_eager()
    cuts.to_file(tmp_path / "c.jsonl.gz")
    utt2spk = read_table(take(train_dir=tmp_path / "c.jsonl.gz") / "train" / "utt2spk")
    assert len(utt2spk) == 4 and set(utt2spk.values()) == {"sp_0"}


def test_resampled_recordings_are_read_at_their_own_rate(whole, take, tmp_path):
    CutSet.from_manifests(*whole).resample(16000).to_file(tmp_path / "c.jsonl.gz")
    folder = take(train_dir=tmp_path / "c.jsonl.gz") / "train"
    recordings = lhotse.load_manifest(folder / "manifests" / "recordings.jsonl.gz")
    assert {recording.sampling_rate for recording in recordings} == {RATE}


def test_relative_paths_are_found_beside_the_manifest(whole, take, tmp_path, monkeypatch):
    text = "".join(json.dumps(cut.to_dict()) + "\n" for cut in CutSet.from_manifests(*whole))
    (tmp_path / "lhotse").mkdir()
    (tmp_path / "lhotse" / "c.jsonl").write_text(text.replace(f"{tmp_path}/", ""))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    wavs = read_table(take(train_dir=tmp_path / "lhotse" / "c.jsonl") / "train" / "wav.scp")
    assert all(path.startswith(f"{tmp_path}/r ") for path in wavs.values())


def speed(cuts):
    return cuts.perturb_speed(1.1)


def mixed(cuts):
    return cuts.mix(cuts)


def features_only(cuts):
    cuts[0].recording = None
    return cuts


def no_speaker(cuts):
    cuts[0].supervisions[0].speaker = None
    return cuts


def outside(cuts):
    return CutSet.from_cuts([cuts[0].truncate(duration=1.0).map_supervisions(lambda s: s.with_offset(1.5))])


def short(cuts):
    return CutSet.from_cuts([cuts[0].truncate(duration=0.05)])


def twice(cuts):
    return [*cuts, cuts[0]]


def no_file(cuts):
    cuts[0].recording.sources[0].source = "/nowhere/x.wav"
    return cuts


def far_away(cuts):
    cuts[0].recording.sources[0] = AudioSource("url", [0], "http://localhost/x.wav")
    return cuts


def alike(cuts):
    cuts[0].supervisions[0].speaker = "sp_0"
    return cuts


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (speed, r"recording 'r 0 0.*' is changed by Speed: write the audio with CutSet.save_audios"),
        (mixed, r"is no part of one recording: write the audio with CutSet.save_audios"),
        (features_only, r"is no part of one recording"),
        (no_speaker, r"'s 0 0' has no speaker: add it, or remove the supervision"),
        (outside, r"'s 0 0' lies outside of its cut '.*': mend its times, or remove it"),
        (twice, r"the id 'r 0 0-0' stands twice; ids must be unique"),
        (short, r"'s 0 0' from 0.00 to 0.05 s, of recording 'r 0 0' with 2.00 s, is not longer than 0.1 s"),
        (no_file, r"recording 'r 0 0': '/nowhere/x.wav' does not exist: mend the path"),
        (far_away, r"recording 'r 0 0' is no file \('url'\): write the audio with CutSet.save_audios"),
        (alike, r"speaker sp-0 and speaker sp_0 would both be called 'sp_0': rename one of them"),
    ],
)
def test_what_a_data_directory_cannot_say_is_told(whole, take, tmp_path, spoil, message):
    cuts = spoil(CutSet.from_manifests(*whole).to_eager())
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(cut.to_dict()) + "\n" for cut in cuts))
    with pytest.raises(UserError, match=message):
        take(train_dir=tmp_path / "c.jsonl")
    assert not (tmp_path / "data").exists()


def test_some_recordings_that_cannot_be_used_may_be_left_out(whole, take, tmp_path):
    cuts = no_file(CutSet.from_manifests(*whole).to_eager())
    (tmp_path / "r 0 1.wav").write_text("no audio")
    cuts.to_file(tmp_path / "c.jsonl")
    assert len(read_table(take(train_dir=tmp_path / "c.jsonl", max_bad_utts=2) / "train" / "utt2spk")) == 34
    with pytest.raises(UserError, match="2 utterances cannot be used, --max-bad-utts allows 1"):
        take("cuts", cuts=tmp_path / "c.jsonl", max_bad_utts=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no supervision in it"),
        (b"{}\n", r"c.jsonl: damaged, or not a Lhotse manifest"),
        (b'{"id": "x", "sta', r"c.jsonl: damaged, or not a Lhotse manifest"),
        (b"\x00\xff", r"c.jsonl: damaged, or not a Lhotse manifest"),
    ],
)
def test_damaged_manifests_are_told(tmp_path, content, message):
    (tmp_path / "c.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_parts(tmp_path / "c.jsonl")


def test_a_truncated_manifest_is_told(whole, tmp_path):
    CutSet.from_manifests(*whole).to_file(tmp_path / "c.jsonl.gz")
    data = (tmp_path / "c.jsonl.gz").read_bytes()
    (tmp_path / "c.jsonl.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="c.jsonl.gz: damaged, or not a Lhotse manifest"):
        read_parts(tmp_path / "c.jsonl.gz")


def test_which_manifests_are_meant_must_be_clear(whole, tmp_path, conf):
    (tmp_path / "l").mkdir()
    whole[0].to_file(tmp_path / "l" / "a_recordings.jsonl.gz")
    whole[1].to_file(tmp_path / "l" / "a_supervisions.jsonl.gz")
    whole[1].to_file(tmp_path / "l" / "b_supervisions.jsonl.gz")
    with pytest.raises(UserError, match=r"expected one manifest \*supervisions\*.*, found a_supervi.*, b_supervi"):
        read_parts(tmp_path / "l")
    (tmp_path / "l" / "b_supervisions.jsonl.gz").unlink()
    assert len(read_parts(tmp_path / "l")) == 36
    whole[0].subset(first=3).to_file(tmp_path / "l" / "a_recordings.jsonl.gz")
    with pytest.raises(UserError, match=r"'s 1 0': recording 'r 1 0' does not stand in .*: add it there, or remove"):
        read_parts(tmp_path / "l")
    for given, message in (("", "which manifests"), (tmp_path / "no.jsonl", "no Lhotse manifest there")):
        with pytest.raises(UserError, match=message):
            load_corpus(conf / "corpora" / "cuts.yaml", [f"options.cuts='{given}'"])
