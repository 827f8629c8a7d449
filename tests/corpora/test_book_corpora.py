"""LibriSpeech, Mini LibriSpeech, LibriTTS and VCTK in their own layouts, through Lhotse's recipes; mistakes told."""

import shutil

import pytest
from book_files import write_librispeech, write_libritts, write_vctk
from shell import ROOT, run

from xvkd.corpora.prepare import load_corpus, prepare
from xvkd.errors import UserError
from xvkd.kaldi.tables import read_lines, read_table

# Some ids begin with others: sorting by utterance and by speaker must agree all the same.
PARTS = {
    "train-clean-100": ["103", "1034", "10"], "train-clean-360": ["14"], "dev-clean": ["84", "174"],
    "dev-other": ["116", "700"], "test-clean": ["61", "121"], "test-other": ["367", "533"],
}  # fmt: skip
MINI = {"train-clean-5": ["19", "26", "32", "39", "40", "60"], "dev-clean-2": ["251", "422", "652", "777"]}
VCTK = [f"p{number}" for number in range(225, 237)]


@pytest.fixture
def take(conf, tmp_path):
    """Prepares a corpus; returns data/<corpus>."""

    def load(corpus, root, *overrides):
        config = conf / "corpora" / f"{corpus}.yaml"
        prepare(*load_corpus(config, [f"options.corpus_root='{root}'", *overrides]), tmp_path / "data")
        return tmp_path / "data"

    return load


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    return write_librispeech(tmp_path_factory.mktemp("books") / "LibriSpeech", PARTS).parent


@pytest.fixture
def copy(books, tmp_path):
    """The same, to be spoilt."""
    return shutil.copytree(books, tmp_path / "copy")


def speakers(data, name):
    return set(read_table(data / name / "utt2spk").values())


@pytest.mark.parametrize("inside", ["", "LibriSpeech"])
def test_librispeech_has_its_own_sets(books, take, inside):
    data = take("librispeech", books / inside)
    assert {name: speakers(data, name) for name in ("train", "dev", "eval")} == {
        "train": {"103", "1034", "10", "14"}, "dev": {"84", "174", "116", "700"}, "eval": {"61", "121", "367", "533"},
    }  # fmt: skip
    assert read_table(data / "eval" / "utt2spk")["61-101-0001"] == "61"
    assert read_table(data / "eval" / "wav.scp")["61-101-0001"] == \
        f"{books}/LibriSpeech/test-clean/61/101/61-101-0001.flac"
    assert read_table(data / "eval" / "text")["61-101-0001"] == "THE TEXT OF IT"
    assert read_table(data / "dev" / "spk2gender") == {"84": "f", "174": "f", "116": "f", "700": "f"}
    # Targets are across chapters, impostors of one gender.
    for enrol, test, label in map(str.split, read_lines(data / "eval" / "trials")):
        same = enrol.split("-")[0] == test.split("-")[0]
        assert same == (label == "target") and (not same or enrol.split("-")[1] != test.split("-")[1])


def test_parts_can_be_chosen(books, take):
    data = take("librispeech", books, "options.parts.train=[train-clean-100]", "options.parts.dev=[dev-other]")
    assert speakers(data, "train") == {"103", "1034", "10"} and speakers(data, "dev") == {"116", "700"}


def test_mini_librispeech_is_split_by_speaker(tmp_path, take):
    write_librispeech(tmp_path / "LibriSpeech", MINI)
    data = take("mini_librispeech", tmp_path, "options.dev_share=0.3", "options.eval_share=0.4")
    sets = {name: speakers(data, name) for name in ("train", "dev", "eval")}
    assert {name: len(who) for name, who in sets.items()} == {"train": 3, "dev": 3, "eval": 4}
    assert set.union(*sets.values()) == {speaker for part in MINI.values() for speaker in part}


def test_libritts_has_names_that_kaldi_can_sort(tmp_path, take):
    write_libritts(tmp_path / "LibriTTS", PARTS)
    data = take("libritts", tmp_path)
    assert speakers(data, "train") == {"103", "1034", "10", "14"}
    assert read_table(data / "train" / "utt2session")["1034-101-000001-000000"] == "1034-101"
    assert read_table(data / "eval" / "wav.scp")["61-102-000002-000000"].endswith("61/102/61_102_000002_000000.wav")
    assert read_table(data / "dev" / "spk2gender")["84"] == "f"


