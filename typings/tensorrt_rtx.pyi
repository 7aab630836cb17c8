# What only TensorRT for RTX has, as far as this package uses it; the rest is in tensorrt.pyi.
# test/core/engines/test_tensorrt_api.py holds both against the real bindings.
from enum import Enum

import tensorrt
from tensorrt import ExecutionContextAllocationStrategy as ExecutionContextAllocationStrategy
from tensorrt import IHostMemory

class ComputeCapability(Enum):
    SM89 = ...  # one of those that variants.py finds by their names

class BuilderFlag(Enum):
    REQUIRE_USER_ALLOCATION = ...

class DynamicShapesKernelSpecializationStrategy(Enum):
    EAGER = ...

class IBuilderConfig(tensorrt.IBuilderConfig):
    num_compute_capabilities: int
    def set_flag(self, flag: BuilderFlag) -> None: ...
    def set_compute_capability(self, compute_capability: ComputeCapability, index: int) -> bool: ...

class IRuntimeCache:
    def deserialize(self, blob: bytes) -> bool: ...
    def serialize(self) -> IHostMemory: ...

class IRuntimeConfig:
    dynamic_shapes_kernel_specialization_strategy: DynamicShapesKernelSpecializationStrategy
    def set_execution_context_allocation_strategy(
        self, strategy: ExecutionContextAllocationStrategy
    ) -> None: ...
    def create_runtime_cache(self) -> IRuntimeCache: ...
    def set_runtime_cache(self, cache: IRuntimeCache) -> bool: ...

class IExecutionContext(tensorrt.IExecutionContext):
    def is_stream_capturable(self, stream: int) -> bool: ...

class ICudaEngine(tensorrt.ICudaEngine):
    def create_runtime_config(self) -> IRuntimeConfig: ...
    def create_execution_context(  # type: ignore[override]
        self, runtime_config: IRuntimeConfig
    ) -> IExecutionContext | None: ...
