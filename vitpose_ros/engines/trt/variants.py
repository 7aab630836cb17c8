"""All that differs between TensorRT and TensorRT for RTX; the other code is the same for both.

| | TensorRT | TensorRT for RTX |
|---|---|---|
| an engine runs on | the GPU that it was built on | any GPU of its compute capabilities |
| a build needs | that GPU, and minutes to measure kernels | no GPU, and seconds |
| kept from run to run | measurements, for the next build | kernels compiled for this GPU |
| compared with float32 | after the build | when a GPU first loads it |

We had no access to a GPU: builds of TensorRT for RTX are tested with the real library; loading and
running, only with a stand-in.
"""

from __future__ import annotations

import importlib
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.trt.caches import cache_path, read_cache, write_cache

if TYPE_CHECKING:
    import tensorrt
    import tensorrt_rtx

    from vitpose_ros.engines.trt.key import Machine, Portable

TURING = "7.5"
"""The oldest compute capability of TensorRT for RTX. An engine for it is built only on request: it
may be slower on other GPUs, NVIDIA's documents warn, and cannot be float32.
"""

_log = logging.getLogger(__name__)


class TensorRt:
    """TensorRT: engines for one GPU, built on it."""

    name: ClassVar[str] = "tensorrt"
    """As the parameter `engine` has it."""
    module: ClassVar[str] = "tensorrt"
    title: ClassVar[str] = "TensorRT"
    oldest: ClassVar[tuple[int, ...]] = (10, 3)
    """The oldest release with everything that is used here: that of JetPack 6.1."""
    portable: ClassVar[bool] = False
    """Whether engines are built without the GPU that will run them."""

    def load(self) -> Any:
        """The Python module; ImportError or OSError where it or one of its libraries is missing."""
        return importlib.import_module(self.module)

    def configure(
        self, config: tensorrt.IBuilderConfig, target: Machine | Portable, folder: Path
    ) -> None:
        """Set what a build needs: the shelf's timing cache, or an empty one where TensorRT refuses
        it.
        """
        cache = read_cache(cache_path(folder, "timing", cast("Machine", target)))
        for content in (cache, b""):
            timings = config.create_timing_cache(content)
            if timings is not None and config.set_timing_cache(timings, False):
                return

    def built(
        self, config: tensorrt.IBuilderConfig, target: Machine | Portable, folder: Path
    ) -> None:
        """Keep what a build measured; OSError on failure."""
        timings = config.get_timing_cache()
        if timings is not None:
            cache = cache_path(folder, "timing", cast("Machine", target))
            write_cache(cache, bytes(timings.serialize()))

    def contexts(self, engine: tensorrt.ICudaEngine, machine: Machine, folder: Path) -> Contexts:
        """Makes execution contexts of an engine that was loaded on a machine from a folder."""
        return Contexts(engine)


class TensorRtRtx(TensorRt):
    """TensorRT for RTX: engines for all GPUs of some compute capabilities, built anywhere."""

    name = "tensorrt-rtx"
    module = "tensorrt_rtx"
    title = "TensorRT for RTX"
    oldest = (1, 2)  # the first whose runs can be captured, by its release notes
    portable = True

    def capabilities(self) -> tuple[str, ...]:
        """The compute capabilities that the library builds for, e.g. "8.9", ascending."""
        if TYPE_CHECKING:
            import tensorrt_rtx as rtx
        else:
            rtx = self.load()
        names = (re.fullmatch(r"SM(\d+)(\d)", name) for name in rtx.ComputeCapability.__members__)
        return tuple(f"{found[1]}.{found[2]}" for found in names if found)

    def chosen(self, text: str | None) -> tuple[str, ...]:
        """The compute capabilities that a user asks for.

        Parameters
        ----------
        text : such as "8.9" or "86,89"; None for all but Turing's.

        Raises
        ------
        EngineError : the library does not build for one of them.
        """
        known = self.capabilities()
        if text is None:
            return tuple(one for one in known if one != TURING)
        wanted = [part.strip() for part in text.split(",")]
        for i, one in enumerate(wanted):
            if re.fullmatch(r"\d{2,}", one):
                wanted[i] = f"{one[:-1]}.{one[-1]}"
            if wanted[i] not in known:
                raise EngineError(
                    f"compute capability: expected some of {', '.join(known)}, got '{one}'; "
                    "nvidia-smi --query-gpu=name,compute_cap --format=csv shows those of your GPUs"
                )
        return tuple(one for one in known if one in wanted)

    def unsupported(self, gpu: str, capability: str) -> str:
        """Why the library has no engines for a GPU, with the remedy; "" where it has."""
        known = self.capabilities()
        if capability in known:
            return ""
        if float(capability) < float(TURING):
            return (
                f"{self.title} needs a GPU of the Turing generation (compute capability {TURING}) "
                f"or later; {gpu} has {capability}. Set engine to torch or openvino."
            )
        return (
            f"{self.title} builds for compute capability {', '.join(known)}; {gpu} has "
            f"{capability}. Set engine to tensorrt or torch."
        )

    def configure(
        self, config: tensorrt.IBuilderConfig, target: Machine | Portable, folder: Path
    ) -> None:
        """Set the targets. Timings do not matter, and asking for them would need a GPU."""
        if TYPE_CHECKING:
            import tensorrt_rtx as rtx
        else:
            rtx = self.load()
        config = cast("tensorrt_rtx.IBuilderConfig", config)
        config.set_flag(rtx.BuilderFlag.REQUIRE_USER_ALLOCATION)  # CUDA graphs need this
        capabilities = cast("Portable", target).compute_capabilities
        config.num_compute_capabilities = len(capabilities)
        for i, one in enumerate(capabilities):
            member = rtx.ComputeCapability.__members__["SM" + one.replace(".", "")]
            if not config.set_compute_capability(member, i):
                raise EngineError(f"{self.title} does not accept the compute capability {one}")

    def built(
        self, config: tensorrt.IBuilderConfig, target: Machine | Portable, folder: Path
    ) -> None:
        """A build measures nothing."""

    def contexts(self, engine: tensorrt.ICudaEngine, machine: Machine, folder: Path) -> Contexts:
        """Makes execution contexts, which share the kernels that are kept beside the engine."""
        cache = cache_path(folder, "kernels", machine)
        return RtxContexts(cast("tensorrt_rtx.ICudaEngine", engine), cache)


