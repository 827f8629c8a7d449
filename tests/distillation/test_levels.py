"""Sets of levels: their names, and their embeddings side by side."""

import kaldiio
import numpy as np
import pytest

from xvkd.distillation.levels import Embeddings, levels_of, parse_levels, read_levels
from xvkd.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """Two levels of four utterances, stored in different orders."""
    for level, size, order in [("frame", 3, "abcd"), ("segment6", 2, "dbca")]:
        vectors = {key: np.full(size, ord(key), np.float32) for key in order}
        kaldiio.save_ark(str(tmp_path / f"{level}.ark"), vectors, scp=str(tmp_path / f"{level}.scp"))
    return tmp_path


def test_names_are_joined_by_plus():
    assert parse_levels("frame") == ["frame"]
    assert parse_levels("frame4+frame+segment6") == ["frame4", "frame", "segment6"]


@pytest.mark.parametrize("text", ["", "+", "frame+", "+frame", "frame++stats", "frame+frame"])
def test_impossible_sets_are_told(text):
    with pytest.raises(UserError, match=r"expected different names joined by '\+'"):
        parse_levels(text)


def test_rows_of_all_levels_are_the_same_utterances(folder):
    utterances, (segment6, frame) = read_levels([folder], ["segment6", "frame"])
    assert utterances == ["d", "b", "c", "a"]
    assert segment6.dtype == frame.dtype == np.float32
    assert segment6.tolist() == [[ord(key)] * 2 for key in utterances]
    assert frame.tolist() == [[ord(key)] * 3 for key in utterances]


def test_a_missing_level_comes_with_those_that_there_are(folder, tmp_path):
    with pytest.raises(UserError, match=r"no level 'segment7' \(there are: frame, segment6\)"):
        read_levels([folder], ["frame", "segment7"])
    with pytest.raises(UserError, match=r"no level 'frame' \(there are: none; run stage 5\)"):
        read_levels([tmp_path / "nowhere"], ["frame"])


def test_a_level_that_misses_an_utterance_is_told(folder):
    lines = (folder / "segment6.scp").read_text().splitlines(keepends=True)
    (folder / "segment6.scp").write_text("".join(lines[1:]))
    with pytest.raises(UserError, match=r"segment6.scp: no entry for 'd' \(1 of 4 keys"):
        read_levels([folder], ["frame", "segment6"])


def test_the_levels_of_several_sets_are_joined(folder):
    utterances, (segment6, frame) = read_levels([folder, folder], ["segment6", "frame"])
    assert utterances == ["d", "b", "c", "a"] * 2
    assert segment6.tolist() == [[ord(key)] * 2 for key in utterances]
    assert frame.tolist() == [[ord(key)] * 3 for key in utterances]


def test_levels_of_several_teachers():
    levels = levels_of("frame+b:segment6+a:frame.sequence", ["a", "b"])
    assert [(level.text, level.teacher, level.name) for level in levels] == [
        ("frame", 0, "frame"), ("b:segment6", 1, "segment6"), ("a:frame.sequence", 0, "frame.sequence"),
    ]  # fmt: skip
    assert [level.is_sequence for level in levels] == [False, False, True]
    assert [level.teacher for level in levels_of("stats+b:stats", ["", "b"])] == [0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c:frame", r"no teacher 'c'; give --teacher c=MODEL \(there are: a, b\)"),
        (":frame", "no teacher ''"),
        ("b:", r"expected different names joined by '\+'"),
        ("frame+a:frame", "expected different names"),
        ("b:frame+b:frame", "expected different names"),
    ],
)
def test_impossible_levels_of_teachers_are_told(text, message):
    with pytest.raises(UserError, match=message):
        levels_of(text, ["a", "b"])


def test_embeddings_of_several_teachers(folder, tmp_path):
    """Utterances that all of them have, each level in the order that is asked for."""
    other = tmp_path / "other"
    other.mkdir()
    vectors = {key: np.full(4, -ord(key), np.float32) for key in "bcd"}
    kaldiio.save_ark(str(other / "stats.ark"), vectors, scp=str(other / "stats.scp"))
    levels = levels_of("frame+b:stats+segment6", ["a", "b"])
    found = Embeddings(levels, [[folder], [other]])
    assert [key for key in "abcdx" if key in found] == ["b", "c", "d"]
    for level, values in zip(levels, ([99, 98] * 3, [-99, -98] * 4, [99, 98] * 2), strict=True):
        assert sorted(found.take(level, ["c", "b", "c"])[:2].ravel().tolist()) == sorted(values)
    assert found.take(levels[1], ["d", "b", "d"])[:, 0].tolist() == [-100, -98, -100]
