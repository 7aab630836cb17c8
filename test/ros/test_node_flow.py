"""What happens around an image: newest only, failures, views for people, and diagnostics."""

from __future__ import annotations

from typing import Any

import numpy as np
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from vitpose_ros.ingest.images import MAX_MEGAPIXELS, READERS
from vitpose_ros.ros import processor
from vitpose_ros.types import Instance

PERIOD_NS = 33_333_333


def received(node: Any) -> int:
    """Images that the node's subscription has got: a status would tell only once a second."""
    return node._flow._total["received"]


def send_and_wait(graph: Any, camera: Any, node: Any, message: Any) -> Any:
    """Send one image and wait until the node has it: its subscription keeps only one."""
    before = received(node)
    camera.send(message)
    graph.wait_for(lambda: received(node) > before, "the node to receive an image")
    return message


def stamp_ns(message: Any) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def test_while_an_image_is_in_work_only_the_newest_waits_and_the_others_are_counted(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    node = graph.start_pose_node()
    pipeline = fakes[0]
    pipeline.held = True
    first = send_and_wait(graph, camera, node, camera.image())
    graph.wait_for(lambda: pipeline.frames, "the first image to be processed")
    later = [send_and_wait(graph, camera, node, camera.image()) for _ in range(5)]
    pipeline.go_on.release(2)
    camera.skeletons.wait(
        lambda m: m.header.stamp == later[-1].header.stamp, "the newest image's skeletons"
    )
    expected = [stamp_ns(first), stamp_ns(later[-1])]
    assert [frame.stamp_ns for frame in pipeline.frames] == expected
    assert [stamp_ns(m) for m in camera.skeletons.messages] == expected
    values = graph.wait_for_status(lambda v: v["processed"] == "2", "two processed images")
    assert (values["received"], values["skipped for newer"]) == ("6", "4")
    assert (values["lost before arrival"], values["failed"]) == ("0", "0")


def test_an_image_that_fails_is_logged_with_its_traceback_and_counted_and_the_next_one_is_used(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    node = graph.start_pose_node()
    pipeline = fakes[0]
    camera.process()
    resets = pipeline.resets
    pipeline.error = ArithmeticError("seventeen is odd")
    failing = send_and_wait(graph, camera, node, camera.image())
    text = graph.wait_for_log("an image failed: .*seventeen is odd")
    assert f"{graph.namespace}/image" in text
    assert "Traceback" in text
    graph.wait_for(lambda: pipeline.resets > resets, "tracking to start anew")
    assert camera.process().reset
    assert failing.header.stamp not in [m.header.stamp for m in camera.skeletons.messages]
    values = graph.wait_for_status(lambda v: v["failed"] == "1", "one failed image")
    assert values["processed"] == "2"


def test_markers_and_the_debug_image_are_built_only_while_somebody_subscribes(
    graph: Any, camera: Any, fakes: list[Any], hand: Instance, monkeypatch: Any
) -> None:
    built = {"marker_array": 0, "draw_instances": 0}

    def counting(name: str) -> Any:
        original = getattr(processor, name)

        def wrapper(*arguments: Any, **named: Any) -> Any:
            built[name] += 1
            return original(*arguments, **named)

        return wrapper

    for name in built:
        monkeypatch.setattr(processor, name, counting(name))
    graph.start_pose_node()
    fakes[0].instances = (hand,)
    for _ in range(3):
        camera.process()
    assert built == {"marker_array": 0, "draw_instances": 0}
    markers = graph.listen(MarkerArray, "skeleton_markers")
    sent = camera.image()
    camera.process(sent)
    drawn = markers.wait(lambda m: True, "markers")
    assert [marker.header for marker in drawn.markers] == [sent.header] * 4
    views = graph.listen(Image, "pose_node/debug_image")
    grey = np.full((48, 64, 3), 90, np.uint8)
    sent = camera.image(grey)
    camera.process(sent)
    view = views.wait(lambda m: True, "the debug image")
    assert view.header == sent.header
    assert (view.width, view.height, view.encoding) == (64, 48, "bgr8")
    assert (READERS["raw"](MAX_MEGAPIXELS, print).decode(view) != grey).any(), "nothing was drawn"
    assert built == {"marker_array": 2, "draw_instances": 1}


def test_the_status_tells_rates_times_counts_model_and_engine(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    camera.stamp_ns = graph.observer.get_clock().now().nanoseconds - 10 * PERIOD_NS
    for _ in range(5):
        camera.process()
    values = graph.wait_for_status(lambda v: v["processed"] == "5", "five processed images")
    assert (values["received"], values["failed"], values["skipped for newer"]) == ("5", "0", "0")
    assert values["state"] == "active"
    assert values["models"] == "fake"
    assert values["engine"] == "a fake engine"
    for name in ("rate in (1/s)", "rate out (1/s)"):
        assert any(float(status[name]) > 0 for status in graph.statuses())
    for name in ("image age (ms)", "inference (ms)", "overhead (ms)"):
        assert 0 <= float(values[f"{name} median"]) <= float(values[f"{name} p95"])
    assert float(values["image age (ms) median"]) > float(values["overhead (ms) median"]) > 0


def test_before_it_is_active_the_status_says_so(graph: Any, fakes: list[Any]) -> None:
    graph.start_pose_node(autostart=False)
    values = graph.wait_for_status(lambda v: True, "any content")
    assert (values["level"], values["message"]) == ("WARN", "unconfigured")
    assert values["engine"] == "not loaded"
    assert graph.change_state("configure")
    values = graph.wait_for_status(lambda v: v["state"] == "inactive", "state inactive")
    assert (values["level"], values["message"]) == ("WARN", "inactive")


def test_a_deactivation_waits_for_the_image_in_work_and_publishes_nothing_after_it(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    node = graph.start_pose_node()
    pipeline = fakes[0]
    pipeline.held = True
    first = send_and_wait(graph, camera, node, camera.image())
    graph.wait_for(lambda: pipeline.frames, "the first image to be processed")
    send_and_wait(graph, camera, node, camera.image())  # waits, and is dropped
    pipeline.go_on.release(5)
    assert graph.change_state("deactivate", "activate")
    last = camera.image()
    camera.process(last)
    stamps = [m.header.stamp for m in camera.skeletons.messages]
    assert stamps[0] == first.header.stamp
    assert stamps[-1] == last.header.stamp
