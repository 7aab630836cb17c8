"""Networks with their channels last, as TensorFlow's are, behind the interface of the others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import Engine, Tensors, TensorSpec
from vitpose_ros.keypoints.codec import Codec


class ChannelsFirst:
    """An engine whose image input, and those of its outputs that are maps, are transposed.

    Parameters
    ----------
    engine : one input (N, height, width, 3).
    turned : the outputs that have their channels last.
    """

    def __init__(self, engine: Engine, turned: frozenset[str]) -> None:
        self.name = engine.name
        self._engine, self._turned = engine, turned
        self.inputs: tuple[TensorSpec, ...] = tuple(map(_moved, engine.inputs))
        self.outputs: tuple[TensorSpec, ...] = tuple(
            _moved(spec) if spec.name in turned else spec for spec in engine.outputs
        )

    def run(self, tensors: Mapping[str, npt.NDArray[np.float32]]) -> Tensors:
        """Run the network once; see `engines.base.Engine.run`."""
        last = {name: np.ascontiguousarray(t.transpose(0, 2, 3, 1)) for name, t in tensors.items()}
        found = self._engine.run(last)
        return {
            name: np.ascontiguousarray(values.transpose(0, 3, 1, 2))
            if name in self._turned
            else values
            for name, values in found.items()
        }


def channels_first(engine: Engine, codec: Codec, joints: int) -> Engine:
    """The engine itself, or, where its input is an image with the channels last, one that takes
    them first.

    Parameters
    ----------
    codec, joints : of the network; they tell maps with the channels last from others.
    """
    width, height = codec.input_size
    if len(engine.inputs) != 1 or not engine.inputs[0].fits((height, width, 3)):
        return engine
    wanted = [shape for shape in codec.output_shapes(joints) if len(shape) == 3]
    turned = frozenset(
        spec.name
        for spec in engine.outputs
        for channels, rows, columns in wanted
        if spec.fits((rows, columns, channels)) and not spec.fits((channels, rows, columns))
    )
    return ChannelsFirst(engine, turned)


def _moved(spec: TensorSpec) -> TensorSpec:
    batch, *size, channels = spec.shape
    return TensorSpec(spec.name, (batch, channels, *size))
