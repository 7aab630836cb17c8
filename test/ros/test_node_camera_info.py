"""The real node and its camera: frames carry it, markers stand on its rays, problems are said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image
from visualization_msgs.msg import Marker, MarkerArray

from vitpose_ros.camera import CameraModel
from vitpose_ros.types import Instance

K = [80.0, 0.0, 30.0, 0.0, 70.0, 20.0, 0.0, 0.0, 1.0]
P = [60.0, 0.0, 31.0, 0.0, 0.0, 61.0, 22.0, 0.0, 0.0, 0.0, 1.0, 0.0]
RAW = CameraModel(64, 48, 80.0, 70.0, 30.0, 20.0, "plumb_bob", (0.0,) * 5)
RECTIFIED = CameraModel(64, 48, 60.0, 61.0, 31.0, 22.0)


def info(**changes: Any) -> CameraInfo:
    given = {"width": 64, "height": 48, "distortion_model": "plumb_bob", "d": [0.0] * 5, "k": K}
    return CameraInfo(**{**given, "p": P, **changes})


@pytest.fixture
def tell_camera(graph: Any) -> Any:
    """``tell_camera(node, message)``: publish a camera_info and wait until the node has it."""
    publisher = graph.observer.create_publisher(CameraInfo, "camera_info", 1)

    def tell(node: Any, message: CameraInfo) -> None:
        calibration = node._processor.calibration
        before = calibration._message
        graph.wait_for(publisher.get_subscription_count, "the subscription to camera_info")
        publisher.publish(message)
        graph.wait_for(lambda: calibration._message is not before, "the node to take camera_info")

    return tell


def joints_of(markers: Any) -> Marker:
    drawn = markers.wait(lambda m: len(m.markers) > 1, "a hand's markers")
    return next(marker for marker in drawn.markers if marker.type == Marker.SPHERE_LIST)


def label_of(markers: Any, after: int = 0) -> str:
    drawn = markers.wait(lambda m: len(m.markers) > 1, "a hand's markers", after)
    return next(marker.text for marker in drawn.markers if marker.type == Marker.TEXT_VIEW_FACING)


FISHEYE = {"distortion_model": "equidistant", "d": [0.1, 0.0, 0.0, 0.0]}
CAMERAS = [
    ("raw", {}, {}, {}),
    ("fisheye", FISHEYE, {}, {"distortion_model": "equidistant", "distortion": (0.1, 0, 0, 0)}),
    ("mirrored", {}, {"input_mirrored": True}, {"mirrored": True}),
    ("half size", {"width": 128, "height": 96}, {}, {"fx": 40.0, "fy": 35.0, "cx": 14.75}),
]


@pytest.mark.parametrize(
    ("message", "parameters", "model"), [row[1:] for row in CAMERAS], ids=[c[0] for c in CAMERAS]
)
def test_frames_carry_their_camera_and_markers_project_back_onto_their_pixels(
    graph: Any,
    camera: Any,
    fakes: list[Any],
    hand: Instance,
    tell_camera: Any,
    message: dict[str, Any],
    parameters: dict[str, Any],
    model: dict[str, Any],
) -> None:
    node = graph.start_pose_node(**parameters)
    fakes[0].instances = (hand,)
    markers = graph.listen(MarkerArray, "skeleton_markers")
    tell_camera(node, info(**message))
    sent = camera.image()
    camera.process(sent)
    frame = fakes[0].frames[-1]
    assert frame.frame_id == sent.header.frame_id
    assert {name: getattr(frame.camera, name) for name in model} == model
    points = np.array([(p.x, p.y, p.z) for p in joints_of(markers).points])
    np.testing.assert_allclose(frame.camera.project(points), hand.keypoints.uv, atol=1e-3)


def test_image_rectified_chooses_p_and_may_change_while_the_node_runs(
    graph: Any, camera: Any, fakes: list[Any], tell_camera: Any
) -> None:
    node = graph.start_pose_node()
    tell_camera(node, info())
    for choice, model in (("always", RECTIFIED), ("auto", RAW), ("never", RAW)):
        assert graph.set_parameter("image_rectified", choice).successful
        camera.process()
        assert fakes[0].frames[-1].camera == model, choice
    values = graph.wait_for_status(lambda v: "raw" in v["camera_info"], "the raw image")
    assert values["camera_info"] == "image is raw, plumb_bob"
    assert not graph.set_parameter("image_rectified", "sometimes").successful


def test_the_name_of_a_rectified_topic_is_enough(
    graph: Any, make_camera: Any, fakes: list[Any]
) -> None:
    node = graph.start_pose_node("-r", "image:=image_rect_color")
    camera = make_camera(Image, "image_rect_color")
    node._processor.calibration.take(info())
    camera.process()
    assert fakes[0].frames[-1].camera == RECTIFIED


UNUSABLE = [
    ({"k": [0.0] * 9}, "the camera is not calibrated"),
    ({"width": 100}, "calibrated for images of 100x48 px, the image has 64x48"),
    ({"distortion_model": "double_sphere"}, "model 'double_sphere' is not supported"),
]


@pytest.mark.parametrize(("change", "said"), UNUSABLE, ids=[row[1] for row in UNUSABLE])
def test_a_camera_info_that_cannot_be_used_is_said_once_shown_and_leaves_the_camera_unknown(
    graph: Any,
    camera: Any,
    fakes: list[Any],
    hand: Instance,
    tell_camera: Any,
    change: dict[str, Any],
    said: str,
) -> None:
    node = graph.start_pose_node()
    fakes[0].instances = (hand,)
    markers = graph.listen(MarkerArray, "skeleton_markers")
    for _ in range(3):
        tell_camera(node, info(**change))
        camera.process()
    assert fakes[0].frames[-1].camera is None
    assert "depth and camera unknown" in label_of(markers)
    graph.wait_for_log(f"{graph.namespace}/camera_info is not used: .*{said}")
    values = graph.wait_for_status(lambda v: said in v["camera_info"], "the reason")
    assert values["camera_info"].startswith("not used: ")
    assert sum("camera_info is not used" in text for text in graph.logged()) == 1
    before = len(markers.messages)
    tell_camera(node, info())
    camera.process()
    assert fakes[0].frames[-1].camera == RAW
    assert "camera" not in label_of(markers, after=before)


def test_without_camera_info_the_camera_is_unknown_and_the_status_says_so(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    camera.process()
    assert fakes[0].frames[-1].camera is None
    values = graph.wait_for_status(lambda v: v["state"] == "active", "state active")
    assert values["camera_info"] == "none received"


def test_the_camera_of_an_earlier_activation_is_forgotten(
    graph: Any, camera: Any, fakes: list[Any], tell_camera: Any
) -> None:
    node = graph.start_pose_node()
    tell_camera(node, info())
    camera.process()
    assert fakes[0].frames[-1].camera == RAW
    assert graph.change_state("deactivate", "activate")
    camera.process()
    assert fakes[0].frames[-1].camera is None


def test_text_from_messages_is_escaped_and_cut_in_log_and_diagnostics(
    graph: Any, camera: Any, fakes: list[Any], tell_camera: Any
) -> None:
    node = graph.start_pose_node()
    hostile = "\x1b[2J\n" + 100_000 * "x"
    image = camera.image()
    image.encoding = hostile
    camera.send(image)
    graph.wait_for_log(r"encoding '\\x1b\[2J\\nx+'\.\.\. is not known")
    tell_camera(node, info(distortion_model=hostile))
    camera.process()
    graph.wait_for_log(r"distortion model '\\x1b\[2J\\nx+'\.\.\. is not supported")
    values = graph.wait_for_status(lambda v: "xxx" in v["camera_info"], "the distortion model")
    for text in (*graph.logged(), *values.values()):
        assert "\x1b" not in text
        assert 61 * "x" not in text
