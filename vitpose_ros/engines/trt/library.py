"""Imports TensorRT and torch late, and says what to install where one is missing."""

from __future__ import annotations

import importlib
import logging
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.trt.variants import TENSORRT, TENSORRT_RTX, VARIANTS, TensorRt

if TYPE_CHECKING:
    import tensorrt

JETSON = Path("/etc/nv_tegra_release")
"""A file that exists on every Jetson."""

KEPT_ERRORS = 5
"""The number of TensorRT's last errors that a message quotes."""

_log = logging.getLogger(__name__)


def missing(variant: TensorRt = TENSORRT) -> list[str]:
    """What is missing to run engines here: a sentence each, with the remedy; empty for nothing."""
    return [sentence for sentence in (_torch_problem(), library_problem(variant)) if sentence]


def require(variant: TensorRt = TENSORRT) -> Any:
    """Torch, after a check that it finds a GPU and that TensorRT can be imported.

    Raises
    ------
    EngineError : one is missing; the message names the package for this platform and Python.
    """
    if problems := missing(variant):
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


def library_problem(variant: TensorRt = TENSORRT) -> str:
    """Why a library cannot be used by this Python, with the remedy; "" where it can."""
    advice = _install(variant)
    try:
        trt = variant.load()
    except (ImportError, OSError) as error:  # OSError: one of its libraries does not load
        return (
            f"{sys.executable} cannot import {variant.title} ({error}); {advice}.{_other(variant)}"
        )
    version = tuple(int(part) for part in trt.__version__.split(".")[:2])
    if version < variant.oldest:
        return (
            f"{variant.title} {trt.__version__} of {sys.executable} is too old: "
            f"{'.'.join(map(str, variant.oldest))} or later"
            f"{'' if variant.portable else ' (JetPack 6.1)'} is required; {advice}."
        )
    return ""


def _other(variant: TensorRt) -> str:
    """A sentence about the other library, where only that one is installed."""
    (other,) = (one for one in VARIANTS.values() if one is not variant)
    try:
        other.load()
    except (ImportError, OSError):
        return ""
    return (
        f" {other.title} is installed, which is another library: to use it, build with --engine "
        f"{other.name} and set engine to {other.name}."
    )


def _install(variant: TensorRt) -> str:
    if variant is TENSORRT_RTX:
        if JETSON.exists() or platform.machine() != "x86_64":
            return "it exists for x86-64 only: use TensorRT here"
        return (
            f"install it with: {sys.executable} -m pip install tensorrt-rtx-cu13 (driver 580 or "
            "later) or tensorrt-rtx-cu12, whichever matches torch's CUDA"
        )
    if JETSON.exists():
        return (
            "install it with: sudo apt install tensorrt python3-libnvinfer (JetPack's packages for "
            "the system Python; a virtual environment needs --system-site-packages)"
        )
    if platform.machine() == "x86_64":
        return (
            f"install it with: {sys.executable} -m pip install tensorrt-cu13 (driver 580 or later) "
            "or tensorrt-cu12 (driver 535 or later), whichever matches torch's CUDA"
        )
    return f"install it with: {sys.executable} -m pip install tensorrt"


def one_line(text: str) -> str:
    """A message of TensorRT on one line.

    Without a driver, TensorRT for RTX follows each error with one about CUDA, which did not cause
    it: that one is left out.
    """
    lines = [line for line in text.splitlines() if "catchCudaError" not in line]
    return " ".join(" ".join(lines).split())


class Errors:
    """TensorRT's last error messages, to be quoted in an EngineError."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, text: str) -> None:
        """Keep a message, and drop the oldest beyond KEPT_ERRORS."""
        if text := one_line(text):
            self.lines = [*self.lines, text][-KEPT_ERRORS:]

    def __str__(self) -> str:
        return " | ".join(self.lines) or "TensorRT gave no reason"


def make_logger(errors: Errors, variant: TensorRt = TENSORRT) -> tensorrt.ILogger:
    """A TensorRT logger that keeps errors in `errors` and passes warnings to Python's log.

    It must outlive everything that is made with it.
    """
    if TYPE_CHECKING:
        import tensorrt as trt
    else:
        trt = variant.load()

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
