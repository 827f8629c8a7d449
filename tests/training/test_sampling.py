"""Copies share their original's chunks; speakers can share an epoch equally."""

from collections import Counter

import numpy as np
import pytest

from xvkd.errors import UserError
from xvkd.training.sampling import ChunkSampler, Pool


def epoch(pool, number=0, chunks=1, batch_size=4, balance="utterances"):
    sampler = ChunkSampler(pool, chunks, batch_size, balance, seed=3)
    sampler.epoch = number
    return [batch.utterances for batch in sampler]


NAMES = ["a-1", "a-1-noisy", "a-1-reverberant", "a-2", "b-1-noisy", "b-1-reverberant", "b-2", "b-3"]
COPIES = {"a-1-noisy": "a-1", "a-1-reverberant": "a-1", "b-1-noisy": "b-1", "b-1-reverberant": "b-1"}


def make_pool():
    return Pool(NAMES, np.array([name.startswith("b") for name in NAMES], int), COPIES)


def test_copies_make_an_epoch_no_longer():
    """Each original has its chunks, of any of its variants; one that is not there is represented by its copies."""
    pool, drawn = make_pool(), Counter()
    assert len(pool) == 5 and pool.speakers.tolist() == [0, 0, 1, 1, 1]
    for number in range(300):
        names = [NAMES[index] for batch in epoch(pool, number, batch_size=5) for index in batch]
        assert sorted(COPIES.get(name, name) for name in names) == ["a-1", "a-2", "b-1", "b-2", "b-3"]
        drawn.update(names)
    assert drawn["a-2"] == drawn["b-2"] == 300
    assert all(70 < drawn[name] < 130 for name in NAMES[:3]) and all(120 < drawn[name] < 180 for name in NAMES[4:6])


def test_copies_of_another_speaker_are_told():
    with pytest.raises(UserError, match="utt2uniq: '.*' and other variants of 'a-1' differ in speaker"):
        Pool(["a-1", "b-1"], np.array([0, 1]), {"b-1": "a-1"})


@pytest.fixture
def uneven():
    """Ten speakers with 1 to 40 utterances, 100 in all."""
    speakers = np.repeat(np.arange(10), [1, 1, 2, 2, 4, 10, 10, 10, 20, 40])
    return Pool([f"u{i:03d}" for i in range(100)], speakers, {}), speakers


@pytest.mark.parametrize("chunks", [1, 3])
def test_speakers_in_balance(uneven, chunks):
    pool, speakers = uneven
    batches = epoch(pool, chunks=chunks, batch_size=7, balance="speakers")
    assert len(batches) == 100 * chunks // 7  # as many as otherwise
    counts = Counter(speakers[np.concatenate(batches)].tolist())
    assert max(counts.values()) - min(counts.values()) <= 1
    assert all(len(set(speakers[batch])) == 7 for batch in batches)
    # Each speaker's utterances in turn: none twice before all have been drawn.
    drawn = Counter(np.concatenate(batches).tolist())
    for speaker in range(10):
        own = [drawn[index] for index in np.flatnonzero(speakers == speaker)]
        assert max(own) - min(own) <= 1
    assert any((a != b).any() for a, b in zip(batches, epoch(pool, 1, chunks, 7, "speakers"), strict=True))
    again = epoch(pool, chunks=chunks, batch_size=7, balance="speakers")
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))


def test_fewer_speakers_than_a_batch_has_chunks():
    pool = Pool([f"u{i}" for i in range(12)], np.arange(12) % 3, {})
    for batch in epoch(pool, batch_size=8, balance="speakers", chunks=4):
        assert sorted(Counter((batch % 3).tolist()).values())[0] >= 2
