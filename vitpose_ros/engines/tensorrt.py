"""Networks on an NVIDIA GPU through TensorRT engines that were built on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import EngineError, Tensors, TensorSpec
from vitpose_ros.engines.trt.key import Here, machine_here
from vitpose_ros.engines.trt.library import Errors, make_logger, require
from vitpose_ros.engines.trt.manifest import read_manifest, why_not
from vitpose_ros.engines.trt.shelf import read_plan, rebuild

if TYPE_CHECKING:
    import tensorrt

GRAPH_BATCH = 16
"""Batches up to this size run as CUDA graphs. In larger ones the GPU's own work hides the launches,
and each graph holds a context of its own.
"""

SETS = 2
"""Sets of buffers for each batch size: one is written while the other one is read."""

_log = logging.getLogger(__name__)


@dataclass
class _Set:
    """Buffers for one batch size, and the graph that runs on them."""

    batch: int
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    context: tensorrt.IExecutionContext | None = None
    graph: Any = None
    done: Any = None
    """The event after its last run; None before the first."""


class TensorRtEngine:
    """A TensorRT engine; see `engines.base.DeviceEngine`.

    It works on a CUDA stream of its own, which waits for the caller's current stream, and that one
    for it. For each batch size there are two sets of input and output buffers, used in turn. The
    first run on a set is a plain one, in which TensorRT finishes its preparations; then the same
    calls are captured as a CUDA graph, which later runs replay. This first run waits for the GPU;
    `warm_up` has it over with. Each graph has an execution context of its own, since a context's
    state changes with the shapes; all contexts share one piece of working memory, which is safe on
    one stream.

    Memory of a set: batch x (input + output) x 4 bytes; for 16 crops of 192x256 and 133 joints
    9 + 26 MB.

    Not for use from several threads at a time. Not run on a GPU yet by this package's authors: the
    calls and their order were checked against the bindings of TensorRT 10.3 and 11 and against a
    stand-in that enforces the documented order.

    Parameters
    ----------
    folder : the engine's folder on the shelf; see `engines.trt.shelf`.
    networks : the sha256 of the model's network for each precision, to find an engine of an older
        network; None does not ask.
    device : the GPU's number.
    graphs : whether CUDA graphs are used.

    Raises
    ------
    EngineError : torch or TensorRT is missing, the engine was built for something else, is damaged,
        or cannot be loaded; the text names the difference and the command that helps.
    """

    def __init__(
        self,
        folder: Path,
        networks: Mapping[str, str] | None = None,
        device: int = 0,
        graphs: bool = True,
    ) -> None:
        self.path = Path(folder)
        self._torch = torch = require()
        self._graphs = graphs
        self.device = torch.device("cuda", device)
        self._errors = Errors()
        self._logger = make_logger(self._errors)
        with torch.cuda.device(self.device):
            self._engine = self._load(networks, device)
            self.inputs, self.outputs = self._specs()
            self._min_batch, self.max_batch = self._batch_limits()
            self._stream = torch.cuda.Stream(device=self.device)
            size = max(self._engine.device_memory_size_v2, 1)
            self._scratch = torch.empty(size, dtype=torch.uint8, device=self.device)
            self._plain = self._context()
        self._sets: dict[int, list[_Set]] = {}
        self._turn: dict[int, int] = {}

    def run(self, tensors: Mapping[str, npt.NDArray[np.float32]]) -> Tensors:
        """Run the network once; see `engines.base.Engine.run`. It waits for the result."""
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
                    f"{self} takes C-contiguous float32 {spec}; given was "
                    f"{getattr(array, 'dtype', type(array))} {getattr(array, 'shape', '')}"
                )
        batch = self._batch({name: array.shape for name, array in arrays.items()})
        with torch.cuda.device(self.device):
            buffers = self.buffers(batch)
            for name, array in arrays.items():
                # torch warns of arrays that cannot be written.
                writeable = array if array.flags.writeable else array.copy()
                # From memory that the GPU reads by itself; torch keeps it until the copy is done.
                pinned = torch.from_numpy(writeable).pin_memory()
                buffers[name].copy_(pinned, non_blocking=True)
            outputs = self.run_device(buffers)
            return {name: tensor.cpu().numpy() for name, tensor in outputs.items()}

    def buffers(self, batch: int) -> dict[str, Any]:
        """Tensors for the next run's inputs; see `engines.base.DeviceEngine.buffers`."""
        torch = self._torch
        shapes = {
            spec.name: (batch, *(size or 0 for size in spec.shape[1:])) for spec in self.inputs
        }
        self._batch(shapes)
        current = self._next(batch)
        if not current.inputs:
            with torch.cuda.device(self.device):
                current.inputs = {
                    name: torch.empty(shape, dtype=torch.float32, device=self.device)
                    for name, shape in shapes.items()
                }
        if current.done is not None:
            torch.cuda.current_stream(self.device).wait_event(current.done)
        return dict(current.inputs)

    def run_device(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Run the network once on the GPU; see `engines.base.DeviceEngine.run_device`."""
        torch = self._torch
        self._check_names(tensors)
        for spec in self.inputs:
            self._check_tensor(spec, tensors[spec.name])
        batch = self._batch({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        own = self._set_of(batch, tensors)
        with torch.cuda.device(self.device):
            caller = torch.cuda.current_stream(self.device)
            self._stream.wait_stream(caller)
            with torch.cuda.stream(self._stream):
                if own is None:
                    current = self._next(batch)
                    self._enqueue(self._plain, current, tensors)
                    for tensor in tensors.values():
                        tensor.record_stream(self._stream)
                else:
                    current = own
                    self._run_set(current)
                current.done = self._stream.record_event()
            caller.wait_stream(self._stream)
        return dict(current.outputs)

    def warm_up(self, batches: Iterable[int]) -> None:
        """Run each batch size on both of its sets, so that no frame has to wait for a first run."""
        for batch in batches:
            for _ in range(SETS):
                self.run_device(self.buffers(batch))
        self._torch.cuda.synchronize(self.device)

    def __str__(self) -> str:
        return f"the TensorRT engine '{self.path}'"

    # --- loading ---------------------------------------------------------------------------

    def _load(self, networks: Mapping[str, str] | None, device: int) -> tensorrt.ICudaEngine:
        import tensorrt as trt

        manifest = read_manifest(self.path)
        machine = machine_here(device)
        recipe = manifest.recipe
        wanted = {recipe.precision: recipe.onnx_sha256} if networks is None else networks
        if problems := why_not(manifest, Here(machine, wanted)):
            raise EngineError(
                f"{self} cannot be used here: {' '.join(problems)} {rebuild(manifest)}"
            )
        self.name = f"tensorrt {machine.gpu} {recipe.precision}"
        self._model = manifest.model
        plan, _ = read_plan(self.path)
        try:
            self._runtime = trt.Runtime(self._logger)
            engine = self._runtime.deserialize_cuda_engine(plan)
        except (RuntimeError, TypeError) as error:  # TypeError: its C++ factory gave nothing
            raise EngineError(f"TensorRT cannot start: {self._errors} ({error})") from error
        if engine is None:
            raise EngineError(
                f"TensorRT refuses {self}, although its manifest fits this machine: "
                f"{self._errors}. {rebuild(manifest)}"
            )
        return engine

    def _specs(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Names and shapes of inputs and outputs, which are float32 in the GPU's memory."""
        import tensorrt as trt

        engine = self._engine
        inputs: list[TensorSpec] = []
        outputs: list[TensorSpec] = []
        for i in range(engine.num_io_tensors):
            name = engine.get_tensor_name(i)
            on_gpu = engine.get_tensor_location(name) == trt.TensorLocation.DEVICE
            if engine.get_tensor_dtype(name) != trt.DataType.FLOAT or not on_gpu:
                raise EngineError(
                    f"{self}: its tensor '{name}' is {engine.get_tensor_dtype(name)}; accepted is "
                    "float32 on the GPU: convert the model again with `vitpose_ros models convert`"
                )
            shape = engine.get_tensor_shape(name)
            sizes = tuple(shape[axis] for axis in range(len(shape)))
            spec = TensorSpec(name, tuple(None if size < 0 else size for size in sizes))
            is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            (inputs if is_input else outputs).append(spec)
        return tuple(inputs), tuple(outputs)

    def _batch_limits(self) -> tuple[int, int]:
        """The smallest and the largest batch of the profile."""
        shapes = [self._engine.get_tensor_profile_shape(spec.name, 0) for spec in self.inputs]
        return max(low[0] for low, _, _ in shapes), min(high[0] for _, _, high in shapes)

    def _context(self) -> tensorrt.IExecutionContext:
        import tensorrt as trt

        strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        context = self._engine.create_execution_context(strategy)
        if context is None:
            raise EngineError(f"{self}: TensorRT gives no execution context: {self._errors}")
        context.set_device_memory(self._scratch.data_ptr(), self._scratch.numel())
        # Only an engine's first context has the profile by itself.
        if not context.set_optimization_profile_async(0, self._stream.cuda_stream):
            raise EngineError(f"{self}: TensorRT refuses the profile: {self._errors}")
        return context

    # --- running ---------------------------------------------------------------------------

    def _next(self, batch: int) -> _Set:
        """The set whose turn it is."""
        if batch not in self._sets:
            self._sets[batch] = [_Set(batch) for _ in range(SETS)]
            self._turn[batch] = 0
        turn = self._turn[batch]
        self._turn[batch] = (turn + 1) % SETS
        return self._sets[batch][turn]

    def _set_of(self, batch: int, tensors: Mapping[str, Any]) -> _Set | None:
        """The set that these tensors belong to; None when they are the caller's own."""
        for one in self._sets.get(batch, ()):
            if one.inputs and all(
                one.inputs[name].data_ptr() == tensor.data_ptr() for name, tensor in tensors.items()
            ):
                return one
        return None

    def _run_set(self, one: _Set) -> None:
        """On our stream: replay the graph; or run plainly, and capture what was run."""
        if one.graph is not None:
            one.graph.replay()
            return
        if not self._graphs or one.batch > GRAPH_BATCH:
            self._enqueue(self._plain, one, one.inputs)
            return
        one.context = one.context or self._context()
        self._enqueue(one.context, one, one.inputs)
        one.graph = self._capture(one.context, one)

    def _enqueue(
        self, context: tensorrt.IExecutionContext, one: _Set, inputs: Mapping[str, Any]
    ) -> None:
        """Shapes, then addresses, then the run, on our stream."""
        torch = self._torch
        for name, tensor in inputs.items():
            self._must(context.set_input_shape(name, tuple(tensor.shape)), "the shape of", name)
        if not one.outputs:
            one.outputs = {
                spec.name: torch.empty(
                    self._shape_now(context, spec), dtype=torch.float32, device=self.device
                )
                for spec in self.outputs
            }
        for name, tensor in (*inputs.items(), *one.outputs.items()):
            self._must(context.set_tensor_address(name, tensor.data_ptr()), "the memory of", name)
        self._execute(context)

    def _execute(self, context: tensorrt.IExecutionContext) -> None:
        if not context.execute_async_v3(self._stream.cuda_stream):
            raise EngineError(f"{self} failed on the GPU: {self._errors}")

    def _shape_now(self, context: tensorrt.IExecutionContext, spec: TensorSpec) -> tuple[int, ...]:
        """An output's shape for the inputs' shapes that the context has."""
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

    def _capture(self, context: tensorrt.IExecutionContext, one: _Set) -> Any:
        """The run that was just made, as a graph; None, once and for all, where that fails."""
        torch = self._torch
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads (the next frame's upload) may use the GPU meanwhile.
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
                f"{self} takes the inputs {', '.join(names)}; given were "
                f"{', '.join(tensors) or 'none'}"
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
            given += "" if contiguous else ", not contiguous"  # TensorRT reads it as if it were
        raise EngineError(
            f"{self} takes a contiguous torch.float32 tensor {spec} on {self.device}; given was "
            f"{given}"
        )

    def _batch(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """The batch size; EngineError when a shape does not fit."""
        batches = {shape[:1] for shape in shapes.values()}
        for spec in self.inputs:
            shape = shapes[spec.name]
            if len(shape) != len(spec.shape) or any(
                want not in (None, have) for want, have in zip(spec.shape, shape, strict=True)
            ):
                raise EngineError(f"{self} takes {spec}; given was the shape {tuple(shape)}")
        if len(batches) > 1:
            raise EngineError(f"{self}: its inputs were given with different batch sizes")
        batch = batches.pop()[0]
        if not self._min_batch <= batch <= self.max_batch:
            raise EngineError(
                f"{self} takes {self._min_batch} to {self.max_batch} samples at once, given were "
                f"{batch}; build one for more with: vitpose_ros engine build {self._model} "
                f"--max-batch {max(batch, 1)}"
            )
        return batch
