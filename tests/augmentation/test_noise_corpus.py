"""The noise corpus: synthesised, or from trees of MUSAN's and RIRS_NOISES' real layout."""

import shutil

import numpy as np
import pytest
from noise_trees import RATE

from xvkd import config
from xvkd.augmentation.config import NoiseConfig
from xvkd.augmentation.noise_corpus import Given, NoiseCorpus, prepare_noise
from xvkd.errors import UserError
from xvkd.features.cuts import load_cut


@pytest.fixture
def prepared(noise_config, data, tmp_path):
    def prepared(musan=None, rirs=None, held_out=False, options=noise_config):
        prepare_noise(options, Given(musan, rirs, [data / "train"]), held_out, tmp_path / "noise")
        return NoiseCorpus(tmp_path / "noise")

    return prepared


def ids(cuts):
    return {cut.id for cut in cuts}


def test_synthesised_noise_is_held_out_by_its_kind(noise, data):
    train, test = NoiseCorpus(noise), NoiseCorpus(data / "noise_held_out")
    for part in ("noise", "music", "rirs"):
        sorts = [{cut.id.rstrip("0123456789") for cut in getattr(corpus, part)} for corpus in (train, test)]
        assert sorts[0] and sorts[1] and not sorts[0] & sorts[1]
        for cut in getattr(train, part):
            samples = load_cut(cut, RATE)
            assert 0.4 < np.abs(samples).max() / 32768 < 0.95
    speakers = [{cut.supervisions[0].speaker for cut in corpus.speech} for corpus in (train, test)]
    assert speakers[0] and speakers[1] and not speakers[0] & speakers[1]


def test_the_same_seed_gives_the_same_sounds(prepared, noise):
    again = prepared()
    for part in ("noise", "music", "rirs"):
        for old, new in zip(getattr(NoiseCorpus(noise), part), getattr(again, part), strict=True):
            assert old.id == new.id and np.array_equal(load_cut(old, RATE), load_cut(new, RATE))


def test_musan_is_parted(prepared, musan):
    train, test = prepared(musan), prepared(musan, held_out=True)
    for part, number in (("noise", 20), ("music", 15), ("speech", 20)):
        mine, others = ids(getattr(train, part)), ids(getattr(test, part))
        assert mine and others and not mine & others and len(mine | others) == number and len(mine) > len(others)
        assert all(name.startswith(part) for name in mine)
    assert min(ids(train.music) | ids(test.music)) == "music-fma-0005"  # those before have voices


def test_with_voices_and_nothing_held_out(prepared, musan, conf):
    options = config.load(NoiseConfig, conf / "noise.yaml", ["vocals=true", "held_out=0", "responses=2"])
    assert len(prepared(musan, options=options).music) == 20


def test_simulated_rooms_train_and_measured_ones_test(prepared, rirs):
    assert ids(prepared(rirs=rirs).rirs) == {
        f"{room}-Room001-0000{number}" for room in ("small", "medium") for number in (1, 2)
    }  # fmt: skip
    assert ids(prepared(rirs=rirs, held_out=True).rirs) == {"RVB2014_type1_rir_largeroom1_far_angla"}


@pytest.mark.parametrize("missing", ["speech", "noise", "music"])
def test_a_folder_that_is_not_musan(prepared, musan, tmp_path, missing):
    (tmp_path / "musan").mkdir()
    for part in {"speech", "noise", "music"} - {missing}:
        (tmp_path / "musan" / part).symlink_to(musan / part)
    with pytest.raises(UserError, match=rf"--musan .*no folder {missing}/"):
        prepared(tmp_path / "musan")
    (tmp_path / "musan" / missing).mkdir()
    with pytest.raises(UserError, match=rf"no wav files in {missing}/"):
        prepared(tmp_path / "musan")


def test_a_folder_that_is_not_rirs_noises(prepared, tmp_path, musan):
    with pytest.raises(UserError, match="--rirs .*simulated_rirs/smallroom/"):
        prepared(rirs=musan)


def test_a_damaged_recording_is_named(prepared, musan, tmp_path):
    shutil.copytree(musan, tmp_path / "musan")
    (tmp_path / "musan" / "noise" / "free-sound" / "noise-free-sound-0003.wav").write_text("nothing")
    with pytest.raises(UserError, match=r"--musan .*noise-free-sound-0003\.wav"):
        prepared(tmp_path / "musan")
