"""Networks that onnxruntime computes, and what it says when it cannot. Apart from torch, for what is deployed."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from xvkd.errors import UserError

if TYPE_CHECKING:
    import onnxruntime

CPU = "CPUExecutionProvider"


def open_session(
    model: bytes, where: str | Path, threads: int, provider: str = CPU
) -> "onnxruntime.InferenceSession":
    """Makes a network ready to be run.

    Args:
        model: the content of an ONNX file.
        where: its name, for messages.
        threads: how many compute, at least 1.
        provider: onnxruntime's name of what computes; where it cannot, the processor does, with a warning.

    Raises:
        UserError: onnxruntime is not installed, or cannot read the network.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{where}: onnxruntime is not installed, which computes it: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = False  # there would be one for each length
    options.log_severity_level = 4  # what goes wrong is raised
    providers = [CPU]
    if provider in onnxruntime.get_available_providers():
        providers = list(dict.fromkeys([provider, CPU]))
    else:
        logging.warning("%s: this onnxruntime cannot use the GPU (onnxruntime-gpu can): on the processor", where)
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers)
    except session_errors() as error:
        raise UserError(f"{where}: no ONNX file, or damaged: {reason(error)}") from None


def session_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: its exceptions have no class of their own in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))


def reason(error: Exception) -> str:
    """What such an exception says, in one line."""
    return " ".join(str(error).split())
