"""A stand-in for TensorRT's Python API that enforces the documented order of calls.

It offers what typings/tensorrt.pyi lists and nothing else; an engine's numbers come from OpenVINO
on the same ONNX file. A call at the wrong time raises OrderError, so that no caller can take it for
one of TensorRT's own refusals. What the parser and the builder refuse, and how, is compared with
the real TensorRT for RTX in rtx/test_agreement.py.
"""

from __future__ import annotations

import json
import tempfile
from enum import Enum
from pathlib import Path
from types import ModuleType

import fake_torch
import numpy as np
import onnx

from vitpose_ros.engines.openvino import OpenVinoEngine

MAGIC = b"fake plan\n"


class OrderError(AssertionError):
    """What TensorRT's documentation forbids."""


def require(condition, what):
    if not condition:
        raise OrderError(what)


def _clash(content):
    """Why the types of a network do not fit together; "" where they do."""
    model = onnx.load_from_string(content)
    del model.graph.value_info[:]
    try:
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except Exception as error:  # noqa: BLE001  (whatever onnx raises)
        return str(error)
    return ""


def _refusal(network, config):
    """Why TensorRT does not build a network as configured; "" where it does."""
    if network._content is None:
        return "Network must have at least one output."
    if not config._profiles:
        return "Network has dynamic or shape inputs, but no optimization profile has been defined."
    for name, shape in network._inputs:
        if name not in config._profiles[0]._shapes:
            return f"Dynamic input tensor {name} is missing dimensions in profile 0."
        for given in config._profiles[0]._shapes[name]:
            if any(size not in (-1, have) for size, have in zip(shape, given, strict=True)):
                return f"Dimension mismatch for tensor {name} and profile 0."
    return ""


