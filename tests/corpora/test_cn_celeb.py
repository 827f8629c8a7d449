"""CN-Celeb 1 and 2 in their own layout: genres, sessions, models of several utterances; mistakes told."""

import shutil

import pytest
from book_files import write_sound
from shell import ROOT, run

from xvkd.corpora.prepare import load_corpus, prepare
from xvkd.errors import UserError
from xvkd.kaldi.tables import read_lines, read_table

TRAIN, TEST, SECOND = [f"id0000{n}" for n in range(5)], ["id00800", "id00801", "id00802"], ["id10000", "id10001"]
GENRES = ["singing-01", "singing-02", "live_broadcast-01"]


def write_corpus(root):
    """Lists name wav files, though the corpus is of flac files; eval/test has other utterances than data."""
    first, second = root / "CN-Celeb_flac", root / "CN-Celeb2_flac"
    for folder, speakers in ((first, TRAIN + TEST), (second, SECOND)):
        for speaker in speakers:
            for genre in GENRES:
                for number in ("001", "002"):
                    write_sound(folder / "data" / speaker / f"{genre}-{number}.flac", int(speaker[2:]), seconds=0.5)
    lists = first / "eval" / "lists"
    lists.mkdir(parents=True)
    (first / "dev").mkdir()
    (first / "dev" / "dev.lst").write_text("\n".join(TRAIN) + "\n")
    (second / "spk.lst").write_text("\n".join(SECOND) + "\n")
    trials = []
    for speaker in TEST:
        write_sound(first / "eval" / "enroll" / f"{speaker}-enroll.flac", int(speaker[2:]))
        write_sound(first / "eval" / "test" / f"{speaker}-vlog-01-001.flac", int(speaker[2:]))
        trials += [f"{speaker}-enroll test/{other}-vlog-01-001.wav {int(other == speaker)}" for other in TEST]
    (lists / "trials.lst").write_text("\n".join(trials) + "\n")
    (lists / "enroll.lst").write_text("".join(f"{who}-enroll enroll/{who}-enroll.wav\n" for who in TEST))
    (lists / "enroll.map").write_text(
        "".join(f"{who}-enroll {who}/singing-01-001.wav {who}/live_broadcast-01-002.wav\n" for who in TEST)
    )
    return root


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("cn"))


@pytest.fixture
def copy(corpus, tmp_path):
    """The same, to be spoilt."""
    return shutil.copytree(corpus, tmp_path / "copy")


@pytest.fixture
def take(conf, tmp_path):
    def load(root, *overrides):
        options = [f"options.corpus_root='{root}'", "options.dev_speakers=3", "options.dev_utterances=3", *overrides]
        prepare(*load_corpus(conf / "corpora" / "cn_celeb.yaml", options), tmp_path / "data")
        return tmp_path / "data"

    return load


def speakers(data, name):
    return set(read_table(data / name / "utt2spk").values())


def test_models_of_several_utterances(corpus, take):
    data = take(corpus)
    assert speakers(data, "train") | speakers(data, "dev") == set(TRAIN + SECOND) and len(speakers(data, "dev")) == 3
    assert read_table(data / "eval" / "enrol") == {
        f"{who}-enroll": f"{who}-singing-01-001 {who}-live_broadcast-01-002" for who in TEST
    }
    assert list(read_lines(data / "eval" / "trials"))[:2] == [
        "id00800-enroll id00800-vlog-01-001 target\n", "id00800-enroll id00801-vlog-01-001 nontarget\n",
    ]  # fmt: skip
    wavs = read_table(data / "eval" / "wav.scp")
    assert len(wavs) == 9 and wavs["id00800-vlog-01-001"].endswith("CN-Celeb_flac/eval/test/id00800-vlog-01-001.flac")
    sessions = read_table(data / "train" / "utt2session")
    assert {name.removeprefix(f"{name[:7]}-") for name in sessions.values()} == set(GENRES)
    # Three of each speaker, from three sessions.
    assert len(set(read_table(data / "dev" / "utt2session").values())) == 9


