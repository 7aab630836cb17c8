"""TensorRT and torch, imported late, and what to install where one is missing."""

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
"""The file that every Jetson's system has."""

OLDEST = (10, 3)
"""JetPack 6.1's and 6.2's TensorRT: older ones lack parts of the API."""

KEPT_ERRORS = 5
"""How many of TensorRT's last errors are kept for the message."""

_log = logging.getLogger(__name__)


def missing() -> list[str]:
    """What lacks for running TensorRT here: a sentence each, with the remedy; empty when nothing
    does.
    """
    return [sentence for sentence in (_torch_problem(), _tensorrt_problem()) if sentence]


def require() -> Any:
    """Torch, after checking that it sees a GPU and that TensorRT can be imported.

    Raises
    ------
    EngineError : one lacks; the text names the package for this platform and the interpreter.
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
            f"TensorRT engines take their GPU memory from torch, which {sys.executable} cannot "
            f"import ({error}); {advice}."
        )
    if torch.version.cuda is None:
        return (
            f"the torch {torch.__version__} of {sys.executable} is built without CUDA; take one "
            f"with it: {advice}."
        )
    if not torch.cuda.is_available():
        return (
            f"the torch {torch.__version__} of {sys.executable} is built for CUDA "
            f"{torch.version.cuda} but sees no GPU: check `nvidia-smi` (driver missing or too old "
            "for this CUDA; in a container: started without --gpus or --runtime nvidia)."
        )
    return ""


def _tensorrt_problem() -> str:
    if JETSON.exists():
        advice = (
            "install it with: sudo apt install tensorrt python3-libnvinfer (JetPack's; they are "
            "for the system's Python, and a virtual environment needs --system-site-packages)"
        )
    elif platform.machine() == "x86_64":
        advice = (
            f"install it with: {sys.executable} -m pip install tensorrt-cu13 (driver 580 or later) "
            "or tensorrt-cu12 (driver 535 or later), the one of torch's CUDA"
        )
    else:
        advice = f"install it with: {sys.executable} -m pip install tensorrt"
    try:
        trt = importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:  # OSError: one of its libraries cannot be loaded
        return f"{sys.executable} cannot import TensorRT ({error}); {advice}."
    version = tuple(int(part) for part in trt.__version__.split(".")[:2])
    if version < OLDEST:
        return (
            f"TensorRT {trt.__version__} of {sys.executable} is too old; "
            f"{'.'.join(map(str, OLDEST))} or later is needed (JetPack 6.1): {advice}."
        )
    return ""


class Errors:
    """TensorRT's last error messages, for the sentence that an EngineError says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, text: str) -> None:
        """Keep a message, and forget the oldest of too many."""
        self.lines = [*self.lines, " ".join(text.split())][-KEPT_ERRORS:]

    def __str__(self) -> str:
        return " | ".join(self.lines) or "TensorRT gave no reason"


def make_logger(errors: Errors) -> tensorrt.ILogger:
    """A TensorRT logger: errors are kept, warnings go to Python's log as its own lines.

    It must live as long as what was made with it.
    """
    import tensorrt as trt

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                errors.add(msg)
                _log.debug("TensorRT: %s", msg)  # whoever catches the error says it
            elif severity == trt.ILogger.Severity.WARNING:
                _log.info("TensorRT warns: %s", msg)

    return Logger()