class Contexts:
    """Makes the execution contexts of a loaded engine, without working memory."""

    def __init__(self, engine: tensorrt.ICudaEngine) -> None:
        self._engine = engine

    def make(self) -> tensorrt.IExecutionContext | None:
        """A context; None where TensorRT refuses."""
        if TYPE_CHECKING:
            import tensorrt as trt
        else:
            trt = TENSORRT.load()
        strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        return self._engine.create_execution_context(strategy)

    def can_capture(self, context: tensorrt.IExecutionContext, stream: int) -> bool:
        """Whether a run on a stream can become a CUDA graph."""
        return True

    def keep(self) -> None:
        """Keep what was compiled."""


class RtxContexts(Contexts):
    """The same for TensorRT for RTX, which compiles kernels for this GPU at the first runs.

    Kernels are compiled for each batch size when it first runs, not in the background: a CUDA graph
    that was captured earlier would replay the slower general kernels for ever.
    """

    def __init__(self, engine: tensorrt_rtx.ICudaEngine, cache: Path) -> None:
        if TYPE_CHECKING:
            import tensorrt_rtx as rtx
        else:
            rtx = TENSORRT_RTX.load()
        self._engine: tensorrt_rtx.ICudaEngine = engine
        self._path, self._kept = cache, read_cache(cache)
        self._config = engine.create_runtime_config()
        strategy = rtx.ExecutionContextAllocationStrategy.USER_MANAGED
        self._config.set_execution_context_allocation_strategy(strategy)
        eager = rtx.DynamicShapesKernelSpecializationStrategy.EAGER
        self._config.dynamic_shapes_kernel_specialization_strategy = eager
        self._kernels = self._config.create_runtime_cache()
        if self._kept and not self._kernels.deserialize(self._kept):
            _log.info("the kernels in %s are for another driver; they are compiled again", cache)
        self._config.set_runtime_cache(self._kernels)

    def make(self) -> tensorrt.IExecutionContext | None:
        """A context; None where TensorRT refuses."""
        return self._engine.create_execution_context(self._config)

    def can_capture(self, context: tensorrt.IExecutionContext, stream: int) -> bool:
        """Whether a run on a stream can become a CUDA graph."""
        return cast("tensorrt_rtx.IExecutionContext", context).is_stream_capturable(stream)

    def keep(self) -> None:
        """Keep the compiled kernels where they changed; a failure only costs time."""
        kernels = bytes(self._kernels.serialize())
        if kernels == self._kept:
            return
        try:
            write_cache(self._path, kernels)
            self._kept = kernels
        except OSError as error:
            _log.warning(
                "the kernels compiled for this GPU cannot be kept in %s, so every start compiles "
                "them again: %s. Let this user write that folder",
                self._path,
                error,
            )


TENSORRT, TENSORRT_RTX = TensorRt(), TensorRtRtx()

VARIANTS = {one.name: one for one in (TENSORRT, TENSORRT_RTX)}
"""Both, by their names."""
