"""Where and in which precision to compute."""

import ctypes
import logging
import statistics

import torch

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def choose_device() -> torch.device:
    """The first GPU if there is one, of several ranks each one's own; else the processor, for which memory is kept."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    _keep_freed_memory()
    return torch.device("cpu")


def _keep_freed_memory() -> None:
    """Lets the process keep the memory that it frees.

    The activations of a batch are large: by default glibc gives each back to the system when it is freed, and the
    system clears the same pages again for the next batch, which takes a quarter of the time of a float32 training
    (``benchmarks/training_speed.py``). Other C libraries have nothing of the kind to set.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)


def choose_precision(device: torch.device, wanted: str) -> torch.dtype:
    """The dtype of matrix products in training.

    bfloat16 doubles the speed of processors with AVX512-BF16 or AMX and of GPUs that support it,
    and loses on other processors; older GPUs are fast in float16.

    Args:
        device: where to compute.
        wanted: "auto", "float32", "bfloat16" or "float16".
    """
    if wanted != "auto":
        return getattr(torch, wanted)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    fast = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if fast else torch.float32


class GpuUse:
    """How busy a GPU is, and how much of its memory is taken; of a processor, nothing.

    Args:
        device: where a training computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device if device.type == "cuda" else None
        self._can_be_asked = self._device is not None
        self._percent: list[int] = []

    def look(self) -> None:
        """Asks how busy the GPU has been of late. (The driver knows, for about the last second.)"""
        if not self._can_be_asked:
            return
        try:
            self._percent.append(torch.cuda.utilization(self._device))
        except Exception as error:  # the package is not installed, or the driver, a partition of a GPU, does not tell
            self._can_be_asked = False
            logging.warning("how busy the GPU is will not be logged (pip install nvidia-ml-py): %s", error)

    def figures(self) -> dict[str, float | None]:
        """Columns of a log: the mean of the looks since the last figures, in percent, and the most memory in GiB."""
        if self._device is None:
            return {}
        percent = round(statistics.mean(self._percent), 1) if self._percent else None
        self._percent = []
        memory = round(torch.cuda.max_memory_allocated(self._device) / 2**30, 2)
        torch.cuda.reset_peak_memory_stats(self._device)
        return {"gpu_percent": percent, "gpu_memory_gib": memory}
