"""Depth messages: units by encoding, strides and byte order, compressed depth, refusals."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from vitpose_ros.camera import CameraModel
from vitpose_ros.ingest.depth import depth_camera, foreign, read_depth
from vitpose_ros.ingest.images.errors import ImageError
from vitpose_ros.types import Depth, Frame

LIMIT = 1_000_000
MILLIMETRES = np.array([[0, 500, 1500], [65535, 1, 250]], np.uint16)
METRES = np.array([[np.nan, 0.5, 1.5], [np.inf, 0.001, 0.25]], np.float32)


def raw(pixels, encoding, padding=0, big=False, **changes):
    data = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    rows = [row.tobytes() + b"\xff" * padding for row in data]
    given = {
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "encoding": encoding,
        "step": len(rows[0]),
        "is_bigendian": int(big),
        "data": b"".join(rows),
    }
    return SimpleNamespace(**{**given, **changes})


def compressed(pixels, name, scale=0.0, offset=0.0):
    png = cv2.imencode(".png", pixels)[1].tobytes()
    return SimpleNamespace(format=name, data=struct.pack("<iff", 0, scale, offset) + png)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("pixels", "encoding"), [(MILLIMETRES, "16UC1"), (MILLIMETRES, "mono16"), (METRES, "32FC1")]
)
def test_the_encoding_says_the_unit_and_what_is_no_measurement(pixels, encoding, big, padding):
    found = read_depth(raw(pixels, encoding, padding, big), LIMIT).metres()
    assert found[0].tolist()[1:] == pytest.approx([0.5, 1.5])
    assert found[1, 1:].tolist() == pytest.approx([0.001, 0.25])
    assert np.isnan(found[0, 0])


def test_compressed_millimetres_are_those_of_the_png():
    message = compressed(MILLIMETRES, "16UC1; compressedDepth png")
    np.testing.assert_array_equal(read_depth(message, LIMIT).image, MILLIMETRES)


def test_compressed_metres_are_quantised_inverse_depth():
    """As image_transport's plugin writes them: (scale / depth + offset), rounded; 0 for none."""
    scale, offset = 10.0 * 11.0, -10.0
    levels = np.nan_to_num(scale / METRES + offset, nan=0.0, posinf=0.0).round()
    levels = np.clip(levels, 0, 65535).astype(np.uint16)
    levels[1, 1] = 0
    found = read_depth(compressed(levels, "32FC1; compressedDepth", scale, offset), LIMIT).metres()
    np.testing.assert_allclose(found[[0, 0, 1], [1, 2, 2]], [0.5, 1.5, 0.25], rtol=0.01)
    assert np.isnan(found[[0, 1], [0, 1]]).all()


REFUSED = [
    (raw(MILLIMETRES, "bgr8"), "encoding 'bgr8' is no depth; accepted are 16UC1"),
    (raw(MILLIMETRES, "16UC1", data=b"1234"), "4 bytes with a step of 6 do not hold 3x2"),
    (raw(MILLIMETRES, "32FC1"), "do not hold 3x2 pixels of 32FC1"),
    (raw(MILLIMETRES, "16UC1", step=2), "with a step of 2 do not hold"),
    (raw(MILLIMETRES, "16UC1", width=0), "it has no pixels"),
    (raw(MILLIMETRES, "16UC1", width=5000, height=5000), "accepted are up to 1 "),
    (compressed(MILLIMETRES, "16UC1; compressedDepth rvl"), "accepted is compressedDepth as PNG"),
    (compressed(MILLIMETRES, "jpeg"), "accepted is compressedDepth as PNG"),
    (SimpleNamespace(format="16UC1; compressedDepth png", data=b"12"), "hold no PNG"),
    (
        compressed(np.ones((2, 3), np.uint8), "16UC1; compressedDepth png"),
        "no image of 16 bits",
    ),
]


@pytest.mark.parametrize(("message", "error"), REFUSED)
def test_what_is_no_depth_image_is_refused_with_what_was_found(message, error):
    with pytest.raises(ImageError, match=error):
        read_depth(message, LIMIT)


# --- is it the colour image's? ------------------------------------------------------------------

CAMERA = CameraModel(3, 2, 600.0, 600.0, 1.0, 0.5)
FRAME = Frame(np.zeros((2, 3, 3), np.uint8), 1, "colour", CAMERA)
DEPTH = Depth(MILLIMETRES, 0.001)


def test_aligned_depth_is_accepted_with_and_without_a_camera_info_of_its_own():
    assert foreign(DEPTH, "colour", FRAME, None) == ""
    assert foreign(DEPTH, "colour", FRAME, CAMERA) == ""


@pytest.mark.parametrize(
    ("depth", "frame_id", "camera", "reason"),
    [
        (DEPTH, "depth", None, "its frame_id is 'depth', that of the colour image 'colour'"),
        (Depth(MILLIMETRES[:, :2], 0.001), "colour", None, "it has 2x2 px, the colour image 3x2"),
        (DEPTH, "colour", CameraModel(3, 2, 380.0, 380.0, 1.0, 0.5), "fx 380.0 px"),
        (DEPTH, "colour", CameraModel(3, 2, 600.0, 600.0, 9.0, 0.5), "cx 9.0 px"),
    ],
    ids=["frame", "size", "focal length", "principal point"],
)
def test_depth_of_another_camera_is_refused_with_the_remedy(depth, frame_id, camera, reason):
    said = foreign(depth, frame_id, FRAME, camera)
    assert reason in said and "align_depth.enable:=true" in said


def test_a_camera_info_without_a_calibration_is_not_compared():
    def info(k):
        roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
        return SimpleNamespace(
            width=3,
            height=2,
            distortion_model="plumb_bob",
            d=[0.0] * 5,
            k=k,
            r=[0.0] * 9,
            p=[0.0] * 12,
            binning_x=0,
            binning_y=0,
            roi=roi,
        )

    assert depth_camera(None, FRAME, False, False) is None
    assert depth_camera(info([0.0] * 9), FRAME, False, False) is None
    known = depth_camera(info([600.0, 0, 1, 0, 600, 0.5, 0, 0, 1]), FRAME, False, False)
    assert known is not None and known.fx == 600
