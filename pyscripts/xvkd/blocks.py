"""Work in bounded memory: so many rows at a time."""

from collections.abc import Iterator

ROWS_AT_ONCE = 1 << 14


def blocks(count: int, size: int = ROWS_AT_ONCE) -> Iterator[slice]:
    """Slices of at most ``size`` that cover ``count`` rows."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
