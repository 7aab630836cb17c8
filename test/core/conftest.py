"""Networks and images that the core's tests share. What is absent skips and says what helps."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vitpose_ros.detect.bodies import body_region
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.layouts import COCO17, HAND21, Layout
from vitpose_ros.measure import Networks, measure
from vitpose_ros.measurements import BodyMeasurement, Measurements
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.settings import HandSettings, PersonSettings
from vitpose_ros.track.tracker import Tracker
from vitpose_ros.types import Crop, Frame, Instance, JointState, Keypoints, Region

CHECKOUT = Path(__file__).parents[2]
RTX_VERSION = "1.7.1.116"


@pytest.fixture(scope="session")
def model_path():
    """A function: the file of a model by its name in the catalogue."""

    def find(name: str) -> Path:
        try:
            return ModelStore().get(name).path
        except ModelError as error:
            pytest.skip(str(error))

    return find


@pytest.fixture(scope="session")
def engine_of(model_path):
    """A function: an engine that runs a model; each model is loaded once."""
    loaded: dict[str, OpenVinoEngine] = {}

    def load(name: str) -> OpenVinoEngine:
        if name not in loaded:
            loaded[name] = OpenVinoEngine(model_path(name))
        return loaded[name]

    return load


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images: VITPOSE_ROS_TEST_DATA, else ../shared/data beside the checkout."""
    checkout = Path(__file__).resolve().parents[2]
    folder = os.environ.get("VITPOSE_ROS_TEST_DATA", checkout.parent / "shared" / "data")
    if not Path(folder).is_dir():
        pytest.skip(f"no {folder}; set VITPOSE_ROS_TEST_DATA to the folder of the test data")
    return Path(folder)


@pytest.fixture(scope="session")
def real_image(test_data):
    """A function: an image of the test data by its name, BGR."""

    def read(name: str) -> np.ndarray:
        image = cv2.imread(str(test_data / name))
        if image is None:
            pytest.skip(f"no image {test_data / name}")
        return image

    return read


# --- persons, played ---------------------------------------------------------------------------

_HALF = {  # joints on a person's left, in lengths of the trunk around its middle; left is at +x
    "eye": (0.1, -0.9),
    "ear": (0.18, -0.85),
    "shoulder": (0.4, -0.5),
    "elbow": (0.6, 0.0),
    "wrist": (0.7, 0.5),
    "hip": (0.25, 0.5),
    "knee": (0.25, 1.2),
    "ankle": (0.25, 1.9),
}
BODY = {"nose": (0.0, -0.8)}
for _joint, (_x, _y) in _HALF.items():
    BODY[f"left_{_joint}"], BODY[f"right_{_joint}"] = (_x, _y), (-_x, _y)
