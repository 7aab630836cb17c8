"""Bad input: said once and clearly, counted, and the next good image is processed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

Make = Callable[[Any], Any]
"""Makes the next message of a camera."""
GREY = np.full((48, 64, 3), 90, np.uint8)


def rejected(node: Any, kind: str) -> int:
    """How many were refused: a status would tell only once a second."""
    return node._flow._total[f"rejected: {kind}"]


def assert_said_once_counted_and_passed(
    graph: Any, camera: Any, node: Any, bad: list[Make], kind: str, named: list[str]
) -> None:
    """Send a good image, the bad ones one by one, and another good one."""
    good = [camera.process()]
    for count, make in enumerate(bad, start=1):
        camera.send(make(camera))
        graph.wait_for(lambda c=count: rejected(node, kind) == c, f"'rejected: {kind}' = {count}")
    good.append(camera.process())
    assert camera.skeletons.messages == good
    said = [text for text in graph.logged() if "image not used" in text]
    assert len(said) == 1, said
    assert said[0].startswith(f"{camera.publisher.topic_name}: image not used: ")
    assert all(text in said[0] for text in named), said[0]
    values = graph.wait_for_status(lambda v: v["processed"] == "2", "two processed images")
    assert values[f"rejected: {kind}"] == str(len(bad))


def image(**fields: Any) -> Make:
    def make(camera: Any) -> Image:
        message = camera.image(GREY)
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    return make


# what is wrong, how the image is made, the kind it is counted under, what is named
BAD = [
    ("no width", image(width=0, step=0, data=b""), "size", ["0x48", "no pixels"]),
    ("no height", image(height=0, data=b""), "size", ["64x0", "no pixels"]),
    (
        "too little data",
        image(data=bytes(64 * 48 * 3 - 1)),
        "data",
        ["9215 bytes", "64x48 bgr8 with step 192", "9216"],
    ),
    ("step too short", image(step=100), "data", ["step is 100", "192"]),
    ("unknown encoding", image(encoding="h265"), "encoding", ["'h265'", "bgr8", "bayer_rggb8"]),
    (
        "too large",
        image(width=27000, height=27000, step=81000),
        "size",
        ["27000x27000, 729 megapixels", "max_megapixels"],
    ),
    (
        "encoding with control characters",
        image(encoding="bgr8\n[ERROR]" + 1000 * "x"),
        "encoding",
        ["'bgr8\\n[ERROR]xxx"],
    ),
    ("depth image", image(encoding="32FC1"), "encoding", ["'32FC1'", "colour topic"]),
]


@pytest.mark.parametrize(
    ("make", "kind", "named"), [row[1:] for row in BAD], ids=[row[0] for row in BAD]
)
def test_an_unusable_image_is_named_counted_and_passed_over(
    graph: Any,
    camera: Any,
    fakes: list[Any],
    make: Make,
    kind: str,
    named: list[str],
) -> None:
    node = graph.start_pose_node()
    assert_said_once_counted_and_passed(graph, camera, node, [make] * 3, kind, named)


def compressed(camera: Any, data: bytes, kind: str = "jpeg") -> CompressedImage:
    return CompressedImage(header=camera.header(), format=kind, data=data)


def sized(jpeg: bytes, side: int) -> bytes:
    """A JPEG whose header names another size."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + 2 * side.to_bytes(2, "big") + jpeg[at + 4 :]


JPEG = cv2.imencode(".jpg", np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8))[1]
PNG = cv2.imencode(".png", GREY)[1]
PNG_DAMAGED = PNG.tobytes()[:45] + bytes(10) + PNG.tobytes()[55:]

BAD_COMPRESSED = [
    ("truncated JPEG", [JPEG.tobytes()[:n] for n in (700, 1500, 2500)], "jpeg", "compressed"),
    ("truncated PNG", [PNG.tobytes()[:-12]], "png", "compressed"),
    ("damaged PNG", [PNG_DAMAGED], "png", "compressed"),
    (
        "JPEG cut off in a padded buffer",
        [JPEG.tobytes()[:1500] + bytes(300_000)],
        "jpeg",
        "compressed",
    ),
    ("half a JPEG with an end marker", [JPEG.tobytes()[:2500] + b"\xff\xd9"], "jpeg", "compressed"),
    ("JPEG of 4290 megapixels", [sized(JPEG.tobytes(), 65500)], "jpeg", "size"),
    ("depth image", [PNG.tobytes()], "16UC1; png compressed ", "encoding"),
    ("empty", [b""], "jpeg", "size"),
    ("unknown format", [JPEG.tobytes()], "h264", "encoding"),
    ("other bytes", [b"GIF89a" + bytes(500)], "jpeg", "compressed"),
]


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [row[1:] for row in BAD_COMPRESSED],
    ids=[row[0] for row in BAD_COMPRESSED],
)
def test_an_unusable_compressed_image_is_named_counted_and_passed_over(
    graph: Any,
    make_camera: Callable[..., Any],
    fakes: list[Any],
    data: list[bytes],
    name: str,
    kind: str,
) -> None:
    camera = make_camera(CompressedImage, "image/compressed")
    node = graph.start_pose_node(image_transport="compressed")
    camera.image = lambda: compressed(camera, JPEG.tobytes())
    bad: list[Make] = [lambda c, piece=piece: compressed(c, piece, name) for piece in data]
    named = [f"'{name}'"] if kind == "encoding" else []
    assert_said_once_counted_and_passed(graph, camera, node, bad, kind, named)


