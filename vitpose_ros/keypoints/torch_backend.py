"""Crops, network and decoding on a GPU: images go up once, and only joints come back.

Everything is ordered on the caller's current stream, which the engine's own stream waits for and is
waited for by (`engines.base.DeviceEngine`). The CPU waits once, for the joints. It works on torch's
CPU device too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch

from vitpose_ros.engines.base import DeviceEngine
from vitpose_ros.engines.gpu_errors import gpu_errors
from vitpose_ros.keypoints.codec import Codec, Decoded
from vitpose_ros.keypoints.torch_decode import make_decode, make_unmirror
from vitpose_ros.keypoints.torch_warp import TorchCrops, upload_planes
from vitpose_ros.keypoints.warp import Matrices
from vitpose_ros.types import ByteArray


class TorchBackend:
    """See `backend.Backend`, and `backend.CpuBackend` for the other parameters.

    Parameters
    ----------
    engine : everything is done on the device of its tensors.
    """

    def __init__(
        self,
        engine: DeviceEngine,
        codec: Codec,
        input_name: str,
        output_names: Sequence[str],
        permutation: Sequence[int] | None,
        max_batch: int,
    ) -> None:
        device = engine.device
        self._engine = engine
        self._input, self._outputs = input_name, output_names
        self._max_batch = max_batch
        with gpu_errors(f"preparing crops on {engine.name}"):
            self._cut = TorchCrops(codec.input_size, device, codec.pixels)
            self._decode = make_decode(codec, device)
            self._unmirror = (
                None if permutation is None else make_unmirror(codec, permutation, device)
            )

    @gpu_errors("cropping and decoding on the GPU")
    @torch.no_grad()
    def __call__(self, images: Sequence[ByteArray], matrices: Matrices) -> Decoded:
        """Find the joints in N crops; see `backend.Backend`. Each image is uploaded once."""
        distinct = {id(image): image for image in images}
        planes = {key: upload_planes(image, self._engine.device) for key, image in distinct.items()}
        parts = []
        for start in range(0, len(matrices), self._max_batch):
            part = range(start, min(start + self._max_batch, len(matrices)))
            crops = self._engine.buffers(len(part))[self._input]
            for key, group in groupby(part, key=lambda i: id(images[i])):
                one = list(group)
                cut = slice(one[0] - start, one[-1] + 1 - start)
                self._cut(planes[key], matrices[one], crops[cut])
            parts.append(self._decode(self._run(crops)))
        found = torch.cat(parts).cpu().numpy()
        return Decoded(found[..., :2].astype(np.float64), found[..., 2].copy())

    def _run(self, crops: torch.Tensor) -> list[torch.Tensor]:
        """The network's outputs in the codec's order, averaged over the flip test."""
        if self._unmirror is None:
            return self._infer(crops)
        direct = [output.clone() for output in self._infer(crops)]  # the next run overwrites them
        crops.copy_(crops.flip(3))
        unmirrored = self._unmirror(self._infer(crops), direct)
        return [(a + b) / 2 for a, b in zip(direct, unmirrored, strict=True)]

    def _infer(self, crops: torch.Tensor) -> list[torch.Tensor]:
        outputs = self._engine.run_device({self._input: crops})
        return [outputs[name] for name in self._outputs]
