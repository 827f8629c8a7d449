"""Folded networks: of every kind and level, the new end gives what the old one gave with a map behind it."""

import dataclasses

import numpy as np
import pytest
import torch
from small_networks import FEATURES, SMALL, features_of, small_teacher, student_of
from torch import nn

from xvkd.backend.folding import deployed_parameters
from xvkd.errors import UserError
from xvkd.nets.describe import describe
from xvkd.nets.folded import last_layer, with_last_layer
from xvkd.nets.models import STUDENTS, TEACHERS, BuildRecord, finish_model, load_model

RECORDS = {name: BuildRecord(TEACHERS, name, arch, FEATURES, 0) for name, arch in SMALL.items()}
LEVELS = ("frame2", "frame", "stats", "segment6", "segment7")


def network_of(name):
    if name == "student":
        return student_of(6, 9, FEATURES).eval(), BuildRecord(STUDENTS, "tdnn", {"width": 6}, FEATURES, 9)
    return small_teacher(name), RECORDS[name]


def map_of(size, seed=4):
    """(3, size + 1): an affine map of a level's values."""
    return np.random.default_rng(seed).standard_normal((3, size + 1))


def composed(after, layer):
    """A map behind a layer, as one layer; the map alone where there is no layer."""
    if layer is None:
        return after
    both = after[:, :-1] @ layer
    both[:, -1] += after[:, -1]
    return both


@torch.no_grad()
def assert_folded(folded, network, level, after):
    """On two utterances, the second of which is padded."""
    batch, lengths = torch.stack(features_of(60, 60)), torch.tensor([60, 47])
    # "frame" is the last frame-level layer that is left.
    kept = {name: folded.aliases.get(name, name) for name in folded.levels if name != "embedding"}
    ours, expected = folded(batch, lengths, folded.levels), network(batch, lengths, [*kept.values(), level])
    for name, before in kept.items():
        assert torch.equal(ours[name], expected[before])
    value = expected[level].double().numpy() @ after[:, :-1].T + after[:, -1]
    np.testing.assert_allclose(ours["embedding"].numpy(), value, rtol=1e-4, atol=1e-4 * value.std())


@pytest.mark.parametrize(
    ("name", "level"),
    [("student", "embedding"), *((name, level) for name in SMALL for level in LEVELS
                                 if level != "segment7" or "segment_widths" in SMALL[name])],
)  # fmt: skip
def test_what_a_network_ends_with_is_replaced(tmp_path, name, level):
    network, record = network_of(name)
    after, layer = map_of(network.levels[level]), last_layer(network, level)
    folded, build = with_last_layer(network, record, level, composed(after, layer))
    assert folded.output_level == "embedding" and folded.output_dim == 3
    assert_folded(folded, network, level, after)
    # What is behind the level is gone, and the rest counts as the table of results has it.
    fan_in = None if layer is None else layer.shape[1] - 1
    size = deployed_parameters(network.num_parameters(level), network.levels[level], fan_in, 3)
    assert folded.num_parameters() == sum(p.numel() for p in folded.parameters()) == size
    assert network.output_level != "embedding" or name == "student"  # it stays as it was
    finish_model(tmp_path, folded, build, {"role": "teacher"})
    loaded, config = load_model(tmp_path)
    assert_folded(loaded, network, level, after)
    assert list(config["levels"]) == list(folded.levels) and config["parameters"] == size
    assert describe(loaded, FEATURES).levels["embedding"][:2] == (3, size)


def test_a_folded_network_is_folded_again():
    """In the place of the first fold, whatever it was."""
    network, record = network_of("tdnn")
    for level in ("segment6", "stats"):
        first = map_of(network.levels[level])
        once, build = with_last_layer(network, record, level, composed(first, last_layer(network, level)))
        second = map_of(3, seed=5)
        twice, build = with_last_layer(once, build, "embedding", composed(second, last_layer(once, "embedding")))
        assert build.end == {"level": level, "size": 3}
        assert_folded(twice, network, level, composed(second, first))


def test_a_level_under_a_second_name():
    network, record = network_of("tdnn")
    one, other = (with_last_layer(network, record, level, map_of(8))[0] for level in ("frame", "frame5"))
    assert list(one.levels) == list(other.levels) == [*(f"frame{i}" for i in range(1, 6)), "frame", "embedding"]


def test_an_end_that_is_not_affine_is_refused():
    network, _ = network_of("student")
    network.segment_layers["embedding"] = nn.Sequential(nn.Linear(12, 9), nn.Tanh())
    with pytest.raises(UserError, match=r"level embedding: the layer that gives it is no affine one \(Sequential\)"):
        last_layer(network, "embedding")


def test_a_damaged_record_is_told(tmp_path):
    network, record = network_of("student")
    for end in ({"level": "segment9", "size": 3}, {"level": "embedding"}):
        finish_model(tmp_path, network, dataclasses.replace(record, end=end), {"role": "student"})
        with pytest.raises(UserError, match="do not fit"):
            load_model(tmp_path)
