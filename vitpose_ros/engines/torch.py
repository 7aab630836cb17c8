"""Networks through torch: ONNX files on a GPU without TensorRT, and the reference in tests.

The ONNX file runs node by node in the types that it names, so that what was decided at conversion
(float32, or float16 with float32 where it matters) is what is computed; see `onnx_torch`. On a GPU
the nodes are captured as one CUDA graph per batch size, which removes Python's overhead.
Channels-last memory and torch.compile are not used: we have not measured whether they help.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import EngineError, Tensors, TensorSpec
from vitpose_ros.engines.gpu_errors import gpu_errors
from vitpose_ros.engines.onnx_nodes import Network, fuse, parse, read_network

_log = logging.getLogger(__name__)

DEVICES = r"cpu|cuda(:[0-9]+)?"
"""Names of devices."""

GRAPH_BATCH = 16
"""The largest batch that runs as a CUDA graph: in larger ones the GPU's work hides the launches."""


class _Buffers:
    """The tensors of one batch size, and the CUDA graph over them."""

    def __init__(self, inputs: dict[str, Any]) -> None:
        self.inputs = inputs
        self.outputs: dict[str, Any] = {}
        self.graph: Any = None


class TorchEngine:
    """A network on an NVIDIA GPU or on the CPU; see `engines.base.DeviceEngine`.

    Inputs and outputs are float32; inside, each node has the type that the file gives it. float32
    is computed in full, without TensorFloat-32. On the CPU, float16 is rounded like on a GPU, but
    slow: good for comparisons, not for use.

    On a GPU the engine has a stream of its own. The first run of a batch size is captured as a CUDA
    graph, which takes a moment; later runs replay it.

    Not thread-safe.

    Parameters
    ----------
    path : an ONNX file.
    device : "cuda", "cuda:1", ... or "cpu".
    graphs : whether to use CUDA graphs.

    Raises
    ------
    EngineError : torch or onnx is not installed, torch finds no GPU or too little memory on it, the
        file is missing or cannot be read, or it has an unknown operator.
    """

    max_batch: int | None = None

    def __init__(self, path: Path, device: str = "cuda", graphs: bool = True) -> None:
        self.path = Path(path)
        self._torch = import_torch()
        with gpu_errors(f"loading '{self.path}' with torch"):
            self.device = _device(self._torch, device)
            network = fuse(parse(read_network(self.path), str(self.path)))
            self.precision = _precision(network)
            self.name = f"torch {self._where()} {self.precision}"
            self._one_sample = all(s.shape[:1] == (1,) for s in network.inputs + network.outputs)
            self.inputs = tuple(_any_batch(spec) for spec in network.inputs)
            self.outputs = tuple(_any_batch(spec) for spec in network.outputs)
            self._graph = self._load(network)
            self._buffers: dict[int, _Buffers] = {}
            self._on_gpu = False
            if self.device.type == "cuda":
                self._use_gpu(graphs)

    def _use_gpu(self, graphs: bool) -> None:
        """Make the stream and the graphs' memory pool, once the weights are on their way."""
        cuda = self._torch.cuda
        self._on_gpu, self._capture = True, graphs
        self._stream = cuda.Stream(self.device)
        self._stream.wait_stream(cuda.current_stream(self.device))  # for the weights
        self._pool = cuda.graph_pool_handle()

    def run(self, tensors: Mapping[str, npt.NDArray[np.float32]]) -> Tensors:
        """Run the network once; see `engines.base.Engine.run`."""
        torch = self._torch
        for name, array in tensors.items():
            if not isinstance(array, np.ndarray) or not array.flags.c_contiguous:
                raise EngineError(
                    f"'{self.path}' takes C-contiguous numpy arrays; {name} was "
                    f"{type(array).__name__}"
                )
        writeable = {n: a if a.flags.writeable else a.copy() for n, a in tensors.items()}
        given = {name: torch.from_numpy(array) for name, array in writeable.items()}
        inputs = self.buffers(self._check(given, torch.device("cpu")))
        with gpu_errors(f"running '{self.path}' on {self.name}"):
            for name, tensor in given.items():
                # The GPU copies from page-locked memory, which torch keeps until the copy is done.
                tensor = tensor.pin_memory() if self._on_gpu else tensor
                inputs[name].copy_(tensor, non_blocking=True)
            outputs = self.run_device(inputs)
            return {name: tensor.cpu().numpy().copy() for name, tensor in outputs.items()}

    def buffers(self, batch: int) -> dict[str, Any]:
        """The input tensors of a batch size; see `engines.base.DeviceEngine.buffers`."""
        return dict(self._buffers_of(batch).inputs)

    def run_device(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Run the network once; see `engines.base.DeviceEngine.run_device`."""
        batch = self._check(tensors, self.device)
        own = self._buffers_of(batch)
        with (
            gpu_errors(f"running '{self.path}' on {self.name}"),
            self._torch.no_grad(),
            self._exact(),
        ):
            if self._on_gpu:
                self._run_on_gpu(own, batch, tensors)
            else:
                own.outputs = self._compute(tensors)
        return dict(own.outputs)

    def warm_up(self, batches: Iterable[int]) -> None:
        """Run each batch size once, so that no frame waits for a first run."""
        for batch in batches:
            self.run_device(self.buffers(batch))
        if self._on_gpu:
            with gpu_errors(f"running '{self.path}' on {self.name}"):
                self._torch.cuda.synchronize(self.device)

    def _run_on_gpu(self, own: _Buffers, batch: int, tensors: Mapping[str, Any]) -> None:
        cuda = self._torch.cuda
        caller = cuda.current_stream(self.device)
        self._stream.wait_stream(caller)
        with cuda.stream(self._stream):
            if own.graph is None and self._capture and batch <= GRAPH_BATCH:
                self._compute(own.inputs)  # libraries allocate in a first run, not in the capture
                self._make_graph(own)
            if own.graph is None:
                own.outputs = self._compute(tensors)
                for tensor in (*tensors.values(), *own.outputs.values()):
                    tensor.record_stream(self._stream)
                    tensor.record_stream(caller)
            else:
                for name, tensor in tensors.items():
                    if tensor.data_ptr() != own.inputs[name].data_ptr():
                        own.inputs[name].copy_(tensor, non_blocking=True)
                        tensor.record_stream(self._stream)
                own.graph.replay()
        caller.wait_stream(self._stream)

    def _make_graph(self, own: _Buffers) -> None:
        """Capture a run on the engine's own tensors; where that fails, stop using graphs."""
        cuda = self._torch.cuda
        graph = cuda.CUDAGraph()
        try:
            # thread_local: other threads may use the GPU meanwhile. One pool for all graphs: they
            # never run at the same time, and their outputs are held here.
            with cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                outputs = self._compute(own.inputs)
        except RuntimeError as error:
            _log.warning("%s runs without CUDA graphs, which is slower: %s", self.name, error)
            self._capture = False
        else:
            own.graph, own.outputs = graph, outputs

    def _compute(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs of a batch, new tensors, contiguous."""
        (batch,) = {len(tensor) for tensor in tensors.values()}
        if not self._one_sample or batch == 1:
            found = self._graph(tensors)
            return {name: value.float().contiguous() for name, value in found.items()}
        parts = [self._graph({n: t[i : i + 1] for n, t in tensors.items()}) for i in range(batch)]
        return {
            spec.name: self._torch.cat([part[spec.name].float() for part in parts])
            for spec in self.outputs
        }

    def _buffers_of(self, batch: int) -> _Buffers:
        if batch not in self._buffers:
            with gpu_errors(f"running '{self.path}' on {self.name}"):
                self._buffers[batch] = _Buffers(self._empty(batch))
        return self._buffers[batch]

    def _empty(self, batch: int) -> dict[str, Any]:
        if any(size is None for spec in self.inputs for size in spec.shape[1:]):
            raise EngineError(
                f"'{self.path}' has inputs whose sizes vary besides the batch; the torch engine "
                "needs fixed sizes"
            )
        return {
            spec.name: self._torch.zeros((batch, *spec.shape[1:]), device=self.device)
            for spec in self.inputs
        }

    def _check(self, tensors: Mapping[str, Any], device: Any) -> int:
        """The batch size; EngineError where a tensor does not fit."""
        names = [spec.name for spec in self.inputs]
        if set(tensors) != set(names):
            raise EngineError(
                f"'{self.path}' takes the inputs {', '.join(names)}; "
                f"got {', '.join(tensors) or 'none'}"
            )
        for spec in self.inputs:
            tensor = tensors[spec.name]
            fits = (
                isinstance(tensor, self._torch.Tensor)
                and tensor.dtype == self._torch.float32
                and tensor.device == device
                and tensor.ndim == len(spec.shape)
                and all(w in (None, h) for w, h in zip(spec.shape, tensor.shape, strict=True))
                and tensor.is_contiguous()
                and tensor.numel() > 0
            )
            if not fits:
                given = (
                    f"{tensor.dtype} {tuple(tensor.shape)} on {tensor.device}"
                    if isinstance(tensor, self._torch.Tensor)
                    else type(tensor).__name__
                )
                raise EngineError(
                    f"'{self.path}' takes contiguous float32 {spec} on {device}; got {given}"
                )
        batches = {len(tensor) for tensor in tensors.values()}
        if len(batches) > 1:
            raise EngineError(f"'{self.path}': its inputs have different batch sizes")
        return batches.pop()

    def _load(self, network: Network) -> Any:
        from vitpose_ros.engines.onnx_torch import OnnxGraph

        with self._torch.no_grad(), self._exact():
            return OnnxGraph(network, self.device, self.path.name)

    def _where(self) -> str:
        if self.device.type == "cpu":
            return "CPU"
        return str(self._torch.cuda.get_device_name(self.device))

    @contextlib.contextmanager
    def _exact(self) -> Iterator[None]:
        """Sum in full float32: by default torch may round factors to 10 bits (TensorFloat-32), and
        add partial sums of float16 products in float16.
        """
        backends = self._torch.backends
        matmul = backends.cuda.matmul
        before = matmul.allow_tf32, matmul.allow_fp16_reduced_precision_reduction
        matmul.allow_tf32 = matmul.allow_fp16_reduced_precision_reduction = False
        try:
            with backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=False, allow_tf32=False
            ):
                yield
        finally:
            matmul.allow_tf32, matmul.allow_fp16_reduced_precision_reduction = before


def import_torch() -> Any:
    """The package torch; EngineError with the install command where it is missing."""
    try:
        import torch
    except ImportError as error:
        raise EngineError(
            f"the torch engine needs the Python package torch. Install it with: {sys.executable} "
            "-m pip install torch; on a Jetson, install NVIDIA's wheel for its JetPack, see "
            f"docs/gpu.md ({error})"
        ) from error
    return torch


def _device(torch: Any, name: str) -> Any:
    """The device of that name, with its number; EngineError where it does not exist."""
    kind, _, number = name.partition(":")
    if not re.fullmatch(DEVICES, name):
        raise EngineError(f"device: expected cuda, cuda:N or cpu, got '{name}'")
    if kind == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        built = f"was built for CUDA {torch.version.cuda}" if torch.version.cuda else "has no CUDA"
        raise EngineError(
            f"torch finds no NVIDIA GPU: torch {torch.__version__} of {sys.executable} {built}. "
            "Check the driver with nvidia-smi (on a Jetson, check that torch is NVIDIA's wheel for "
            "its JetPack), or set engine to openvino; see docs/gpu.md"
        )
    count = torch.cuda.device_count()
    index = int(number) if number else torch.cuda.current_device()
    if index >= count:
        raise EngineError(
            f"device: '{name}' does not exist; torch finds {count} GPUs, from cuda:0 on"
        )
    return torch.device("cuda", index)


def _precision(network: Network) -> str:
    """Returns "mixed" where some weights are float16, else "fp32"."""
    kinds = {value.dtype for value in network.constants.values()}
    return "mixed" if np.dtype(np.float16) in kinds else "fp32"


def _any_batch(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(spec.name, (None, *spec.shape[1:]))
