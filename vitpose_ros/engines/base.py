"""What every engine offers, so that the rooms behind it do not care which one runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Tensors = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class TensorSpec:
    """Name and shape of a network's input or output; None stands for a dimension that may vary
    (the batch).
    """

    name: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = ["N" if size is None else str(size) for size in self.shape]
        return f"{self.name} ({', '.join(sizes)})"


class EngineError(RuntimeError):
    """A network could not be loaded or run; the text names the file, the reason and what to do."""


class Engine(Protocol):
    """A loaded network."""

    name: str
    """The engine's kind and device as a user reads it, e.g. "openvino CPU"."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, tensors: Mapping[str, npt.NDArray[np.float32]]) -> Tensors:
        """Run the network once.

        Parameters
        ----------
        tensors : one C-contiguous float32 array for each input, by name.

        Returns
        -------
        The outputs by name: arrays that belong to the caller (a later run does not change them).

        Raises
        ------
        EngineError : when an input is missing, unknown or of another shape or type; it says which
            and what is expected.
        """
        ...


class DeviceEngine(Engine, Protocol):
    """An engine on a GPU whose tensors may stay there: `run` takes and gives numpy arrays as any
    engine does, `run_device` torch tensors on `device`, without a copy and without waiting.

    All work is ordered by CUDA streams: a run waits on the GPU for what the caller's current stream
    (`torch.cuda.current_stream()`) holds by then, and that stream waits for the run; no call waits
    on the CPU. So tensors are used as after any torch operation, on the stream that was current
    in the call; who uses them on another one orders the two.
    """

    device: Any
    """The torch.device of the tensors."""

    @property
    def max_batch(self) -> int | None:
        """Most samples in a run; None where any number is taken."""
        ...

    def buffers(self, batch: int) -> dict[str, Any]:
        """Tensors for the next run's inputs, by name, float32 on `device`, to be written in place.

        A run on them is the fastest (it may replay a CUDA graph). There are two sets for each
        batch size, given in turn: the next frame's crops are written while the last one's are
        still being read. The caller's current stream waits until the run that read this set last
        is over.
        """
        ...

    def run_device(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Run the network once, on the GPU alone.

        Parameters
        ----------
        tensors : for each input, by name, a contiguous torch.float32 tensor on `device`: what
            `buffers` gave for the batch, or any other. They must not change until the run is over
            (on the caller's stream: what follows the call).

        Returns
        -------
        The outputs by name, float32 on `device`. They belong to the engine and hold their values
        until the run after the next of the same batch size; copy what is to be kept longer.

        Raises
        ------
        EngineError : when an input is missing, unknown, or of another shape, type or device, or
            not contiguous; it says which and what is expected.
        """
        ...
