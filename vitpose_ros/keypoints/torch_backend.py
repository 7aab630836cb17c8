"""Crops, network and decoding on a GPU: one upload of the image, and only joints come back.

See `torch_frames` for the order of the work there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from vitpose_ros.engines.base import DeviceEngine
from vitpose_ros.keypoints.backend import Collect, SharedImages
from vitpose_ros.keypoints.codec import Codec, Decoded
from vitpose_ros.keypoints.torch_decode import make_decode, make_unmirror
from vitpose_ros.keypoints.torch_frames import DeviceFrames, Lane, wait_for
from vitpose_ros.keypoints.torch_warp import TorchCrops
from vitpose_ros.keypoints.warp import Matrices, Normalisation
from vitpose_ros.types import ByteArray


class TorchBackend:
    """See `backend.Backend`; parameters as of `backend.CpuBackend`.

    Parameters
    ----------
    engine : its tensors' device is where everything is done.
    images : shared with other models; None to upload every image that is given.
    """

    def __init__(
        self,
        engine: DeviceEngine,
        codec: Codec,
        input_name: str,
        output_names: Sequence[str],
        normalisation: Normalisation,
        permutation: Sequence[int] | None,
        max_batch: int,
        images: SharedImages | None = None,
    ) -> None:
        device = engine.device
        self._engine = engine
        self._input, self._outputs = input_name, output_names
        self._max_batch = max_batch
        self._frames = (
            DeviceFrames(device, shared=False)
            if images is None
            else images.on(device, lambda: DeviceFrames(device))
        )
        self._results = Lane(device)
        self._cut = TorchCrops(codec.input_size, normalisation, device)
        self._decode = make_decode(codec, device)
        self._unmirror = (
            None if permutation is None else make_unmirror(codec, permutation, device)
        )
        for lane in (self._frames.lane, self._results):
            lane.follow()  # the constants that were just made

    @torch.no_grad()
    def submit(self, image: ByteArray, matrices: Matrices) -> Collect:
        """See `backend.Backend.submit`."""
        upload, parts = self._frames.lane, []
        with upload:
            planes = self._frames.planes(image)
        for start in range(0, len(matrices), self._max_batch):
            part = matrices[start : start + self._max_batch]
            with upload:
                crops = self._crops(planes, part)
                ready = upload.mark()
            with self._results as results:
                results.wait(ready)
                parts.append(self._decode(self._run(crops)))
        with self._results as results:
            joints = _to_host(torch.cat(parts))
            done = results.mark()

        def collect() -> Decoded:
            wait_for(done)
            found = joints.numpy()
            return Decoded(found[..., :2].astype(np.float64), found[..., 2].copy())

        return collect

    def _crops(self, planes: torch.Tensor, matrices: Matrices) -> list[dict[str, torch.Tensor]]:
        """The network's inputs; with the flip test, the mirrored ones as well."""
        direct = self._engine.buffers(len(matrices))
        self._cut(planes, matrices, direct[self._input])
        if self._unmirror is None:
            return [direct]
        mirrored = self._engine.buffers(len(matrices))
        mirrored[self._input].copy_(direct[self._input].flip(3))
        return [direct, mirrored]

    def _run(self, crops: Sequence[Mapping[str, torch.Tensor]]) -> list[torch.Tensor]:
        """The network's outputs in the codec's order; the mean of both with the flip test."""
        direct, *mirrored = (self._infer(tensors) for tensors in crops)
        if self._unmirror is None:
            return direct
        turned = self._unmirror(mirrored[0], direct)
        return [(a + b) / 2 for a, b in zip(direct, turned, strict=True)]

    def _infer(self, tensors: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        outputs: Mapping[str, Any] = self._engine.run_device(tensors)
        return [outputs[name] for name in self._outputs]


def _to_host(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in the CPU's memory, under way on the current stream."""
    if tensor.device.type == "cpu":
        return tensor
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)