def test_compressed_images_without_their_decoder_are_refused_at_activation(
    graph: Any, fakes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    graph.start_pose_node(image_transport="compressed")
    text = graph.wait_for_log("activate refused")
    assert "pip install simplejpeg" in text
    assert "Traceback" not in text


def test_a_stamp_of_zero_is_named_counted_and_passed_over(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    node = graph.start_pose_node()
    bad: list[Make] = [lambda c: c.image(GREY, stamp_ns=0)] * 2
    named = ["the stamp is zero", "the driver must stamp"]
    assert_said_once_counted_and_passed(graph, camera, node, bad, "stamp", named)


def test_a_stamp_that_goes_back_is_named_counted_and_passed_over(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    node = graph.start_pose_node()
    bad: list[Make] = [lambda c: c.image(GREY, stamp_ns=c.stamp_ns - 50_000_000)]
    named = ["the stamp goes back by 0.050 s"]
    assert_said_once_counted_and_passed(graph, camera, node, bad, "stamp", named)
    assert not camera.skeletons.messages[-1].reset


def test_reasons_of_different_kinds_are_each_said(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    node = graph.start_pose_node()
    for make, kind, _ in [row[1:] for row in BAD]:
        before = rejected(node, kind)
        camera.send(make(camera))
        graph.wait_for(lambda k=kind, b=before: rejected(node, k) > b, f"'rejected: {kind}'")
    camera.process()
    said = [text for text in graph.logged() if "image not used" in text]
    count = Counter(row[2] for row in BAD)
    assert len(said) == len(count) == 3
    values = graph.wait_for_status(lambda v: v["processed"] == "1", "one processed image")
    assert {kind: int(values[f"rejected: {kind}"]) for kind in count} == count


# --- a silent topic ------------------------------------------------------------------------------


def silence(graph: Any) -> str:
    """What the node says about its silent topic; a second message would be a failure."""
    text = graph.wait_for_log("no image for 0.5 s")
    values = graph.wait_for_status(lambda v: v["level"] == "ERROR", "level ERROR")
    assert values["message"] == f"no images on {text.partition(':')[0]}"
    # One more: with it, the silence would have been said again.
    graph.wait_for_status(lambda v: v["level"] == "ERROR", "level ERROR")
    assert sum("no image for" in logged for logged in graph.logged()) == 1
    return text


def test_a_silent_topic_is_named_once_with_who_publishes_what_on_it(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node(silence_timeout=0.5)
    text = silence(graph)
    assert text.startswith(f"{graph.namespace}/image: no image for 0.5 s: ")
    assert f"{graph.namespace}/observer publishes sensor_msgs/msg/Image" in text
    assert "(reliable, volatile)" in text
    assert "fastdds.xml" in text
    camera.process()
    graph.wait_for_log(f"{graph.namespace}/image: images again, after")


def test_the_qos_that_is_offered_is_named(graph: Any, fakes: list[Any]) -> None:
    offered = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    graph.observer.create_publisher(Image, "image", offered)
    graph.start_pose_node(silence_timeout=0.5)
    assert "(best_effort, volatile)" in silence(graph)


def test_another_type_on_the_topic_is_named_with_what_is_wanted(
    graph: Any, fakes: list[Any]
) -> None:
    # Of another process: Fast DDS refuses two types of one topic within a process.
    graph.stranger().create_publisher(CompressedImage, f"{graph.namespace}/image", 1)
    topic = f"{graph.namespace}/image"
    graph.wait_for(lambda: graph.observer.count_publishers(topic) == 1, "the stranger's topic")
    graph.start_pose_node(silence_timeout=0.5)
    text = silence(graph)
    assert "/stranger publishes sensor_msgs/msg/CompressedImage" in text
    assert "this node wants sensor_msgs/msg/Image" in text
    assert "image_transport" in text


def test_when_nobody_publishes_the_image_topics_that_there_are_are_named(
    graph: Any, make_camera: Callable[..., Any], fakes: list[Any]
) -> None:
    make_camera(Image, "front/image_raw")
    make_camera(CompressedImage, "front/image_raw/compressed")
    graph.start_pose_node(silence_timeout=0.5)
    text = silence(graph)
    assert "nobody publishes on it; image topics are " in text
    assert f"{graph.namespace}/front/image_raw (sensor_msgs/msg/Image)" in text
    assert f"{graph.namespace}/front/image_raw/compressed (sensor_msgs/msg/CompressedImage)" in text
    assert f"{graph.namespace}/pose_node/debug_image" not in text, "that is the node's own"
    assert "remap this node's topic 'image'" in text


def test_when_there_is_no_camera_at_all_that_is_said(graph: Any, fakes: list[Any]) -> None:
    graph.start_pose_node(silence_timeout=0.5)
    text = silence(graph)
    assert "there is no image topic at all: is the camera's driver running?" in text
