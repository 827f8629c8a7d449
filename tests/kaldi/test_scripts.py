"""Script files: ranges of rows and columns, cut as Kaldi cuts them."""

import numpy as np
import pytest

from xvkd.errors import UserError
from xvkd.kaldi.archives import MatrixReader, open_writer, read_items, write_matrix, write_vector
from xvkd.kaldi.scripts import read_script
from xvkd.kaldi.specifiers import rspecifier, wspecifier


@pytest.mark.parametrize(
    ("ranges", "rows", "columns"),
    [
        ("0:99", slice(0, 100), slice(None)), ("0:99,2:5", slice(0, 100), slice(2, 6)),
        (":,0:0", slice(None), slice(0, 1)), ("119:119,:", slice(119, 120), slice(None)),
        (":", slice(None), slice(None)), ("118:122", slice(118, 120), slice(None)),
    ],
)  # fmt: skip
def test_ranges_of_rows_and_columns(tmp_path, ranges, rows, columns):
    """Of a binary and a text matrix, in an archive and in a file of its own."""
    matrix = np.random.default_rng(0).standard_normal((120, 7)).astype(np.float32)
    for options in ("ark", "ark,t"):
        with open_writer(wspecifier(f"{options},scp:{tmp_path}/x.ark,{tmp_path}/x.scp"), compress=False) as writer:
            writer.write("m", matrix)
        write_matrix(tmp_path / "one", matrix)
        place = read_script(tmp_path / "x.scp")["m"]
        (tmp_path / "x.scp").write_text(f"a {place}[{ranges}]\nb {tmp_path}/one[{ranges}]\nc {place}[{ranges}]\n")
        read = dict(read_items(rspecifier(f"scp:{tmp_path}/x.scp")))
        for key in "abc":
            np.testing.assert_array_equal(read[key], matrix[rows, columns])


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ("3:2", "has 10 rows, the script asks for 3 to 2"), ("10:11", "has 10 rows, the script asks for 10 to 11"),
        ("0:13", "has 10 rows, the script asks for 0 to 13"), (":,0:3", "has 3 columns, the script asks for 0 to 3"),
        ("1", r"\[1\] is no range"), ("1:2:3", "is no range"), (",1:2", "is no range"), ("0:9999999999", "is no range"),
        ("0:1,0:1,0:1", r"has the shape \(10, 3\)"),
    ],
)  # fmt: skip
def test_ranges_that_do_not_fit_are_told(tmp_path, ranges, message):
    write_matrix(tmp_path / "one", np.zeros((10, 3)))
    (tmp_path / "x.scp").write_text(f"a {tmp_path}/one[{ranges}]\n")
    with pytest.raises(UserError, match=f"one: key 'a' at offset 0: .*{message}"):
        MatrixReader(tmp_path / "x.scp")["a"]


def test_a_range_of_a_vector(tmp_path):
    write_vector(tmp_path / "one", np.arange(5))
    (tmp_path / "x.scp").write_text(f"a {tmp_path}/one[1:3]\nb {tmp_path}/one[1:3,0:0]\n")
    reader = MatrixReader(tmp_path / "x.scp")
    assert reader["a"].tolist() == [1, 2, 3]
    with pytest.raises(UserError, match="has the shape"):
        reader["b"]
