"""What every engine offers, so that the rooms behind it do not care which one runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

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
