"""A training run from files: what it leaves behind, and which changes make a checkpoint worthless."""

import numpy as np
import pytest
import torch

from xvkd.errors import UserError
from xvkd.nets.models import TEACHERS, load_model
from xvkd.training.setup import TrainingSetup, training_parser

TINY = [
    "arch.frame_widths=[6,6,6,6,8]", "arch.segment_widths=[5,5]", "training.epochs=2", "training.batch_size=4",
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
    def make(data_dir, folder="model", seed=0, changes=(), init=None, dev=None):
        words = ["--config", str(conf / "teachers" / "tdnn.yaml"), "--seed", str(seed)]
        for path in data_dir if isinstance(data_dir, list) else [data_dir]:
            words += ["--data-dir", str(path)]
        words += ["--init-model", str(init)] if init else []
        words += ["--dev-dir", str(dev)] if dev else []
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
        task = setup.classification(network)
        setup.start(task)
        setup.train(task)
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
    assert record["levels"]["stats"] == {"size": 16, "parameters": network.num_parameters("stats"), "fan_in": None}
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


def frames_and_copies(write_data_dir, frames):
    """Utterances of so many frames each, id -> frames, and a second set with a copy of each that is marked."""
    random = np.random.default_rng(0)
    features = {name: random.standard_normal((count, 30)).astype(np.float32) for name, count in frames.items()}
    sets = [{name: x for name, x in features.items() if name.endswith("copy") == copied} for copied in (False, True)]
    folders = [write_data_dir(one, name=f"set{number}") for number, one in enumerate(sets) if one]
    if sets[1]:
        (folders[1] / "utt2uniq").write_text("".join(f"{name} {name.removesuffix('-copy')}\n" for name in sets[1]))
    return folders


def test_short_utterances_and_then_rare_speakers_are_left_out(make_setup, write_data_dir, caplog):
    """Counted as in Kaldi: frames that the network reads, and utterances with copies, after the short ones are gone."""
    caplog.set_level("INFO")
    frames = {"a-0": 41, "a-1": 40, "a-2": 41, "b-0": 41, "b-0-copy": 41, "c-0": 41, "d-0": 20, "d-1": 20}
    folders = frames_and_copies(write_data_dir, frames)
    setup = make_setup(folders, changes=["training.min_frames=41", "training.min_utterances=2"])
    assert setup.utterances == ["a-0", "a-2", "b-0", "b-0-copy"] and setup.speakers.tolist() == [0, 0, 1, 1]
    assert "3 of 8 utterances left out: fewer than 41 frames (training.min_frames)" in caplog.text
    assert "2 of 4 speakers left out, with 1 utterances: fewer than 2 each (training.min_utterances)" in caplog.text
    assert len(make_setup(folders).utterances) == 8
    with pytest.raises(UserError, match="min_frames: 41 and training.min_utterances: 3 leave 0 of 4 speakers; lower"):
        make_setup(folders, changes=["training.min_frames=41", "training.min_utterances=3"])
    with pytest.raises(UserError, match="no utterance has training.min_frames: 42; lower it"):
        make_setup(folders, changes=["training.min_frames=42"])


def test_a_missing_data_directory_is_told(make_setup, tmp_path):
    with pytest.raises(UserError, match="nowhere: no such data directory; run stage 1 first"):
        make_setup(tmp_path / "nowhere")


@pytest.fixture
def start(make_setup):
    """What a training would start from: the task's weights, and which parts of it are random."""

    def run(*args, **kwargs):
        setup = make_setup(*args, **kwargs)
        task = setup.classification(setup.network(TEACHERS))
        random = {name: tensor.clone() for name, tensor in task.state_dict().items()}
        setup.start(task)
        started = task.state_dict()
        return started, {name.split(".")[0] for name in random if torch.equal(random[name], started[name])}

    return run


CHECKPOINT = "model/checkpoints/last.pt"


def test_training_starts_from_a_finished_model(train, start, write_data_dir, tmp_path):
    data = write_data_dir(features_of())
    weights = train(data)
    started, random = start(data, folder="other", seed=1, init=tmp_path / "model")
    assert all(torch.equal(started[f"network.{name}"], tensor) for name, tensor in weights.items())
    assert random == {"classifier"}  # a finished model has none
    tuned = train(data, folder="other", changes=["training.learning_rate=1e-9"], init=tmp_path / "model")
    assert all(torch.allclose(tuned[name], weights[name], atol=1e-6) for name in weights if name.endswith("weight"))
    record = load_model(tmp_path / "other")[1]
    assert record["init_model"] == {"model": str(tmp_path / "model"), "left_random": ["classifier"]}


def test_training_starts_from_a_checkpoint(train, start, write_data_dir, tmp_path):
    data = write_data_dir(features_of())
    train(data)
    expected = torch.load(tmp_path / CHECKPOINT, weights_only=True)["task"]
    started, random = start(data, folder="other", seed=1, init=tmp_path / CHECKPOINT)
    assert same(started, expected) and not random
    # The classifier of other speakers is no use, although they are as many.
    started, random = start(write_data_dir(features_of("efgh")), folder="other", seed=1, init=tmp_path / CHECKPOINT)
    assert random == {"classifier"} and torch.equal(
        started["network.frame_layers.0.affine.weight"], expected["network.frame_layers.0.affine.weight"]
    )
    assert start(write_data_dir(features_of("ab")), folder="other", seed=1, init=tmp_path / CHECKPOINT)[1] == random


def test_weights_to_start_from_make_another_training(train, write_data_dir, tmp_path):
    """Its checkpoints are not resumed when the weights are others, or none are given any more."""
    data = write_data_dir(features_of())
    train(data)
    train(data, folder="first", seed=1)
    from_model = train(data, folder="other", init=tmp_path / "model")
    from_first = train(data, folder="other", init=tmp_path / "first")
    assert not same(from_model, from_first)
    assert same(train(data, folder="fresh", init=tmp_path / "first"), from_first)
    random = train(data, folder="other")
    assert not same(random, from_first) and "init_model" not in load_model(tmp_path / "other")[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["arch.frame_widths=[6,7,6,6,8]"],
         r"'frame_layers.1.affine.weight' is 6 x 6 x 3 there and 7 x 6 x 3 in the network that is to be trained"),
        (["arch.segment_widths=[5]"], "'segment_layers.segment7.weight' is 5 x 5 there and missing in the network"),
        (["arch.segment_widths=[5,4]"], "'segment_layers.segment7.weight' is 5 x 5 there and 4 x 5 in the network"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("model", ["model", CHECKPOINT])
def test_weights_that_do_not_fit_are_told(train, start, write_data_dir, tmp_path, model, changes, message):
    data = write_data_dir(features_of())
    train(data)
    with pytest.raises(UserError, match=f"--init-model .*{model}: does not fit: {message}"):
        start(data, folder="other", changes=changes, init=tmp_path / model)


def test_weights_of_other_features_are_told(train, start, write_data_dir, tmp_path, caplog):
    data = write_data_dir(features_of())
    train(data)
    path = tmp_path / "model" / "config.yaml"
    path.write_text(path.read_text().replace("cmn_window: 300", "cmn_window: 200"))
    start(data, folder="other", init=tmp_path / "model")
    assert f"{tmp_path}/model was trained with cmn_window 200, here it is 300" in caplog.text
    caplog.clear()
    start(data, folder="other", init=tmp_path / CHECKPOINT)
    assert "was trained with" not in caplog.text


def test_what_is_no_model_to_start_from_is_told(train, start, write_data_dir, tmp_path):
    data = write_data_dir(features_of())
    with pytest.raises(UserError, match=r"nowhere: no such model; name a model's folder, or its checkpoints/last.pt"):
        start(data, init=tmp_path / "nowhere")
    train(data)
    for init in (tmp_path / "model", tmp_path / CHECKPOINT):
        with pytest.raises(UserError, match="is the model that is to be trained; copy it to another place first"):
            start(data, init=init)
    with pytest.raises(UserError, match=r"model.safetensors: damaged, or not a checkpoint \(File is not a zip file\)"):
        start(data, folder="other", init=tmp_path / "model" / "model.safetensors")
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"not trained to its end; to start from where it is, name .*/last.pt"):
        start(data, folder="other", init=tmp_path / "model")
    (tmp_path / CHECKPOINT).write_bytes(b"PK")
    with pytest.raises(UserError, match=r"last.pt: damaged, or not a checkpoint"):
        start(data, folder="other", init=tmp_path / CHECKPOINT)


def test_copies_share_the_chunks_of_their_originals(train, write_data_dir, tmp_path, caplog):
    """An epoch is no longer; what was drawn of the copies counts."""
    data = write_data_dir(features_of())
    noisy = {f"{key}-noisy": value for key, value in features_of(seed=1).items()}
    copies = write_data_dir(noisy, name="noisy")
    alone = train(data)
    batches = (tmp_path / "model" / "log" / "training.csv").read_text().count("\n")
    as_speech_of_its_own = train([data, copies], folder="own")
    (copies / "utt2uniq").write_text("".join(f"{key} {key.removesuffix('-noisy')}\n" for key in sorted(noisy)))
    caplog.clear()
    with caplog.at_level("INFO"):
        together = train([data, copies], folder="own")  # trained anew
    assert "8 of the utterances are copies" in caplog.text and "2 epochs of 2 batches" in caplog.text
    assert batches == 3 and not same(together, alone) and not same(together, as_speech_of_its_own)
    assert same(train([copies], folder="copies"), train([copies], folder="again"))


def test_objectives_are_in_the_record(train, make_setup, write_data_dir, tmp_path):
    data = write_data_dir(features_of())
    softmax = train(data, changes=["objective=softmax"])
    margin = train(data, folder="aam", changes=["objective=aam", "objective.scale=8"])
    assert not same(softmax, margin)
    assert load_model(tmp_path / "aam")[1]["objective"]["scale"] == 8.0
    assert load_model(tmp_path / "model")[1]["objective"] == {"kind": "softmax", "label_smoothing": 0.0}
    assert not same(train(data, folder="aam", changes=["objective=aam"]), margin)  # trained anew


def test_a_development_set(train, make_setup, write_data_dir, tmp_path):
    data, dev = write_data_dir(features_of()), write_data_dir(features_of("wxyz"), name="dev")
    alone = train(data)
    weights = train(data, folder="other", changes=["training.dev_every=1"], dev=dev)
    assert same(weights, alone) and "dev_eer_percent" in (tmp_path / "other/log/training.csv").read_text()
    assert same(train(data, folder="never", dev=dev), alone)
    assert "dev_eer_percent" not in (tmp_path / "never/log/training.csv").read_text()
    patient = ["training.dev_every=1", "training.patience=1"]
    with pytest.raises(UserError, match="training.patience: 1 needs a development set: give --dev-dir"):
        make_setup(data, changes=patient)
    with pytest.raises(UserError, match="nowhere: no such data directory"):
        make_setup(data, changes=patient, dev=tmp_path / "nowhere")


def test_utterances_without_labels(make_setup, write_data_dir, conf):
    """Their speakers have no number; those that are known are numbered as if the others were not there."""
    data, more = write_data_dir(features_of("bd")), write_data_dir(features_of("ace"), name="more")
    args = training_parser("", "teachers").parse_args(
        ["--config", str(conf / "teachers" / "tdnn.yaml"), "--seed", "0", "--data-dir", str(data), "x"]
    )
    setup = TrainingSetup(args, [str(more)])
    assert dict(zip(setup.utterances, setup.speakers.tolist(), strict=True)) == {
        "b-0": 0, "b-1": 0, "d-0": 1, "d-1": 1, **{f"{name}-{number}": -1 for name in "ace" for number in range(2)},
    }  # fmt: skip
    setup.keep(np.array([2, 3, 4, 9]))
    assert setup.utterances == ["d-0", "d-1", "a-0", "e-1"] and setup.speakers.tolist() == [0, 0, -1, -1]
    classifier, labels = setup.classifier(5)
    assert classifier.weight.shape == (1, 5) and labels.tolist() == [0, 0, -1, -1]
    classifier, labels = setup.classifier(5, ["c", "d", "e"])
    assert classifier.weight.shape == (3, 5) and labels.tolist() == [1, 1, -1, -1]