for _i, _joint in enumerate(HAND21.joints):
    for _side, _sign in (("left", 1), ("right", -1)):
        BODY[f"{_side}_hand_{_joint}"] = (
            _sign * (0.7 + 0.03 * (_i % 4)),
            0.5 + 0.04 * (_i // 4 + _i % 4),
        )


@dataclass
class Person:
    """Somebody who faces the camera: the middle of the trunk and its length, px; scores as the
    detector and the body's network give them; joints that are not seen; and by how many trunk
    lengths mirrored readings are off, as they are for arms.
    """

    x: float
    y: float
    size: float = 100.0
    score: float = 0.9
    detected: float = 0.8
    unseen: tuple[str, ...] = ()
    off: float = 0.0

    def joint(self, name: str) -> np.ndarray:
        """(2,) px."""
        return np.array((self.x, self.y)) + np.multiply(BODY[name], self.size)

    def keypoints(self, layout: Layout) -> Keypoints:
        """In any layout; joints that `BODY` lacks are absent."""
        known = np.array([j in BODY and j not in self.unseen for j in layout.joints])
        uv = np.full((len(layout), 2), np.nan, np.float32)
        for i in np.flatnonzero(known):
            uv[i] = self.joint(layout.joints[i])
        state = np.where(known, JointState.MEASURED, JointState.ABSENT).astype(np.uint8)
        return Keypoints(layout, uv, np.where(known, self.score, 0).astype(np.float32), state)

    def region(self) -> Region:
        """As a detector gives it."""
        size = self.size
        return Region(self.x, self.y + 0.5 * size, 1.7 * size, 3.2 * size, score=self.detected)


class PersonDetector:
    """Its answers come from the crowd, by way of the reader."""

    name = "detector"


MARKED = 255
"""An image whose top right pixel has this value is a mirror image of the scene."""


class Crowd:
    """Plays the person detector and the body's network on the persons in it.

    It sees mirror images of images whose top left pixel is MARKED.
    """

    name = "crowd"
    engine = "a played engine"
    detector = PersonDetector()

    def __init__(self, *people: Person, layout: Layout = COCO17) -> None:
        self.people = list(people)
        self.layout = layout
        self.looks = 0
        self.read: list[list[Region]] = []
        self.read_again: list[list[Region]] = []  # in mirror images

    def regions(
        self, detector: PersonDetector, image: np.ndarray, threshold: float
    ) -> list[Region]:
        """What the detector finds."""
        self.looks += 1
        found = [p.region() for p in self.people if p.detected >= threshold]
        return sorted(found, key=lambda region: -region.score)

    def __call__(self, crops: list[Crop]) -> list[BodyMeasurement | None]:
        """Who is nearest to the middle of each crop, if anybody is in it."""
        mirrored = bool(crops) and bool((crops[0].image[0, -1] == MARKED).all())
        (self.read_again if mirrored else self.read).append([crop.region for crop in crops])
        if mirrored:
            return [self._mirrored_reading(crop) for crop in crops]
        return [self._reading(crop.region) for crop in crops]

    def _mirrored_reading(self, crop: Crop) -> BodyMeasurement | None:
        width = crop.image.shape[1]
        found = self._reading(replace(crop.region, cx=width - 1 - crop.region.cx))
        if found is None:
            return None
        joints = found.mirrored().keypoints
        uv = joints.uv.copy()
        uv[:, 0] = width - 1 - uv[:, 0] + max(p.off * p.size for p in self.people)
        return replace(found, keypoints=replace(joints, uv=uv))

    def _reading(self, region: Region) -> BodyMeasurement | None:
        def distance(person: Person) -> float:
            x, y = person.region().cx, person.region().cy
            return max(abs(x - region.cx) / region.width, abs(y - region.cy) / region.height)

        person = min(self.people, key=distance, default=None)
        if person is None or distance(person) > 0.5:
            return None
        keypoints = person.keypoints(self.layout)
        return BodyMeasurement(keypoints, person.score, body_region(keypoints, padding=1.1))


@pytest.fixture
def person() -> type[Person]:
    """``person(x, y, size=100, score=0.9, detected=0.8, unseen=(), off=0)``: in an image."""
    return Person


@pytest.fixture
def crowd() -> Callable[..., Crowd]:
    """``crowd(*people, layout=COCO17)``: persons, and networks that find them."""
    return Crowd


class NoHands:
    """A network of hands that finds none."""

    name, engine = "hands", "a played engine"

    def __call__(self, crops: list[Crop]) -> list[None]:
        return [None] * len(crops)


class BodyCamera:
    """Measures and tracks bodies, without smoothing, in images that come every 33 ms."""

    STEP_NS = 33_000_000

    def __init__(
        self, detector: Any, reader: Any, size: tuple[int, int] = (640, 480), **settings: Any
    ) -> None:
        self.networks = Networks(NoHands(), None, detector, reader)
        self.tracker = Tracker("third_person", reader.layout)
        self.persons = PersonSettings(**settings)
        self.image = np.zeros((size[1], size[0], 3), np.uint8)
        self.image[0, 0] = MARKED
        self.stamp_ns = 10**18
        self.measured = Measurements()

    def shoot(self) -> list[Instance]:
        """The bodies of the next image, lost ones included."""
        self.stamp_ns += self.STEP_NS
        frame = Frame(self.image, self.stamp_ns)
        plan = self.tracker.plan(frame, HandSettings(), self.persons)
        (self.measured,) = measure(self.networks, [frame], [plan])
        return self.tracker.associate(frame, plan, self.measured, ("hands", "crowd"))


@pytest.fixture
def body_camera() -> type[BodyCamera]:
    """``body_camera(detector, reader, size, **person_settings)``: tracked bodies of images."""
    return BodyCamera


# --- TensorRT for RTX ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """Where wheels stay from run to run: the workspace's folder, where there is one."""
    workspace = CHECKOUT / ".workspace"
    if workspace.is_dir() and os.access(workspace, os.W_OK):
        return workspace / "tensorrt-bindings"
    return tmp_path_factory.mktemp("tensorrt-bindings")


@pytest.fixture(scope="session")
def rtx_folder(cache) -> Path:
    """The real TensorRT for RTX, which builds without a GPU: 90 MB to fetch, once per workspace.

    It has a folder of its own, so that no other test finds it installed.
    """
    folder = cache / f"rtx-{RTX_VERSION}-{sys.implementation.cache_tag}"
    if not folder.is_dir():
        part = folder.with_name(f"{folder.name}.{os.getpid()}")
        names = [f"tensorrt-rtx-cu12{part}=={RTX_VERSION}" for part in ("", "-libs", "-bindings")]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        done = subprocess.run([*command, part, *names], capture_output=True, text=True, check=False)
        if done.returncode and "from versions" in done.stderr:
            pytest.skip(f"TensorRT for RTX {RTX_VERSION} has no wheel for this Python or processor")
        assert done.returncode == 0, done.stderr
        try:
            part.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(part)
    return folder


@pytest.fixture(scope="session")
def rtx_module(rtx_folder):
    """The real module, for the fixture `rtx`."""
    sys.path.append(str(rtx_folder))
    try:
        return importlib.import_module("tensorrt_rtx")
    finally:
        sys.path.remove(str(rtx_folder))
        sys.modules.pop("tensorrt_rtx")


@pytest.fixture
def rtx(rtx_module, monkeypatch):
    """This machine has the real TensorRT for RTX, and no GPU."""
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", rtx_module)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    return rtx_module
