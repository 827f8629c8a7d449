"""Text tables: read as Kaldi's programs do, written sorted, mistakes told with their line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xvkd.errors import UserError
from xvkd.kaldi.tables import invert, read_table, slice_part, write_table


def test_a_value_is_the_rest_of_the_line(tmp_path):
    (tmp_path / "wav.scp").write_text("b /a path/with  two spaces.wav\na\t/tab.wav \n  c /ü.wav\r\n", encoding="utf-8")
    table = read_table(tmp_path / "wav.scp")
    assert list(table.items()) == [("b", "/a path/with  two spaces.wav"), ("a", "/tab.wav"), ("c", "/ü.wav")]
    assert read_table(tmp_path / "wav.scp") == table
    (tmp_path / "none").write_text("")
    assert read_table(tmp_path / "none") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1\n\nb 2\n", "table, line 2: expected 'key value', got ''"),
        (b"a 1\n   \n", "table, line 2: expected 'key value', got ''"),
        (b"a 1\nb 2\nc\n", "table, line 3: expected 'key value', got 'c'"),
        (b"a 1\nb 2\na 3\n", "table, line 3: 'a' stands twice: remove one of the lines"),
        (b"a \xff\xfe\n", "table: not a text table"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path, content, message):
    (tmp_path / "table").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_table(tmp_path / "table")


def test_a_missing_table_is_told(tmp_path):
    with pytest.raises(UserError, match="utt2spk: no such file; the stage that makes it has not been run"):
        read_table(tmp_path / "utt2spk")


def test_tables_are_written_in_the_order_of_lc_all_c(tmp_path):
    table = {"b-1": "x y", "B-1": "1", "a_b-1": "2", "a-1": "3", "a.1": "4", "10": "5", "9": "6"}
    write_table(tmp_path / "table", table)
    lines = (tmp_path / "table").read_bytes().splitlines()
    assert lines == sorted(lines) and lines[0] == b"10 5" and lines[-1] == b"b-1 x y"
    assert read_table(tmp_path / "table") == table


def test_inversion_gathers_sorted_keys():
    assert invert({"b-2": "b", "a-1": "a", "b-1": "b", "b-10": "b"}) == {"a": "a-1", "b": "b-1 b-10 b-2"}


@given(keys=st.lists(st.text("abc01", min_size=1), unique=True, max_size=30), num_jobs=st.integers(1, 12))
def test_parts_share_the_keys_evenly_and_in_order(keys, num_jobs):
    parts = [slice_part(keys, (job, num_jobs)) for job in range(1, num_jobs + 1)]
    assert [key for part in parts for key in part] == sorted(keys)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
