"""Inner products of many pairs out of two sets of vectors, in bounded memory."""

import numpy as np

from xvkd.blocks import blocks

# A block of the full table of products is computed where trials fill more than this share of it:
# a matrix product does about twenty cells in the time that fetching one pair's vectors takes.
DENSE_SHARE = 0.05
TABLE_CELLS = 1 << 20
ROWS_PER_BLOCK = 128
# Below this many trials a row, all pairs of a block are fetched at once instead of row by row.
FEW_PER_ROW = 16
PAIRS_AT_ONCE = 256


def pair_products(
    left: np.ndarray, right: np.ndarray, left_index: np.ndarray, right_index: np.ndarray, chunk: int
) -> np.ndarray:
    """Computes ``left[left_index[t]] . right[right_index[t]]`` for all t.

    Args:
        left: (M, D) float64.
        right: (N, D) float64.
        left_index: (T,) integers in [0, M).
        right_index: (T,) integers in [0, N).
        chunk: how many pairs are looked at together, at least 1. Beyond the arguments and the
            result, memory is a few integers for each of them and about 20 MB.

    Returns:
        (T,) float64.

    Raises:
        ValueError: an index lies outside its set, or the two index lists differ in length.
    """
    if left_index.shape != right_index.shape:
        raise ValueError(f"{left_index.size} left and {right_index.size} right indices")
    for index, side in ((left_index, left), (right_index, right)):
        if index.size and not 0 <= index.min() <= index.max() < len(side):
            raise ValueError(f"indices from {index.min()} to {index.max()} into {len(side)} vectors")
    products = np.empty(len(left_index))
    for part in blocks(len(products), chunk):
        rows, columns = left_index[part], right_index[part]
        if (rows[1:] >= rows[:-1]).all():
            products[part] = _sorted_products(left, right, rows, columns)
        else:
            # numpy sorts 16-bit integers five times as fast as longer ones.
            order = np.argsort(rows.astype(np.min_scalar_type(len(left))), kind="stable")
            products[part][order] = _sorted_products(left, right, rows[order], columns[order])
    return products


def _sorted_products(
    left: np.ndarray, right: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """As ``pair_products``, of rows in ascending order: block after block of distinct rows."""
    products = np.empty(len(rows))
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    ends = np.append(starts[1:], len(rows))
    first = 0
    while first < len(starts):
        block = slice(first, first + ROWS_PER_BLOCK)
        span = slice(starts[block][0], ends[block][-1])
        low, high = columns[span].min(), columns[span].max() + 1
        num_rows, trials = len(starts[block]), span.stop - span.start
        dense = trials > DENSE_SHARE * num_rows * (high - low)
        if dense and num_rows * (high - low) > TABLE_CELLS:
            # The table is made of as many rows as the memory allows.
            num_rows = max(1, TABLE_CELLS // (high - low))
            block = slice(first, first + num_rows)
            span = slice(span.start, ends[block][-1])
        if dense:
            table = left[rows[starts[block]]] @ right[low:high].T
            offsets = np.arange(num_rows) * (high - low) - low
            cells = np.repeat(offsets, (ends - starts)[block]) + columns[span]
            products[span] = table.ravel()[cells]
        elif trials > FEW_PER_ROW * num_rows:
            for start, end in zip(starts[block], ends[block], strict=True):
                products[start:end] = right[columns[start:end]] @ left[rows[start]]
        else:
            for start in range(span.start, span.stop, PAIRS_AT_ONCE):
                part = slice(start, min(start + PAIRS_AT_ONCE, span.stop))
                products[part] = np.einsum("td,td->t", left[rows[part]], right[columns[part]])
        first += num_rows
    return products
