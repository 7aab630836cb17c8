"""The interface of every engine: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Tensors = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class TensorSpec:
    """Name and shape of a network's input or output; None is a size that varies (the batch)."""

    name: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = ["N" if size is None else str(size) for size in self.shape]
        return f"{self.name} ({', '.join(sizes)})"

    def fits(self, shape: Sequence[int | None]) -> bool:
        """Whether it has a shape behind its batch; None fits any size."""
        return len(self.shape) == len(shape) + 1 and all(
            have is None or want is None or have == want
            for have, want in zip(self.shape[1:], shape, strict=True)
        )


class EngineError(RuntimeError):
    """A network cannot be loaded or run; the message names the file, the reason and the remedy."""


class Engine(Protocol):
    """A loaded network."""

    name: str
    """The engine's kind and device, for display, e.g. "openvino CPU"."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, tensors: Mapping[str, npt.NDArray[np.float32]]) -> Tensors:
        """Run the network once.

        Parameters
        ----------
        tensors : one C-contiguous float32 array per input, by name.

        Returns
        -------
        The outputs by name. The arrays belong to the caller: later runs do not change them.

        Raises
        ------
        EngineError : an input is missing, unknown or of the wrong shape or type (the message says
            what is expected), or the run fails.
        """
        ...


class DeviceEngine(Engine, Protocol):
    """An engine whose tensors may stay on a GPU: `run` takes and returns NumPy arrays like any
    engine's, `run_device` torch tensors on `device`, without a copy and without blocking the CPU.

    CUDA streams order the work: a run waits for what the caller's current stream
    (`torch.cuda.current_stream()`) holds at the call, and that stream waits for the run. So the
    tensors can be used like those of any torch operation. Use one stream, or order them yourself.
    """

    device: Any
    """The torch.device of the tensors."""

    @property
    def max_batch(self) -> int | None:
        """The largest batch; None for no limit."""
        ...

    def buffers(self, batch: int) -> dict[str, Any]:
        """The engine's own input tensors for a batch size, by name, float32 on `device`, to be
        written in place.

        A run on them is the fastest: it may replay a CUDA graph.
        """
        ...

    def run_device(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Run the network once, on the device.

        Parameters
        ----------
        tensors : one contiguous torch.float32 tensor on `device` per input, by name: those of
            `buffers`, or any other.

        Returns
        -------
        The outputs by name, float32 on `device`. They belong to the engine: the next run of the
        same batch size overwrites them.

        Raises
        ------
        EngineError : an input is missing, unknown, not contiguous or of the wrong shape, type or
            device (the message says what is expected), or the run fails.
        """
        ...
