"""Sets of copies: the same from the same seed, named, timed and marked as they should be."""

import gzip
import json

import pytest

from xvkd.augmentation.augmenter import Augmenter
from xvkd.augmentation.config import KINDS
from xvkd.augmentation.copies import write_copies, write_speed_copies
from xvkd.errors import UserError
from xvkd.features.cuts import CUTS, load_cut, read_cuts
from xvkd.kaldi.datadir import DataDir


def cuts(folder):
    with gzip.open(folder / "manifests" / CUTS, "rt") as lines:
        return {cut["id"]: cut for cut in map(json.loads, lines)}


@pytest.fixture
def write(train, corpus, tmp_path):
    def write(options, name="copies", source=train, **more):
        write_copies(source, tmp_path / name, Augmenter(options, corpus), **more)
        return DataDir(tmp_path / name)

    return write


def test_copies_are_named_and_known(write, options, train):
    copies = write(options("copies"))
    originals, speakers = copies.table("utt2uniq"), train.speakers()
    assert len(originals) == 2 * len(speakers) and set(originals.values()) == speakers.keys()
    for name, original in originals.items():
        kind = name.removeprefix(f"{original}-").rstrip("12")
        assert kind in KINDS and copies.speakers()[name] == speakers[original]
        assert (name in copies.table("utt2snr")) == (kind != "reverb")
        assert float(copies.table("utt2dur")[name]) == pytest.approx(float(train.table("utt2dur")[original]), abs=1e-3)
    assert cuts(copies.path).keys() == originals.keys()


def test_the_seed_gives_the_same_and_another_gives_another(write, options):
    first, again, other = (
        write(options("copies", f"seed={seed}"), name) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )  # fmt: skip
    content = [(copies.path / "manifests" / CUTS).read_bytes() for copies in (first, again, other)]
    assert content[0] == content[1] != content[2]


def test_a_copy_follows_from_its_name_not_from_the_others(write, options, train, tmp_path):
    few = tmp_path / "few"
    (few / "manifests").mkdir(parents=True)
    kept = list(train.speakers())[3:5]
    for name in ("utt2spk", "utt2dur"):
        (few / name).write_text("".join(f"{key} {train.table(name)[key]}\n" for key in kept))
    (few / "manifests" / CUTS).write_bytes((train.path / "manifests" / CUTS).read_bytes())
    few.rename(tmp_path / "train")
    some = cuts(write(options("copies"), "some", DataDir(tmp_path / "train")).path)
    every = cuts(write(options("copies"), "all").path)
    assert len(some) == 4 and all(every[name] == cut for name, cut in some.items())


def test_kaldis_copies_are_one_of_each_kind_and_some_are_kept(write, options, train):
    number = len(train.speakers())
    every = write(options("kaldi"), "every").table("utt2uniq")
    assert {name.removeprefix(f"{original}-") for name, original in every.items()} == set(KINDS)
    assert len(every) == 4 * number
    some = write(options("kaldi", "subset=7"), "some").table("utt2uniq")
    assert len(some) == 7 and some.keys() <= every.keys()


def test_several_copies_of_each_kind_have_names_of_their_own(write, options, train):
    copies = write(options("kaldi", "copies=2"))
    assert len(copies.speakers()) == len(cuts(copies.path)) == 8 * len(train.speakers())


def test_noisy_twin_has_names_and_trials_of_its_set(write, options, data):
    source = DataDir(data / "eval")
    noisy = write(options("eval_noisy"), "eval_noisy", source, same_ids=True)
    assert noisy.speakers() == source.speakers()
    assert noisy.table("utt2snr").keys() == source.speakers().keys()
    assert all(4.9 <= float(snr) <= 20.1 for snr in noisy.table("utt2snr").values())
    assert noisy.trial_lists().keys() == {f"eval_noisy{name.removeprefix('eval')}" for name in source.trial_lists()}
    for name in ("trials", "trials_multi", "enrol_multi"):
        if (source.path / name).exists():
            assert (noisy.path / name).read_bytes() == (source.path / name).read_bytes()


def test_speed_copies_are_other_speakers_and_of_other_length(train, tmp_path):
    write_speed_copies(train, tmp_path / "sp", [0.9, 1.1])
    copies, speakers = DataDir(tmp_path / "sp"), train.speakers()
    assert copies.speakers() == {
        f"sp{factor}-{name}": f"sp{factor}-{speaker}" for factor in ("0.9", "1.1") for name, speaker in speakers.items()
    }
    assert not (copies.path / "utt2uniq").exists()  # they are utterances of their own
    for cut in read_cuts(copies.path / "manifests" / CUTS):
        factor, original = cut.id.removeprefix("sp").split("-", 1)
        samples = round(float(train.table("utt2dur")[original]) * 16000 / float(factor))
        assert len(load_cut(cut, 16000)) == pytest.approx(samples, abs=1)
        assert float(copies.table("utt2dur")[cut.id]) == pytest.approx(samples / 16000, abs=1e-3)


def test_what_others_have_made_is_not_overwritten(write, options, tmp_path):
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "utt2spk").write_text("a a\n")
    with pytest.raises(UserError, match="not made by this stage"):
        write(options("copies"))
    assert (tmp_path / "copies" / "utt2spk").read_text() == "a a\n"


def test_copies_are_made_again_without_what_was_there(write, options):
    first = write(options("copies"))
    (first.path / "trials").write_text("old")
    (first.path / ".done.augmented.new").write_text("mark")
    again = write(options("copies", "noise.weight=0", "music.weight=0", "babble.weight=0"))
    assert not (again.path / "trials").exists() and not (again.path / "utt2snr").exists()
    assert (again.path / ".done.augmented.new").exists()
