"""A grey camera, and exchanged colours, are named once, by what the images agree on."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.ros.colour import COLOUR, GREY, UNKNOWN, ColourWatch, ExchangeWatch

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


def searched(
    seconds: list[tuple[float, bool, bool]], rate_hz: float = 30.0
) -> tuple[ExchangeWatch, int, list[str]]:
    """(duration in s, something is found, a hand is there if exchanged) one after the other: the
    watch, how many images it searched, and what it said.
    """
    said: list[str] = []
    count, there = 0, False

    def hand_if_exchanged(image: np.ndarray) -> bool:
        nonlocal count
        count += 1
        return there

    exchange = ExchangeWatch(hand_if_exchanged, said.append)
    stamp_ns = 10**18
    for duration_s, found, there in seconds:  # noqa: B007 - read by the function above
        for _ in range(round(duration_s * rate_hz)):
            stamp_ns += round(1e9 / rate_hz)
            exchange.look(COLOURED, stamp_ns, found)
    return exchange, count, said


@pytest.mark.parametrize(
    ("seconds", "suspected", "told"),
    [
        ([(2.9, False, True)], False, 0),
        ([(5.0, False, True)], True, 1),
        ([(60.0, False, True)], True, 1),
        ([(60.0, True, True)], False, 0),
        ([(60.0, False, False)], False, 0),
        ([(2.5, False, True), (1.0, False, False), (2.5, False, True)], False, 0),
        ([(2.5, False, True), (0.1, True, True), (2.5, False, True)], False, 0),
        ([(5.0, False, True), (0.1, True, False)], False, 1),  # a hand is found: it was none
        ([(5.0, False, True), (0.1, True, True), (5.0, False, True)], True, 1),
    ],
)
def test_exchanged_colours_are_named_once_when_several_images_in_a_row_show_a_hand(
    seconds: list[tuple[float, bool, bool]], suspected: bool, told: int
) -> None:
    exchange, _, said = searched(seconds)
    assert exchange.suspected is suspected
    assert len(said) == told
    assert all("blue gloves" in text and "~/debug_image" in text for text in said)


def test_exchanged_colours_are_searched_for_once_a_second_and_never_while_hands_are_found() -> None:
    assert searched([(10.0, False, False)])[1] == 9
    assert searched([(10.0, True, False)])[1] == 0
