"""From a corpus to data directories as Kaldi wants them, manifests and trial lists."""

import logging
import subprocess

import lhotse
import numpy as np
import pytest
import soundfile

from xvkd.corpora.prepare import generate, load_corpus, prepare
from xvkd.errors import UserError
from xvkd.features.audio import read_audio
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.trials import read_enrolments, read_trials

SETS = ("train", "dev", "eval")
SPEAKERS = ["anna", "bob's", "c d", "e-1", "f", "g(h)", "i.j", "k"]


def make_tree(root, speakers=SPEAKERS, sessions=2, utterances=3):
    for seed, speaker in enumerate(speakers):
        for session in range(sessions):
            folder = root / speaker / f"day {session}"
            folder.mkdir(parents=True)
            for i in range(utterances):
                samples = 0.1 * np.random.default_rng([seed, session, i]).standard_normal(1600 + 160 * i)
                soundfile.write(folder / f"u {i}.wav", samples, 16000)
    return root


@pytest.fixture
def prepare_folder(conf, tmp_path):
    def run(root, *changes):
        overrides = [f"options.audio={root}", "options.dev_share=0.25", "options.eval_share=0.5", *changes]
        prepare(*load_corpus(conf / "corpora" / "folder.yaml", overrides), tmp_path / "data")
        return tmp_path / "data"

    return run


@pytest.fixture
def data(tmp_path, prepare_folder):
    return prepare_folder(make_tree(tmp_path / "my tree"))


