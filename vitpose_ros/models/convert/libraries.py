"""The libraries that only a conversion needs, imported late."""

from __future__ import annotations

import importlib
import platform
from importlib import metadata
from typing import Any

from vitpose_ros.models.errors import ModelError
from vitpose_ros.version import version

NEEDED = ("torch", "transformers", "safetensors", "onnx", "onnxscript")
"""Packages of a conversion; requirements/convert.txt bounds their versions."""

COMMAND = f"python3 -m pip install {' '.join(NEEDED)}"


def torch() -> Any:
    """Torch, after checking that all of NEEDED are there.

    Raises
    ------
    ModelError : one is missing; the text gives the command.
    """
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ModelError(
                f"converting a checkpoint needs the Python package {name}, which running a "
                f"converted one does not: {COMMAND} ({error}). The CPU build of torch is enough."
            ) from error
    return importlib.import_module("torch")


def transformers() -> Any:
    """Transformers, with its own messages and bars turned off: weights are checked here."""
    module = importlib.import_module("transformers")
    module.logging.set_verbosity_error()
    module.logging.disable_progress_bar()
    return module


def versions(*extra: str) -> dict[str, str]:
    """The versions of Python, of this package and of others, as far as they are installed."""
    found = {"vitpose_ros": version(), "python": platform.python_version()}
    for name in ("openvino", "numpy", *extra):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
