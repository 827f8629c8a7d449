"""VoxCeleb 1 and 2 in their own layouts, wav and m4a: parts, sets, trial lists; mistakes told."""

import importlib.util
import shutil

import pytest
from shell import ROOT, run
from voxceleb_files import (
    CLIPS,
    FIRST,
    SECOND,
    SECOND_TEST,
    TEST,
    VIDEOS,
    pair_lines,
    write_clip,
    write_first,
    write_lists,
    write_second,
)

from xvkd.corpora.prepare import load_corpus, prepare
from xvkd.errors import UserError
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.tables import read_lines, read_table

needs_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="PyAV writes m4a: pip install av")


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Both corpora, as wav files, and the trial lists."""
    root = tmp_path_factory.mktemp("all of it's VoxCeleb")
    write_lists(write_first(root / "vox1"))
    write_second(root / "vox2")
    return root


@pytest.fixture
def copy(trees, tmp_path):
    """The same, to be spoilt."""
    return shutil.copytree(trees, tmp_path / "copy")


@pytest.fixture
def take(conf, tmp_path):
    """Prepares some of a folder's corpora with other options; returns data/voxceleb."""

    def load(root, *overrides, first=True, second=True):
        roots = [f"options.voxceleb{n}_root='{str(root).replace(chr(39), chr(39) * 2)}/vox{n}'"
                 for n, wanted in ((1, first), (2, second)) if wanted]  # fmt: skip
        small = ["options.dev_speakers=3"] if not any("dev_speakers" in word for word in overrides) else []
        prepare(*load_corpus(conf / "corpora" / "voxceleb.yaml", [*roots, *small, *overrides]), tmp_path / "data")
        return tmp_path / "data"

    return load


def speakers(data, name):
    return set(read_table(data / name / "utt2spk").values())


def pairs(path):
    return [line.split() for line in read_lines(path)]


def test_train_is_of_voxceleb2_dev_of_held_out_speakers_and_eval_what_list_o_names(trees, take):
    data = take(trees)
    train, dev = speakers(data, "train"), speakers(data, "dev")
    assert train | dev == set(SECOND) and len(train) == len(dev) == 3
    assert len(read_table(data / "train" / "utt2spk")) == 3 * len(VIDEOS) * len(CLIPS)
    utt2spk = read_table(data / "eval" / "utt2spk")
    assert utt2spk == {f"{who}-{video}-00001": who for who in TEST for video in VIDEOS}
    wavs = read_table(data / "eval" / "wav.scp")
    assert wavs["id10270--GTcP5bPDUo-00001"] == f"{trees}/vox1/test/wav/id10270/-GTcP5bPDUo/00001.wav"
    expected = [
        [a.replace("/", "-")[:-4], b.replace("/", "-")[:-4], {"1": "target", "0": "nontarget"}[label]]
        for label, a, b in (line.split() for line in pair_lines(TEST).splitlines())
    ]
    assert pairs(data / "eval" / "trials") == expected
    assert read_table(data / "eval" / "spk2gender") == {"id10270": "m", "id10271": "f", "id10300": "m", "id10309": "f"}
    assert read_table(data / "eval" / "utt2session")["id10309-1zcIwhmdeo4-00001"] == "id10309-1zcIwhmdeo4"
    assert set(DataDir(data / "eval").trial_lists()) == {"eval"}
    # Trials of dev are across videos, of one gender.
    genders = read_table(data / "dev" / "spk2gender")
    for enrol, test, label in pairs(data / "dev" / "trials"):
        assert (enrol[:7] == test[:7]) == (label == "target") and genders[enrol[:7]] == genders[test[:7]]
        assert label == "nontarget" or enrol[8:19] != test[8:19]


def test_lists_e_and_h_take_what_they_name_from_all_of_voxceleb1(trees, take):
    data = take(trees, "options.lists=[O,E,H]")
    assert set(DataDir(data / "eval").trial_lists()) == {"eval", "eval_E", "eval_H"}
    assert speakers(data, "eval") == set(FIRST + TEST)
    assert len(pairs(data / "eval" / "trials_E")) == 153 and len(pairs(data / "eval" / "trials_H")) == 28


def test_original_lists_go_by_their_own_names(copy, take):
    (copy / "lists").mkdir()
    (copy / "vox1" / "veri_test2.txt").rename(copy / "lists" / "veri_test.txt")
    root = str(copy / "lists").replace("'", "''")
    assert (take(copy, "options.lists=[O_original]", f"options.trials_root='{root}'") / "eval" / "trials").exists()


def test_the_kaldi_protocol_trains_on_three_parts(trees, take):
    data = take(trees, "options.train_parts=[vox1_dev,vox2_dev,vox2_test]", "options.dev_speakers=0")
    assert speakers(data, "train") == set(FIRST + SECOND + SECOND_TEST)
    assert sorted(path.name for path in data.iterdir()) == ["eval", "train"]


