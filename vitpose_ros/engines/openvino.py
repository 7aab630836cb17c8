"""Networks on a CPU through OpenVINO: ONNX and TFLite files, in float32 unless asked otherwise."""

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

_Arrays = list[npt.NDArray[np.float32]]

SUFFIXES = (".onnx", ".tflite")
"""Files that this engine reads."""

OLDEST = (2024, 3)
"""Older releases read sparse TFLite weights wrongly: MediaPipe's person detector finds nobody."""

PRECISIONS = {"fp32": "f32", "fp16": "f16", "bf16": "f32"}
"""What a network can be computed in, and what OpenVINO is told to compute in where an operation's
own type does not say otherwise: in bf16 its large products do, see `engines.bf16`.
"""

_SMALL_BYTES = 32 * 2**20
"""Up to this size of its file a network is small: ViTPose-S has 100 MB, a hand network 10 MB."""

_LACKS = "this CPU has no {} instructions; OpenVINO would run '{}' in {} instead"


class OpenVinoEngine:
    """A network on the CPU.

    It computes in float32 unless told otherwise: OpenVINO's default on recent CPUs is bfloat16,
    which moves palms by up to 6 px and hand landmarks by 1.2 px. A lower precision is for networks
    that were compared with their float32 selves on this machine; see `keypoints.agreement`. Inputs
    and outputs are float32 in any case.

    Whatever batches a network was exported for, it is compiled for one sample, and takes batches of
    any size. OpenVINO is faster with sizes that it knows: one crop of ViTPose-S takes 17 ms in bf16
    on two cores, 20 ms where the batch is left open (float32: 28 both), and the crops of a batch
    take no longer one after the other than together. Of small networks two samples run side by
    side, each on half of the threads: two hand crops take 4.9 ms that way, 5.7 ms one after the
    other; one takes 2.9 ms. That takes a second copy of the weights.

    Not for use from several threads at a time.

    Parameters
    ----------
    path : an ONNX or TFLite file.
    threads : CPU threads to use; 0 for all cores of this process.
    precision : "fp32"; or, where the CPU has instructions for it, "fp16" (all of the network) or
        "bf16" (its large products only, see `engines.bf16`): ViTPose-S takes a third of the time in
        fp16 on a CPU with AMX.
    as_exported : run batches as the file has them. For checks of a file that other engines, which
        take whole batches, are to run.

    Raises
    ------
    EngineError : when OpenVINO is not installed, the file is missing or cannot be read, the CPU
        does not compute in that precision, or the network has nothing that bf16 is for.
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
        if used != hint:  # OpenVINO takes another one without a word where the CPU lacks it
            raise EngineError(_LACKS.format(self.precision, self.path.name, used))
        return compiled

    def _infer(self, requests: Sequence[Any], samples: Sequence[_Arrays]) -> list[_Arrays]:
        """Run one sample on each request, side by side."""
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
                f"given were {', '.join(tensors) or 'none'}"
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
                    f"'{self.path}' takes C-contiguous float32 {spec}; given was "
                    f"{getattr(array, 'dtype', type(array))} {getattr(array, 'shape', '')}"
                )
            batches.add(array.shape[:1])
        if self._one_sample and len(batches) > 1:
            raise EngineError(f"'{self.path}': its inputs were given with different batch sizes")
        return [tensors[name] for name in names]


def has_bf16(core: Any) -> bool:
    """Whether this CPU has instructions for bfloat16, as an `openvino.Core` sees it."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _lower(core: Any, model: Any, name: str) -> None:
    if not has_bf16(core):
        raise EngineError(_LACKS.format("bf16", name, "f32"))
    if not lower_products(model):
        raise EngineError(
            f"'{name}' has no large matrix products that bf16 would speed up"
        )


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise EngineError(
            f"OpenVINO reads {' and '.join(SUFFIXES)} files here; '{path}' is neither"
        )
    if not path.is_file():
        raise EngineError(
            f"there is no model file '{path}'; see `vitpose_ros models list`, and pull it"
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
            f"OpenVINO {found[0]} reads some networks wrongly; {OLDEST[0]}.{OLDEST[1]} or later is "
            f"needed: pip install 'openvino>={OLDEST[0]}.{OLDEST[1]}'"
        )
    core = _core(openvino.Core)
    try:
        return core, core.read_model(str(path))
    except Exception as error:  # its front ends raise several kinds besides RuntimeError
        raise EngineError(
            f"OpenVINO cannot read '{path}': {_reason(error)}. If the file was cut short or "
            "altered, delete it and pull it again with `vitpose_ros models pull`"
        ) from error


@functools.lru_cache
def _core(make: Callable[[], Any]) -> Any:
    """What `make`, OpenVINO's class Core, gives: one for the process and never given back.

    Its CPU plugin gives the thread that makes it a stack for signals, and frees that when the last
    core goes: in another thread, and the next Ctrl-C is a segmentation fault (seen with 2026.4).
    """
    return make()


def _reason(error: Exception) -> str:
    """The last line of OpenVINO's message: its first ones name OpenVINO's own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__


def _for_one_sample(model: Any) -> Any:
    """The network with batches of one where it takes any; itself where that is not to be had."""
    if not all(_open_batch(port) for port in (*model.inputs, *model.outputs)):
        return model
    fixed = model.clone()
    try:
        fixed.reshape({port: [1, *list(port.partial_shape)[1:]] for port in fixed.inputs})
    except RuntimeError:  # a size that is written down somewhere inside contradicts it
        return model
    return fixed if all(_spec(port, "").shape[:1] == (1,) for port in fixed.outputs) else model


def _open_batch(port: Any) -> bool:
    shape = port.partial_shape
    return bool(shape.rank.is_static and len(shape) and shape[0].is_dynamic)


def _spec(port: Any, fallback: str) -> TensorSpec:
    shape = tuple(dim.get_length() if dim.is_static else None for dim in port.partial_shape)
    name = port.any_name if port.names else fallback
    return TensorSpec(name, shape)


def _any_batch(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(spec.name, (None, *spec.shape[1:]))
