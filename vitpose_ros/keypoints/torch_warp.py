"""Uploads images to a GPU and cuts crops there: `warp.cut_crops` in torch.

Pixels are interpolated without OpenCV's rounding to whole grey levels. Against OpenCV 5, crops
differ by that rounding only, at most 0.51 grey levels. OpenCV 4 also rounds pixel positions to
1/32, which adds up to 1/64 of the difference between neighbouring pixels along each axis: less than
1 grey level where neighbours differ by less than 16, 8 at the most.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional

from vitpose_ros.keypoints.pixels import IMAGENET, Pixels
from vitpose_ros.keypoints.warp import Matrices, Size
from vitpose_ros.types import ByteArray


def upload(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy an array to a device, on the current stream; the array may change once this returns."""
    if device.type == "cpu":
        return torch.from_numpy(array.copy())
    kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
    pinned = torch.empty(array.shape, dtype=kind, pin_memory=True)
    pinned.numpy()[...] = array
    return pinned.to(device, non_blocking=True)  # torch keeps `pinned` until the copy is done


def upload_planes(image: ByteArray, device: torch.device) -> torch.Tensor:
    """Upload a BGR image; return (1, 3, H, W) float32 planes, 0 .. 255, channels in BGR order."""
    return upload(image, device).permute(2, 0, 1)[None].float().contiguous()


class TorchCrops:
    """Cuts crops of one size.

    Parameters
    ----------
    size : (width, height) of the crops.
    device : of the images and the crops.
    pixels : how the network reads them.
    """

    def __init__(self, size: Size, device: torch.device, pixels: Pixels = IMAGENET) -> None:
        width, height = size
        self._x = torch.arange(width, device=device, dtype=torch.float32)
        self._y = torch.arange(height, device=device, dtype=torch.float32)[:, None]

        def column(values: np.ndarray) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device).reshape(1, 3, 1, 1)

        self._bgr = pixels.bgr
        self._scale, self._offset = column(pixels.scale), column(pixels.offset)

    def __call__(self, planes: torch.Tensor, matrices: Matrices, out: torch.Tensor) -> None:
        """Cut crops, on the current stream.

        Parameters
        ----------
        planes : (1, 3, H, W), from `upload_planes`.
        matrices : (N, 2, 3), from `warp.crop_to_image`.
        out : (N, 3, height, width) float32, written: normalised planes, black outside the image.
        """
        count, _, height, width = out.shape
        size = np.array([planes.shape[3], planes.shape[2]])
        # In grid_sample's units, pixel x of W lies at (2 x + 1) / W - 1.
        maps = matrices * (2.0 / size)[:, None]
        maps[:, :, 2] += 1.0 / size - 1.0
        m = upload(maps.astype(np.float32), planes.device)[..., None, None]
        places = [m[:, i, 0] * self._x + (m[:, i, 1] * self._y + m[:, i, 2]) for i in range(2)]
        # All crops as one tall one: grid_sample would need a copy of the image for each.
        grid = torch.stack(places, dim=-1).reshape(1, count * height, width, 2)
        found = functional.grid_sample(
            planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
        planes = found.reshape(3, count, height, width)
        ordered = (planes if self._bgr else planes.flip(0)).transpose(0, 1)
        torch.addcmul(self._offset, ordered, self._scale, out=out)
