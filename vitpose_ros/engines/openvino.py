"""Networks on the CPU through OpenVINO: ONNX and TFLite files, in float32 by default."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import EngineError, Tensors, TensorSpec
from vitpose_ros.engines.bf16 import lower_products
from vitpose_ros.engines.deform_conv import OPERATOR, add_deform_conv

_Arrays = list[npt.NDArray[np.float32]]

SUFFIXES = (".onnx", ".tflite", ".pb")
"""The file types that this engine reads."""

OLDEST = (2024, 3)
"""Older releases misread sparse TFLite weights: MediaPipe's person detector finds nobody."""

PRECISIONS = {"fp32": "f32", "fp16": "f16", "bf16": "f32"}
"""A network's precisions, and OpenVINO's inference precision for each: in bf16, the large products
carry their own type, see `engines.bf16`.
"""

_SMALL_BYTES = 32 * 2**20
"""The largest file of a small network: a hand network has 10 MB, ViTPose-S 100 MB."""

_LACKS = "this CPU has no {} instructions; OpenVINO would run '{}' in {} instead"


class OpenVinoEngine:
    """A network on the CPU.

    It computes in float32 by default: OpenVINO's own default on recent CPUs is bfloat16, which
    moves palms by up to 6 px and hand landmarks by 1.2 px. A lower precision is for networks that
    were compared with float32 on this machine; see `keypoints.agreement`. Inputs and outputs are
    always float32.

    The network is compiled for one sample and takes batches of any size, whatever it was exported
    for. OpenVINO is faster with known sizes: one crop of ViTPose-S takes 17 ms in bf16 on two
    cores, against 20 ms with a dynamic batch (float32: 28 ms either way), and running a batch's
    crops one by one takes no longer. Small networks run two samples side by side, each on half of
    the threads: two hand crops take 4.9 ms that way, 5.7 ms one by one, and one takes 2.9 ms. This
    needs a second copy of the weights.

    Not thread-safe.

    Parameters
    ----------
    path : an ONNX or TFLite file.
    threads : CPU threads to use; 0 for all cores of this process.
    precision : "fp32"; or, where the CPU has instructions for it, "fp16" (the whole network) or
        "bf16" (the large products only, see `engines.bf16`). In fp16 on a CPU with AMX, ViTPose-S
        takes a third of the time.
    as_exported : keep the file's batch size; for checks of files that other engines will run.

    Raises
    ------
    EngineError : OpenVINO is not installed, the file is missing or cannot be read, the CPU lacks
        the precision, or bf16 would not speed up the network.
    """

    def __init__(
        self, path: Path, threads: int = 0, precision: str = "fp32", as_exported: bool = False
    ) -> None:
        self.path = Path(path)
        self.precision = precision
        self.name = "openvino CPU" if precision == "fp32" else f"openvino CPU {precision}"
        if precision not in PRECISIONS:
            raise EngineError(
                f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}"
            )
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 0:
            raise EngineError(
                f"threads: expected a whole number, 0 (all cores) or more, got {threads!r}"
            )
        _check_file(self.path)
        core, model = _read(self.path)
        if not as_exported:
            model = _for_one_sample(model)
        model = _with_float_inputs(model)
        if precision == "bf16":
            _lower(core, model, self.path.name)
        threads = threads or len(os.sched_getaffinity(0))
        compiled = self._compile(core, model, threads, streams=1)
        self._alone = compiled.create_infer_request()
        self._pair: tuple[Any, ...] = ()
        inputs = tuple(_spec(port, f"input_{i}") for i, port in enumerate(compiled.inputs))
        outputs = tuple(_spec(port, f"output_{i}") for i, port in enumerate(compiled.outputs))
        self._one_sample = all(spec.shape[:1] == (1,) for spec in inputs + outputs)
        if self._one_sample:
            inputs, outputs = tuple(map(_any_batch, inputs)), tuple(map(_any_batch, outputs))
            if threads > 1 and self.path.stat().st_size <= _SMALL_BYTES:
                parallel = self._compile(core, model, threads, streams=2)
                self._pair = parallel.create_infer_request(), parallel.create_infer_request()
        self.inputs, self.outputs = inputs, outputs

    def run(self, tensors: Mapping[str, npt.NDArray[np.float32]]) -> Tensors:
        """Run the network once; see `engines.base.Engine.run`."""
        arrays = self._checked(tensors)
        try:
            if not self._one_sample:
                results = self._infer((self._alone,), [arrays])[0]
            else:
                samples = [[array[i : i + 1] for array in arrays] for i in range(len(arrays[0]))]
                parts = []
                while samples:
                    requests = self._pair if self._pair and len(samples) > 1 else (self._alone,)
                    now, samples = samples[: len(requests)], samples[len(requests) :]
                    parts += self._infer(requests, now)
                results = [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
        except RuntimeError as error:
            raise EngineError(f"'{self.path}' failed on the CPU: {_reason(error)}") from error
        return {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}

    def _compile(self, core: Any, model: Any, threads: int, streams: int) -> Any:
        hint = PRECISIONS[self.precision]
        config = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": str(threads),
            "NUM_STREAMS": str(streams),
        }
        try:
            compiled = core.compile_model(model, "CPU", config)
            used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO cannot run '{self.path}' on the CPU: {_reason(error)}"
            ) from error
        if used != hint:  # OpenVINO silently uses another one where the CPU lacks it
            raise EngineError(_LACKS.format(self.precision, self.path.name, used))
        return compiled

    def _infer(self, requests: Sequence[Any], samples: Sequence[_Arrays]) -> list[_Arrays]:
        """Run one sample per request, side by side."""
        for request, arrays in zip(requests, samples, strict=True):
            request.start_async(dict(enumerate(arrays)), share_inputs=True)
        for request in requests:
            request.wait()
        outputs = range(len(self.outputs))
        return [[r.get_output_tensor(i).data.copy() for i in outputs] for r in requests]

    def _checked(self, tensors: Mapping[str, npt.NDArray[np.float32]]) -> _Arrays:
        names = [spec.name for spec in self.inputs]
        if set(tensors) != set(names):
            raise EngineError(
                f"'{self.path}' takes the inputs {', '.join(names)}; "
                f"got {', '.join(tensors) or 'none'}"
            )
        batches = set()
        for spec in self.inputs:
            array = tensors[spec.name]
            fits = (
                isinstance(array, np.ndarray)
                and array.dtype == np.float32
                and array.ndim == len(spec.shape)
                and all(
                    want in (None, have) for want, have in zip(spec.shape, array.shape, strict=True)
                )
                and array.flags.c_contiguous
                and array.size > 0
            )
            if not fits:
                raise EngineError(
                    f"'{self.path}' takes C-contiguous float32 {spec}; got "
                    f"{getattr(array, 'dtype', type(array))} {getattr(array, 'shape', '')}"
                )
            batches.add(array.shape[:1])
        if self._one_sample and len(batches) > 1:
            raise EngineError(f"'{self.path}': its inputs have different batch sizes")
        return [tensors[name] for name in names]