def lines_of(path):
    return [line.split(maxsplit=1) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", SETS)
def test_data_directories_are_valid(data, name):
    """What Kaldi's validate_data_dir.sh asks for."""
    folder = data / name
    utt2spk = dict(lines_of(folder / "utt2spk"))
    assert len(utt2spk) == {"train": 2, "dev": 2, "eval": 4}[name] * 6
    for table in ("utt2spk", "spk2utt", "wav.scp", "utt2dur", "utt2session"):
        path = folder / table
        assert subprocess.run(["sort", "-c", path], env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).returncode == 0, table
        if table != "spk2utt":
            assert [key for key, _ in lines_of(path)] == list(utt2spk), table
    spk2utt = {speaker: utterances.split() for speaker, utterances in lines_of(folder / "spk2utt")}
    assert {u: speaker for speaker, utterances in spk2utt.items() for u in utterances} == utt2spk
    assert list(spk2utt) == list(dict.fromkeys(utt2spk.values()))  # sorted both ways at once
    assert all(utterance.startswith(f"{speaker}-") for utterance, speaker in utt2spk.items())
    assert not (folder / "text").exists() and not (folder / "spk2gender").exists()  # nothing is known of them


def test_tables_tell_the_truth(data):
    durations = {}
    for name in SETS:
        wavs, seconds = DataDir(data / name).table("wav.scp"), DataDir(data / name).table("utt2dur")
        for utterance, path in wavs.items():
            durations[utterance] = len(read_audio(path, 16000)) / 16000
            assert float(seconds[utterance]) == pytest.approx(durations[utterance], abs=1e-4)
        sessions = DataDir(data / name).table("utt2session")
        assert all(f"/{session.split('-')[-1]}/" in wavs[utterance] for utterance, session in sessions.items())
    assert len(durations) == 48 and set(durations.values()) == {0.1, 0.11, 0.12}


@pytest.mark.parametrize("name", SETS)
def test_manifests_lie_beside_the_tables_and_load(data, name):
    folder = data / name / "manifests"
    recordings, supervisions, cuts = (
        lhotse.load_manifest(folder / f"{kind}.jsonl.gz") for kind in ("recordings", "supervisions", "cuts")
    )
    wavs = DataDir(data / name).table("wav.scp")
    assert {recording.id: recording.sources[0].source for recording in recordings} == wavs
    assert {s.recording_id: s.speaker for s in supervisions} == DataDir(data / name).speakers()
    lhotse.validate(cuts, read_data=True)
    assert sorted(cut.recording_id for cut in cuts) == sorted(wavs)


def test_trial_lists_are_those_of_their_sets(data):
    assert DataDir(data / "train").trial_lists() == {}
    assert list(DataDir(data / "dev").trial_lists()) == ["dev", "dev_multi"]
    lists = DataDir(data / "eval").trial_lists()
    assert list(lists) == ["eval", "eval_multi"]
    utt2spk, sessions = DataDir(data / "eval").speakers(), DataDir(data / "eval").table("utt2session")
    trials = read_trials(lists["eval"][0])
    pairs = list(zip(trials.model, trials.test, trials.target, strict=True))
    # Four speakers: 3 x 3 pairs across the two sessions of each, 36 pairs of each two of them.
    assert sum(target for _, _, target in pairs) == 4 * 9 and len(pairs) == 4 * 9 + 6 * 36
    for model, test, target in pairs:
        enrolment, utterance = trials.models[model], trials.tests[test]
        assert target == (utt2spk[enrolment] == utt2spk[utterance])
        assert not target or sessions[enrolment] != sessions[utterance]
    multi, enrolments = read_trials(lists["eval_multi"][0]), read_enrolments(lists["eval_multi"][1])
    assert set(multi.models) == set(enrolments) == set(utt2spk.values())
    assert all(len(utterances) == 3 for utterances in enrolments.values())
    assert len(multi.target) == 4 * 12 and multi.target.sum() == 4 * 3


def test_the_same_again_gives_the_same_files(data, prepare_folder, tmp_path):
    names = ["utt2spk", "wav.scp", "trials", "trials_multi", "enrol_multi"]
    before = {name: (data / "eval" / name).read_text() for name in names}
    prepare_folder(tmp_path / "my tree")
    assert {name: (data / "eval" / name).read_text() for name in names} == before


def test_speakers_without_utterances_to_test_make_no_list_of_models(tmp_path, prepare_folder, caplog):
    """Two recordings a speaker suffice for single trials; a list of an earlier run does not stay."""
    data = prepare_folder(make_tree(tmp_path / "first"))
    assert (data / "eval" / "trials_multi").exists()
    with caplog.at_level(logging.WARNING):
        prepare_folder(make_tree(tmp_path / "second", sessions=2, utterances=1))
    assert list(DataDir(data / "eval").trial_lists()) == ["eval"] and not (data / "eval" / "enrol_multi").exists()
    assert "no trials_multi" in caplog.text


def test_genders_reach_tables_and_trials(tmp_path, prepare_folder):
    root = make_tree(tmp_path / "tree", ["a", "b", "c", "d", "e", "f", "g", "h"])
    genders = dict(zip("abcdefgh", "mfmfmfmf", strict=True))
    (root / "spk2gender").write_text("".join(f"{speaker} {gender}\n" for speaker, gender in genders.items()))
    data = prepare_folder(root, "options.seed=1")
    assert DataDir(data / "eval").table("spk2gender").items() <= genders.items()
    trials = read_trials(data / "eval" / "trials")
    of = [genders[utterance[0]] for utterance in trials.models], [genders[utterance[0]] for utterance in trials.tests]
    assert all(of[0][m] == of[1][t] for m, t in zip(trials.model, trials.test, strict=True))


def test_recordings_with_and_without_a_session_go_together(tmp_path, prepare_folder):
    root = make_tree(tmp_path / "tree")
    for speaker in SPEAKERS:
        (root / speaker / "day 0" / "u 0.wav").rename(root / speaker / "at any time.wav")
    folder = DataDir(prepare_folder(root) / "train")
    assert len(folder.table("utt2session")) == len(folder.speakers()) - 2


def test_a_corpus_that_needs_no_audio_generated_says_so(conf, tmp_path, caplog):
    (tmp_path / "tree").mkdir()
    corpus = load_corpus(conf / "corpora" / "folder.yaml", [f"options.audio={tmp_path / 'tree'}"])
    with caplog.at_level(logging.INFO):
        generate(*corpus, tmp_path / "data", (1, 1))
    assert "'folder' makes no audio of its own" in caplog.text and not (tmp_path / "data").exists()


def test_what_is_wrong_with_a_corpus_file_is_told(conf):
    path = conf / "corpora" / "folder.yaml"
    with pytest.raises(UserError, match="folder.yaml: options: which recordings"):
        load_corpus(path, [])
    with pytest.raises(UserError, match="'tape': no such variant in sources .*cuts, folder, kaldi"):
        load_corpus(path, ["source=tape"])
    with pytest.raises(UserError, match=r"folder.yaml: options\.eval_size: unknown key"):
        load_corpus(path, ["options.eval_size=3"])
