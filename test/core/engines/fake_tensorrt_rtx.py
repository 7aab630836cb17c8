"""A stand-in for TensorRT for RTX: that for TensorRT with what typings/tensorrt_rtx.pyi adds."""

from __future__ import annotations

from enum import Enum

import fake_tensorrt
from fake_tensorrt import require


def make(version="1.7.1.116"):
    """A fresh `tensorrt_rtx` module. Beside the settings of `fake_tensorrt.make`: `environment`,
    what kernels are compiled for, and `capturable`.
    """
    rtx = fake_tensorrt.make(version)
    rtx.__name__ = "tensorrt_rtx"

    class NetworkDefinitionCreationFlag(Enum):
        STRONGLY_TYPED = 0

        def __int__(self):
            return self.value

    names = ("NONE", "CURRENT", "SM75", "SM80", "SM86", "SM89", "SM120", "SM121")
    ComputeCapability = Enum("ComputeCapability", names)  # noqa: N806  (a class)

    class BuilderFlag(Enum):
        TF32, REQUIRE_USER_ALLOCATION = 7, 20

    class DynamicShapesKernelSpecializationStrategy(Enum):
        LAZY, EAGER, NONE = range(3)

    class IBuilderConfig(rtx.IBuilderConfig):
        def __init__(self, logger):
            super().__init__(logger)
            self.num_compute_capabilities = 0
            self._capabilities, self._captured = {}, False

        def set_flag(self, flag):
            rtx.calls.append(("set_flag", flag.name))
            self._captured = flag is BuilderFlag.REQUIRE_USER_ALLOCATION

        def set_compute_capability(self, compute_capability, index):
            if not 0 <= index < self.num_compute_capabilities:
                return False
            self._capabilities[index] = compute_capability
            rtx.calls.append(("set_compute_capability", compute_capability.name))
            return True

        def create_timing_cache(self, serialized_timing_cache):
            require(False, "a timing cache asks for a GPU, and has no effect")

    class Builder(rtx.Builder):
        def build_serialized_network(self, network, config):
            require(config._captured, "the engine could not run as a CUDA graph")
            given = config._capabilities
            require(len(given) == config.num_compute_capabilities, "a target was not set")
            refusal = rtx.settings.get("turing")
            if refusal and ComputeCapability.SM75 in given.values():
                self._logger.log(rtx.ILogger.Severity.ERROR, refusal)
                return None
            return super().build_serialized_network(network, config)

    class IRuntimeCache:
        def __init__(self):
            self._kernels = set()

        def deserialize(self, blob):
            rtx.calls.append(("deserialize_cache",))
            head, _, kernels = bytes(blob).decode().partition(":")
            if head != _environment():
                return False
            self._kernels = set(kernels.split(","))
            return True

        def serialize(self):
            text = f"{_environment()}:{','.join(sorted(self._kernels))}"
            return rtx.IHostMemory(text.encode())

    class IRuntimeConfig:
        def __init__(self):
            self.dynamic_shapes_kernel_specialization_strategy = None
            self._strategy = self._cache = None

        def set_execution_context_allocation_strategy(self, strategy):
            self._strategy = strategy

        def create_runtime_cache(self):
            return IRuntimeCache()

        def set_runtime_cache(self, cache):
            self._cache = cache
            return True

    class IExecutionContext(rtx.IExecutionContext):
        def is_stream_capturable(self, stream):
            return rtx.settings.get("capturable", True)

        def execute_async_v3(self, stream_handle):
            kernels = self._config._cache._kernels
            kernel = str(next(iter(self._shapes.values()))[0])
            if kernel not in kernels:
                rtx.calls.append(("compile", kernel))
                kernels.add(kernel)
            return super().execute_async_v3(stream_handle)

    class ICudaEngine(rtx.ICudaEngine):
        def create_runtime_config(self):
            return IRuntimeConfig()

        def create_execution_context(self, runtime_config):
            lazy = runtime_config.dynamic_shapes_kernel_specialization_strategy
            eager = DynamicShapesKernelSpecializationStrategy.EAGER
            require(lazy is eager, "a graph would replay the general kernels for ever")
            context = super().create_execution_context(runtime_config._strategy)
            context._config = runtime_config
            return context

    def _environment():
        return rtx.settings.get("environment", "driver 580")

    for one in (
        *(NetworkDefinitionCreationFlag, BuilderFlag, DynamicShapesKernelSpecializationStrategy),
        *(IBuilderConfig, Builder, IRuntimeCache, IRuntimeConfig, IExecutionContext, ICudaEngine),
        ComputeCapability,
    ):
        setattr(rtx, one.__name__, one)
    return rtx