def test_lists_of_speakers_that_are_trained_on_are_refused(trees, take):
    with pytest.raises(UserError, match="list E: speaker id10001 is trained on .* train on VoxCeleb2 alone"):
        take(trees, "options.train_parts=[vox1_dev,vox2_dev]", "options.lists=[O,E]")


def test_voxceleb1_alone(trees, take):
    data = take(trees, second=False)
    assert speakers(data, "train") | speakers(data, "dev") == set(FIRST)
    assert speakers(data, "eval") == set(TEST)


def test_voxceleb2_alone_is_tested_on_trials_of_ours(trees, take, caplog):
    data = take(trees, "options.dev_utterances=2", first=False)
    assert speakers(data, "eval") == set(SECOND_TEST)
    # Two of each speaker, from different videos.
    assert sorted(read_table(data / "eval" / "utt2session").values()) == sorted(
        f"{who}-{video}" for who in SECOND_TEST for video in VIDEOS
    )
    assert "none of VoxCeleb's trial lists" in caplog.text


def test_without_speakers_to_test_on_there_is_no_eval(copy, take, caplog):
    shutil.rmtree(copy / "vox2" / "test")
    data = take(copy, first=False)
    assert not (data / "eval").exists() and "nothing to test on" in caplog.text


@pytest.mark.parametrize(
    "layout",
    [{"dev": "wav", "test": "wav"}, {"dev": "vox1_dev_wav/wav", "test": "vox1_test_wav/wav"}, {"meta": False}],
    ids=str,
)
def test_layouts_of_voxceleb1(tmp_path, trees, take, layout):
    expected = take(trees, second=False)
    before = {name: read_table(expected / name / "utt2spk") for name in ("train", "dev", "eval")}
    write_lists(write_first(tmp_path / "vox1", **layout))
    data = take(tmp_path, second=False)
    assert {name: read_table(data / name / "utt2spk") for name in before} == before


def test_parts_of_voxceleb2_are_known_by_folder_or_by_metadata(copy, take):
    (copy / "vox2" / "vox2_meta.csv").rename(copy / "meta")
    assert speakers(take(copy, first=False), "eval") == set(SECOND_TEST)
    (copy / "vox2" / "aac").mkdir()
    for half in ("dev", "test"):
        for folder in (copy / "vox2" / half / "aac").iterdir():
            folder.rename(copy / "vox2" / "aac" / folder.name)
    with pytest.raises(UserError, match=r"of VoxCeleb2's dev or test\? Put vox2_meta\.csv"):
        take(copy, first=False)
    (copy / "meta").rename(copy / "vox2" / "vox2_meta.csv")
    assert speakers(take(copy, first=False), "eval") == set(SECOND_TEST)


def test_links_to_folders_are_followed_but_not_in_circles(copy, take):
    (copy / "elsewhere").mkdir()
    moved = (copy / "vox1" / "test" / "wav").rename(copy / "elsewhere" / "wav")
    (copy / "vox1" / "test" / "wav").symlink_to(moved)
    (copy / "vox1" / "test" / "up").symlink_to(copy / "vox1")
    assert speakers(take(copy), "eval") == set(TEST)


@needs_av
def test_m4a_is_described_as_it_is_read(tmp_path, take):
    write_second(tmp_path / "vox2", "m4a")
    data = take(tmp_path, first=False)
    wavs, seconds = (read_table(data / "train" / name) for name in ("wav.scp", "utt2dur"))
    assert all(path.endswith(".m4a") for path in wavs.values())
    assert all(1.2 <= float(value) <= 1.4 for value in seconds.values())


def missing(root):
    shutil.rmtree(root / "vox1")


def the_parent(root):
    shutil.move(root / "vox2" / "dev", root / "vox1" / "vox2")


def swapped(root):
    (root / "vox1").rename(root / "x")
    (root / "vox2").rename(root / "vox1")
    (root / "x").rename(root / "vox2")


def packed(root):
    shutil.rmtree(root / "vox1" / "dev")
    shutil.rmtree(root / "vox1" / "test")
    (root / "vox1" / "vox1_dev_wav_partaa").write_bytes(b"PK")


def empty(root):
    shutil.rmtree(root / "vox2" / "dev")
    shutil.rmtree(root / "vox2" / "test")


def no_list(root):
    (root / "vox1" / "veri_test2.txt").unlink()


def no_test(root):
    shutil.rmtree(root / "vox1" / "test")


def unknown_utterance(root):
    with (root / "vox1" / "veri_test2.txt").open("a") as file:
        file.write("1 id10270/nothing/00001.wav id10270/-GTcP5bPDUo/00001.wav\n")


