"""What becomes of the memory that a process frees (glibc; of other C libraries nothing is asked)."""

import ctypes

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Lets the process keep the memory that it frees.

    The activations of a batch are large: by default glibc gives each back to the system when it is freed, and the
    system clears the same pages again for the next batch, which takes a quarter of the time of a float32 training
    (``benchmarks/training_speed.py``).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)


def give_back_freed_memory() -> None:
    """Gives back what has been kept: where batches differ in size, ever more of it fits none of them."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
