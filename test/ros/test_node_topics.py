"""Which topics the node listens to and publishes, with which QoS, and what it reports meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image


def logged(graph: Any, part: str) -> list[str]:
    return [text for text in graph.logged() if part in text]


# --- names of topics -----------------------------------------------------------------------------

# remapping rules, image_transport, and the topics on which images and calibrations are expected
NAMES = [
    ("plain", [], "raw", "image", "camera_info"),
    ("remapped", ["image:=cam/image_raw"], "raw", "cam/image_raw", "cam/camera_info"),
    ("compressed", [], "compressed", "image/compressed", "camera_info"),
    (
        "remapped and compressed",
        ["image:=cam/image_raw"],
        "compressed",
        "cam/image_raw/compressed",
        "cam/camera_info",
    ),
    (
        "the compressed topic remapped",
        ["NS/image/compressed:=NS/far/jpegs"],
        "compressed",
        "far/jpegs",
        "far/camera_info",
    ),
    (
        "chained rules",
        ["image:=NS/a/image", "NS/a/image/compressed:=NS/b/image/compressed"],
        "compressed",
        "b/image/compressed",
        "b/camera_info",
    ),
    (
        "a compressed topic given as image",
        ["image:=cam/image_raw/compressed"],
        "raw",
        "cam/image_raw/compressed",
        "cam/camera_info",
    ),
    (
        "the same with image_transport",
        ["image:=cam/image_raw/compressed"],
        "compressed",
        "cam/image_raw/compressed",
        "cam/camera_info",
    ),
    (
        "camera_info remapped",
        ["image:=cam/image_raw", "camera_info:=calibration"],
        "raw",
        "cam/image_raw",
        "calibration",
    ),
]


@pytest.mark.parametrize(
    ("rules", "transport", "image", "info"), [r[1:] for r in NAMES], ids=[r[0] for r in NAMES]
)
def test_the_topics_that_are_named_are_those_listened_to(
    graph: Any,
    fakes: list[Any],
    rules: list[str],
    transport: str,
    image: str,
    info: str,
) -> None:
    space = graph.namespace
    arguments = [a for rule in rules for a in ("-r", rule.replace("NS", space))]
    node = graph.start_pose_node(*arguments, image_transport=transport, silence_timeout=0.5)
    kind = CompressedImage if image.split("/")[-1] in ("compressed", "jpegs") else Image
    said = graph.wait_for_log("waiting for images")
    assert f"images on {space}/{image} ({kind.__name__}), calibration on {space}/{info}" in said
    assert graph.wait_for_log("no image for 0.5 s").startswith(f"{space}/{image}: ")
    status = graph.wait_for_status(lambda v: v["level"] == "ERROR", "level ERROR")
    assert status["message"].startswith(f"no images on {space}/{image}")
    images = graph.observer.create_publisher(kind, image, 1)
    infos = graph.observer.create_publisher(CameraInfo, info, 1)
    for publisher in (images, infos):
        graph.wait_for(
            lambda p=publisher: p.get_subscription_count() > 0, "the node's subscription"
        )
    assert node.count_subscribers(f"{space}/{image}") == 1


# --- QoS overrides -------------------------------------------------------------------------------


def reliability(graph: Any, topic: str) -> ReliabilityPolicy:
    """Of the node's publisher on a topic."""
    look = graph.observer.get_publishers_info_by_topic
    ends = graph.wait_for(
        lambda: [e for e in look(f"{graph.namespace}/{topic}") if e.node_name == "pose_node"],
        f"the node's publisher of {topic}",
    )
    return ends[0].qos_profile.reliability


def override(graph: Any, topic: str, end: str, value: Any) -> dict[str, Any]:
    return {f"qos_overrides.{graph.namespace}/{topic}.{end}": value}


def test_overrides_of_publishers_take_effect(graph: Any, camera: Any, fakes: list[Any]) -> None:
    graph.start_pose_node(
        **override(graph, "skeletons", "publisher.reliability", "best_effort"),
        **override(graph, "skeleton_markers", "publisher.depth", 7),
    )
    for _ in range(2):
        assert reliability(graph, "skeletons") == ReliabilityPolicy.BEST_EFFORT
        assert reliability(graph, "skeleton_markers") == ReliabilityPolicy.RELIABLE
        assert graph.change_state("deactivate", "cleanup", "configure", "activate")
    assert not logged(graph, "has no parameter of that name")


def test_a_reliable_subscription_to_a_best_effort_camera_is_the_reason_that_is_given(
    graph: Any, fakes: list[Any]
) -> None:
    offered = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    graph.observer.create_publisher(Image, "image", offered)
    graph.start_pose_node(silence_timeout=0.5, reliability="reliable")
    text = graph.wait_for_log("no image for 0.5 s")
    assert "asks for reliable delivery, which a best-effort publisher does not give" in text
    assert "set its parameter reliability to best_effort" in text


# topic, end and value of an override that is refused, and what is said about it
REFUSED: list[tuple[str, str, Any, str]] = [
    ("image", "subscription.reliability", "reliable", "set the parameter 'reliability'"),
    ("image", "subscription.depth", 10, "has no effect on this node"),
    ("skeleton", "publisher.depth", 10, "has no effect on this node"),
    ("skeletons", "publisher.reliability", "sometimes", "accepted is reliable or best_effort"),
    ("skeletons", "publisher.depth", 0, "accepted is a whole number from 1"),
    ("skeletons", "publisher.depth", "3", "accepted is a whole number from 1"),
    ("skeleton_layouts", "publisher.durability", "volatile", "has no effect on this node"),
]


@pytest.mark.parametrize(("topic", "end", "value", "said"), REFUSED)
def test_an_override_that_cannot_take_effect_is_refused(
    graph: Any, fakes: list[Any], topic: str, end: str, value: Any, said: str
) -> None:
    graph.start_pose_node(**override(graph, topic, end, value))
    text = graph.wait_for_log("configure refused")
    assert f"qos_overrides.{graph.namespace}/{topic}.{end}" in text
    assert said in text
    assert "Traceback" not in text


# --- progress ------------------------------------------------------------------------------------


def test_start_and_end_are_reported_step_by_step(
    graph: Any, make_camera: Callable[..., Any], fakes: list[Any]
) -> None:
    graph.start_pose_node(view="auto")
    assert graph.change_state("deactivate", "cleanup", "shutdown")
    graph.wait_for_log("shut down")
    expected = [
        "configuring: loading mediapipe-hand-full and mediapipe-body-full",
        "configuring: loaded in",
        "configured in",
        "active: waiting for images",
        "inactive: no images are processed",
        "unconfigured: models and topics are released",
        "shut down",
    ]
    said = [text for text in graph.logged() if any(text.startswith(part) for part in expected)]
    assert len(said) == len(expected)
    assert all(text.startswith(part) for text, part in zip(said, expected, strict=True)), said


def test_a_preset_is_logged_with_its_reason_and_decides_what_is_loaded(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node(view="auto", preset="lightweight")
    text = graph.wait_for_log("preset lightweight: mediapipe-palm-lite and mediapipe-hand-lite")
    assert ", since " in text
    graph.wait_for_log("configuring: loading mediapipe-hand-lite and ")


def test_while_it_configures_the_status_says_so(graph: Any, camera: Any, fakes: list[Any]) -> None:
    graph.start_pose_node()
    graph.wait_for(
        lambda: [s for s in graph.statuses() if s["state"] == "configuring"],
        "a status with state configuring",
    )