def twice(root):
    write_clip(root / "vox2" / "dev" / "wav" / "id00012" / VIDEOS[0] / "00001.flac", 12, 0)


def odd_metadata(root):
    (root / "vox2" / "vox2_meta.csv").write_text("id00012,m\n")


def no_dev(root):
    shutil.rmtree(root / "vox2" / "dev")


def damaged(root):
    (root / "vox2" / "dev" / "aac" / "id00012" / VIDEOS[0] / "00002.wav").write_bytes(b"RIFF? No.")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing, "--voxceleb1-root .*/vox1: no such folder"),
        (the_parent, r"--voxceleb1-root .*/vox1: .*id000.* is of VoxCeleb2: name the folder of VoxCeleb1 alone"),
        (swapped, "--voxceleb1-root .* is of VoxCeleb2"),
        (packed, "--voxceleb1-root .*: no recordings .*: unpack vox1_dev_wav_partaa and its like first"),
        (empty, "--voxceleb2-root .*: no recordings .*: is it the right folder"),
        (no_list, r"veri_test2\.txt: the trial list O is not there: get it from https://.* --trials-root"),
        (no_test, "it needs VoxCeleb1's test speakers, id10270 to id10309, .*: unpack vox1_test_wav.zip there"),
        (unknown_utterance, r"veri_test2\.txt, line 29: 'id10270/nothing/00001\.wav' is no utterance of .*vox1: "),
        (twice, "are the same utterance: give --voxceleb2-root the folder of one of the two forms"),
        (odd_metadata, r"vox2_meta\.csv: expected a first line with the columns Gender and Set"),
        (no_dev, "train_parts: vox2_dev: there are no recordings of it in .*; parts that there are: .*vox2_test"),
        (damaged, r"00002\.wav: cannot be read as audio .*; replace or remove it"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(copy, take, tmp_path, spoil, message):
    spoil(copy)
    with pytest.raises(UserError, match=message):
        take(copy, "options.dev_speakers=0")
    assert not (tmp_path / "data").exists()


def test_recordings_that_cannot_be_read_may_be_left_out(copy, take, caplog):
    damaged(copy)
    spoilt = copy / "vox1" / "test" / "wav" / "id10270" / VIDEOS[0] / "00001.wav"
    spoilt.write_bytes(b"")
    data = take(copy, "options.dev_speakers=0", "options.max_bad_utts=2")
    assert "id00012--GTcP5bPDUo-00002" not in read_table(data / "train" / "utt2spk")
    assert not any("id10270--GTcP5bPDUo-00001" in pair for pair in pairs(data / "eval" / "trials"))
    assert len(pairs(data / "eval" / "trials")) == 28 - 7 and "2 utterances left out" in caplog.text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["options.lists=[O,X]"], r"lists: 'X': no such list \(there are: O, E, H, O_original"),
        (["options.lists=[O,O]"], "name each list once"),
        (["options.train_parts=[vox3]"], "train_parts: vox3 is impossible"),
        (["options.dev_speakers=5"], "5 of 6 speakers would leave fewer than 2 to train on: hold out fewer with"),
    ],
)
def test_impossible_options_are_told(trees, take, overrides, message):
    with pytest.raises(UserError, match=message):
        take(trees, *overrides)


def test_options_that_need_another_corpus_are_told(trees, take):
    with pytest.raises(UserError, match="Give --voxceleb1-root DIR, --voxceleb2-root DIR or both"):
        take(trees, first=False, second=False)
    with pytest.raises(UserError, match="vox1_dev needs --voxceleb1-root"):
        take(trees, "options.train_parts=[vox1_dev]", first=False)
    with pytest.raises(UserError, match="--trials-root x: the lists are of VoxCeleb1: give --voxceleb1-root"):
        take(trees, "options.trials_root=x", first=False)


@needs_av
@pytest.mark.slow
def test_the_recipe_makes_features_of_both(tmp_path):
    """One command, from any folder: wav and m4a become features and VAD without a pipe."""
    write_lists(write_first(tmp_path / "vox1"))
    write_second(tmp_path / "vox2", "m4a")
    done = run([ROOT / "run.sh", "--preset", "tiny", "--voxceleb1-root", "vox1", "--voxceleb2-root", "vox2",
                "--corpus-set", "options.dev_speakers=3 options.lists=[O,E]", "--augmentation", "none",
                "--noisy-sets=", "--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp",
                "--stop-stage", "3"], cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("train", "dev", "eval"):
        folder = tmp_path / "data" / "voxceleb" / name
        assert read_table(folder / "utt2spk").keys() == read_table(folder / "feats.scp").keys() \
            == read_table(folder / "vad.scp").keys()
    assert (folder / "trials_E").exists()
