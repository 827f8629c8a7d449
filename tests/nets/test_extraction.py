"""Extraction: each utterance gets the embedding that it would get alone (Kaldi's: test_kaldi_import.py)."""

import numpy as np
import pytest
import torch

from xvkd.errors import UserError
from xvkd.nets.extraction import ExtractionConfig, extract
from xvkd.nets.models import TEACHERS, BuildRecord, build_network

CPU = torch.device("cpu")
ARCH = {"frame_widths": [6, 6, 6, 6, 8], "segment_widths": [5, 5]}
LEVELS = ["frame2", "stats", "segment6"]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network(BuildRecord(TEACHERS, "tdnn", ARCH, 4, 0), "small").eval()


def utterances_of(*lengths):
    random = np.random.default_rng(2)
    return [(f"u{i}", random.standard_normal((n, 4)).astype(np.float32)) for i, n in enumerate(lengths)]


@torch.no_grad()
def alone(network, frames):
    found = network(torch.from_numpy(frames)[None], levels=LEVELS)
    return {level: embedding[0].numpy() for level, embedding in found.items()}


def assert_same(ours, expected):
    assert ours.keys() == expected.keys()
    for level in expected:
        assert ours[level].dtype == np.float32
        np.testing.assert_allclose(ours[level], expected[level], rtol=1e-4, atol=1e-5, err_msg=level)


@pytest.mark.parametrize("batch_frames", [1, 100, 10000])
@pytest.mark.parametrize("window_utterances", [1, 3, 100])
def test_order_and_values_do_not_depend_on_batches(network, batch_frames, window_utterances):
    utterances = utterances_of(60, 15, 33, 33, 18, 47, 200, 16)
    options = ExtractionConfig(15, 1000, batch_frames, window_utterances)
    found = list(extract(network, iter(utterances), LEVELS, options, CPU))
    assert [name for name, _ in found] == [name for name, _ in utterances]
    for (_, ours), (_, frames) in zip(found, utterances, strict=True):
        assert_same(ours, alone(network, frames))


@pytest.mark.parametrize("length", [1, 4, 5, 24])
def test_a_short_utterance_is_extended_by_its_edge_frames(network, length):
    """As Kaldi's nnet3-xvector-compute: half before, rounded down, the rest after."""
    (utterance,) = utterances_of(length)
    before = (25 - length) // 2
    rows = [0] * before + list(range(length)) + [length - 1] * (25 - length - before)
    ((_, ours),) = extract(network, [utterance], LEVELS, ExtractionConfig(25, 1000, 100, 10), CPU)
    assert_same(ours, alone(network, utterance[1][rows]))


def test_the_receptive_field_is_the_least_length(network):
    (utterance,) = utterances_of(9)
    rows = [0, 0, 0, *range(9), 8, 8, 8]
    ((_, ours),) = extract(network, [utterance], LEVELS, ExtractionConfig(1, 1000, 100, 10), CPU)
    assert_same(ours, alone(network, utterance[1][rows]))


def test_a_long_utterance_is_averaged_over_its_chunks(network):
    """By their lengths; the last one, of 7 frames, is extended to 20 but counts for 7."""
    utterance, other = utterances_of(107, 40)
    frames = utterance[1]
    chunks = [frames[:50], frames[50:100], frames[[100] * 6 + list(range(100, 107)) + [106] * 7]]
    parts = [alone(network, chunk) for chunk in chunks]
    expected = {
        level: (50 * parts[0][level] + 50 * parts[1][level] + 7 * parts[2][level]) / 107 for level in LEVELS
    }
    found = dict(extract(network, [utterance, other], LEVELS, ExtractionConfig(20, 50, 120, 10), CPU))
    assert_same(found["u0"], expected)
    assert_same(found["u1"], alone(network, other[1]))


def test_an_utterance_without_frames_is_told(network):
    utterances = [*utterances_of(30, 30), ("silent", np.zeros((0, 4), np.float32))]
    with pytest.raises(UserError, match="'silent' has no voiced frame: remove it"):
        list(extract(network, utterances, LEVELS, ExtractionConfig(15, 100, 100, 10), CPU))


def test_nothing_gives_nothing(network):
    assert list(extract(network, [], LEVELS, ExtractionConfig(15, 100, 100, 10), CPU)) == []
