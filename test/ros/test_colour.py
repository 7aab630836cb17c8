"""A grey camera is named once, by what its images agree on."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.ros.colour import COLOUR, GREY, UNKNOWN, ColourWatch

_RNG = np.random.default_rng(4)
COLOURED = _RNG.integers(0, 255, (48, 64, 3), np.uint8)
GREYED = COLOURED[..., :1].repeat(3, axis=2)
BLACK = _RNG.integers(0, 12, (48, 64, 1), np.uint8).repeat(3, axis=2)


def watch(*runs: tuple[np.ndarray, int]) -> tuple[ColourWatch, list[str]]:
    said: list[str] = []
    colours = ColourWatch(said.append)
    for image, count in runs:
        for _ in range(count):
            colours.look(image)
    return colours, said


@pytest.mark.parametrize(
    ("runs", "state", "told"),
    [
        ([(GREYED, 29)], UNKNOWN, 0),
        ([(GREYED, 30)], GREY, 1),
        ([(GREYED, 500)], GREY, 1),
        ([(COLOURED, 500)], COLOUR, 0),
        ([(BLACK, 500)], UNKNOWN, 0),
        ([(GREYED, 20), (BLACK, 100), (GREYED, 20)], GREY, 1),
        ([(COLOURED, 40), (GREYED, 20), (COLOURED, 40)], COLOUR, 0),
        ([(COLOURED, 40), (GREYED, 40)], GREY, 1),  # night mode
        ([(GREYED, 40), (COLOURED, 40), (GREYED, 40)], GREY, 1),
    ],
)
def test_a_grey_camera_is_named_once_when_its_images_agree(
    runs: list[tuple[np.ndarray, int]], state: str, told: int
) -> None:
    colours, said = watch(*runs)
    assert colours.state == state
    assert len(said) == told
    assert all("the images are grey" in text for text in said)
