"""Kaldi's compressed matrices: its formulas by hand, and its own bytes in both directions."""

import gzip
import io
import struct

import kaldiio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xvkd.kaldi.archives import open_writer, read_items, read_matrix
from xvkd.kaldi.compression import HEADER, SIZES, compress_matrix, decompress_matrix
from xvkd.kaldi.objects import binary_object
from xvkd.kaldi.specifiers import rspecifier, wspecifier


def header(rows, columns, least=-10.0, span=655.35):
    return struct.pack("<ffii", least, span, rows, columns)


def test_sixteen_bits_share_out_the_range(tmp_path):
    (tmp_path / "m").write_bytes(b"\0BCM2 " + header(2, 3) + struct.pack("<6H", 0, 1, 100, 1000, 65534, 65535))
    expected = [[-10, -9.99, -9], [0, 645.34, 645.35]]
    np.testing.assert_allclose(read_matrix(tmp_path / "m"), expected, rtol=0, atol=5e-5)


def test_eight_bits_share_out_the_range(tmp_path):
    (tmp_path / "m").write_bytes(b"\0BCM3 " + header(2, 2, 1.0, 510.0) + bytes([0, 1, 128, 255]))
    np.testing.assert_allclose(read_matrix(tmp_path / "m"), [[1, 3], [257, 511]], rtol=1e-6)


def test_eight_bits_lie_between_the_percentiles_of_a_column(tmp_path):
    """Each column has its own percentiles, and lies in one piece behind those of all columns."""
    percentiles = struct.pack("<8H", 0, 6400, 19200, 25500, 10000, 10064, 10192, 10255)
    codes = bytes([0, 32, 64, 65, 128, 192, 193, 255, 1])
    (tmp_path / "m").write_bytes(b"\0BCM " + header(9, 2, 0.0, 65535.0) + percentiles + codes * 2)
    first = [0, 3200, 6400, 6500, 12800, 19200, 19300, 25500, 100]
    second = [10000, 10032, 10064, 10065, 10128, 10192, 10193, 10255, 10001]
    np.testing.assert_allclose(read_matrix(tmp_path / "m"), np.array([first, second]).T, rtol=2e-7)


def test_a_vector_of_columns_that_is_far_too_wide_takes_little_memory():
    """Two kilobytes a column would be gigabytes here."""
    columns = 1 << 18
    matrix = decompress_matrix("CM", 0.0, 1.0, 1, columns, bytes(9 * columns))
    assert matrix.shape == (1, columns) and not matrix.any()


def test_speech_is_compressed_to_kaldis_bytes(oracle, tmp_path):
    """Of every recording there is the archive's entry; three others in it have no source here."""
    kaldis = (oracle / "feats" / "mfcc_compressed.ark").read_bytes()
    for key, matrix in read_items(rspecifier(f"ark:{oracle}/feats/mfcc.ark")):
        entry = key.encode() + b" \0B" + binary_object(matrix, compress=True)
        assert entry in kaldis, key


def test_kaldis_compressed_speech_is_decoded_to_every_digit_that_it_prints(oracle):
    with gzip.open(oracle / "feats" / "mfcc_compressed.txt.gz", "rt") as text:
        kaldis = text.read()
    ours = []
    for key, matrix in read_items(rspecifier(f"ark:{oracle}/feats/mfcc_compressed.ark")):
        rows = "".join("\n  " + "".join(f"{number:.7g} " for number in row) for row in matrix.tolist())
        ours.append(f"{key}  [{rows}]\n")
    assert "".join(ours) == kaldis


def test_the_golden_archive_byte_for_byte(golden, tmp_path):
    with open_writer(wspecifier(f"ark:{tmp_path}/x.ark"), compress=True) as writer:
        for key, matrix in read_items(rspecifier(f"ark:{golden}/kaldi/mfcc.ark")):
            writer.write(key, matrix)
    assert (tmp_path / "x.ark").read_bytes() == (golden / "kaldi" / "mfcc_compressed.ark").read_bytes()


def test_what_a_float32_range_cannot_hold_is_not_compressed():
    assert binary_object(np.float32([[3e38, -3e38]] * 9), compress=True).startswith(b"FM ")
    assert binary_object(np.float32([[1e38, -1e38]] * 9), compress=True).startswith(b"CM ")


numbers = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 2.0**100, -(2.0**100), 2.0**-60])
matrices = hnp.arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=numbers)


@given(matrix=matrices)
@pytest.mark.filterwarnings("error")
def test_an_element_moves_by_no_more_than_its_step(matrix):
    """In 16 bits by a step of the range; in 8 by one of the widest part, a 64th of the column's range."""
    kind, data = compress_matrix(matrix)
    body = data[HEADER.size :]
    per_column, per_item = SIZES[kind]
    assert len(body) == matrix.shape[1] * per_column + matrix.size * per_item
    decoded = decompress_matrix(kind, *HEADER.unpack_from(data), body)
    span = float(matrix.max()) - float(matrix.min()) or 1 + abs(float(matrix.min()))
    steps = span / 65535 * 4
    if kind == "CM":
        steps = steps + (matrix.max(axis=0).astype(float) - matrix.min(axis=0)) / 63
    assert (np.abs(decoded.astype(float) - matrix) <= steps + 1e-6 * np.abs(matrix).max()).all()


@given(matrix=matrices)
def test_others_decode_it_alike(matrix):
    """Up to what kaldiio rounds differently: its double arithmetic against Kaldi's float32."""
    kind, data = compress_matrix(matrix)
    ours = decompress_matrix(kind, *HEADER.unpack_from(data), data[HEADER.size :])
    theirs = kaldiio.matio.read_matrix_or_vector(io.BytesIO(b"\0B" + kind.encode() + b" " + data))
    scale = float(np.abs(matrix).max())
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6 * scale)