@pytest.mark.parametrize(
    ("microphones", "folder", "ending"),
    [(("mic1", "mic2"), "VCTK-Corpus-0.92", "_mic1.flac"), ((), "VCTK-Corpus", ".wav")],
)
def test_vctk_is_split_by_speaker(tmp_path, take, microphones, folder, ending):
    write_vctk(tmp_path / folder, VCTK, microphones)
    data = take("vctk", tmp_path, "options.dev_share=0.25")
    sets = {name: speakers(data, name) for name in ("train", "dev", "eval")}
    assert {name: len(who) for name, who in sets.items()} == {"train": 6, "dev": 3, "eval": 3}
    wavs = read_table(data / "train" / "wav.scp")
    assert len(wavs) == 18 and all(path.endswith(ending) for path in wavs.values())
    assert not (data / "train" / "utt2session").exists()
    genders = read_table(data / "train" / "spk2gender")
    assert genders == {who: "fm"[int(who[1:]) % 2] for who in sets["train"]}


def test_vctk_has_another_microphone(tmp_path, take):
    write_vctk(tmp_path, VCTK)
    data = take("vctk", tmp_path, "options.microphone=mic2", "options.dev_share=0.25")
    assert "p225-001-mic2" in {**read_table(data / "train" / "wav.scp"), **read_table(data / "dev" / "wav.scp"),
                               **read_table(data / "eval" / "wav.scp")}  # fmt: skip


def no_part(root):
    shutil.rmtree(root / "LibriSpeech" / "dev-other")


def nothing(root):
    shutil.rmtree(root / "LibriSpeech")


def packed(root):
    nothing(root)
    (root / "dev-clean.tar.gz").write_bytes(b"")


def empty_part(root):
    no_part(root)
    (root / "LibriSpeech" / "dev-other").mkdir()


def damaged(root):
    (root / "LibriSpeech" / "test-clean" / "61" / "101" / "61-101-0000.flac").write_bytes(b"fLaC, but no more")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_part, r"LibriSpeech: no dev-other in it \(there are: dev-clean, test-clean.*\): fetch it with --download"),
        (nothing, "--corpus-root .*: no train-clean-100 in it, nor in LibriSpeech: is it the right folder"),
        (packed, "--corpus-root .*: no train-clean-100 in it, .*: unpack dev-clean.tar.gz first"),
        (empty_part, "dev-other: Lhotse's recipe cannot describe it .*: is the corpus whole"),
        (damaged, r"61-101-0000\.flac: cannot be read as audio .*; replace or remove it"),
        (shutil.rmtree, "--corpus-root .*: no such folder: name the one where the corpus is, or fetch it"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(copy, take, tmp_path, spoil, message):
    spoil(copy)
    with pytest.raises(UserError, match=message):
        take("librispeech", copy)
    assert not (tmp_path / "data").exists()


def test_recordings_that_cannot_be_read_may_be_left_out(copy, take, caplog):
    damaged(copy)
    data = take("librispeech", copy, "options.max_bad_utts=1")
    assert "61-101-0000" not in read_table(data / "eval" / "utt2spk") and "1 utterances left out" in caplog.text


@pytest.mark.slow
def test_the_recipe_makes_features_of_mini_librispeech(tmp_path):
    """Once from where it is, once from where a download leaves it."""
    write_librispeech(tmp_path / "data" / "downloads" / "mini_librispeech" / "LibriSpeech", MINI)
    command = [ROOT / "run.sh", "--preset", "tiny", "--corpus", "mini_librispeech", "--augmentation", "none",
               "--corpus-set", "options.dev_share=0.3 options.eval_share=0.4", "--noisy-sets=",
               "--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp", "--stop-stage", "3"]  # fmt: skip
    done = run(command)
    assert done.returncode == 0, done.stderr
    for name in ("train", "dev", "eval"):
        folder = tmp_path / "data" / "mini_librispeech" / name
        assert read_table(folder / "utt2spk").keys() == read_table(folder / "vad.scp").keys()
    (tmp_path / "elsewhere").mkdir()
    done = run([*command, "--corpus-root", "elsewhere"], cwd=tmp_path)
    assert done.returncode == 1
    assert "elsewhere: no train-clean-5 in it, nor in LibriSpeech: is it the right folder?" in done.stderr
