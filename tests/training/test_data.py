"""Chunks: drawn from seed and epoch alone, from every utterance, within it, and resumable at any batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xvkd.errors import UserError
from xvkd.features.network_input import InputConfig
from xvkd.kaldi.datadir import DataDir
from xvkd.training.data import ChunkDataset, UtteranceReader, chunk_loader, usable_utterances
from xvkd.training.sampling import Batch, ChunkSampler, Pool

READS = InputConfig("mfcc", "vad", 300, 100, center=True, norm_vars=False, voiced_only=True)
UNNORMALISED = InputConfig("mfcc", "vad", 1, 1, center=True, norm_vars=False, voiced_only=True)


class Frames(dict):
    """A reader of frames in memory."""

    chunk = UtteranceReader.chunk


def batches(sampler):
    return [(batch.utterances.tolist(), [*batch.offsets.tolist(), *batch.seeds.tolist()]) for batch in sampler]


@pytest.fixture
def make_sampler(make_config):
    def make(num_utterances=10, seed=0, epoch=0, **changes):
        config = make_config(**changes)
        pool = Pool([f"u{i:02d}" for i in range(num_utterances)], np.zeros(num_utterances, int), {})
        sampler = ChunkSampler(pool, config.chunks_per_utterance, config.batch_size, config.balance, seed)
        sampler.epoch = epoch
        return sampler

    return make


def test_batches_follow_from_seed_and_epoch(make_sampler):
    first = batches(make_sampler(seed=3, epoch=2))
    # Nothing that was drawn before, by this or any other generator, counts.
    np.random.seed(5)
    sampler = make_sampler(seed=3, epoch=0)
    batches(sampler)
    sampler.epoch = 2
    assert batches(sampler) == first
    assert batches(make_sampler(seed=4, epoch=2)) != first
    assert batches(make_sampler(seed=3, epoch=1)) != first


@pytest.mark.parametrize("first_batch", [0, 1, 3, 4])
def test_an_epoch_resumed_at_a_batch_has_the_same_rest(make_sampler, first_batch):
    whole, rest = make_sampler(17, epoch=1), make_sampler(17, epoch=1)
    rest.first_batch = first_batch
    assert len(batches(whole)) == len(whole) == 4
    assert batches(rest) == batches(whole)[first_batch:]


@pytest.mark.parametrize("chunks_per_utterance", [1, 3])
def test_every_utterance_comes_once_an_epoch_for_each_of_its_chunks(make_sampler, chunks_per_utterance):
    sampler = make_sampler(12, chunks_per_utterance=chunks_per_utterance)
    drawn = [index for utterances, _ in batches(sampler) for index in utterances]
    assert sorted(drawn) == sorted([*range(12)] * chunks_per_utterance) and drawn != sorted(drawn)


def test_what_fills_no_batch_is_left_out_but_not_for_ever(make_sampler):
    epochs = [[i for utterances, _ in batches(make_sampler(7, epoch=epoch)) for i in utterances] for epoch in range(30)]
    assert all(len(drawn) == len(set(drawn)) == 4 for drawn in epochs)
    assert {index for drawn in epochs for index in drawn} == set(range(7))


def test_fewer_utterances_than_a_batch_make_one_batch(make_sampler):
    assert [sorted(utterances) for utterances, _ in batches(make_sampler(3))] == [[0, 1, 2]]


@settings(max_examples=100)
@given(length=st.integers(1, 60), offset=st.floats(0, 1, exclude_max=True))
def test_a_chunk_lies_within_its_utterance(length, offset):
    """Consecutive frames of the utterance, from its beginning to its end; a short one is repeated."""
    frames = np.column_stack([np.arange(length), -np.arange(length)]).astype(np.float32)
    chunk_frames = 20
    dataset = ChunkDataset(Frames(a=frames), ["a"], chunk_frames)
    features, indices = dataset[Batch(np.zeros(1, int), np.array([offset]), np.zeros(1, int), slice(0, 1))]
    assert features.shape == (1, chunk_frames, 2) and indices.tolist() == [0]
    drawn = features[0, :, 0].tolist()
    assert (features[0, :, 1] == -features[0, :, 0]).all()
    if length <= chunk_frames:
        assert drawn == [t % length for t in range(chunk_frames)]
    else:
        first = int(drawn[0])
        assert 0 <= first <= length - chunk_frames and drawn == list(range(first, first + chunk_frames))


def test_a_chunk_can_begin_at_either_end_of_the_range():
    frames = np.arange(22, dtype=np.float32)[:, None]
    dataset = ChunkDataset(Frames(a=frames), ["a"], 20)
    offsets = np.array([0.0, 0.3, 0.34, 0.6, 0.67, np.nextafter(1, 0)])
    features, _ = dataset[Batch(np.zeros(6, int), offsets, np.zeros(6, int), slice(0, 6))]
    assert features[:, 0, 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_a_batch_has_the_right_utterances_in_the_right_rows():
    reader = Frames({f"u{i}": np.full((30, 2), i, np.float32) for i in range(5)})
    batch = Batch(np.array([3, 0, 4]), np.zeros(3), np.zeros(3, int), slice(0, 3))
    features, indices = ChunkDataset(reader, list(reader), 20)[batch]
    assert features[:, 0, 0].tolist() == indices.tolist() == [3, 0, 4]


def test_a_process_that_reads_ahead_gives_the_same_batches(make_sampler):
    reader = Frames({f"u{i}": np.random.default_rng(i).standard_normal((40, 2)).astype(np.float32) for i in range(10)})
    dataset = ChunkDataset(reader, list(reader), 20)
    one, other = (
        [(features.numpy(), indices.tolist()) for features, indices in chunk_loader(dataset, make_sampler(), workers)]
        for workers in (0, 1)
    )
    assert len(one) == len(other) == 2
    for (features, indices), (expected, same) in zip(one, other, strict=True):
        assert indices == same
        np.testing.assert_array_equal(features, expected)


def test_the_reader_gives_what_the_network_reads(write_data_dir):
    random = np.random.default_rng(0)
    frames = random.standard_normal((30, 4)).astype(np.float32)
    voiced = random.random(30) < 0.5
    reader = UtteranceReader([DataDir(write_data_dir({"s-1": frames}, {"s-1": voiced.astype(np.float32)}))], READS)
    np.testing.assert_allclose(reader["s-1"], (frames - frames.mean(axis=0))[voiced], atol=1e-6)
    with pytest.raises(UserError, match="no features, or no VAD, of 's-2'"):
        reader["s-2"]


def test_the_cache_keeps_to_its_size(write_data_dir):
    """Two of three utterances fit: they are served from memory, the third is read again."""
    features = {f"s-{i}": np.full((10, 4), i, np.float32) for i in range(3)}
    folder = write_data_dir(features)
    reader = UtteranceReader([DataDir(folder)], READS, cache_bytes=2 * 10 * 4 * 4 + 100)
    for key in features:
        first = reader[key]
        assert (reader[key] is first) == (key != "s-2")
    (folder / "feats.ark").write_bytes(b"gone")
    assert reader["s-0"].shape == reader["s-1"].shape == (10, 4)
    with pytest.raises(UserError, match="s-2"):
        reader["s-2"]


def test_several_data_directories_are_read_as_one(write_data_dir):
    folders = [write_data_dir({f"s-{i}": np.full((20, 2), i, np.float32)}, name=name) for i, name in enumerate("ab")]
    reader = UtteranceReader([DataDir(folder) for folder in folders], UNNORMALISED)
    assert set(usable_utterances(reader, ["s-0", "s-1", "s-2"], "a, b")) == {"s-0", "s-1"}


def test_features_and_vad_of_different_recordings_are_told(write_data_dir):
    frames = {"s-1": np.zeros((30, 4), np.float32), "s-2": np.zeros((30, 4), np.float32)}
    vad = {"s-1": np.ones(27, np.float32), "s-2": np.ones(26, np.float32)}
    reader = UtteranceReader([DataDir(write_data_dir(frames, vad))], UNNORMALISED)
    assert len(reader["s-1"]) == 27
    with pytest.raises(UserError, match="vad.scp: utterance 's-2' has 26 frames, 30 in .*feats.scp"):
        reader["s-2"]


def test_utterances_without_a_voiced_frame_are_left_out(write_data_dir):
    frames = {f"s-{i}": np.ones((20, 4), np.float32) for i in range(3)}
    vad = {key: np.full(20, key != "s-1", np.float32) for key in frames}
    data_dir = DataDir(write_data_dir(frames, vad))
    assert list(usable_utterances(UtteranceReader([data_dir], READS), list(frames), "train")) == ["s-0", "s-2"]
    with pytest.raises(UserError, match="train: no utterance has a voiced frame"):
        usable_utterances(UtteranceReader([data_dir], READS), ["s-1"], "train")


def test_checksums_tell_frames_apart(write_data_dir):
    random = np.random.default_rng(0)
    frames = {f"s-{i}": random.standard_normal((20, 4)).astype(np.float32) for i in range(2)}

    def checksums():
        data_dir = DataDir(write_data_dir(frames))
        return usable_utterances(UtteranceReader([data_dir], READS), list(frames), "train")

    before = checksums()
    assert checksums() == before
    frames["s-1"][7, 2] += 0.5
    after = checksums()
    assert after["s-0"] == before["s-0"] and after["s-1"] != before["s-1"]
