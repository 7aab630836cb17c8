from __future__ import annotations

import re
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header, String

from vitpose_ros.doctor.findings import Level
from vitpose_ros.ros.messages import image_message
from vitpose_ros.ros.watch import Seen, check_camera, findings_of


class Publisher:
    """Publishes images at 30 per second, stamped now, until it is told to end."""

    def __init__(self, graph, make, **info) -> None:
        self._make = make
        k = [500.0, 0.0, 32.0, 0.0, 500.0, 24.0, 0.0, 0.0, 1.0]
        self._info = CameraInfo(**{"width": 64, "height": 48, "k": k, **info})
        self._images = graph.observer.create_publisher(Image, "image", 2)
        self._infos = graph.observer.create_publisher(CameraInfo, "camera_info", 2)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Publisher:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._ended.wait(1 / 30):
            self._images.publish(self._make(number))
            self._infos.publish(self._info)
            number += 1


def image(
    age_s: float = 0.0,
    frame_id: str = "camera_optical_frame",
    encoding: str = "bgr8",
    pixels: np.ndarray | None = None,
):
    stamp_ns = time.time_ns() - int(age_s * 1e9)
    stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    if pixels is None:
        pixels = np.full((48, 64, 3), 90, np.uint8)
    message = image_message(Header(stamp=stamp, frame_id=frame_id), pixels, "bgr8")
    message.encoding = encoding
    return message


GREY = np.random.default_rng(5).integers(0, 255, (48, 64, 1), np.uint8).repeat(3, axis=2)


def by_name(findings):
    return {finding.name: finding for finding in findings}


def test_a_camera_that_works_is_described_without_a_warning(graph):
    with Publisher(graph, lambda number: image()):
        found = by_name(check_camera(f"{graph.namespace}/image", 1.0))
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert "64x48 'bgr8'" in found["images"].value
    assert "camera_optical_frame" in found["images"].value
    assert "observer, reliable, volatile" in found[f"{graph.namespace}/image"].value
    expected = "focal length 500 px; the image is taken as raw, plumb_bob"
    assert found["camera_info"].value == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"k": [0.0] * 9}, "not used: the camera is not calibrated"),
        ({"width": 100}, "for images of 100x48 px, the image has 64x48"),
    ],
    ids=["not calibrated", "another size"],
)
def test_a_camera_info_that_cannot_be_used_is_named_with_the_reason(graph, change, said):
    with Publisher(graph, lambda number: image(), **change):
        found = by_name(check_camera(f"{graph.namespace}/image", 0.6))["camera_info"]
    assert found.level is Level.NOTE
    assert said in found.value
    assert "cameracalibrator" in found.remedy


def test_text_of_a_message_cannot_write_into_the_terminal(graph):
    with Publisher(graph, lambda number: image(frame_id="a\x1b[2J\n" + 100 * "b")):
        found = by_name(check_camera(f"{graph.namespace}/image", 0.6))
    assert r"frame 'a\x1b[2J\nbbb" in found["images"].value
    assert "\x1b" not in found["images"].value
    assert 70 * "b" not in found["images"].value


@pytest.mark.parametrize(
    ("make", "name", "level", "text"),
    [
        (lambda number: image(age_s=30.0), "age", Level.WARNING, r"30\d{3} ms"),
        (lambda number: image(age_s=-5.0), "age", Level.WARNING, r"-[45]\d{3} ms"),
        (lambda number: image(frame_id=""), "frame", Level.WARNING, "frame_id is empty"),
        (lambda number: image(pixels=GREY), "colour", Level.WARNING, "are grey"),
        (lambda number: image(encoding="strange"), "images", Level.PROBLEM, "'strange'"),
    ],
)
def test_a_camera_with_a_fault_is_described_with_it(graph, make, name, level, text):
    with Publisher(graph, make):
        found = by_name(check_camera(f"{graph.namespace}/image", 0.6))
    assert found[name].level is level
    assert re.search(text, found[name].value)
    assert found[name].remedy


def test_a_topic_that_nobody_publishes_is_a_problem(graph, monkeypatch):
    monkeypatch.setattr("vitpose_ros.ros.watch.FIND_S", 0.3)
    (found,) = check_camera(f"{graph.namespace}/nothing", 0.5)
    assert found.level is Level.PROBLEM
    assert "nobody publishes on it" in found.value


def test_a_topic_of_another_type_is_a_problem_that_names_the_types(graph):
    graph.observer.create_publisher(String, "words", QoSProfile(depth=1))
    (found,) = check_camera(f"{graph.namespace}/words", 0.5)
    assert found.level is Level.PROBLEM
    assert "std_msgs/msg/String" in found.value
    assert "sensor_msgs/msg/CompressedImage" in found.remedy


def test_a_compressed_topic_without_a_decoder_is_a_problem(graph, monkeypatch):
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    graph.observer.create_publisher(CompressedImage, "image/compressed", 2)
    (found,) = check_camera(f"{graph.namespace}/image/compressed", 0.5)
    assert found.level is Level.PROBLEM
    assert "pip install simplejpeg" in found.value


def test_a_camera_that_offers_a_topic_and_sends_nothing_is_a_problem(graph, monkeypatch):
    monkeypatch.setattr("vitpose_ros.ros.watch.FIND_S", 0.3)
    graph.observer.create_publisher(Image, "image", 2)
    found = by_name(check_camera(f"{graph.namespace}/image", 0.5))
    assert found["images"].level is Level.PROBLEM
    assert found["images"].value == "none arrived"


def test_images_that_are_lost_in_transport_are_a_warning_with_share_and_cause():
    step = 33_333_333
    counts = Counter({"received": 10, "lost": 10, "undelivered": 10, "reported lost": 10})
    seen = Seen([i * step for i in range(1, 11)], [0.01] * 10, counts, what="64x48 bgr8")
    images, *_ = findings_of(seen, "", "/image")
    assert images.level is Level.WARNING
    assert "50 % are lost" in images.value
    assert "lost in transport" in images.remedy
    assert "fastdds.xml" in images.remedy


def test_two_publishers_on_the_topic_are_a_warning_that_names_both(graph):
    graph.stranger().create_publisher(Image, f"{graph.namespace}/image", 2)
    with Publisher(graph, lambda number: image()):
        found = by_name(check_camera(f"{graph.namespace}/image", 0.6))
    publishers = found[f"{graph.namespace}/image"]
    assert publishers.level is Level.WARNING
    assert "2 publishers" in publishers.value
    assert f"{graph.namespace}/observer" in publishers.value
    assert "/stranger" in publishers.value