def make(version="10.3.0"):
    """A fresh `tensorrt` module. Its `calls` tells what was called, its `settings` what goes wrong:
    build (a reason to fail), refuse (a reason not to deserialise), distort (applied to outputs).
    """
    trt = ModuleType("tensorrt")
    trt.__version__ = version
    trt.calls, trt.settings = [], {}

    def record(name, *arguments):
        trt.calls.append((name, *arguments))

    class DataType(Enum):
        FLOAT, HALF = 0, 1

    class TensorIOMode(Enum):
        INPUT, OUTPUT = 1, 2

    class TensorLocation(Enum):
        DEVICE, HOST = 0, 1

    class MemoryPoolType(Enum):
        WORKSPACE = 0

    class BuilderFlag(Enum):
        TF32 = 7

    class NetworkDefinitionCreationFlag(Enum):
        STRONGLY_TYPED = 1

        def __int__(self):
            return self.value

    class ExecutionContextAllocationStrategy(Enum):
        USER_MANAGED = 2

    class Dims(tuple):
        __slots__ = ()

    class ILogger:
        class Severity(Enum):
            INTERNAL_ERROR, ERROR, WARNING, INFO = range(4)

        def __init__(self):
            self.ready = True

        def log(self, severity, msg):
            raise NotImplementedError

    class IProgressMonitor:
        def __init__(self):
            self.ready = True

        def phase_start(self, phase_name, parent_phase, num_steps):
            raise NotImplementedError

        def step_complete(self, phase_name, step):
            raise NotImplementedError

        def phase_finish(self, phase_name):
            raise NotImplementedError

    class IHostMemory(bytes):
        pass

    class ITensor:
        def __init__(self, name, shape):
            self._name, self._shape = name, Dims(shape)

        name = property(lambda self: self._name)
        shape = property(lambda self: self._shape)

    class INetworkDefinition:
        def __init__(self, flags):
            self._flags, self._content, self._inputs = flags, None, []

        num_inputs = property(lambda self: len(self._inputs))

        def get_input(self, index):
            return ITensor(*self._inputs[index])

    class IOptimizationProfile:
        def __init__(self):
            self._shapes = {}

        def set_shape(self, input, min, opt, max):  # noqa: A002  (TensorRT's own names)
            record("set_shape", input, min, opt, max)
            self._shapes[input] = min, opt, max

    class ITimingCache:
        def __init__(self, content):
            self._content = content

        def serialize(self):
            return IHostMemory(self._content)

    class IBuilderConfig:
        def __init__(self, logger):
            self._logger = logger
            self.builder_optimization_level = 3
            self.progress_monitor = None
            self._profiles, self._cache, self._tf32 = [], None, True

        def set_memory_pool_limit(self, pool, pool_size):
            record("set_memory_pool_limit", pool.name, pool_size)

        def clear_flag(self, flag):
            record("clear_flag", flag.name)
            self._tf32 = False

        def add_optimization_profile(self, profile):
            for name, (low, opt, high) in profile._shapes.items():
                if not all(a <= b <= c for a, b, c in zip(low, opt, high, strict=True)):
                    reason = f"Invalid optimization profiles for input tensors {name}"
                    self._logger.log(ILogger.Severity.ERROR, reason)
                    return -1
            self._profiles.append(profile)
            return len(self._profiles) - 1

        def create_timing_cache(self, serialized_timing_cache):
            record("create_timing_cache", bytes(serialized_timing_cache))
            return ITimingCache(bytes(serialized_timing_cache))

        def set_timing_cache(self, cache, ignore_mismatch):
            require(ignore_mismatch is False, "measurements of another GPU are taken")
            known = trt.settings.get("cache_header", b"timings ")
            if cache._content and not cache._content.startswith(known):
                return False
            self._cache = cache
            return True

        def get_timing_cache(self):
            return self._cache

    class Builder:
        def __init__(self, logger):
            require(isinstance(logger, ILogger) and logger.ready, "the logger's base was not made")
            if trt.settings.get("no_driver"):
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self._logger = logger

        def create_network(self, flags):
            record("create_network", flags)
            return INetworkDefinition(flags)

        def create_builder_config(self):
            return trt.IBuilderConfig(self._logger)

        def create_optimization_profile(self):
            return IOptimizationProfile()

        def build_serialized_network(self, network, config):
            if refusal := _refusal(network, config):
                self._logger.log(ILogger.Severity.ERROR, refusal)
                return None
            require(
                network._flags == 1 << trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED.value,
                "TensorRT 10 would choose precisions by itself",
            )
            monitor = config.progress_monitor
            if monitor is not None:
                require(monitor.ready, "the monitor's base was not made")
                monitor.phase_start("Building Engine", None, 2)
                monitor.phase_start("Tactics", "Building Engine", 4)
                for step in range(4):
                    if trt.settings.get("on_step"):
                        trt.settings["on_step"](step)
                    if not monitor.step_complete("Tactics", step):
                        return None
                monitor.phase_finish("Tactics")
                monitor.step_complete("Building Engine", 0)
                monitor.phase_finish("Building Engine")
            if reason := trt.settings.get("build"):
                self._logger.log(ILogger.Severity.ERROR, reason)
                return None
            record("build_serialized_network")
            cache = config._cache
            if cache is not None:
                cache._content = cache._content or b"timings of this GPU"
            head = {"version": version, "profile": config._profiles[0]._shapes}
            return IHostMemory(MAGIC + json.dumps(head).encode() + b"\n" + network._content)

    class ParserError:
        def __init__(self, desc, node=None):
            self._desc, self._node = desc, node

        def desc(self):
            return self._desc

        def node_name(self):
            return self._node.name if self._node else ""

        def node_operator(self):
            return self._node.op_type if self._node else ""

    class OnnxParser:
        def __init__(self, network, logger):
            self._network, self._errors = network, []

        num_errors = property(lambda self: len(self._errors))

        def parse_from_file(self, model):
            record("parse_from_file", Path(model).name)
            if not Path(model).is_file():
                self._errors.append(ParserError(f"Input file cannot be found: {model}"))
                return False
            content = Path(model).read_bytes()
            try:
                graph = onnx.load_from_string(content).graph
            except Exception:  # noqa: BLE001  (whatever onnx raises)
                self._errors.append(ParserError("Failed to parse the ONNX model."))
                return False
            for node in graph.node:
                if not onnx.defs.has(node.op_type):
                    text = "Plugin not found, are the plugin name, version, and namespace correct?"
                    self._errors.append(ParserError(f'creator && "{text}"', node))
            clash = "" if self._errors else _clash(content)
            if clash:
                node = next((n for n in graph.node if n.op_type in clash), None)
                self._errors.append(ParserError(f"must have same input types: {clash}", node))
            if self._errors:
                return False
            self._network._content = content
            self._network._inputs = [
                (one.name, [d.dim_value or -1 for d in one.type.tensor_type.shape.dim])
                for one in graph.input
            ]
            return True

        def get_error(self, index):
            return self._errors[index]

    class IExecutionContext:
        def __init__(self, engine, first):
            self._engine = engine
            self._profile = first
            self._memory = self._user_managed = 0
            self._shapes, self._addresses = {}, {}
            self._ran = None  # shapes and addresses of the last plain run
            self._errors = []

        def set_optimization_profile_async(self, profile_index, stream_handle):
            require(stream_handle != 0, "the default stream is used")
            self._profile = profile_index == 0
            return self._profile

        def set_device_memory(self, memory, size):
            require(memory % 256 == 0, "the working memory is not aligned to 256 bytes")
            require(memory in fake_torch.memory, "the working memory is not on the GPU")
            require(size >= self._engine.device_memory_size_v2, "the working memory is too small")
            self._memory = memory

        def set_input_shape(self, name, shape):
            record("set_input_shape", name, shape)
            require(self._profile, "shapes are set before the profile")
            low, _, high = self._engine._profile[name]
            if not all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True)):
                self._engine._logger.log(ILogger.Severity.ERROR, f"{shape} is not in the profile")
                return False
            if self._shapes.get(name) != shape:
                self._addresses.clear()  # what was given for another shape counts no more
                self._ran = None
            self._shapes[name] = shape
            return True

        def get_tensor_shape(self, name):
            require(set(self._shapes) == set(self._engine._profile), "shapes are asked before set")
            batch = next(iter(self._shapes.values()))[0]
            spec = next(s for s in self._engine._specs if s.name == name)
            return Dims((batch, *spec.shape[1:]))

        def set_tensor_address(self, name, memory):
            record("set_tensor_address", name)
            require(
                set(self._shapes) == set(self._engine._profile), "an address is set before shapes"
            )
            tensor = fake_torch.memory.get(memory)
            require(tensor is not None, f"'{name}' is not in the GPU's memory")
            require(tensor.array.dtype == np.float32, f"'{name}' is not float32")
            require(tensor.array.flags.c_contiguous, f"'{name}' is not contiguous")
            require(
                tensor.shape == tuple(self.get_tensor_shape(name)),
                f"'{name}' is of the shape {tensor.shape}",
            )
            self._addresses[name] = memory
            return True

        def execute_async_v3(self, stream_handle):
            capturing = fake_torch._gpu.capturing is not None
            record("capture" if capturing else "execute")
            names = {spec.name for spec in self._engine._specs}
            require(self._memory, "there is no working memory")
            require(set(self._addresses) == names, "not every tensor has an address")
            require(stream_handle != 0, "the default stream is used")
            state = dict(self._shapes), dict(self._addresses)
            if capturing:
                require(self._ran == state, "a capture without a plain run of the same before it")
            self._ran = state
            addresses = dict(self._addresses)

            def work():
                require(
                    not capturing or self._ran == state,
                    "a graph is replayed after its context's shapes or addresses changed",
                )
                self._engine._compute(addresses)

            fake_torch.stream_of(stream_handle).put(work)
            if trt.settings.get("execute_fails"):
                self._engine._logger.log(ILogger.Severity.ERROR, "an illegal memory access")
                return False
            return True

    class ICudaEngine:
        def __init__(self, head, content, logger):
            self._profile = head["profile"]
            self._logger, self._contexts = logger, 0
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "network.onnx"
                path.write_bytes(content)
                self._network = OpenVinoEngine(path, threads=1)
            self._specs = self._network.inputs + self._network.outputs

        num_io_tensors = property(lambda self: len(self._specs))
        device_memory_size_v2 = property(lambda self: 4096)

        def get_tensor_name(self, index):
            return self._specs[index].name

        def get_tensor_mode(self, name):
            return TensorIOMode.INPUT if name in self._profile else TensorIOMode.OUTPUT

        def get_tensor_shape(self, name):
            spec = next(spec for spec in self._specs if spec.name == name)
            return Dims(-1 if size is None else size for size in spec.shape)

        def get_tensor_dtype(self, name):
            return DataType[trt.settings.get("dtype", "FLOAT")]

        def get_tensor_location(self, name):
            return TensorLocation.DEVICE

        def get_tensor_profile_shape(self, name, profile_index):
            require(name in self._profile, "the profile of an output is asked for")
            return [Dims(shape) for shape in self._profile[name]]

        def create_execution_context(self, strategy):
            self._contexts += 1
            record("create_execution_context")
            return trt.IExecutionContext(self, self._contexts == 1)

        def _compute(self, addresses):
            arrays = {name: fake_torch.memory[at].array for name, at in addresses.items()}
            given = {spec.name: arrays[spec.name].copy() for spec in self._network.inputs}
            distort = trt.settings.get("distort", lambda array: array)
            for name, array in self._network.run(given).items():
                arrays[name][:] = distort(array)

    class Runtime:
        def __init__(self, logger):
            require(isinstance(logger, ILogger) and logger.ready, "the logger's base was not made")
            self._logger = logger

        def deserialize_cuda_engine(self, serialized_engine):
            record("deserialize_cuda_engine")
            require(serialized_engine.startswith(MAGIC), "a damaged engine reaches TensorRT")
            head, content = serialized_engine[len(MAGIC) :].split(b"\n", 1)
            head = json.loads(head)
            if head["version"] != version or trt.settings.get("refuse"):
                reason = trt.settings.get("refuse") or "the engine plan file is incompatible"
                self._logger.log(ILogger.Severity.ERROR, reason)
                return None
            return trt.ICudaEngine(head, content, self._logger)

    for one in (
        *(DataType, TensorIOMode, TensorLocation, MemoryPoolType, BuilderFlag, Dims, ILogger),
        *(NetworkDefinitionCreationFlag, ExecutionContextAllocationStrategy, IProgressMonitor),
        *(IHostMemory, ITensor, INetworkDefinition, IOptimizationProfile, ITimingCache, Runtime),
        *(IBuilderConfig, Builder, ParserError, OnnxParser, IExecutionContext, ICudaEngine),
    ):
        setattr(trt, one.__name__, one)
    return trt
