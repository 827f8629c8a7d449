"""Vectors that stay on disk: row for row those in memory, and whatever is made of them the same to the last bit."""

import kaldiio
import numpy as np
import pytest
import torch

from xvkd.backend.backend import Backend
from xvkd.backend.statistics import mean_of
from xvkd.distillation import targets as targets_module
from xvkd.distillation.config import LossConfig
from xvkd.distillation.sources import Dumped
from xvkd.distillation.targets import make_targets
from xvkd.errors import UserError
from xvkd.evaluation.scatter import Scatter, normalisation
from xvkd.kaldi import stored
from xvkd.kaldi.archives import read_vectors
from xvkd.kaldi.specifiers import RSpecifier
from xvkd.kaldi.stored import JoinedVectors, MappedVectors, StoredVectors, join, open_vectors, select_vectors
from xvkd.training.checkpoint import checksum

UTTERANCES, DIM = 40, 6
LOSS = {
    "terms": {"mse": 1.0}, "level_weights": {"default": 1.0}, "length_normalise": True, "label_weight": 0.0,
    "temperature": 1.0, "head_dim": 0, "clean_targets": False, "source": "dumped",
}  # fmt: skip


@pytest.fixture
def tables(tmp_path):
    """Two tables of vectors in two archives each, and their keys and arrays."""
    rng, found = np.random.default_rng(0), []
    for name in "ab":
        keys = [f"{name}-{n:02d}" for n in range(UTTERANCES)]
        vectors = rng.standard_normal((UTTERANCES, DIM)).astype(np.float32) + np.repeat(
            rng.standard_normal((8, DIM)), 5, axis=0
        ).astype(np.float32)
        lines = []
        for part, rows in enumerate((range(0, 25), range(25, UTTERANCES))):
            items = {keys[row]: vectors[row] for row in rows}
            kaldiio.save_ark(str(tmp_path / f"{name}{part}.ark"), items, scp=str(tmp_path / "part.scp"))
            lines += (tmp_path / "part.scp").read_text().splitlines(True)
        (tmp_path / f"{name}.scp").write_text("".join(lines[::-1]))
        found.append((tmp_path / f"{name}.scp", keys[::-1], vectors[::-1]))
    return found


def test_rows_are_those_of_the_files(tables):
    (path, keys, vectors), (other, _, more) = tables
    table = StoredVectors(path)
    assert table.keys == keys and table.shape == vectors.shape and len(table) == UTTERANCES
    rows = np.array([3, 39, 3, 0, 17])
    for chosen in (slice(None), slice(5, 9), slice(30, 99), rows):
        np.testing.assert_array_equal(table[chosen], vectors[chosen])
    both = JoinedVectors([table, StoredVectors(other)])
    together = np.concatenate([vectors, more])
    for chosen in (slice(None), slice(35, 45), rows, rows + 38, np.array([], int)):
        np.testing.assert_array_equal(both[chosen], together[chosen])
    mapped = MappedVectors(both, np.array([70, 2, 40]), lambda x: 2 * x)
    np.testing.assert_array_equal(mapped[np.array([2, 0])], 2 * together[[40, 70]])
    assert checksum(both) == checksum(together)


def test_what_is_large_stays_on_disk(tables, monkeypatch):
    (path, keys, vectors), _ = tables
    given = RSpecifier("scp", str(path))
    assert isinstance(open_vectors(given)[1], np.ndarray) and isinstance(select_vectors(path, None)[1], np.ndarray)
    monkeypatch.setattr(stored, "KEPT_BYTES", 100)
    found, table = open_vectors(given)
    assert isinstance(table, StoredVectors) and found == keys
    found, table = select_vectors(path, keys[5:30:2])
    assert isinstance(table, StoredVectors) and found == keys[5:30:2]
    np.testing.assert_array_equal(table[:], vectors[5:30:2])
    assert isinstance(join([vectors, vectors]), JoinedVectors)
    with pytest.raises(UserError, match="no entry for 'nobody'"):
        select_vectors(path, ["nobody"])


