"""How hands and bodies are found: what may change while a pipeline runs, checked when made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HANDS_OF_A_PERSON = 2
"""Up to this many hands in a first-person view are the wearer's own: one left, one right."""


@dataclass(frozen=True)
class HandSettings:
    """How hands are found and followed.

    Attributes
    ----------
    max_hands : hands in one image, 1 .. 16. The hand detector pauses while this many are tracked.
        In third person each body has its two hands, and max_hands limits, and counts, only the
        hands that belong to no body.
    detection_threshold : lowest score of a detection, 0 .. 1.
    presence_threshold : lowest probability that a crop shows a hand, 0 .. 1.
    input_mirrored : the images are mirrored left to right, as in a selfie view. Sides are
        exchanged, and x in metres (xyz, shape_xyz) changes sign, so that a left hand has the shape
        of a left hand in the camera's own frame. Pixels stay those of the image.
    search : look for small hands in tiles of the image while fewer than max_hands are in view.
    search_tiles_per_frame : tiles per image, 1 .. 16. While a hand is followed, tiles and the whole
        image take turns. In static mode every tile is used.
    static : each image stands alone: no tracking, no use of stamps, no identity. Not with the view
        "auto", which decides from earlier images.

    Raises
    ------
    ValueError : names the field, the given value and what is accepted.
    """

    max_hands: int = 2
    detection_threshold: float = 0.5
    presence_threshold: float = 0.5
    input_mirrored: bool = False
    search: bool = True
    search_tiles_per_frame: int = 1
    static: bool = False

    def __post_init__(self) -> None:
        _check_counts(self, max_hands=16, search_tiles_per_frame=16)
        _check_shares(self, "detection_threshold", "presence_threshold")
        check_flags(self, "input_mirrored", "search", "static")


@dataclass(frozen=True)
class PersonSettings:
    """How bodies are found and followed.

    Attributes
    ----------
    max_persons : bodies in one image, 1 .. 32.
    person_threshold : lowest score of a detected person, 0 .. 1.
    body_threshold : lowest score of a measured body, 0 .. 1.
    detect_interval : while bodies are tracked, but fewer than max_persons, the person detector
        runs in every detect_interval-th image, 1 .. 1000. With no tracked body it runs in each.

    Raises
    ------
    ValueError : names the field, the given value and what is accepted.
    """

    max_persons: int = 4
    person_threshold: float = 0.5
    body_threshold: float = 0.5
    detect_interval: int = 10

    def __post_init__(self) -> None:
        _check_counts(self, max_persons=32, detect_interval=1000)
        _check_shares(self, "person_threshold", "body_threshold")


def _check_counts(settings: Any, **most: int) -> None:
    for name, high in most.items():
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
            raise ValueError(f"{name}: expected a whole number from 1 to {high}, got {value!r}")


def _check_shares(settings: Any, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 <= value <= 1:
            raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}")


def check_flags(settings: Any, *names: str) -> None:
    """ValueError naming the first of these fields that is neither true nor false."""
    for name in names:
        value = getattr(settings, name)
        if not isinstance(value, bool):
            raise ValueError(f"{name}: expected true or false, got {value!r}")
