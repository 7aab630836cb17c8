"""What the demo's figures rest on: which true hands should be found, and the film's pace."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vitpose_ros.layouts import HAND21
from vitpose_ros.ros.film import Film
from vitpose_ros.ros.monitor import should_be_found
from vitpose_ros.types import Instance, JointState, Keypoints

PERIOD_NS = 40_000_000


def hand(hidden: int = 0, first_joint: tuple[float, float] = (10.0, 10.0)) -> Instance:
    uv = np.full((21, 2), 30, np.float32)
    uv[0] = first_joint
    state = np.full(21, JointState.VISIBLE, np.uint8)
    state[:hidden] = JointState.OCCLUDED
    return Instance(Keypoints(HAND21, uv, np.ones(21, np.float32), state), 1.0, "synthetic")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (hand(), True),
        (hand(hidden=10), True),
        (hand(hidden=11), False),
        (hand(first_joint=(0.0, 0.0)), True),
        (hand(first_joint=(63.0, 47.0)), True),
        (hand(first_joint=(63.1, 20.0)), False),
        (hand(first_joint=(20.0, -0.1)), False),
    ],
    ids=["seen", "half seen", "hidden", "in a corner", "in the other", "leaving", "above"],
)
def test_a_hand_should_be_found_when_all_of_it_is_inside_and_half_of_it_seen(
    given: Instance, expected: bool
) -> None:
    assert should_be_found(given, 64, 48) is expected


def film(folder: Path, stamps: list[int]) -> cv2.VideoCapture:
    made = Film(folder)
    for stamp in stamps:
        made.add(stamp, np.full((48, 64, 3), 90, np.uint8), [])
    made.close()
    return cv2.VideoCapture(str(folder / "overlay.mp4"))


def test_the_film_runs_at_the_pace_of_the_stamps(tmp_path: Path) -> None:
    read = film(tmp_path, [i * PERIOD_NS for i in range(25)])
    assert read.get(cv2.CAP_PROP_FPS) == pytest.approx(25.0)
    assert read.get(cv2.CAP_PROP_FRAME_COUNT) == 25


def test_an_image_that_was_left_out_is_filled_so_that_the_film_keeps_its_length(
    tmp_path: Path,
) -> None:
    read = film(tmp_path, [i * PERIOD_NS for i in range(25) if i % 5 != 3])
    assert read.get(cv2.CAP_PROP_FRAME_COUNT) == 25


def test_a_very_short_film_is_written_too(tmp_path: Path) -> None:
    assert film(tmp_path, [0, PERIOD_NS]).get(cv2.CAP_PROP_FRAME_COUNT) == 2


def test_the_picture_is_the_one_with_the_most_hands(tmp_path: Path) -> None:
    made = Film(tmp_path)
    for level, count in enumerate([0, 1, 2, 1]):
        image = np.full((48, 64, 3), 50 * level, np.uint8)
        made.add(level * PERIOD_NS, image, [hand()] * count)
    made.close()
    assert cv2.imread(str(tmp_path / "overlay.png"))[0, 0, 0] == 100
