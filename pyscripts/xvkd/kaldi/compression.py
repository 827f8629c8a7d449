"""Kaldi's compressed matrices, in the float32 arithmetic of its compressed-matrix.cc.

``CM`` keeps four percentiles of each column in 16 bits and places each element between two of them in 8 bits;
``CM2`` and ``CM3`` share out the matrix's range evenly, in 16 and 8 bits an element.
"""

import struct

import numpy as np

# Bytes per column and per element.
SIZES = {"CM": (8, 1), "CM2": (0, 2), "CM3": (0, 1)}
ITEMS = {"CM2": np.dtype("<u2"), "CM3": np.dtype("u1")}
HEADER = struct.Struct("<ffii")  # least value, range, rows, columns
# At most so many rows are kept in 16 bits: percentiles of so few would cost more.
MOST_ROWS_IN_16_BITS = 8
# The meanings of all codes take a kilobyte a column.
COLUMNS_AT_ONCE = 1 << 12
# How many of the 256 codes lie between the percentiles 0 and 25, 25 and 75, 75 and 100, and the first of each.
_STEPS, _FIRST = (64, 128, 63), (0, 64, 192)
_MARK_OF_CM = b"\0BCM "
_PER_UINT16 = np.float32(1.52590218966964e-05)  # 1 / 65535 as Kaldi writes it


def decompress_matrix(
    kind: str, least: float, span: float, rows: int, columns: int, body: bytes | bytearray
) -> np.ndarray:
    """Decodes a matrix.

    Args:
        kind: "CM", "CM2" or "CM3".
        least, span: the matrix's least value and range, from its header.
        rows, columns: its shape.
        body: what follows the header, of the size that ``SIZES`` tells.

    Returns:
        float32 (rows, columns); a damaged header can lead to NaN.
    """
    with np.errstate(all="ignore"):
        least32, span32 = np.float32(least), np.float32(span)
        if kind != "CM":
            item = ITEMS[kind]
            step = np.float32(np.float64(span32) * (1.0 / np.iinfo(item).max))
            return least32 + np.frombuffer(body, item).reshape(rows, columns).astype(np.float32) * step
        percentiles = _from_uint16(np.frombuffer(body, "<u2", 4 * columns).reshape(columns, 4), least32, span32)
        codes = np.frombuffer(body, np.uint8, offset=8 * columns).reshape(columns, rows)
        matrix = np.empty((rows, columns), np.float32)
        for first in range(0, columns, COLUMNS_AT_ONCE):
            some = slice(first, first + COLUMNS_AT_ONCE)
            matrix[:, some] = np.take_along_axis(_decoded_values(percentiles[some]), codes[some], axis=1).T
        return matrix


def decompress_rows(data: bytes, first: int, count: int) -> np.ndarray | None:
    """Decodes some rows of a matrix as it stands in an archive, in a part of the time that all of them take.

    Args:
        data: the object, its mark included.
        first: the first row that is wanted.
        count: how many are; fewer where the matrix ends.

    Returns:
        float32 (rows, columns); None of what is no sound matrix of the kind "CM", which ``read_object`` reads.
    """
    if not data.startswith(_MARK_OF_CM) or len(data) < len(_MARK_OF_CM) + HEADER.size:
        return None
    least, span, rows, columns = HEADER.unpack_from(data, len(_MARK_OF_CM))
    start = len(_MARK_OF_CM) + HEADER.size
    if min(rows, columns) < 1 or len(data) != start + columns * (8 + rows):
        return None
    codes = np.frombuffer(data, np.uint8, offset=start + 8 * columns).reshape(columns, rows)[:, first : first + count]
    body = data[start : start + 8 * columns] + codes.tobytes()
    return decompress_matrix("CM", least, span, codes.shape[1], columns, body)


def _from_uint16(codes: np.ndarray, least: np.float32, span: np.float32) -> np.ndarray:
    return least + span * _PER_UINT16 * codes.astype(np.float32)


def _decoded_values(percentiles: np.ndarray) -> np.ndarray:
    """What each of the 256 codes means in each column: float32 (columns, 256)."""
    parts = []
    for low, high, steps in zip(percentiles.T[:-1], percentiles.T[1:], _STEPS, strict=True):
        first = 0 if not parts else 1  # a percentile's own code belongs to the part below it
        step = np.arange(first, steps + 1, dtype=np.float32)
        # Kaldi's product is float32, its quotient and sum are in double.
        product = ((high - low)[:, None] * step).astype(np.float64)
        parts.append((low[:, None] + product * (1.0 / steps)).astype(np.float32))
    return np.concatenate(parts, axis=1)


def compress_matrix(matrix: np.ndarray) -> tuple[str, bytes]:
    """Encodes a matrix as Kaldi's ``copy-feats --compress=true`` does.

    Args:
        matrix: float32 (rows, columns), finite, neither of them 0.

    Returns:
        "CM" or, for few rows, "CM2"; and header and body.
    """
    rows, columns = matrix.shape
    least, greatest = matrix.min(), matrix.max()
    if least == greatest:  # a range of 0 could not be divided by
        greatest = np.float32(least + (1.0 + abs(np.float64(least))))
    span = greatest - least
    header = HEADER.pack(least, span, rows, columns)
    if rows <= MOST_ROWS_IN_16_BITS:
        return "CM2", header + _to_uint16(matrix, least, span).tobytes()
    columnwise = np.ascontiguousarray(matrix.T)
    percentiles = _percentiles(columnwise, least, span)
    codes = _encode(columnwise, _from_uint16(percentiles, least, span))
    return "CM", header + percentiles.astype("<u2").tobytes() + codes.tobytes()


def _to_uint16(values: np.ndarray, least: np.float32, span: np.float32) -> np.ndarray:
    share = np.clip((values - least) / span, np.float32(0), np.float32(1))
    return ((share * np.float32(65535)).astype(np.float64) + 0.499).astype("<u2")


def _percentiles(columnwise: np.ndarray, least: np.float32, span: np.float32) -> np.ndarray:
    """The percentiles 0, 25, 75 and 100 of each column, in strictly increasing 16-bit codes: (columns, 4)."""
    rows = columnwise.shape[1]
    places = [0, rows // 4, 3 * (rows // 4), rows - 1]
    codes = _to_uint16(np.partition(columnwise, places, axis=1)[:, places], least, span).astype(np.int64)
    codes[:, 0] = np.minimum(codes[:, 0], 65532)
    for place in (1, 2, 3):
        codes[:, place] = np.clip(codes[:, place], codes[:, place - 1] + 1, 65532 + place)
    return codes


def _encode(columnwise: np.ndarray, percentiles: np.ndarray) -> np.ndarray:
    """The 8-bit code of each element: (columns, rows)."""
    low, quarter, three_quarters, high = (part[:, None] for part in percentiles.T)
    codes = np.empty(columnwise.shape, np.uint8)
    bounds = zip(_FIRST, _STEPS, (low, quarter, three_quarters), (quarter, three_quarters, high), strict=True)
    with np.errstate(all="ignore"):  # percentiles that float32 cannot tell apart divide by zero
        for first, steps, bottom, top in bounds:
            share = (columnwise - bottom) / (top - bottom) * np.float32(steps)
            step = share.astype(np.float64) + 0.5
            # What is no 32-bit integer, NaN included, becomes the least one on Kaldi's machines.
            code = np.where(step < 2.0**31, np.clip(step, 0, steps), 0).astype(np.uint8) + np.uint8(first)
            np.copyto(codes, code, where=columnwise >= bottom if first else True)
    return codes
