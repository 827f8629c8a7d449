"""Long tables in blocks: the same words, numbers and complaints as line by line, wherever the blocks end."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xvkd.errors import UserError
from xvkd.kaldi import columns
from xvkd.kaldi.columns import Numbering, read_lines

EXPECTED = "a b [c]"
WORDS = st.text(st.characters(min_codepoint=33, exclude_categories=["Cs"]), min_size=1, max_size=20)
BLANKS = st.sampled_from([" ", "  ", "\t", " \t "])


def words_of(path, column):
    """The column's words, by way of their integers, and the numbers that they get."""
    numbering, numbers = Numbering(), [np.zeros(0, np.int32)]
    for lines in read_lines(path, (2, 3), EXPECTED):
        numbers.append(numbering.number(lines.words(column)))
    return numbering.names(), np.concatenate(numbers)


@pytest.fixture(params=[60, 97, 1 << 18])
def block(request, monkeypatch):
    monkeypatch.setattr(columns, "BLOCK", request.param)


@given(data=st.data())
@pytest.mark.parametrize("size", [1 << 10, 1 << 18])
def test_words_are_those_of_the_lines(tmp_path_factory, size, data):
    """Words of any bytes and lengths, blanks of any kind, with and without a last line end."""
    rows = data.draw(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=30))
    blanks = data.draw(st.lists(BLANKS, min_size=3, max_size=3))
    end = data.draw(st.sampled_from(["\n", "\r\n", " \n"]))
    text = end.join(f"{blanks[0]}{first}{blanks[1]}{second}" for first, second in rows)
    text += data.draw(st.sampled_from(["", "\n"]))
    path = tmp_path_factory.mktemp("table") / "table"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "BLOCK", size)
        for column in (0, 1):
            expected = [row[column] for row in rows]
            names, numbers = words_of(path, column)
            assert names == list(dict.fromkeys(expected))
            assert [names[number] for number in numbers] == expected


def test_long_tables_come_in_many_blocks(tmp_path, block):
    rows = [(f"model{row // 7}", "u" * (row % 20 + 1)) for row in range(500)]
    (tmp_path / "t").write_text("".join(f"{a} {b}\n" for a, b in rows))
    for column in (0, 1):
        names, numbers = words_of(tmp_path / "t", column)
        assert [names[number] for number in numbers] == [row[column] for row in rows]


def test_packed_tables_are_unpacked(tmp_path):
    (tmp_path / "t.gz").write_bytes(gzip.compress(b"a b\nc d\n"))
    assert words_of(tmp_path / "t.gz", 1)[0] == ["b", "d"]


@pytest.mark.parametrize("collide", [False, True])
def test_numbers_are_those_of_a_dictionary(monkeypatch, collide):
    """Also where all words want the same place, and when words longer than all before come late."""
    if collide:
        monkeypatch.setattr(columns, "_MULTIPLIER", np.uint64(0))
    random, numbering, known = np.random.default_rng(3), Numbering(), {}
    for width in (1, 1, 3, 2):
        words = random.integers(0, 40, (width, 300)).astype(np.uint64)
        keys = [tuple(word) + (0,) * (3 - width) for word in words.T.tolist()]
        expected = [known.setdefault(key, len(known)) for key in keys]
        assert numbering.number(words).tolist() == expected and len(numbering) == len(known)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a b\nc\n", "line 2: expected 'a b \\[c\\]', got 'c'"),
        (b"a b\n\nc d\n", "line 2: .*got ''"),
        (b"a b\nc d e\n", "line 2: .*got 'c d e'"),
        (b"a b c d\n", "line 1: .*got 'a b c d'"),
        (b"a b\n" * 90 + b"c\n" + b"a b\n" * 90, "line 91: .*got 'c'"),
        (b"a b\nc\nd e f\n", "line 2: .*got 'c'"),
        (b"a\x00b\n \x01\n", "line 2: .*got"),
        (b"x" * 5000 + b"\n", r"line 1: .*got 'x{200}\.\.\.'"),
        (b"a " + b"x" * 2000 + b"\n", "line 1: a word of 2000 bytes"),
        (b"a b\n" + b"x" * 300000, "line 2: longer than 262144 bytes"),
    ],
)
def test_malformed_lines_are_told(tmp_path, content, message):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(UserError, match=f"t, {message}"):
        words_of(tmp_path / "t", 1)


def test_lines_are_counted_over_blocks(tmp_path, block):
    (tmp_path / "t").write_text("aa bb\n" * 200 + "c\n" + "aa bb\n" * 200)
    with pytest.raises(UserError, match="line 201: .*got 'c'"):
        words_of(tmp_path / "t", 0)


def test_an_empty_table_has_no_lines(tmp_path):
    (tmp_path / "t").write_text("")
    assert list(read_lines(tmp_path / "t", (2,), EXPECTED)) == []
