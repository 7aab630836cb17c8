"""The interface of person detectors, and the conversion of a network's boxes to regions."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.types import ByteArray, Region

MIN_PERSON_PX = 8.0
"""A person in a box with a shorter side is too small for any network."""

MIN_IMAGE_PX = 16.0
"""In images with a shorter side, detectors report blocks of colour as persons."""


class PersonDetector(Protocol):
    """Finds persons in an image."""

    name: str
    """The network's name in the model catalogue."""

    def __call__(self, image: ByteArray, threshold: float) -> list[Region]:
        """Find persons.

        Parameters
        ----------
        image : (H, W, 3) uint8, BGR.
        threshold : minimum score, 0 .. 1.

        Returns
        -------
        Upright regions of persons only, best first; empty if there are none. Each is inside the
        image, finite, and has sides of at least MIN_PERSON_PX. The image may have any size.

        Raises
        ------
        EngineError : the network fails.
        """
        ...


def person_regions(
    corners: npt.NDArray, scores: npt.NDArray, width: int, height: int
) -> list[Region]:
    """Convert a network's boxes to regions, clipped to the image.

    Parameters
    ----------
    corners : (N, 4) x0, y0, x1, y1, px of the image.
    scores : (N,).
    width, height : of the image, px.

    Returns
    -------
    Regions, best first, without boxes that are not finite, lie outside the image, or have a side
    shorter than MIN_PERSON_PX in it; empty if a side of the image is shorter than MIN_IMAGE_PX.
    """
    if min(width, height) < MIN_IMAGE_PX:
        return []
    order = np.argsort(-scores, kind="stable")
    boxes, ranked = corners[order].astype(np.float64), scores[order].astype(np.float64)
    usable = np.isfinite(boxes).all(axis=1) & np.isfinite(ranked)
    boxes, ranked = boxes[usable], ranked[usable]
    boxes = np.clip(boxes, 0.0, (width, height, width, height))
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = (boxes[:, 2:] + boxes[:, :2]) / 2
    return [
        Region(float(c[0]), float(c[1]), float(s[0]), float(s[1]), score=float(score))
        for c, s, score in zip(centres, sides, ranked, strict=True)
        if s.min() >= MIN_PERSON_PX
    ]


def image_input(
    specs: tuple[TensorSpec, ...], name: str, size: tuple[int, int] | None
) -> tuple[str, int, int]:
    """The name, width and height of a network's only input, (N, 3, H, W).

    Parameters
    ----------
    specs : the network's inputs.
    name : the network's name in the catalogue, for error messages.
    size : (width, height), required if the network accepts any size; otherwise the network's own
        size, or None.

    Raises
    ------
    EngineError : the inputs do not fit, the size is unknown, or the two sizes differ.
    """
    if len(specs) != 1 or len(specs[0].shape) != 4 or specs[0].shape[1] not in (3, None):
        found = ", ".join(map(str, specs)) or "none"
        raise EngineError(
            f"'{name}' cannot be used as a detector: expected one input (N, 3, H, W); the file has "
            f"{found}. Export it without post-processing that needs the image's size, or choose "
            "another model"
        )
    spec = specs[0]
    own = spec.shape[3], spec.shape[2]
    given = size or (None, None)
    both = [tuple(s for s in pair if s is not None) for pair in zip(own, given, strict=True)]
    if not all(both):
        raise EngineError(
            f"'{name}' accepts any image size ({spec}); give the size it was trained for in its "
            "catalogue entry: input: {width: W, height: H}"
        )
    if any(len(set(pair)) > 1 for pair in both):
        raise EngineError(
            f"'{name}' accepts {spec}, but its catalogue entry says {given[0]}x{given[1]} (width x "
            "height); correct the entry"
        )
    return spec.name, both[0][0], both[1][0]
