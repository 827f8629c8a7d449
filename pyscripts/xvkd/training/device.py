"""Where and in which precision to compute."""

import ctypes

import torch

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def choose_device() -> torch.device:
    """The first GPU if there is one, else the processor, for which memory is kept."""
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


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on the device; a GPU fetches it from pinned memory while the processor goes on."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
