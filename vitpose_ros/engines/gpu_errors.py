"""Turns the errors of CUDA, torch and TensorRT into an EngineError that says what to do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from vitpose_ros.engines.base import EngineError

_OUT_OF_MEMORY = re.compile(r"out ?of ?memory|ALLOC_FAILED|could not be allocated", re.IGNORECASE)
_OLD_DRIVER = re.compile(r"driver version is insufficient|cudaError 35\b")
_GPU = re.compile(r"CUDA error|cudaError|cuDNN error|CUDA driver|CUBLAS_|CUDNN_")


def is_gpu_error(error: object) -> bool:
    """Whether an error (or its text) says that the GPU or its libraries failed, or ran out of
    memory, rather than that the call was wrong.
    """
    return bool(_OUT_OF_MEMORY.search(str(error)) or _GPU.search(str(error)))


def failure(what: str, reason: str) -> str:
    """The sentence about something that failed, with what to do where memory ran out or the driver
    is too old.

    Parameters
    ----------
    what : what was being done, e.g. "loading 'model.onnx' with torch".
    reason : the library's own message.
    """
    reason = " ".join(reason.split())[:300].rstrip(". ")
    if _OUT_OF_MEMORY.search(reason):
        return (
            f"{what} failed: the GPU has too little free memory. Close other programs that use it "
            f"(nvidia-smi lists them), or set engine to openvino to run on the CPU ({reason})"
        )
    if _OLD_DRIVER.search(reason):
        return (
            f"{what} failed: the NVIDIA driver is missing, or too old for this library's CUDA. "
            f"Update the driver, or install the library's packages for an older CUDA ({reason})"
        )
    return f"{what} failed: {reason}"


@contextlib.contextmanager
def gpu_errors(what: str) -> Iterator[None]:
    """Raise an EngineError in place of a RuntimeError, which torch raises for all of CUDA's errors.

    Parameters
    ----------
    what : what is being done; see `failure`.
    """
    try:
        yield
    except EngineError:
        raise
    except RuntimeError as error:
        raise EngineError(failure(what, str(error))) from error
