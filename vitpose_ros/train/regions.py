"""Where a network looks: the regions that samples are cut around, and their errors in use.

Hands are read in rotated squares, as `hand_geometry` gives them, so hand networks are trained on
crops in which the hand points up (the setting `turned`). Everything else is read in upright boxes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.geometry import apply_affine
from vitpose_ros.hand_geometry import hand_region
from vitpose_ros.keypoints.warp import PADDING, Size, box_region, crop_region, crop_to_image
from vitpose_ros.layouts import Layout
from vitpose_ros.train.labels import Label
from vitpose_ros.types import Region

UPRIGHT_PADDING = 1.6
"""How much larger than the box around a hand's joints its crop is, where those joints that give a
rotated square are not labelled."""


_LEAST_JOINTS = 8  # for a box around joints


@dataclass(frozen=True)
class Errors:
    """Random errors of a region, as standard deviations.

    Attributes
    ----------
    scale : of the logarithm of the size.
    shift : in sides of the region.
    turn_deg : of the angle.
    boxes : share of crops that are upright boxes around the joints, at any angle; only of hands.
    """

    scale: float
    shift: float
    turn_deg: float
    boxes: float = 0.0


DETECTOR = Errors(0.08, 0.04, 8.0)
"""Of a palm detector, and of the last image's joints."""

NONE = Errors(0.0, 0.0, 0.0)


def is_turned(layout: Layout) -> bool:
    """Whether crops are rotated so that the object points up."""
    return layout.kind == "hand"


def training_errors(layout: Layout) -> Errors:
    """The errors to learn with: larger than those in use."""
    return Errors(0.13, 0.06, 14.0, 0.2) if is_turned(layout) else Errors(0.18, 0.06, 24.0)


def use_errors(layout: Layout) -> Errors:
    """The errors to be judged with: those in use; of bodies the given box, as COCO does."""
    return DETECTOR if is_turned(layout) else NONE


def shown_region(label: Label, layout: Layout, size: Size) -> Region:
    """What the crop around an object shows.

    Parameters
    ----------
    label, layout : the object.
    size : (width, height) of the network's input, px.
    """
    if not is_turned(layout):
        return crop_region(box_region(label.box), size, PADDING)
    region = hand_region(label.uv.astype(np.float32), 1.0)
    return crop_region(region or box_region(label.box), size, 1.0 if region else UPRIGHT_PADDING)


def jittered(region: Region, rng: np.random.Generator, errors: Errors) -> Region:
    """A region with random errors."""
    factor = float(np.exp(rng.normal(0.0, errors.scale)))
    dx, dy = rng.normal(0.0, errors.shift, 2) * (region.width, region.height)
    turn = float(np.radians(rng.normal(0.0, errors.turn_deg)))
    return replace(
        region,
        cx=region.cx + float(dx),
        cy=region.cy + float(dy),
        width=region.width * factor,
        height=region.height * factor,
        rotation_rad=region.rotation_rad + turn,
    )


def upright_box(uv: npt.NDArray, rotation_rad: float, padding: float) -> Region:
    """The square around joints, rotated by an angle: an upright box for a hand in any direction."""
    cos, sin = np.cos(rotation_rad), np.sin(rotation_rad)
    turn = np.array(((cos, -sin), (sin, cos)))
    turned = uv @ turn
    low, high = np.nanmin(turned, axis=0), np.nanmax(turned, axis=0)
    middle = turn @ ((low + high) / 2)
    side = float((high - low).max()) * padding
    return Region(float(middle[0]), float(middle[1]), side, side, rotation_rad)


def random_region(
    own: Region, uv: npt.NDArray, rng: np.random.Generator, errors: Errors, size: Size
) -> Region:
    """A region with random errors, or now and then an upright box at a random angle.

    Parameters
    ----------
    own : what the crop without errors shows.
    uv : (K, 2) joints, NaN where not labelled; in the pixels that `own` is in.
    errors : their sizes.
    size : of the network's input; only its aspect ratio counts.
    """
    known = np.isfinite(uv).all(axis=1)
    if rng.random() >= errors.boxes or known.sum() < _LEAST_JOINTS:
        return jittered(own, rng, errors)
    turn = rng.uniform(-np.pi, np.pi) if rng.random() < 0.6 else rng.normal(0.0, 0.7)
    box = crop_region(upright_box(uv, float(turn), float(rng.uniform(1.4, 1.9))), size, 1.0)
    return jittered(box, rng, replace(DETECTOR, turn_deg=0.0))


def to_crop(region: Region, size: Size, uv: npt.NDArray) -> tuple[npt.NDArray, npt.NDArray]:
    """The (2, 3) map from a crop to the image, and the joints in the crop."""
    matrix = crop_to_image([region], size, udp=True)[0]
    inverse = np.asarray(cv2.invertAffineTransform(matrix), np.float64)
    return matrix, apply_affine(inverse, uv)
