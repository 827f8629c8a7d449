"""Shards: the same chunks as at random reading, each utterance as often, wherever one goes on, and in bounded space."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from xvkd.errors import UserError
from xvkd.features.network_input import InputConfig
from xvkd.kaldi.archives import MatrixReader
from xvkd.kaldi.datadir import DataDir
from xvkd.nets.models import TEACHERS
from xvkd.training import ranks
from xvkd.training import shards as shards_module
from xvkd.training.config import load_model_config
from xvkd.training.data import ChunkDataset, UtteranceReader, chunk_loader
from xvkd.training.sampling import ChunkSampler, Pool, Shards
from xvkd.training.setup import TrainingSetup, training_parser
from xvkd.training.shards import INDEX, SCRIPT, ShardConfig, ShardReader, shard_settings, write_shards

READS = InputConfig("mfcc", "vad", 300, 100, center=True, norm_vars=False, voiced_only=True)
LENGTH = 20


@pytest.fixture(autouse=True)
def several_jobs_share_a_small_set(monkeypatch):
    monkeypatch.setattr(shards_module, "_UTTERANCES_AT_ONCE", 4)


def merge(folder, jobs):
    """As local/steps.sh does."""
    for whole, parts in ((SCRIPT, "inputs.{}.scp"), (INDEX, "index.{}")):
        lines = [line for job in range(jobs) for line in (folder / parts.format(job + 1)).read_text().splitlines(True)]
        (folder / whole).write_text("".join(sorted(lines)))


def make_shards(path, jobs=2, kib=8, compress=False, settings=None, name="x", reads=READS):
    data_dir, folder = DataDir(path), Path(path) / "shards" / name
    for job in range(jobs):
        config = ShardConfig(kib / 1024, compress, 0)
        write_shards(data_dir, UtteranceReader([data_dir], reads), folder, config, settings or {}, (job + 1, jobs))
    merge(folder, jobs)
    return folder


@pytest.fixture
def corpus(write_data_dir):
    """60 utterances of 6 speakers, of 5 to 60 frames, of which some are unvoiced; one has no voiced frame."""
    rng = np.random.default_rng(0)
    features = {
        f"s{n % 6}-{n:02d}": rng.standard_normal((int(rng.integers(5, 60)), 30)).astype(np.float32) for n in range(60)
    }
    vad = {name: (rng.random(len(frames)) < 0.8).astype(np.float32) for name, frames in features.items()}
    for marks in vad.values():
        marks[0] = 1
    vad["s3-33"][:] = 0
    return write_data_dir(features, vad)


def sampler_of(shards, batch=7, window=30_000, balance="utterances", epoch=0, seed=1, chunks=1, speakers=6):
    """Of one utterance a row."""
    count = len(shards.of)
    pool = Pool([f"u{row:04d}" for row in range(count)], np.arange(count) % speakers, {}, shards)
    sampler = ChunkSampler(pool, chunks, batch, balance, seed, window)
    sampler.epoch = epoch
    return sampler


def many(utterances=2000, shards=40):
    rng = np.random.default_rng(0)
    return Shards(rng.integers(shards, size=utterances).astype(np.int32), rng.integers(900, 1100, size=shards))


def drawn(sampler):
    return [batch.utterances.tolist() for batch in sampler]


def test_chunks_are_those_of_the_utterances(corpus):
    make_shards(corpus)
    clean, shards = UtteranceReader([DataDir(corpus)], READS), ShardReader([DataDir(corpus)], {})
    rows = shards.rows(DataDir(corpus).speakers())
    assert len(rows) == 59 and "s3-33" not in rows and len(shards.shards.sizes) > 10
    for name, row in rows.items():
        for offset in (0.0, 0.4, 0.99):
            np.testing.assert_array_equal(shards.chunk(row, LENGTH, offset, 0), clean.chunk(name, LENGTH, offset, 0))


def test_compressed_shards_are_kaldis_archives_and_err_by_little(corpus):
    folder = make_shards(corpus, compress=True)
    clean, shards = UtteranceReader([DataDir(corpus)], READS), ShardReader([DataDir(corpus)], {})
    script = MatrixReader(folder / SCRIPT)
    for name, row in shards.rows(DataDir(corpus).speakers()).items():
        exact = clean[name]
        np.testing.assert_allclose(script[name], exact, atol=0.01 * np.ptp(exact))
        whole = shards.chunk(row, len(exact), 0.0, 0)
        np.testing.assert_array_equal(whole, script[name])
        np.testing.assert_array_equal(
            shards.chunk(row, 4, 0.5, 0), whole[int(0.5 * (max(len(whole) - 4, 0) + 1)) :][:4]
        ) if len(whole) >= 4 else None


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_readers_makes_no_difference(corpus, workers):
    make_shards(corpus)
    reader = ShardReader([DataDir(corpus)], {})
    dataset = ChunkDataset(reader, np.arange(len(reader.names)), LENGTH)
    one, other = (
        list(chunk_loader(dataset, sampler_of(reader.shards), number)) for number in (0, workers)
    )
    assert len(one) == len(other) == 59 // 7
    for (features, rows), (expected, same) in zip(one, other, strict=True):
        assert torch.equal(features, expected) and torch.equal(rows, same)


@pytest.mark.parametrize("chunks", [1, 3])
def test_every_utterance_comes_as_often_as_any_other(chunks):
    sampler = sampler_of(many(), batch=10, window=8000, chunks=chunks)
    counts = Counter(row for batch in drawn(sampler) for row in batch)
    assert len(counts) == 2000 and set(counts.values()) == {chunks}
    epochs = [drawn(sampler_of(many(), 10, 8000, epoch=epoch)) for epoch in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]


def test_copies_keep_their_meaning():
    """Each original comes once an epoch, as itself or as a copy, whichever shards these are in."""
    names = [f"u{n}" for n in range(300)] + [f"u{n}-noise" for n in range(300)]
    shards = many(600, 12)
    pool = Pool(names, np.arange(600) % 3, {f"u{n}-noise": f"u{n}" for n in range(300)}, shards)
    sampler = ChunkSampler(pool, 1, 10, "utterances", 0, 4000)
    rows = [row for batch in sampler for row in batch.utterances]
    assert sorted(row % 300 for row in rows) == [*range(300)]
    assert 100 < sum(row >= 300 for row in rows) < 200


def test_speakers_in_balance_have_equally_many_chunks():
    """As often over the epoch; who comes when is a matter of the windows."""
    sampler = sampler_of(many(), batch=10, window=8000, balance="speakers", speakers=7)
    counts = Counter(row % 7 for batch in drawn(sampler) for row in batch)
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("first", [0, 1, 57, 199])
def test_an_epoch_goes_on_at_any_batch(first):
    rest = sampler_of(many(), 10, 8000)
    rest.first_batch = first
    assert drawn(rest) == drawn(sampler_of(many(), 10, 8000))[first:]


def test_chunks_come_from_a_window_and_are_mixed_within_it():
    shards = many()
    batches = drawn(sampler_of(shards, 10, 16_000))
    used = [set(shards.of[batch].tolist()) for batch in batches]
    # A window is half of 16 kB, of shards of 1 kB: 8, or 9 with the one that begins in it.
    for start in range(0, len(used) - 20):
        assert len(set.union(*used[start : start + 20])) <= 18
    last = {shard: max(n for n, those in enumerate(used) if shard in those) for shard in range(40)}
    first = {shard: min(n for n, those in enumerate(used) if shard in those) for shard in range(40)}
    assert all(last[shard] - first[shard] <= 47 for shard in range(40))
    assert np.mean([len(those) for those in used]) > 5


@pytest.mark.parametrize(("size", "first"), [(1, 0), (3, 0), (3, 77)])
def test_what_is_drawn_from_has_been_read_ahead(monkeypatch, size, first):
    """All ranks together read each shard from beginning to end, once, before it is drawn from; each its own part."""
    shards = many()
    batches: list = []
    for rank in range(size):
        monkeypatch.setattr(ranks, "part", lambda n, rank=rank: slice(n * rank // size, n * (rank + 1) // size))
        sampler = sampler_of(shards, 10, 16_000)
        sampler.first_batch = first
        batches.append(list(sampler))
    read = {shard: [] for shard in range(40)}
    for of_ranks in zip(*batches, strict=True):
        for batch in of_ranks:
            for piece in batch.ahead:
                assert 0 <= piece.first < piece.end <= shards.sizes[piece.shard]
                read[piece.shard].append((piece.first, piece.end))
        for row in of_ranks[0].utterances:
            pieces = sorted(read[shards.of[row]])
            assert pieces[0][0] == 0 and pieces[-1][1] == shards.sizes[shards.of[row]]
            assert all(one[1] == other[0] for one, other in zip(pieces, pieces[1:], strict=False))
        rows = np.concatenate([batch.utterances[batch.part] for batch in of_ranks])
        assert rows.tolist() == of_ranks[0].utterances.tolist()
    if not first:
        assert all(read.values())
        amounts = [sum(p.end - p.first for batch in of_rank for p in batch.ahead) for of_rank in batches]
        assert max(amounts) - min(amounts) < 0.02 * sum(amounts)


def test_few_files_are_open(write_data_dir):
    rng = np.random.default_rng(0)
    folder = write_data_dir({f"s-{n:03d}": rng.standard_normal((30, 30)).astype(np.float32) for n in range(200)})
    make_shards(folder, jobs=1, kib=4)
    reader = ShardReader([DataDir(folder)], {})
    assert len(reader.shards.sizes) > 90
    before = len(os.listdir("/proc/self/fd"))
    most = 0
    for _ in chunk_loader(ChunkDataset(reader, np.arange(200), LENGTH), sampler_of(reader.shards), 0):
        most = max(most, len(os.listdir("/proc/self/fd")) - before)
    assert 1 < most <= 65


def test_damage_is_told(corpus):
    folder = make_shards(corpus)
    reader = ShardReader([DataDir(corpus)], {})
    path, offset = (folder / SCRIPT).read_text().split()[1].rsplit(":", 1)
    whole = Path(path).read_bytes()
    damaged = bytearray(whole)
    damaged[int(offset) + 40] ^= 1
    Path(path).write_bytes(damaged)
    with pytest.raises(UserError, match=r"inputs.*ark: key '.*' at offset .*: damaged.* make the shards again"):
        ChunkDataset(reader, np.arange(59), LENGTH)[next(iter(sampler_of(reader.shards, batch=59)))]
    Path(path).write_bytes(whole[:-9])
    with pytest.raises(UserError, match=r"ark: damaged: \d+ bytes, where \d+ were written; make the shards again"):
        ShardReader([DataDir(corpus)], {})
    Path(path).unlink()
    with pytest.raises(UserError, match="damaged: 0 bytes"):
        ShardReader([DataDir(corpus)], {})
    lines = (folder / INDEX).read_text().splitlines(True)
    (folder / INDEX).write_text("".join(lines[:-1]))
    with pytest.raises(UserError, match="inputs.scp and index do not agree on 's5-59'"):
        ShardReader([DataDir(corpus)], {})
    (folder / INDEX).unlink()
    with pytest.raises(UserError, match="no shards of what the network reads"):
        ShardReader([DataDir(corpus)], {})


def test_too_many_shards_for_a_job_are_refused(corpus):
    with pytest.raises(UserError, match=r"shards of .* MiB in one part, more than 256: share them out"):
        make_shards(corpus, jobs=1, kib=0.1)


@pytest.fixture
def train(conf, corpus, tmp_path):
    """Trains a tiny teacher; returns its weights and the losses of its epochs."""
    config = str(conf / "teachers" / "tdnn.yaml")

    def run(folder="model", changes=()):
        words = ["--config", config, "--seed", "0", "--data-dir", str(corpus)]
        values = [
            "arch.frame_widths=[6,6,6,6,8]", "arch.segment_widths=[5,5]", "training.epochs=3", "training.batch_size=9",
            "training.chunk_frames=20", "training.precision=float32", "training.reading=shards",
            "training.checkpoint_minutes=0.0", "training.window_gib=0.001",
        ]  # fmt: skip
        for change in [*values, *changes]:
            words += ["--set", change]
        setup = TrainingSetup(training_parser("", "teachers").parse_args([*words, str(tmp_path / folder)]))
        network = setup.network(TEACHERS)
        setup.train(setup.classification(network))
        return network.state_dict()

    return run


def test_a_training_that_was_hit_ends_as_an_undisturbed_one(conf, corpus, train, monkeypatch):
    _, *settings = load_model_config(conf / "teachers" / "tdnn.yaml", [])
    make_shards(corpus, settings=shard_settings(*settings))
    expected = train()
    read = ShardReader.chunk
    for stop in (30, 100):
        left = [stop]

        def fails(self, *arguments, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return read(self, *arguments)

        monkeypatch.setattr(ShardReader, "chunk", fails)
        with pytest.raises(KeyboardInterrupt):
            train("hit")
        monkeypatch.setattr(ShardReader, "chunk", read)
    found = train("hit")
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_shards_of_other_settings_are_not_read(conf, corpus, train):
    with pytest.raises(UserError, match="train: no shards of what the network reads"):
        train()
    _, *settings = load_model_config(conf / "teachers" / "tdnn.yaml", ["input.cmn_window=200"])
    make_shards(corpus, settings=shard_settings(*settings))
    with pytest.raises(UserError, match="train: no shards of what the network reads"):
        train()
    train(changes=["input.cmn_window=200", "training.epochs=1"])