def has_bf16(core: Any) -> bool:
    """Whether this CPU has bfloat16 instructions, according to an `openvino.Core`."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _lower(core: Any, model: Any, name: str) -> None:
    if not has_bf16(core):
        raise EngineError(_LACKS.format("bf16", name, "f32"))
    if not lower_products(model):
        raise EngineError(f"'{name}' has no large matrix products that bf16 would speed up")


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise EngineError(
            f"'{path}' is not a file that OpenVINO reads here; expected {', '.join(SUFFIXES)}"
        )
    if not path.is_file():
        raise EngineError(
            f"the model file '{path}' does not exist; pull it with: vitpose_ros models pull NAME "
            "(`vitpose_ros models list` has the names)"
        )
    if path.stat().st_size == 0:
        raise EngineError(
            f"the model file '{path}' is empty; delete it and pull it again with "
            "`vitpose_ros models pull`"
        )


def _read(path: Path) -> tuple[Any, Any]:
    try:
        import openvino
    except ImportError as error:
        raise EngineError(
            f"running '{path.name}' on the CPU needs the Python package openvino: "
            f"pip install openvino ({error})"
        ) from error
    except RuntimeError as error:  # its telemetry looks for a home folder where there is none
        raise EngineError(
            f"OpenVINO cannot be loaded: {error} Set HOME to a folder that this user may write, "
            "such as HOME=/tmp."
        ) from error
    found = re.match(r"(\d+)\.(\d+)", openvino.__version__)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        raise EngineError(
            f"OpenVINO {found[0]} misreads some networks; {OLDEST[0]}.{OLDEST[1]} or later is "
            f"required: pip install 'openvino>={OLDEST[0]}.{OLDEST[1]}'"
        )
    core = _core(openvino.Core)
    try:
        return core, _model(core, path)
    except Exception as error:  # its front ends raise more than RuntimeError
        raise EngineError(
            f"OpenVINO cannot read '{path}': {_reason(error)}. If the file is truncated or "
            "altered, delete it and pull it again with `vitpose_ros models pull`"
        ) from error


def _model(core: Any, path: Path) -> Any:
    try:
        return core.read_model(str(path))
    except RuntimeError as error:
        if OPERATOR not in str(error):
            raise
    add_deform_conv(core)
    return core.read_model(str(path))


@functools.lru_cache
def _core(make: Callable[[], Any]) -> Any:
    """An `openvino.Core`, made once per process and never freed.

    Its CPU plugin gives the thread that makes it a signal stack, and frees that with the last core:
    when another thread does so, the next Ctrl-C is a segmentation fault (seen with 2026.4).
    """
    return make()


def _reason(error: Exception) -> str:
    """The last line of OpenVINO's message; those before name OpenVINO's own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__


def _for_one_sample(model: Any) -> Any:
    """The network with its dynamic batch fixed to one, or itself where that is impossible."""
    if not all(_open_batch(port) for port in (*model.inputs, *model.outputs)):
        return model
    fixed = model.clone()
    try:
        fixed.reshape({port: [1, *list(port.partial_shape)[1:]] for port in fixed.inputs})
    except RuntimeError:  # a size inside the network contradicts it
        return model
    return fixed if all(_spec(port, "").shape[:1] == (1,) for port in fixed.outputs) else model


def _with_float_inputs(model: Any) -> Any:
    """The network with whole-number inputs, as of MoveNet's pixels, converted from float32."""
    if all(port.get_element_type().is_real() for port in model.inputs):
        return model
    from openvino import Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    for i, port in enumerate(model.inputs):
        if not port.get_element_type().is_real():
            steps.input(i).tensor().set_element_type(Type.f32)
    return steps.build()


def _open_batch(port: Any) -> bool:
    shape = port.partial_shape
    return bool(shape.rank.is_static and len(shape) and shape[0].is_dynamic)


def _spec(port: Any, fallback: str) -> TensorSpec:
    shape = tuple(dim.get_length() if dim.is_static else None for dim in port.partial_shape)
    name = port.any_name if port.names else fallback
    return TensorSpec(name, shape)


def _any_batch(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(spec.name, (None, *spec.shape[1:]))
