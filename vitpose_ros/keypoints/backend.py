"""Where `topdown.TopDown` does its work: crops, network and decoding, on the CPU or on a GPU.

`CpuBackend` crops with OpenCV, decodes with NumPy and runs any engine.
`torch_backend.TorchBackend` keeps everything on the engine's device, so that only joints come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from vitpose_ros.engines.base import Engine
from vitpose_ros.keypoints.codec import Codec, Decoded
from vitpose_ros.keypoints.warp import Matrices, cut_crops
from vitpose_ros.types import ByteArray, FloatArray


class Backend(Protocol):
    """Runs a network on crops of images."""

    def __call__(self, images: Sequence[ByteArray], matrices: Matrices) -> Decoded:
        """Find the joints in N crops.

        Parameters
        ----------
        images : N arrays (H, W, 3) uint8, BGR: the image of each crop. Sizes may differ, and one
            image may occur several times.
        matrices : (N, 2, 3), from `warp.crop_to_image`; N is at least 1.

        Returns
        -------
        The joints of the N crops, px of the crop.

        Raises
        ------
        EngineError : when the network fails.
        """
        ...


class CpuBackend:
    """Crops with OpenCV and decodes with NumPy; the engine may run anywhere.

    Parameters
    ----------
    engine : runs the network.
    codec : decodes its outputs.
    input_name, output_names : the network's tensors, the outputs in the codec's order.
    permutation : `Layout.flip_permutation` for the flip test; None to skip it.
    max_batch : largest batch of the network; more crops are split.
    """

    def __init__(
        self,
        engine: Engine,
        codec: Codec,
        input_name: str,
        output_names: Sequence[str],
        permutation: Sequence[int] | None,
        max_batch: int,
    ) -> None:
        self._engine = engine
        self._codec = codec
        self._input, self._outputs = input_name, output_names
        self._permutation = permutation
        width, height = codec.input_size
        self._tensor = np.empty((max_batch, 3, height, width), np.float32)

    def __call__(self, images: Sequence[ByteArray], matrices: Matrices) -> Decoded:
        """Find the joints in N crops; see `Backend`."""
        parts = []
        for start in range(0, len(matrices), len(self._tensor)):
            part = matrices[start : start + len(self._tensor)]
            tensor = self._tensor[: len(part)]
            for image, matrix, crop in zip(images[start:], part, tensor, strict=False):
                cut_crops(image, matrix[None], crop[None], self._codec.pixels)
            parts.append(self._codec.decode(self._run(tensor)))
        xy = np.concatenate([part.xy for part in parts])
        return Decoded(xy, np.concatenate([part.score for part in parts]))

    def _run(self, tensor: FloatArray) -> list[FloatArray]:
        """The network's outputs in the codec's order, averaged over the flip test."""
        direct = self._infer(tensor)
        if self._permutation is None:
            return direct
        mirrored = self._infer(np.ascontiguousarray(tensor[..., ::-1]))
        unmirrored = self._codec.unmirror(mirrored, self._permutation, direct)
        return [(a + b) * np.float32(0.5) for a, b in zip(direct, unmirrored, strict=True)]

    def _infer(self, tensor: FloatArray) -> list[FloatArray]:
        outputs = self._engine.run({self._input: tensor})
        return [outputs[name] for name in self._outputs]
