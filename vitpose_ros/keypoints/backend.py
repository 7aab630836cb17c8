"""What `topdown.TopDown` has done for it on the CPU or on a GPU: crops, network, decoding.

`CpuBackend` works in numpy and OpenCV with any engine; `torch_backend.TorchBackend` does the same
where the engine's tensors are, so that only joints come back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vitpose_ros.engines.base import Engine
from vitpose_ros.keypoints.codec import Codec, Decoded
from vitpose_ros.keypoints.warp import Matrices, Normalisation, cut_crops
from vitpose_ros.types import ByteArray, FloatArray

if TYPE_CHECKING:
    from vitpose_ros.keypoints.torch_frames import DeviceFrames

Collect = Callable[[], Decoded]
"""Waits for what was begun, and gives it."""


class Backend(Protocol):
    """Reads crops of an image."""

    def submit(self, image: ByteArray, matrices: Matrices) -> Collect:
        """Begin to read crops.

        Parameters
        ----------
        image : (H, W, 3) uint8, BGR; it may be changed as soon as this returns.
        matrices : (N, 2, 3), from `warp.crop_to_image`.

        Returns
        -------
        A function that waits for the N crops' joints and gives them, px of the crop. A GPU is at
        work until then; a CPU has done all of it by now.

        Raises
        ------
        EngineError : when the network fails; the function may raise it too.
        """
        ...


class SharedImages:
    """Lets the models of a pipeline share the images that they upload to a GPU.

    An image that several of them read is uploaded once. On a CPU it does nothing.
    """

    def __init__(self) -> None:
        self._by_device: dict[Any, DeviceFrames] = {}

    def on(self, device: Any, make: Callable[[], DeviceFrames]) -> DeviceFrames:
        """The uploads to a torch.device, made with the first model that uses it."""
        if device not in self._by_device:
            self._by_device[device] = make()
        return self._by_device[device]

    def next_frame(self) -> None:
        """Forget the last image; to be called before each frame, since an array that is the same
        may hold another image by then.
        """
        for frames in self._by_device.values():
            frames.next_frame()


class CpuBackend:
    """Crops by OpenCV, decoding by numpy; the engine may run anywhere.

    Parameters
    ----------
    engine : runs the network.
    codec : the meaning of its outputs.
    input_name, output_names : its tensors, the outputs in the codec's order.
    normalisation : of the pixel values.
    permutation : `Layout.flip_permutation` for the flip test; None for none.
    max_batch : most crops that go through the network at once.
    """

    def __init__(
        self,
        engine: Engine,
        codec: Codec,
        input_name: str,
        output_names: Sequence[str],
        normalisation: Normalisation,
        permutation: Sequence[int] | None,
        max_batch: int,
    ) -> None:
        self._engine = engine
        self._codec = codec
        self._input, self._outputs = input_name, output_names
        self._normalisation = normalisation
        self._permutation = permutation
        width, height = codec.input_size
        self._tensor = np.empty((max_batch, 3, height, width), np.float32)

    def submit(self, image: ByteArray, matrices: Matrices) -> Collect:
        """See `Backend.submit`."""
        parts = []
        for start in range(0, len(matrices), len(self._tensor)):
            part = matrices[start : start + len(self._tensor)]
            tensor = self._tensor[: len(part)]
            cut_crops(image, part, self._normalisation, tensor)
            parts.append(self._codec.decode(self._run(tensor)))
        xy = np.concatenate([part.xy for part in parts])
        found = Decoded(xy, np.concatenate([part.score for part in parts]))
        return lambda: found

    def _run(self, tensor: FloatArray) -> list[FloatArray]:
        """The network's outputs in the codec's order; the mean of both with the flip test."""
        direct = self._infer(tensor)
        if self._permutation is None:
            return direct
        mirrored = self._infer(np.ascontiguousarray(tensor[..., ::-1]))
        turned = self._codec.unmirror(mirrored, self._permutation, direct)
        return [(a + b) * np.float32(0.5) for a, b in zip(direct, turned, strict=True)]

    def _infer(self, tensor: FloatArray) -> list[FloatArray]:
        outputs = self._engine.run({self._input: tensor})
        return [outputs[name] for name in self._outputs]
