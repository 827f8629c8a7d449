"""conf/augmentation/kaldi.yaml does what Kaldi's egs/voxceleb/v2 does, on trees of MUSAN's and RIRS_NOISES' layout."""

import pytest
from noise_trees import VOCALS

from xvkd import config
from xvkd.augmentation.augmenter import Augmenter
from xvkd.augmentation.config import KINDS, AugmentationConfig, NoiseConfig
from xvkd.augmentation.copies import evenly, write_copies
from xvkd.augmentation.noise_corpus import Given, NoiseCorpus, prepare_noise
from xvkd.features.cuts import CUTS, read_cuts
from xvkd.kaldi.datadir import DataDir


@pytest.fixture(scope="module")
def copies(conf, data, musan, rirs, train, tmp_path_factory):
    """Writes Kaldi's copies of train with the presets' noise; kind -> original -> Lhotse's cut."""
    root = tmp_path_factory.mktemp("kaldi")
    # As conf/presets/kaldi_voxceleb.sh has it.
    noise = config.load(NoiseConfig, conf / "noise.yaml", ["vocals=true", "held_out=0"])
    prepare_noise(noise, Given(musan, rirs, []), False, root / "noise")

    def write(*overrides):
        options = config.load(AugmentationConfig, conf / "augmentation" / "kaldi.yaml", overrides)
        write_copies(train, root / "copies", Augmenter(options, NoiseCorpus(root / "noise")))
        found = {kind: {} for kind in KINDS}
        originals = DataDir(root / "copies").table("utt2uniq")
        for cut in read_cuts(root / "copies" / "manifests" / CUTS):
            original = originals[cut.id]
            found[cut.id.removeprefix(f"{original}-")][original] = cut
        return found

    return write


def added(cut):
    """The recordings that are added to an utterance, with where they begin, in the utterance and in themselves."""
    return [(track.cut.recording_id, track.offset, track.cut.start, track.snr) for track in cut.tracks[1:]]


def test_each_utterance_has_a_copy_of_each_kind(copies, train):
    for kind, cuts in copies().items():
        assert cuts.keys() == train.speakers().keys(), kind


def test_noises_follow_each_other_a_second_apart_each_with_a_ratio_of_its_own(copies):
    """--fg-interval 1 --fg-snrs 15:10:5:0; the tree's noises have 0.3 s, utterances 1 s and more."""
    several = 0
    for cut in copies()["noise"].values():
        for number, (name, offset, start, snr) in enumerate(added(cut)):
            assert name.startswith("noise-") and start == 0 and snr in (15, 10, 5, 0)
            assert offset == pytest.approx(1.3 * number)
        several += len({snr for *_, snr in added(cut)}) > 1
    ratios = [snr for cut in copies("noise.gap=0")["noise"].values() for *_, snr in added(cut)]
    assert set(ratios) == {15, 10, 5, 0} and len(ratios) > 60


def test_music_is_one_piece_with_voices_or_not_and_repeated(copies):
    """--bg-snrs 15:10:8:5 --num-bg-noises 1; make_musan.sh keeps vocals."""
    pieces, ratios = set(), set()
    for cut in copies()["music"].values():
        names, offsets, starts, snrs = zip(*added(cut), strict=True)
        assert len(set(names)) == 1 and set(starts) == {0} and len(set(snrs)) == 1
        assert list(offsets) == pytest.approx([0.3 * number for number in range(len(names))])
        pieces.add(names[0])
        ratios.add(snrs[0])
    assert ratios == {15, 10, 8, 5} and all(name.startswith("music-") for name in pieces)
    assert any(int(name[-4:]) < VOCALS for name in pieces)


def test_babble_is_three_to_seven_of_musans_speakers_each_with_a_ratio(copies):
    """--bg-snrs 20:17:15:13 --num-bg-noises 3:4:5:6:7."""
    numbers, ratios, differ = set(), set(), False
    for cut in copies()["babble"].values():
        first = [(name, snr) for name, offset, _, snr in added(cut) if offset == 0]
        assert all(name.startswith("speech-") for name, _ in first)
        numbers.add(len(first))
        ratios |= {snr for _, snr in first}
        differ |= len({snr for _, snr in first}) > 1
    assert numbers <= set(range(3, 8)) and len(numbers) > 2 and ratios == {20, 17, 15, 13} and differ


def test_reverberant_copies_are_in_small_and_medium_rooms_without_noise(copies):
    rooms = set()
    for cut in copies()["reverb"].values():
        (transform,) = [one for one in cut.recording.transforms if "rir" in str(one).lower()]
        rooms.add(str(transform).split("simulated_rirs/")[1].split("/")[0])
    assert rooms == {"smallroom", "mediumroom"}


def test_a_number_of_all_copies_is_kept_from_all_over_the_list(copies, train):
    """A million of 5.1 million there; half of each half of the sorted list, as utils/subset_scp.pl takes them."""
    names = sorted(f"{utterance}-{kind}" for utterance in train.speakers() for kind in KINDS)
    kept = {f"{original}-{kind}" for kind, cuts in copies("subset=17").items() for original in cuts}
    assert kept == {names[row] for row in evenly(0, len(names), 17)} and len(kept) == 17


@pytest.mark.parametrize("total, count, rows", [
    (10, 3, [4, 6, 9]), (4, 4, [0, 1, 2, 3]), (5, 0, []), (8, 2, [3, 7]), (7, 5, [0, 2, 4, 5, 6]),
])  # fmt: skip
def test_rows_are_those_of_subset_scp(total, count, rows):
    assert list(evenly(0, total, count)) == rows
