"""Warps regions of an image into a network's input, and maps the crop's pixels back to the image.

There are two warps, and a network must get the one that it was trained with; its codec says which
(`Codec.udp`). Both align the region's axes with the crop's. They differ in where a region's sides
end up on a crop of W pixels:

- UDP (ViTPose): at pixels 0 and W - 1, so that mirroring and scaling preserve pixel centres (Huang
  et al., The Devil is in the Details, CVPR 2020);
- not UDP (RTMPose, from three points): at 0 and W.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.geometry import Box, region_to_image
from vitpose_ros.keypoints.pixels import IMAGENET, Pixels
from vitpose_ros.types import NO_ID, ByteArray, FloatArray, Region

Size = tuple[int, int]
"""(width, height) in px."""

Matrices = npt.NDArray[np.float64]
"""(N, 2, 3): one affine map per crop."""

PADDING = 1.25
"""The crop's size over that of a person's box, in the recipe of ViTPose and RTMPose."""

LARGEST_IMAGES = 64
"""In a crop larger than this many images, nothing can be recognised."""


def box_region(box: Box, score: float = 1.0, track_id: int = NO_ID) -> Region:
    """The upright region of a box (x, y, width, height) in px.

    Raises
    ------
    ValueError : the box has no area, or a number is not finite.
    """
    x, y, width, height = (float(value) for value in box)
    return Region(x + width / 2, y + height / 2, width, height, 0.0, score, track_id)


def crop_region(region: Region, size: Size, padding: float = PADDING) -> Region:
    """The part of the image that the crop of a region shows.

    The shorter side grows about the centre until the aspect ratio is the crop's, then both grow by
    `padding`; nothing is stretched.
    """
    aspect = size[0] / size[1]
    width = max(region.width, region.height * aspect) * padding
    return replace(region, width=width, height=width / aspect)


def crop_to_image(regions: Sequence[Region], size: Size, udp: bool) -> Matrices:
    """The affine maps from a crop's pixels to the image's.

    Parameters
    ----------
    regions : what each crop shows, from `crop_region`.
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
    image: ByteArray, matrices: Matrices, out: FloatArray, pixels: Pixels = IMAGENET
) -> None:
    """Cut normalised crops out of an image (bilinear; black outside the image).

    The warp runs in uint8, and the crop's planes are normalised straight into `out`: about 0.3 ms
    for 192x256 pixels on one core.

    Parameters
    ----------
    image : (H, W, 3) uint8, BGR.
    matrices : (N, 2, 3), from `crop_to_image`.
    out : (N, 3, height, width) float32, written: planes in the order of `pixels`.
    pixels : how the network reads them.
    """
    height, width = out.shape[2:]
    scales, offsets = pixels.scale.astype(np.float32), pixels.offset.astype(np.float32)
    for matrix, planes in zip(matrices, out, strict=True):
        crop = cv2.warpAffine(
            image,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
        )
        channels = cv2.split(crop) if pixels.bgr else cv2.split(crop)[::-1]
        for plane, source, factor, offset in zip(planes, channels, scales, offsets, strict=True):
            np.multiply(source, factor, out=plane)
            np.add(plane, offset, out=plane)


def shows_image(region: Region, shown: Region, width: int, height: int) -> bool:
    """Whether a crop can show something of its region.

    Parameters
    ----------
    region : around the object, without padding, since the padding alone holds no object.
    shown : the part of the image that the crop shows.
    width, height : of the image, px.

    Returns
    -------
    False where the region's upright bounding box lies outside the image, or the image would vanish
    in the crop (see LARGEST_IMAGES).
    """
    cos, sin = abs(np.cos(region.rotation_rad)), abs(np.sin(region.rotation_rad))
    half_w = (cos * region.width + sin * region.height) / 2
    half_h = (sin * region.width + cos * region.height) / 2
    outside = (
        region.cx + half_w <= -0.5
        or region.cx - half_w >= width - 0.5
        or region.cy + half_h <= -0.5
        or region.cy - half_h >= height - 0.5
    )
    return not outside and max(shown.width, shown.height) <= LARGEST_IMAGES * max(width, height)