def test_what_is_no_plain_vector_is_read_or_told(tables, tmp_path):
    path, keys, vectors = tables[0]
    (tmp_path / "text.ark").write_text(f"{keys[1]}  [ 1 2 3 4 5 6 ]\n")
    lines = path.read_text().splitlines(True)
    lines[1] = f"{keys[1]} {tmp_path}/text.ark:{len(keys[1]) + 1}\n"
    path.write_text("".join(lines))
    assert StoredVectors(path)[1:2].tolist() == [[1, 2, 3, 4, 5, 6]]
    for content, problem in (("[ 1 2 ]", r"text.ark: key '.*' at offset \d+: has shape"), ("[ 1 nan 3 4 5 6 ]", "NaN")):
        (tmp_path / "text.ark").write_text(f"{keys[1]}  {content}\n")
        with pytest.raises(UserError, match=problem):
            StoredVectors(path)[:]
    damaged = bytearray((tmp_path / "a1.ark").read_bytes())
    damaged[-4:] = np.float32(np.nan).tobytes()
    (tmp_path / "a1.ark").write_bytes(damaged)
    with pytest.raises(UserError, match=rf"a1.ark: key '{keys[0]}' at offset \d+: NaN"):
        StoredVectors(path)[np.array([5, 0])]
    (tmp_path / "a1.ark").write_bytes(damaged[:-9])
    with pytest.raises(UserError, match=rf"a1.ark: key '{keys[0]}' at offset \d+: truncated"):
        StoredVectors(path)[3:]  # whose first vector is looked at


def test_back_end_and_scatter_are_the_same(tables):
    (path, _, vectors), (other, _, more) = tables
    both, together = JoinedVectors([StoredVectors(path), StoredVectors(other)]), np.concatenate([vectors, more])
    speakers = np.tile(np.repeat(np.arange(8), 5), 2)
    one, two = (Backend.train(table, speakers, 4, None, 0.1, 3) for table in (both, together))
    np.testing.assert_array_equal(one.mean, two.mean)
    np.testing.assert_array_equal(one.transform, two.transform)
    np.testing.assert_array_equal(one.plda.transform, two.plda.transform)
    np.testing.assert_array_equal(mean_of(both), together.mean(axis=0, dtype=np.float64))
    scatters = [Scatter.collect(table, speakers, None, *normalisation(table)) for table in (both, together)]
    np.testing.assert_array_equal(scatters[0].distances, scatters[1].distances)


@pytest.mark.parametrize("projection", ["none", "lda", "pca"])
@pytest.mark.parametrize("joint", [False, True])
def test_targets_are_the_same(tables, projection, joint):
    (path, keys, vectors), (other, _, more) = tables
    plain = projection == "none"
    config = LossConfig(
        **{**LOSS, "projection": projection, "joint": joint, "projection_dim": 0 if plain else 3,
           "length_normalise": not plain}
    )  # fmt: skip
    speakers = np.repeat(np.arange(8), 5)
    stored_levels, arrays = [StoredVectors(path), StoredVectors(other)], [vectors, more]
    one, two = (make_targets(["a", "b"], table, speakers, config, 5) for table in (stored_levels, arrays))
    np.testing.assert_array_equal(one.values, two.values)
    exact = vectors.astype(np.float64)
    if plain:
        expected = ((exact - exact.mean(axis=0)) / exact.std(axis=0)).astype(np.float32)
        np.testing.assert_array_equal(one.values[:, :DIM], expected)
    assert read_vectors(path, keys)[1].shape == vectors.shape


@pytest.mark.parametrize("joint", [False, True])
def test_targets_that_are_too_many_are_made_when_they_are_read(tables, monkeypatch, joint):
    levels = [StoredVectors(path) for path, *_ in tables]
    plain = {"projection": "none", "projection_dim": 0, "length_normalise": False}
    config = LossConfig(**{**LOSS, **plain, "joint": joint})
    speakers, rows = np.repeat(np.arange(8), 5), np.arange(UTTERANCES)[::-1].copy()
    in_memory = make_targets(["a", "b"], levels, speakers, config, 5)
    monkeypatch.setattr(targets_module, "MOST_IN_MEMORY", 10)
    read = make_targets(["a", "b"], levels, speakers, config, 5)
    assert isinstance(read.values, MappedVectors) and isinstance(in_memory.values, np.ndarray)
    one, two = (
        Dumped(targets, rows)(torch.empty(0), torch.tensor([3, 0, 3, 39])).values for targets in (read, in_memory)
    )
    assert torch.equal(one, two) and one.dtype == torch.float32 and one.shape == (4, 2 * DIM)
