"""What the node reports about its images, its clock and its surroundings, on a real graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

PERIOD_NS = 33_333_333


def received(node: Any) -> int:
    return node._flow._total["received"]


def logged(graph: Any, part: str) -> list[str]:
    return [text for text in graph.logged() if part in text]


def two_more_statuses(graph: Any) -> None:
    """Two more rounds of checks: something logged twice would be there now."""
    for _ in range(2):
        graph.wait_for_status(lambda v: True, "any content")


# --- missing images ------------------------------------------------------------------------------


def now_ns(graph: Any) -> int:
    return graph.observer.get_clock().now().nanoseconds


def test_images_that_were_never_published_are_blamed_on_the_camera(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    camera.stamp_ns = now_ns(graph) - 10 * 10**9
    left_out = np.random.default_rng(1).random(200) < 0.3
    for skip in left_out:
        if skip:
            camera.stamp_ns += PERIOD_NS
        camera.process()
    status = graph.wait_for_status(
        lambda v: "lost before they arrive" in v["message"], "missing images"
    )
    assert status["level"] == "WARN"
    assert "never published" in status["message"]
    assert "fastdds" not in status["message"]
    assert int(status["lost: not published"]) > 0.7 * left_out.sum()
    two_more_statuses(graph)
    assert len(logged(graph, "lost before they arrive")) == 1
    assert status["lost: published, not received"] == "0"


def test_images_that_are_replaced_before_the_node_takes_them_are_blamed_on_the_machine(
    graph: Any, camera: Any, fakes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = graph.start_pose_node()
    camera.process()
    camera.stamp_ns = now_ns(graph) - 2 * 10**9
    published = received(node)
    images = node._processor.images
    check = images.check

    def slow(message: Any) -> None:
        """While the node is here, it takes no image: the camera publishes three."""
        nonlocal published
        if published < 40:
            for _ in range(3):
                camera.publisher.publish(camera.image())
            published += 3
        check(message)

    monkeypatch.setattr(images, "check", slow)
    published += 1
    camera.send(camera.image())
    status = graph.wait_for_status(
        lambda v: "lost before they arrive" in v["message"], "missing images"
    )
    assert status["level"] == "WARN"
    assert "the machine is too busy" in status["message"]
    assert "fastdds" not in status["message"]
    monkeypatch.undo()
    camera.process()
    camera.process()
    graph.wait_for_status(
        lambda v: int(v["lost: published, not received"]) + received(node) == published + 2,
        "every image that was published, received or not",
    )


def test_images_that_the_middleware_reports_as_lost_are_blamed_on_the_transport(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    node = graph.start_pose_node()
    for _ in range(10):
        camera.process()
    node._flow._total.update({"lost": 10, "undelivered": 10})
    node._supervisor.reported_lost(10)
    status = graph.wait_for_status(
        lambda v: "lost before they arrive" in v["message"], "missing images"
    )
    assert "lost in transport" in status["message"]
    assert "fastdds.xml" in status["message"]


# --- publishers, names, frames -------------------------------------------------------------------


def test_two_publishers_on_the_image_topic_are_named_in_the_status_and_logged_once(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.stranger().create_publisher(Image, f"{graph.namespace}/image", 2)
    graph.start_pose_node()
    camera.stamp_ns = now_ns(graph) - 10 * PERIOD_NS
    camera.process()
    status = graph.wait_for_status(lambda v: "2 publishers" in v["message"], "two publishers")
    assert status["level"] == "WARN"
    assert f"{graph.namespace}/image: 2 publishers" in status["message"]
    assert f"/stranger, {graph.namespace}/observer" in status["message"]
    two_more_statuses(graph)
    assert len(logged(graph, "2 publishers")) == 1


def test_one_publisher_is_no_warning(graph: Any, camera: Any, fakes: list[Any]) -> None:
    graph.start_pose_node()
    camera.stamp_ns = now_ns(graph) - 10 * PERIOD_NS
    camera.process()
    two_more_statuses(graph)
    assert not logged(graph, "publishers:")
    assert graph.statuses()[-1]["level"] == "OK", graph.statuses()[-1]["message"]


def test_tracking_that_restarts_with_almost_every_image_is_reported_with_its_cause(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    camera.stamp_ns = now_ns(graph) - 30 * PERIOD_NS
    fakes[0].restarts = True
    sizes = [np.full((48, 64, 3), 90, np.uint8), np.full((24, 32, 3), 90, np.uint8)]
    for i in range(20):
        camera.process(camera.image(sizes[i % 2]))
    status = graph.wait_for_status(
        lambda v: "tracking restarted" in v["message"], "frequent restarts"
    )
    assert status["level"] == "WARN"
    assert "because the image size changes" in status["message"]
    assert status["tracking restarts"] == "19"
    two_more_statuses(graph)
    assert len(logged(graph, "tracking restarted")) == 1


def test_an_empty_frame_id_is_reported_once(graph: Any, camera: Any, fakes: list[Any]) -> None:
    graph.start_pose_node()
    camera.stamp_ns = now_ns(graph) - 10 * PERIOD_NS
    image = camera.image()
    image.header.frame_id = ""
    camera.process(image)
    status = graph.wait_for_status(lambda v: "frame_id is empty" in v["message"], "the frame_id")
    assert status["level"] == "WARN"
    assert "camera's optical frame" in status["message"]
    two_more_statuses(graph)
    assert len(logged(graph, "frame_id is empty")) == 1
    camera.process()
    graph.wait_for_status(lambda v: "frame_id" not in v["message"], "no word of the frame_id")


def test_two_nodes_of_one_name_are_reported_once(graph: Any, camera: Any, fakes: list[Any]) -> None:
    twin = Node(
        "pose_node",
        namespace=graph.namespace,
        context=graph.stranger().context,
        use_global_arguments=False,
    )
    graph.start_pose_node()
    name = f"{graph.namespace}/pose_node"
    status = graph.wait_for_status(lambda v: "nodes are named" in v["message"], "the namesake")
    assert f"2 nodes are named {name}" in status["message"]
    assert "name or namespace" in status["message"]
    two_more_statuses(graph)
    assert len(logged(graph, "nodes are named")) == 1
    twin.destroy_node()


def test_a_negative_stamp_is_called_negative_by_the_node(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    image = camera.image()
    image.header.stamp = Time(sec=-5, nanosec=0)
    camera.send(image)
    text = graph.wait_for_log("image not used")
    assert "the stamp is negative (-5.000000000 s)" in text
    camera.process()


# --- simulated time ------------------------------------------------------------------------------


def test_with_a_silent_clock_diagnostics_and_the_silence_warning_go_on_and_the_clock_is_named_once(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node(use_sim_time=True, silence_timeout=2.5)
    graph.wait_for_log("no image for 2.5 s")
    status = graph.wait_for_status(lambda v: "/clock" in v["message"], "the clock")
    assert status["level"] == "ERROR"
    assert status["message"].startswith(f"no images on {graph.namespace}/image; use_sim_time")
    camera.process()
    status = graph.wait_for_status(
        lambda v: v["level"] == "WARN" and "/clock" in v["message"], "the clock alone"
    )
    assert "nothing comes on /clock" in status["message"]
    assert "ros2 bag play --clock" in status["message"]
    assert "in the future" not in str(status), "the clock, not the camera, is wrong"
    assert status["image age (ms) median"] == "none yet"
    assert float(status["overhead (ms) median"]) > 0
    two_more_statuses(graph)
    assert len(logged(graph, "ros2 bag play --clock")) == 1


def test_a_clock_that_stops_is_reported(graph: Any, camera: Any, fakes: list[Any]) -> None:
    clock = graph.observer.create_publisher(Clock, "/clock", 10)
    node = graph.start_pose_node(use_sim_time=True)
    graph.wait_for(lambda: clock.get_subscription_count() > 0, "the node to listen to /clock")
    for second in range(100, 103):
        clock.publish(Clock(clock=Time(sec=second, nanosec=0)))
    graph.wait_for(lambda: node.get_clock().now().nanoseconds == 102 * 10**9, "the node's time")
    camera.process()
    status = graph.wait_for_status(lambda v: "has stopped" in v["message"], "the clock")
    assert "/clock has stopped at 102.000 s" in status["message"]
    assert "ros2 bag play --clock" in status["message"]


def test_stamps_of_another_time_get_the_remedy_for_bags(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    camera.process()  # stamped years ago
    status = graph.wait_for_status(lambda v: " s old" in v["message"], "an age")
    assert status["level"] == "WARN"
    assert "ros2 bag play --clock" in status["message"]
    assert "use_sim_time:=true" in status["message"]


# --- silence -------------------------------------------------------------------------------------


def test_silence_after_good_images_is_explained_as_silence(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node(silence_timeout=0.5)
    camera.process()
    text = graph.wait_for_log("no image for 0.5 s")
    assert f"{graph.namespace}/observer publishes sensor_msgs/msg/Image" in text
    assert "it has stopped sending" in text
    assert "fastdds" not in text


def test_a_publisher_that_is_gone_is_reported_as_gone(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node(silence_timeout=2.0)
    camera.process()
    graph.observer.destroy_publisher(camera.publisher)
    text = graph.wait_for_log("no image for 2 s")
    assert "its publisher is gone" in text


def test_losses_that_the_middleware_reports_explain_the_silence(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    node = graph.start_pose_node(silence_timeout=1.5)
    node._supervisor.reported_lost(7)
    text = graph.wait_for_log("no image for 1.5 s")
    assert "7 images were lost in transport" in text
