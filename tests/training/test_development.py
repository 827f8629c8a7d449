"""The EER on a development set, while a network is trained."""

import numpy as np
import pytest
import torch

from xvkd.errors import UserError
from xvkd.nets.extraction import ExtractionConfig
from xvkd.nets.models import STUDENTS, BuildRecord, build_network
from xvkd.training.development import DevelopmentSet

CONFIG = ExtractionConfig(15, 100, 1000, 100)


def utterances(speakers=5, each=4, apart=0.0, frames=30):
    draw = np.random.default_rng(0)
    found = {}
    for speaker in range(speakers):
        mean = apart * draw.standard_normal(4)
        for number in range(each):
            found[f"s{speaker}-{number}"] = (mean + draw.standard_normal((frames, 4))).astype(np.float32)
    return found


def development(inputs, most_utterances=100, most_frames=100):
    speakers = {name: name.split("-")[0] for name in inputs}
    return DevelopmentSet(inputs, speakers, most_utterances, most_frames, CONFIG, "dev")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(BuildRecord(STUDENTS, "tdnn", {"width": 8}, 4, 6), "toy")


def test_speakers_that_differ_have_a_lower_eer(network):
    device = torch.device("cpu")
    alike, apart = (development(utterances(apart=by)).eer(network, device) for by in (0.0, 5.0))
    assert apart < 20 and 30 < alike < 70


def test_nothing_else_is_touched(network):
    network.train()
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state, inputs = torch.get_rng_state(), development(utterances())
    assert inputs.eer(network, torch.device("cpu")) == inputs.eer(network, torch.device("cpu"))
    assert network.training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(weights[name], tensor) for name, tensor in network.state_dict().items())


def test_it_is_bounded_and_always_the_same():
    inputs = utterances(speakers=20, each=6)
    chosen = development(inputs, 10, 7).checksums()
    assert len(chosen) == 10 and chosen == development(dict(reversed(inputs.items())), 10, 7).checksums()
    # Two of each speaker: ten utterances of ten speakers would make no target trial.
    assert sorted(name.split("-")[0] for name in chosen)[::2] == sorted({name.split("-")[0] for name in chosen})
    assert chosen != development(inputs, 10, 30).checksums()


@pytest.mark.parametrize(("speakers", "each"), [(1, 5), (5, 1)])
def test_a_set_without_both_kinds_of_trials_is_told(speakers, each):
    with pytest.raises(UserError, match="--dev-dir dev: too small; it needs two speakers, and two voiced utterances"):
        development(utterances(speakers, each))
