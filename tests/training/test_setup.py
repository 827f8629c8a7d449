"""A training run from files: what it leaves behind, and which changes make a checkpoint worthless."""

import numpy as np
import pytest
import torch

from xvkd.errors import UserError
from xvkd.nets.models import TEACHERS, load_model
from xvkd.training.classification import SpeakerClassification
from xvkd.training.setup import TrainingSetup, training_parser

TINY = [
    "arch.width=6", "arch.frame5_width=8", "arch.segment_width=5", "training.epochs=2", "training.batch_size=4",
    "training.chunk_frames=20", "training.precision=float32",
]  # fmt: skip


def features_of(speakers="abcd", seed=0):
    random = np.random.default_rng(seed)
    return {
        f"{speaker}-{number}": random.standard_normal((30, 30)).astype(np.float32)
        for speaker in speakers
        for number in range(2)
    }


@pytest.fixture
def make_setup(conf, tmp_path):
    def make(data_dir, folder="model", seed=0, changes=()):
        words = ["--config", str(conf / "teachers" / "tdnn.yaml"), "--data-dir", str(data_dir), "--seed", str(seed)]
        for change in [*TINY, *changes]:
            words += ["--set", change]
        return TrainingSetup(training_parser("", "teachers").parse_args([*words, str(tmp_path / folder)]))

    return make


@pytest.fixture
def train(make_setup):
    """Trains a teacher; returns its weights."""

    def run(*args, **kwargs):
        setup = make_setup(*args, **kwargs)
        network = setup.network(TEACHERS)
        setup.train(SpeakerClassification(network, torch.from_numpy(setup.speakers), 0.0))
        setup.finish(network, role="teacher", loss="softmax")
        return network.state_dict()

    return run


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_finished_run_can_be_loaded_and_says_what_it_is(train, write_data_dir, tmp_path):
    weights = train(write_data_dir(features_of()))
    network, record = load_model(tmp_path / "model")
    assert same(network.state_dict(), weights)
    assert (record["role"], record["loss"], record["seed"]) == ("teacher", "softmax", 0)
    assert record["parameters"] == network.num_parameters()
    assert record["levels"]["stats"] == {"size": 16, "parameters": network.num_parameters("stats")}
    assert record["input"]["cmn_window"] == 300 and record["features"]["num_ceps"] == 30
    assert record["training"]["chunk_frames"] == 20 and record["vad"]["vad_frames_context"] == 2


def test_the_same_run_again_gives_the_same_weights(train, write_data_dir):
    data = write_data_dir(features_of())
    weights = train(data)
    assert same(train(data), weights)  # from the checkpoint
    assert same(train(data, folder="other"), weights)  # from the beginning


def other_features(write_data_dir):
    write_data_dir(features_of(seed=1))


def other_vad(write_data_dir):
    vad = {key: (np.arange(30) > 3).astype(np.float32) for key in features_of()}
    write_data_dir(features_of(), vad)


def other_speakers(write_data_dir):
    folder = write_data_dir(features_of())
    lines = (folder / "utt2spk").read_text().replace("-1 b", "-1 a").replace("a-1 a", "a-1 b")
    (folder / "utt2spk").write_text(lines)


@pytest.mark.parametrize("change", [other_features, other_vad, other_speakers])
def test_other_data_under_the_same_names_are_trained_anew(train, write_data_dir, change):
    """Utterances keep their names when a corpus is made again with another seed or other noise."""
    data = write_data_dir(features_of())
    old = train(data)
    change(write_data_dir)
    new = train(data)
    assert not same(new, old)
    assert same(new, train(data, folder="other"))


@pytest.mark.parametrize("change", [{"seed": 1}, {"changes": ["training.learning_rate=0.01"]}])
def test_another_configuration_is_trained_anew(train, write_data_dir, change):
    data = write_data_dir(features_of())
    train(data)
    assert same(train(data, **change), train(data, folder="other", **change))


def test_a_choice_of_utterances_numbers_its_speakers_anew(make_setup, write_data_dir):
    setup = make_setup(write_data_dir(features_of("abcd")))
    assert setup.utterances[2:4] == ["b-0", "b-1"] and setup.speakers.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    setup.keep(np.array([1, 4, 6, 7]))
    assert setup.utterances == ["a-1", "c-0", "d-0", "d-1"] and setup.speakers.tolist() == [0, 1, 2, 2]


def test_a_missing_data_directory_is_told(make_setup, tmp_path):
    with pytest.raises(UserError, match="nowhere: no such data directory; run stage 1 first"):
        make_setup(tmp_path / "nowhere")
