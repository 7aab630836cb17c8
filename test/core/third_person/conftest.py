"""Persons and their hands, played, before a pipeline that sees both."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vitpose_ros.detect.palms import Palm
from vitpose_ros.layouts import HAND21
from vitpose_ros.measure import Networks
from vitpose_ros.measurements import HandMeasurement
from vitpose_ros.pipeline import Pipeline, Result, Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.types import Crop, Frame, Instance, Region, View


def open_hand(x: float, y: float, size: float) -> np.ndarray:
    """(21, 2): wrist at (x, y), fingers down."""
    fingers, steps = np.divmod(np.arange(20), 4)
    across = np.concatenate([[0.0], (fingers - 2) * 0.3])
    along = np.concatenate([[0.0], 0.6 + 0.2 * steps])
    return (np.stack([across, along], axis=1) * size + (x, y)).astype(np.float32)


class HandWorld:
    """Plays both networks of hands: each person's own, and others at `more` (x, y, size; px)."""

    name = "hands"
    engine = "a played engine"

    def __init__(self, crowd: Any) -> None:
        self.crowd = crowd
        self.more: list[tuple[float, float, float]] = []
        self.missing: set[tuple[int, str]] = set()  # number of the person, "left" or "right"
        self.right = 0.9  # what the network takes any hand for
        self.score = 0.8
        self.read: list[list[Region]] = []
        self.palm_looks = 0
        self.detector = self.Palms(self)

    class Palms:
        name = "palms"

        def __init__(self, world: HandWorld) -> None:
            self.world = world

        def __call__(self, crops: list[Crop], threshold: float) -> list[list[Palm]]:
            self.world.palm_looks += 1
            palms = [
                Palm((*(uv[9] - 15), 30, 30), uv[[0, 5, 9, 13, 17, 1, 2]], 0.9)
                for uv in self.world.hands()
            ]
            return [palms] + [[] for _ in crops[1:]]

    def hands(self) -> list[np.ndarray]:
        """(21, 2) px each."""
        wrists = [
            (*person.joint(f"{side}_wrist"), 0.2 * person.size)
            for number, person in enumerate(self.crowd.people)
            for side in ("left", "right")
            if (number, side) not in self.missing
        ]
        return [open_hand(*wrist) for wrist in [*wrists, *self.more]]

    def __call__(self, crops: list[Crop]) -> list[HandMeasurement | None]:
        self.read.append([crop.region for crop in crops])
        return [self._estimate(crop.region) for crop in crops]

    def _estimate(self, region: Region) -> HandMeasurement | None:
        def distance(uv: np.ndarray) -> float:
            return np.hypot(*(uv.mean(axis=0) - (region.cx, region.cy)))

        uv = min(self.hands(), key=distance, default=None)
        if uv is None or distance(uv) > region.width / 2:
            return None
        score = np.full(21, self.score, np.float32)
        shape = np.full((21, 3), np.nan, np.float32)
        return HandMeasurement(uv, score, np.ones(21, bool), shape, 0.98, self.right)


class Camera:
    """A pipeline and the images that it gets, one every 33 ms."""

    STEP_NS = 33_000_000

    def __init__(self, crowd: Any, view: str = "third_person", **hand_settings: object) -> None:
        self.crowd, self.hands = crowd, HandWorld(crowd)
        networks = Networks(self.hands, self.hands.detector, crowd.detector, crowd)
        self.pipeline = Pipeline(networks, Settings(HandSettings(**hand_settings)), view)
        self.stamp_ns = 10**18
        self.image = np.zeros((480, 640, 3), np.uint8)
        self.image[0, 0] = 255  # so that the crowd can tell a mirror image

    def shoot(self, after_ns: int = STEP_NS) -> Result:
        """What is found in the next image."""
        self.stamp_ns += after_ns
        return self.pipeline(Frame(self.image, self.stamp_ns))

    def shoot_for(self, seconds: float) -> list[Result]:
        """What is found in each of the next images."""
        return [self.shoot() for _ in range(round(seconds * 1e9 / self.STEP_NS))]


@pytest.fixture
def two(crowd, person) -> Any:
    """A crowd of two, side by side."""
    return crowd(person(160, 200), person(460, 220))


@pytest.fixture
def hand_world() -> type[HandWorld]:
    """``hand_world(crowd)``: the hands of a crowd, and networks that find them."""
    return HandWorld


@pytest.fixture
def camera_on() -> type[Camera]:
    """``camera_on(crowd, view="third_person", **hand_settings)``: a pipeline and its images."""
    return Camera


@pytest.fixture
def split() -> Callable[[Result], tuple[list[Instance], list[Instance]]]:
    """A function: the bodies of a result, and its hands; bodies come first."""

    def parts(result: Result) -> tuple[list[Instance], list[Instance]]:
        bodies = [i for i in result.instances if i.layout is not HAND21]
        hands = [i for i in result.instances if i.layout is HAND21]
        assert list(result.instances) == bodies + hands
        return bodies, hands

    return parts


@pytest.fixture
def views() -> Callable[[list[Result]], list[View]]:
    """A function: the view of each result, without repetitions."""
    return lambda results: [
        view for view, _ in itertools.groupby(result.view for result in results)
    ]
