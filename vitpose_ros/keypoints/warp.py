"""From regions of an image to a network's input, and from the crop's pixels back to the image.

Two warps are in use, and a network must get the one that it was trained with: each codec says which
(`Codec.udp`). Both lay the region's own axes along the crop's, and differ in what the region's
sides become on a crop of W pixels:

- UDP (ViTPose): pixel 0 and pixel W - 1, so that mirroring and scaling keep pixel centres (Huang et
  al., The Devil is in the Details, CVPR 2020);
- not UDP (RTMPose, by three points): 0 and W.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.geometry import Box, region_to_image
from vitpose_ros.types import NO_ID, ByteArray, FloatArray, Region

Size = tuple[int, int]
"""(width, height) in px."""

Matrices = npt.NDArray[np.float64]
"""(N, 2, 3): one affine map for each crop."""

PADDING = 1.25
"""How much larger than a person's box the crop is, in the recipe of ViTPose and RTMPose."""

LARGEST_IMAGES = 64
"""A crop that is larger than this many images holds nothing that could be read."""


@dataclass(frozen=True)
class Normalisation:
    """What becomes of pixel values 0 .. 255: (value - mean) / std, channels in the order R, G, B.

    Raises
    ------
    ValueError : when a standard deviation is not positive.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not all(np.isfinite(self.mean)) or not all(0 < value < np.inf for value in self.std):
            raise ValueError(
                "Normalisation: expected finite means and positive std, got "
                f"{self.mean}, {self.std}"
            )


IMAGENET = Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""ImageNet's statistics, which ViTPose and RTMPose use."""


def box_region(box: Box, score: float = 1.0, track_id: int = NO_ID) -> Region:
    """The upright region of a box (x, y, width, height) in px.

    Raises
    ------
    ValueError : when the box has no area or a number that is not finite.
    """
    x, y, width, height = (float(value) for value in box)
    return Region(x + width / 2, y + height / 2, width, height, 0.0, score, track_id)


def crop_region(region: Region, size: Size, padding: float = PADDING) -> Region:
    """The part of the image that the crop of a region shows.

    The shorter side grows about the centre until the sides are as the crop's, then both grow by
    `padding`: nothing is ever stretched.
    """
    aspect = size[0] / size[1]
    width = max(region.width, region.height * aspect) * padding
    return replace(region, width=width, height=width / aspect)


def crop_to_image(regions: Sequence[Region], size: Size, udp: bool) -> Matrices:
    """The maps from pixels of crops to pixels of the image.

    Parameters
    ----------
    regions : what each crop shows, as `crop_region` gives it.
    size : (width, height) of the crops.
    udp : which of the two warps.

    Returns
    -------
    (N, 2, 3) float64: image = matrix @ (x, y, 1).
    """
    lattice = (size[0] - 1, size[1] - 1) if udp else size
    return np.array([region_to_image(region, lattice) for region in regions]).reshape(-1, 2, 3)


def map_points(matrices: Matrices, points: npt.NDArray) -> npt.NDArray[np.float64]:
    """Map the (N, K, 2) points of N crops, each by its matrix; (N, K, 2) float64."""
    return points @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]


def cut_crops(
    image: ByteArray, matrices: Matrices, normalisation: Normalisation, out: FloatArray
) -> None:
    """Cut crops out of an image as a network wants them (bilinear; zeros outside the image).

    The warp is done in uint8, and the crop's planes are normalised straight into `out`: about
    0.3 ms for 192x256 pixels on one core.

    Parameters
    ----------
    image : (H, W, 3) uint8, BGR.
    matrices : (N, 2, 3), from `crop_to_image`.
    normalisation : of the pixel values.
    out : (N, 3, height, width) float32, written: RGB planes.
    """
    height, width = out.shape[2:]
    scale = 1 / np.array(normalisation.std)
    scales = scale.astype(np.float32)
    offsets = (-np.array(normalisation.mean) * scale).astype(np.float32)
    for matrix, planes in zip(matrices, out, strict=True):
        crop = cv2.warpAffine(
            image,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
        )
        blue, green, red = cv2.split(crop)
        for plane, source, factor, offset in zip(
            planes, (red, green, blue), scales, offsets, strict=True
        ):
            np.multiply(source, factor, out=plane)
            np.add(plane, offset, out=plane)


def shows_image(region: Region, shown: Region, width: int, height: int) -> bool:
    """Whether a crop can show something of a region in an image of that size.

    Parameters
    ----------
    region : what is looked for; without its padding, since the padding alone holds no object.
    shown : the part of the image that the crop shows.

    Returns
    -------
    False when the region's upright bounding box lies wholly outside the image, and when it is so
    large that the image is lost in its crop (see LARGEST_IMAGES).
    """
    cos, sin = abs(np.cos(region.rotation_rad)), abs(np.sin(region.rotation_rad))
    half_w = (cos * region.width + sin * region.height) / 2
    half_h = (sin * region.width + cos * region.height) / 2
    beside = (
        region.cx + half_w <= -0.5
        or region.cx - half_w >= width - 0.5
        or region.cy + half_h <= -0.5
        or region.cy - half_h >= height - 0.5
    )
    return not beside and max(shown.width, shown.height) <= LARGEST_IMAGES * max(width, height)
