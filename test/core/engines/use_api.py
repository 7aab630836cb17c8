"""Runs the package's own code on TensorRT's real bindings as far as it goes without TensorRT.

Usage: use_api.py FOLDER_OF_THE_BINDINGS NETWORK.onnx
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, sys.argv[1])
import tensorrt_bindings as trt

sys.modules["tensorrt"] = trt

from vitpose_ros.engines.base import EngineError  # noqa: E402
from vitpose_ros.engines.trt.build import _build  # noqa: E402
from vitpose_ros.engines.trt.key import Machine, Recipe  # noqa: E402
from vitpose_ros.engines.trt.library import Errors, library_problem, make_logger  # noqa: E402
from vitpose_ros.engines.trt.progress import BuildProgress, make_monitor  # noqa: E402

assert library_problem() == ""

errors = Errors()
logger = make_logger(errors)
logger.log(trt.ILogger.Severity.ERROR, "an error")
logger.log(trt.ILogger.Severity.INTERNAL_ERROR, "another")
logger.log(trt.ILogger.Severity.WARNING, "a warning")
logger.log(trt.ILogger.Severity.INFO, "news")
assert str(errors) == "an error | another", errors

progress = BuildProgress(None, "net")
monitor = make_monitor(progress)
monitor.phase_start("Building", "", 3)
assert monitor.step_complete("Building", 0) is True
assert "Building: step 2 of 3" in progress.line(), progress.line()
progress.cancelled = True
assert monitor.step_complete("Building", 1) is False
monitor.phase_finish("Building")

dims = trt.Dims([2, 3])
assert (len(dims), dims[0], dims[1]) == (2, 2, 3)
assert 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) > 0

# The stub libraries give no builder, as a machine without a driver does.
machine = Machine(trt.__version__, "Orin", "8.7", "12.6", "linux-aarch64")
with pytest.raises(EngineError, match=f"TensorRT {trt.__version__} cannot start a build"):
    _build(Path(sys.argv[2]), machine, Recipe("0" * 64, "fp32"), Path("none"), progress)
