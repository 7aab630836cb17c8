"""Imports TensorRT and torch late, and says what to install where one is missing."""

from __future__ import annotations

import importlib
import logging
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitpose_ros.engines.base import EngineError

if TYPE_CHECKING:
    import tensorrt

JETSON = Path("/etc/nv_tegra_release")
"""A file that exists on every Jetson."""

OLDEST = (10, 3)
"""TensorRT of JetPack 6.1 and 6.2: older ones lack parts of the API."""

KEPT_ERRORS = 5
"""The number of TensorRT's last errors that a message quotes."""

_log = logging.getLogger(__name__)


def missing() -> list[str]:
    """What is missing to run TensorRT here: a sentence each, with the remedy; empty for nothing."""
    return [sentence for sentence in (_torch_problem(), _tensorrt_problem()) if sentence]


def require() -> Any:
    """Torch, after a check that it finds a GPU and that TensorRT can be imported.

    Raises
    ------
    EngineError : one is missing; the message names the package for this platform and Python.
    """
    if problems := missing():
        raise EngineError(" ".join(problems))
    return importlib.import_module("torch")


def _torch_problem() -> str:
    advice = (
        "on a Jetson install NVIDIA's own torch wheel for this JetPack "
        "(https://pypi.jetson-ai-lab.io)"
        if JETSON.exists()
        else f"install it with: {sys.executable} -m pip install torch"
    )
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        return (
            f"TensorRT engines get their GPU memory from torch, which {sys.executable} cannot "
            f"import ({error}); {advice}."
        )
    if torch.version.cuda is None:
        return (
            f"torch {torch.__version__} of {sys.executable} is built without CUDA; {advice}."
        )
    if not torch.cuda.is_available():
        return (
            f"torch {torch.__version__} of {sys.executable} is built for CUDA "
            f"{torch.version.cuda} but finds no GPU. Check with nvidia-smi that the driver is "
            "installed and supports this CUDA; start a container with --gpus all, or with "
            "--runtime nvidia on a Jetson."
        )
    return ""


def _tensorrt_problem() -> str:
    if JETSON.exists():
        advice = (
            "install it with: sudo apt install tensorrt python3-libnvinfer (JetPack's packages for "
            "the system Python; a virtual environment needs --system-site-packages)"
        )
    elif platform.machine() == "x86_64":
        advice = (
            f"install it with: {sys.executable} -m pip install tensorrt-cu13 (driver 580 or later) "
            "or tensorrt-cu12 (driver 535 or later), whichever matches torch's CUDA"
        )
    else:
        advice = f"install it with: {sys.executable} -m pip install tensorrt"
    try:
        trt = importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:  # OSError: one of its libraries does not load
        return f"{sys.executable} cannot import TensorRT ({error}); {advice}."
    version = tuple(int(part) for part in trt.__version__.split(".")[:2])
    if version < OLDEST:
        return (
            f"TensorRT {trt.__version__} of {sys.executable} is too old: "
            f"{'.'.join(map(str, OLDEST))} or later (JetPack 6.1) is required; {advice}."
        )
    return ""


class Errors:
    """TensorRT's last error messages, to be quoted in an EngineError."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, text: str) -> None:
        """Keep a message, and drop the oldest beyond KEPT_ERRORS."""
        self.lines = [*self.lines, " ".join(text.split())][-KEPT_ERRORS:]

    def __str__(self) -> str:
        return " | ".join(self.lines) or "TensorRT gave no reason"


def make_logger(errors: Errors) -> tensorrt.ILogger:
    """A TensorRT logger that keeps errors in `errors` and passes warnings to Python's log.

    It must outlive everything that is made with it.
    """
    import tensorrt as trt

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                errors.add(msg)
                _log.debug("TensorRT: %s", msg)  # the EngineError reports it
            elif severity == trt.ILogger.Severity.WARNING:
                _log.info("TensorRT warning: %s", msg)

    return Logger()
