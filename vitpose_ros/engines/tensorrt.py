"""Networks on an NVIDIA GPU through engines of TensorRT or TensorRT for RTX."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import EngineError, Tensors, TensorSpec
from vitpose_ros.engines.gpu_errors import failure, gpu_errors, is_gpu_error
from vitpose_ros.engines.trt.key import Here, machine_here
from vitpose_ros.engines.trt.library import Errors, make_logger, require
from vitpose_ros.engines.trt.manifest import EngineManifest, read_manifest, why_not
from vitpose_ros.engines.trt.shelf import read_plan, rebuild

if TYPE_CHECKING:
    import tensorrt

GRAPH_BATCH = 16
"""The largest batch that runs as a CUDA graph. In larger ones the GPU's work hides the launches,
and each graph has a context of its own.
"""

_log = logging.getLogger(__name__)


@dataclass
class _Buffers:
    """The tensors of one batch size, and the graph that runs on them."""

    batch: int
    inputs: dict[str, Any]
    outputs: dict[str, Any] = field(default_factory=dict)
    context: tensorrt.IExecutionContext | None = None
    graph: Any = None


class TensorRtEngine:
    """An engine of TensorRT or TensorRT for RTX; see `engines.base.DeviceEngine`.

    It has a CUDA stream of its own. The first run of a batch size on the engine's own buffers is a
    plain one, in which TensorRT finishes its preparations; the same calls are then captured as a
    CUDA graph, which later runs replay. `warm_up` does the first run ahead of time. Each graph has
    an execution context of its own, since a context's state changes with the shapes; all contexts
    share one working memory, which is safe on one stream. TensorRT for RTX compiles kernels at the
    first run of each batch size; `warm_up` keeps them beside the engine for the next start.

    Memory per batch size: batch x (input + output) x 4 bytes; for 16 crops of 192x256 and 133
    joints 9 + 26 MB.

    Not thread-safe. We had no access to a GPU: the calls and their order were checked against the
    bindings of TensorRT 10.3, 11 and TensorRT for RTX, and against a stand-in that enforces the
    documented order.

    Parameters
    ----------
    folder : the engine's folder on the shelf; see `engines.trt.shelf`.
    networks : the sha256 of the model's network for each precision, to detect an engine of an older
        network; None skips the check.
    device : the GPU's number.
    graphs : whether to use CUDA graphs.

    Raises
    ------
    EngineError : torch or TensorRT is missing, or the engine was built for something else, is
        damaged, or does not load; the message names the difference and the remedy.
    """

    def __init__(
        self,
        folder: Path,
        networks: Mapping[str, str] | None = None,
        device: int = 0,
        graphs: bool = True,
    ) -> None:
        self.path = Path(folder)
        manifest = read_manifest(self.path)
        self._variant = manifest.variant
        self._torch = torch = require(self._variant)
        self._graphs = graphs
        self.device = torch.device("cuda", device)
        self._errors = Errors()
        self._logger = make_logger(self._errors, self._variant)
        with gpu_errors(f"loading {self}"), torch.cuda.device(self.device):
            self._engine = self._load(manifest, networks, device)
            self.inputs, self.outputs = self._specs()
            self._min_batch, self.max_batch = self._batch_limits()
            self._stream = torch.cuda.Stream(device=self.device)
            size = max(self._engine.device_memory_size_v2, 1)
            self._scratch = torch.empty(size, dtype=torch.uint8, device=self.device)
            self._plain = self._context()
        self._buffers: dict[int, _Buffers] = {}

    def run(self, tensors: Mapping[str, npt.NDArray[np.float32]]) -> Tensors:
        """Run the network once, and wait for the result; see `engines.base.Engine.run`."""
        torch = self._torch
        self._check_names(tensors)
        arrays = {spec.name: tensors[spec.name] for spec in self.inputs}
        for spec in self.inputs:
            array = arrays[spec.name]
            if not (
                isinstance(array, np.ndarray)
                and array.dtype == np.float32
                and array.flags.c_contiguous
            ):
                raise EngineError(
                    f"{self} takes C-contiguous float32 {spec}; got "
                    f"{getattr(array, 'dtype', type(array))} {getattr(array, 'shape', '')}"
                )
        batch = self._batch({name: array.shape for name, array in arrays.items()})
        with gpu_errors(f"running {self}"), torch.cuda.device(self.device):
            buffers = self.buffers(batch)
            for name, array in arrays.items():
                # torch warns about arrays that are not writeable.
                writeable = array if array.flags.writeable else array.copy()
                # The GPU copies from page-locked memory, which torch keeps until the copy is done.
                pinned = torch.from_numpy(writeable).pin_memory()
                buffers[name].copy_(pinned, non_blocking=True)
            outputs = self.run_device(buffers)
            return {name: tensor.cpu().numpy() for name, tensor in outputs.items()}

    def buffers(self, batch: int) -> dict[str, Any]:
        """The input tensors of a batch size; see `engines.base.DeviceEngine.buffers`."""
        return dict(self._buffers_of(batch).inputs)

    def run_device(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Run the network once on the GPU; see `engines.base.DeviceEngine.run_device`."""
        torch = self._torch
        self._check_names(tensors)
        for spec in self.inputs:
            self._check_tensor(spec, tensors[spec.name])
        own = self._buffers_of(
            self._batch({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        )
        with gpu_errors(f"running {self}"), torch.cuda.device(self.device):
            caller = torch.cuda.current_stream(self.device)
            self._stream.wait_stream(caller)
            with torch.cuda.stream(self._stream):
                if all(own.inputs[n].data_ptr() == t.data_ptr() for n, t in tensors.items()):
                    self._run_own(own)
                else:
                    self._enqueue(self._plain, own, tensors)
                    for tensor in tensors.values():
                        tensor.record_stream(self._stream)
            caller.wait_stream(self._stream)
        return dict(own.outputs)

    def warm_up(self, batches: Iterable[int]) -> None:
        """Run each batch size once, so that no frame waits for a first run."""
        for batch in batches:
            self.run_device(self.buffers(batch))
        with gpu_errors(f"running {self}"):
            self._torch.cuda.synchronize(self.device)
        self._contexts.keep()

    def __str__(self) -> str:
        return f"the {self._variant.title} engine '{self.path}'"

    # --- loading ---------------------------------------------------------------------------

    def _load(
        self, manifest: EngineManifest, networks: Mapping[str, str] | None, device: int
    ) -> tensorrt.ICudaEngine:
        if TYPE_CHECKING:
            import tensorrt as trt
        else:
            trt = self._variant.load()
        machine = machine_here(device, self._variant)
        recipe = manifest.recipe
        wanted = {recipe.precision: recipe.onnx_sha256} if networks is None else networks
        if problems := why_not(manifest, Here(machine, wanted)):
            raise EngineError(
                f"{self} cannot be used here: {' '.join(problems)} {rebuild(manifest, machine)}"
            )
        self.name = f"{self._variant.name} {machine.gpu} {recipe.precision}"
        self._model = manifest.model
        plan, _ = read_plan(self.path)
        try:
            self._runtime = trt.Runtime(self._logger)
            engine = self._runtime.deserialize_cuda_engine(plan)
        except (RuntimeError, TypeError) as error:  # TypeError: its C++ factory returned nothing
            text = failure(f"starting {self._variant.title}", f"{self._errors} ({error})")
            raise EngineError(text) from error
        if engine is None:
            if is_gpu_error(self._errors):
                raise EngineError(failure(f"loading {self}", str(self._errors)))
            raise EngineError(
                f"{self._variant.title} refuses {self}, although its manifest matches this "
                f"machine: {self._errors}. {rebuild(manifest)}"
            )
        self.machine = machine
        self._contexts = self._variant.contexts(engine, machine, self.path)
        return engine

    def _specs(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """The names and shapes of the inputs and outputs, all float32 in GPU memory."""
        if TYPE_CHECKING:
            import tensorrt as trt
        else:
            trt = self._variant.load()
        engine = self._engine
        inputs: list[TensorSpec] = []
        outputs: list[TensorSpec] = []
        for i in range(engine.num_io_tensors):
            name = engine.get_tensor_name(i)
            on_gpu = engine.get_tensor_location(name) == trt.TensorLocation.DEVICE
            if engine.get_tensor_dtype(name) != trt.DataType.FLOAT or not on_gpu:
                raise EngineError(
                    f"{self}: its tensor '{name}' is {engine.get_tensor_dtype(name)}; expected "
                    "float32 on the GPU. Convert the model again: vitpose_ros models convert"
                )
            shape = engine.get_tensor_shape(name)
            sizes = tuple(shape[axis] for axis in range(len(shape)))
            spec = TensorSpec(name, tuple(None if size < 0 else size for size in sizes))
            is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            (inputs if is_input else outputs).append(spec)
        return tuple(inputs), tuple(outputs)

    def _batch_limits(self) -> tuple[int, int]:
        """The profile's smallest and largest batch."""
        shapes = [self._engine.get_tensor_profile_shape(spec.name, 0) for spec in self.inputs]
        return max(low[0] for low, _, _ in shapes), min(high[0] for _, _, high in shapes)

    def _context(self) -> tensorrt.IExecutionContext:
        context = self._contexts.make()
        if context is None:
            raise EngineError(failure(f"making a context of {self}", str(self._errors)))
        context.set_device_memory(self._scratch.data_ptr(), self._scratch.numel())
        # Only an engine's first context gets the profile by default.
        if not context.set_optimization_profile_async(0, self._stream.cuda_stream):
            raise EngineError(f"{self}: TensorRT refuses its profile: {self._errors}")
        return context

    # --- running ---------------------------------------------------------------------------

    def _buffers_of(self, batch: int) -> _Buffers:
        torch = self._torch
        if batch not in self._buffers:
            shapes = {
                spec.name: (batch, *(size or 0 for size in spec.shape[1:])) for spec in self.inputs
            }
            self._batch(shapes)
            with gpu_errors(f"running {self}"), torch.cuda.device(self.device):
                inputs = {
                    name: torch.empty(shape, dtype=torch.float32, device=self.device)
                    for name, shape in shapes.items()
                }
            self._buffers[batch] = _Buffers(batch, inputs)
        return self._buffers[batch]

    def _run_own(self, own: _Buffers) -> None:
        """On our stream: replay the graph; or run plainly, and capture that run."""
        if own.graph is not None:
            own.graph.replay()
            return
        if not self._graphs or own.batch > GRAPH_BATCH:
            self._enqueue(self._plain, own, own.inputs)
            return
        own.context = own.context or self._context()
        self._enqueue(own.context, own, own.inputs)
        if self._contexts.can_capture(own.context, self._stream.cuda_stream):
            own.graph = self._capture(own.context)
        else:
            _log.warning("%s cannot become a CUDA graph and runs plainly, which is slower", self)
            self._graphs = False

    def _enqueue(
        self, context: tensorrt.IExecutionContext, own: _Buffers, inputs: Mapping[str, Any]
    ) -> None:
        """On our stream: set shapes, then addresses, then run."""
        torch = self._torch
        for name, tensor in inputs.items():
            self._must(context.set_input_shape(name, tuple(tensor.shape)), "the shape of", name)
        if not own.outputs:
            own.outputs = {
                spec.name: torch.empty(
                    self._shape_now(context, spec), dtype=torch.float32, device=self.device
                )
                for spec in self.outputs
            }
        for name, tensor in (*inputs.items(), *own.outputs.items()):
            self._must(context.set_tensor_address(name, tensor.data_ptr()), "the memory of", name)
        self._execute(context)

    def _execute(self, context: tensorrt.IExecutionContext) -> None:
        if not context.execute_async_v3(self._stream.cuda_stream):
            raise EngineError(failure(f"running {self} on the GPU", str(self._errors)))

    def _shape_now(self, context: tensorrt.IExecutionContext, spec: TensorSpec) -> tuple[int, ...]:
        """An output's shape for the input shapes that the context has."""
        shape = context.get_tensor_shape(spec.name)
        sizes = tuple(shape[axis] for axis in range(len(shape)))
        if any(size < 0 for size in sizes):
            raise EngineError(
                f"{self}: the shape of its output {spec} depends on the values of its inputs, "
                "which is not supported"
            )
        return sizes

    def _must(self, accepted: bool, what: str, name: str) -> None:
        if not accepted:
            raise EngineError(f"{self}: TensorRT refuses {what} '{name}': {self._errors}")

    def _capture(self, context: tensorrt.IExecutionContext) -> Any:
        """The last run as a graph; where that fails, None, and graphs are no longer used."""
        torch = self._torch
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: other threads may use the GPU meanwhile.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._execute(context)
        except (RuntimeError, EngineError) as error:
            _log.warning("%s runs without CUDA graphs, which is slower: %s", self, error)
            self._graphs = False
            return None
        return graph

    # --- checks ----------------------------------------------------------------------------

    def _check_names(self, tensors: Mapping[str, Any]) -> None:
        names = [spec.name for spec in self.inputs]
        if set(tensors) != set(names):
            raise EngineError(
                f"{self} takes the inputs {', '.join(names)}; got {', '.join(tensors) or 'none'}"
            )

    def _check_tensor(self, spec: TensorSpec, tensor: Any) -> None:
        torch = self._torch
        if not isinstance(tensor, torch.Tensor):
            given = type(tensor).__name__
        else:
            contiguous = tensor.is_contiguous()
            if tensor.dtype == torch.float32 and tensor.device == self.device and contiguous:
                return
            given = f"{tensor.dtype} {tuple(tensor.shape)} on {tensor.device}"
            given += (
                "" if contiguous else ", not contiguous"
            )  # TensorRT would read it as if it were
        raise EngineError(
            f"{self} takes a contiguous torch.float32 tensor {spec} on {self.device}; got {given}"
        )

    def _batch(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """The batch size; EngineError where a shape does not fit."""
        batches = {shape[:1] for shape in shapes.values()}
        for spec in self.inputs:
            shape = shapes[spec.name]
            if len(shape) != len(spec.shape) or any(
                want not in (None, have) for want, have in zip(spec.shape, shape, strict=True)
            ):
                raise EngineError(f"{self} takes {spec}; got the shape {tuple(shape)}")
        if len(batches) > 1:
            raise EngineError(f"{self}: its inputs have different batch sizes")
        batch = batches.pop()[0]
        if not self._min_batch <= batch <= self.max_batch:
            raise EngineError(
                f"{self} takes batches of {self._min_batch} to {self.max_batch}, got {batch}; "
                f"build one for larger batches with: vitpose_ros engine build {self._model} "
                f"--max-batch {max(batch, 1)}"
            )
        return batch
