"""What every detector of persons offers, and the way from a network's boxes to regions."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.types import ByteArray, Region

MIN_PERSON_PX = 8.0
"""A box with a shorter side shows no person that any network could read."""

MIN_IMAGE_PX = 16.0
"""In an image with a shorter side, blocks of colour are taken for persons."""


class PersonDetector(Protocol):
    """Finds persons in an image."""

    name: str
    """The network's name in the model catalogue."""

    def __call__(self, image: ByteArray, threshold: float) -> list[Region]:
        """Find persons.

        Parameters
        ----------
        image : (H, W, 3) uint8, BGR.
        threshold : boxes of a lower score are left out, 0 .. 1.

        Returns
        -------
        Upright regions of persons and of nothing else, best first, so that the first N are the N
        best; empty when there is none. Each lies in the image and has sides of at least
        MIN_PERSON_PX; boxes that are not finite are left out. An image of any size is taken.

        Raises
        ------
        EngineError : when the network cannot be run.
        """
        ...


def person_regions(
    corners: npt.NDArray, scores: npt.NDArray, width: int, height: int
) -> list[Region]:
    """Boxes of a network as regions of an image: cut at its edges, best first.

    Parameters
    ----------
    corners : (N, 4) x0, y0, x1, y1, px of the image.
    scores : (N,).
    width, height : of the image, px.

    Returns
    -------
    Left out are boxes that are not finite, lie outside the image, or are shorter than
    MIN_PERSON_PX there, and all of an image that is shorter than MIN_IMAGE_PX.
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
    name : the network's name in the catalogue, for the error.
    size : (width, height) for a network that takes any; when the network has a size of its own,
        it must be this one or None.

    Raises
    ------
    EngineError : other inputs; no size known; or two that differ.
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
