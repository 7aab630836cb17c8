"""camera_info to a camera model: what each field means, what is refused, what is said once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from vitpose_ros.camera import CameraModel
from vitpose_ros.ingest.camera_info import Calibration, camera_model, is_rectified

SIZE = (1280, 720)
K = (700.0, 0.0, 643.0, 0.0, 690.0, 355.0, 0.0, 0.0, 1.0)
P = (650.0, 0.0, 630.0, -78.0, 0.0, 650.0, 350.0, 0.0, 0.0, 0.0, 1.0, 0.0)
D = (-0.2, 0.05, 0.001, -0.002, 0.01)
R = tuple(float(number) for number in cv2.Rodrigues(np.array([0.01, 0.02, -0.03]))[0].ravel())
RAW = CameraModel(*SIZE, 700.0, 690.0, 643.0, 355.0, "plumb_bob", D, R)


def info(**changes: Any) -> CameraInfo:
    given: dict[str, Any] = {
        "width": SIZE[0],
        "height": SIZE[1],
        "distortion_model": "plumb_bob",
        "d": D,
        "k": K,
        "r": R,
        "p": P,
        **changes,
    }
    return CameraInfo(**given)


# --- the fields


def test_a_raw_image_has_the_lenss_own_numbers() -> None:
    assert camera_model(info(), SIZE) == RAW


def test_a_rectified_image_has_p_and_no_distortion() -> None:
    expected = CameraModel(*SIZE, 650.0, 650.0, 630.0, 350.0)
    assert camera_model(info(), SIZE, rectified=True) == expected


def test_a_raw_and_a_rectified_pixel_of_one_point_have_the_same_ray() -> None:
    """As image_geometry rectifies: OpenCV maps raw pixels to those of P, with R and D."""
    raw = np.random.default_rng(1).uniform((200, 100), (1080, 620), (50, 2))
    k, p = np.reshape(K, (3, 3)), np.reshape(P, (3, 4))
    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 1000, 1e-14)
    undistort = getattr(cv2, "undistortPointsIter", cv2.undistortPoints)  # OpenCV 4, 5
    rectified = undistort(
        raw[:, None], k, np.array(D), R=np.reshape(R, (3, 3)), P=p[:, :3], criteria=until
    )[:, 0]
    np.testing.assert_allclose(
        camera_model(info(), SIZE).rays(raw),
        camera_model(info(), SIZE, rectified=True).rays(rectified),
        atol=1e-8,
    )


def test_a_mirrored_image_is_described_as_such() -> None:
    assert camera_model(info(), SIZE, mirrored=True) == replace(RAW, mirrored=True)


SAME = [
    ("no rotation given", {"r": [0.0] * 9}, {"rotation": None}),
    ("no rotation", {"r": np.eye(3).ravel()}, {"rotation": None}),
    ("no distortion given", {"d": [], "distortion_model": ""}, {"distortion": ()}),
    ("OpenCV's four numbers", {"d": D[:4]}, {"distortion": (*D[:4], 0.0)}),
    ("unused terms", {"d": (*D, 0.0, 0.0, 0.0)}, {}),
    (
        "rational",
        {"d": [0.1, 0.2, 0.0, 0.0, 0.3, 0.4, 0.5, 0.6], "distortion_model": "rational_polynomial"},
        {
            "distortion": (0.1, 0.2, 0.0, 0.0, 0.3, 0.4, 0.5, 0.6),
            "distortion_model": "rational_polynomial",
        },
    ),
    (
        "fisheye",
        {"d": [0.1, 0.2, 0.3, 0.4], "distortion_model": "equidistant"},
        {"distortion": (0.1, 0.2, 0.3, 0.4), "distortion_model": "equidistant"},
    ),
]


@pytest.mark.parametrize(
    ("change", "expected"), [row[1:] for row in SAME], ids=[row[0] for row in SAME]
)
def test_what_drivers_write_is_understood(change: dict[str, Any], expected: dict[str, Any]) -> None:
    assert camera_model(info(**change), SIZE) == replace(RAW, **expected)


def test_a_region_of_interest_shifts_and_binning_scales() -> None:
    roi = RegionOfInterest(x_offset=100, y_offset=40, width=800, height=600)
    given = camera_model(info(roi=roi), (800, 600))
    assert given == replace(RAW, width=800, height=600, cx=543.0, cy=315.0)
    both = camera_model(info(roi=roi, binning_x=2, binning_y=2), (400, 300))
    # Pixel 0 of the binned image covers pixels 0 and 1: their common centre is 0.5.
    expected = {"fx": 350.0, "fy": 345.0, "cx": 543.5 / 2 - 0.5, "cy": 315.5 / 2 - 0.5}
    assert both == replace(RAW, width=400, height=300, **expected)
    rectified = camera_model(info(roi=roi), (800, 600), rectified=True)
    assert (rectified.cx, rectified.cy) == (530.0, 310.0)


def test_an_image_of_a_whole_fraction_of_the_size_is_scaled() -> None:
    assert camera_model(info(), (640, 360)) == RAW.scaled_to(640, 360)


# --- what is refused

REFUSED = [
    ({"k": [0.0] * 9}, False, r"not calibrated \(K is all zeros\)"),
    ({"width": 0}, False, "states an image size of 0x720 px"),
    ({"p": [0.0] * 12}, True, "taken as rectified, but P is all zeros"),
    ({"k": (*K[:1], 0.5, *K[2:])}, False, "K has a skew of 0.5"),
    ({"p": (*P[:1], 0.5, *P[2:])}, True, "P has a skew of 0.5"),
    ({"k": (-1.0, *K[1:])}, False, "positive focal lengths"),
    ({"k": (np.nan, *K[1:])}, False, "fx nan"),
    ({"distortion_model": "double\nsphere"}, False, r"model 'double\\nsphere' is not supported; "),
    ({"distortion_model": ""}, False, "model '' is not supported"),
    ({"d": [0.1]}, False, "plumb_bob takes 5 coefficients .* got 1"),
    ({"d": [0.1] * 8}, False, "plumb_bob takes 5 coefficients .* got 8"),
    ({"d": [np.inf] * 5}, False, "finite distortion coefficients"),
    ({"r": [1.0] * 9}, False, "expected a rotation"),
    (
        {"roi": RegionOfInterest(x_offset=900, width=800, height=600)},
        False,
        r"region of interest \(800x600 px at 900, 0\) is not inside its image of 1280x720",
    ),
    ({"width": 1920, "height": 1080}, False, "for images of 1920x1080 px, the image has 1280x720"),
    ({"binning_x": 2, "binning_y": 1}, False, "for images of 640x720 px, the image has 1280x720"),
]


@pytest.mark.parametrize(
    ("change", "rectified", "said"), REFUSED, ids=[row[2][:40] for row in REFUSED]
)
def test_a_camera_info_that_cannot_describe_the_image_is_refused(
    change: dict[str, Any], rectified: bool, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        camera_model(info(**change), SIZE, rectified=rectified)


# --- raw or rectified

NAMES = [
    ("/camera/image_raw", False),
    ("/camera/image_rect", True),
    ("/camera/image_rect_color", True),
    ("/camera/infra1/image_rect_raw", True),
    ("/camera/image_rect/compressed", True),
    ("/zed/rgb/color/rect/image", True),
    ("/rectified/image", True),
    ("/direct/image_raw", False),
    ("/rectangle/image", False),
    ("/camera/unrectified/image", False),
]


@pytest.mark.parametrize(("topic", "rectified"), NAMES)
def test_auto_goes_by_a_word_of_the_topics_name(topic: str, rectified: bool) -> None:
    assert is_rectified("auto", topic) is rectified
    assert is_rectified("always", topic) is True
    assert is_rectified("never", topic) is False


# --- over time


class Told:
    """A Calibration with what it said."""

    def __init__(self, image_topic: str = "/camera/image_raw") -> None:
        self.informed: list[str] = []
        self.warned: list[str] = []
        self.calibration = Calibration(self.informed.append, self.warned.append)
        self.calibration.start("/camera/camera_info", image_topic)

    def model(self, size: tuple[int, int] = SIZE, choice: str = "auto") -> CameraModel | None:
        return self.calibration.model_for(size, choice, False)


def test_without_camera_info_the_camera_is_not_known_and_nothing_is_said() -> None:
    told = Told()
    assert told.model() is None
    assert told.calibration.state == "none received"
    assert (told.informed, told.warned) == ([], [])


def test_how_camera_info_is_used_is_said_once() -> None:
    told = Told("/camera/image_rect")
    for _ in range(3):
        told.calibration.take(info())
        model = told.model()
        assert model is not None
        assert model.fx == P[0]
    assert told.calibration.state == "image is rectified"
    assert told.informed == [
        "/camera/camera_info: the image is taken as rectified (parameter image_rectified)"
    ]
    model = told.model(choice="never")
    assert model is not None
    assert model.fx == K[0]
    assert told.calibration.state == "image is raw, plumb_bob"
    assert told.warned == []


def test_a_problem_is_said_once_and_again_when_it_changes() -> None:
    told = Told()
    for _ in range(3):
        told.calibration.take(info(k=[0.0] * 9))
        assert told.model() is None
    assert told.calibration.state == "not used: the camera is not calibrated (K is all zeros)"
    assert told.warned == [
        "/camera/camera_info is not used: the camera is not calibrated (K is all zeros). Markers "
        "are placed as if the camera saw 60 degrees across."
    ]
    told.calibration.take(info())
    assert told.model() is not None
    assert told.model((640, 480)) is None
    assert len(told.warned) == 2
    assert "the image has 640x480: not a whole multiple" in told.warned[1]


def test_numbers_that_are_not_numbers_are_said_once_in_the_words_of_the_message() -> None:
    told = Told()
    for _ in range(3):
        told.calibration.take(info(k=(np.nan, *K[1:])))
        assert told.model() is None
    assert len(told.warned) == 1
    assert "/camera/camera_info is not used: expected positive focal lengths" in told.warned[0]


def test_after_a_new_start_nothing_is_known_of_the_camera() -> None:
    told = Told()
    told.calibration.take(info())
    assert told.model() == RAW
    told.calibration.start("/camera/camera_info", "/camera/image_raw")
    assert told.model() is None
    assert told.calibration.state == "none received"


def test_a_camera_that_is_calibrated_anew_is_taken_over() -> None:
    told = Told()
    told.calibration.take(info())
    assert told.model() == RAW
    told.calibration.take(info(k=(710.0, *K[1:])))
    assert told.model() == replace(RAW, fx=710.0)
    assert len(told.informed) == 1
