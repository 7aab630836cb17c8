"""Imports the libraries that only conversions and training need."""

from __future__ import annotations

import importlib
import platform
from importlib import metadata
from typing import Any

from vitpose_ros.models.errors import ModelError
from vitpose_ros.version import version

NEEDED = ("torch", "transformers", "safetensors", "onnx", "onnxscript")
"""Packages for a conversion; requirements/convert.txt has their versions."""

COMMAND = f"python3 -m pip install {' '.join(NEEDED)}"


def torch() -> Any:
    """Import torch, after checking that all NEEDED packages are installed.

    Raises
    ------
    ModelError : one is missing.
    """
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ModelError(
                f"converting or training a checkpoint needs the Python package {name} ({error}). "
                f"Install with: {COMMAND}. The CPU build of torch suffices, and running the "
                "converted network needs none of these."
            ) from error
    return importlib.import_module("torch")


def transformers() -> Any:
    """Import transformers, without its own messages: weights are checked here."""
    module = importlib.import_module("transformers")
    module.logging.set_verbosity_error()
    module.logging.disable_progress_bar()
    return module


def versions(*extra: str) -> dict[str, str]:
    """The versions of Python, this package, and of others that are installed."""
    found = {"vitpose_ros": version(), "python": platform.python_version()}
    for name in ("openvino", "numpy", *extra):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