def test_models_of_one_recording(corpus, take):
    data = take(corpus, "options.enrol=enroll.lst")
    assert read_table(data / "eval" / "enrol") == {f"{who}-enroll": f"{who}-enroll" for who in TEST}
    assert read_table(data / "eval" / "utt2spk")["id00801-enroll"] == "id00801"


def test_cn_celeb1_alone(corpus, take):
    for root in (corpus, corpus / "CN-Celeb_flac"):
        data = take(root, "options.train_parts=[cn1]", "options.dev_speakers=0")
        assert speakers(data, "train") == set(TRAIN) and not (data / "dev").exists()


def no_second(root):
    shutil.rmtree(root / "CN-Celeb2_flac")


def no_lists(root):
    shutil.rmtree(root / "CN-Celeb_flac" / "eval")


def a_speaker_gone(root):
    shutil.rmtree(root / "CN-Celeb_flac" / "data" / "id00003")


def an_utterance_gone(root):
    (root / "CN-Celeb_flac" / "eval" / "test" / "id00801-vlog-01-001.flac").unlink()


def an_enrolment_gone(root):
    (root / "CN-Celeb_flac" / "data" / "id00801" / "singing-01-001.flac").unlink()


def damaged(root):
    (root / "CN-Celeb_flac" / "eval" / "test" / "id00801-vlog-01-001.flac").write_bytes(b"fLaC")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "--corpus-root .*: no such folder"),
        (no_second, "--corpus-root .*: no spk.lst in it, nor in CN-Celeb2_flac"),
        (no_lists, "--corpus-root .*: no eval/lists/trials.lst in it, nor in CN-Celeb_flac"),
        (a_speaker_gone, r"dev\.lst: speaker 'id00003' has no recordings \(the first of 1 such\)"),
        (an_utterance_gone, r"trials\.lst, line 2: 'test/id00801-vlog-01-001\.wav' is no utterance of"),
        (an_enrolment_gone, r"enroll\.map: model 'id00801-enroll': 'id00801/singing-01-001\.wav' is no utterance of"),
        (damaged, r"id00801-vlog-01-001\.flac: cannot be read as audio"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(copy, take, tmp_path, spoil, message):
    spoil(copy)
    with pytest.raises(UserError, match=message):
        take(copy)
    assert not (tmp_path / "data").exists()


def test_recordings_that_cannot_be_read_may_be_left_out(copy, take):
    damaged(copy)
    assert len(list(read_lines(take(copy, "options.max_bad_utts=1") / "eval" / "trials"))) == 6


@pytest.mark.parametrize("name", ["librispeech", "libritts", "vctk", "cn_celeb"])
def test_a_dry_run_knows_the_corpus(name, tmp_path):
    done = run([ROOT / "run.sh", "--corpus", name, "--download", "--dry-run", "--data-root", tmp_path / "data",
                "--exp-root", tmp_path / "exp", "--stop-stage", "3"])  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"downloads/{name}'" in done.stdout and "generate_audio.py" in done.stdout and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--corpus", "vctk", "--voxceleb1-root", "x"], "--voxceleb1-root: has no use with --corpus vctk; leave"),
        (["--corpus-root", "x"], "--corpus-root: has no use with --corpus synthetic; leave it out"),
        (["--download"], "--download: has no use with --corpus synthetic"),
        (["--corpus", "voxceleb", "--download"], "--download: has no use with --corpus voxceleb"),
        (["--audio", "x", "--voxceleb1-root", "x"], "one corpus a run: give either --audio, --cuts, --voxceleb1-root"),
        (["--trials-root", "x"], "--trials-root: has no use with --corpus synthetic"),
    ],
)
def test_options_of_other_corpora_are_refused(tmp_path, options, message):
    done = run([ROOT / "run.sh", *options, "--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp"])
    assert done.returncode == 1 and message in done.stderr
