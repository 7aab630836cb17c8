"""The package's own cameras as real processes: stamps, pace, and sources that fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image

from vitpose_ros.msg import Skeleton, SkeletonArray
from vitpose_ros.ros.messages import instance_from_message
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.types import JointState, ZSource

Start = Run = Callable[..., Any]

TIMEOUT_S = 45.0
STEPS_MS = [33, 100, 33] * 40


def stamps_ns(messages: list[Any]) -> list[int]:
    return [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages]


def arguments(graph: Any, source: Path | str, *more: str) -> list[str]:
    """Options of a video camera in the test's namespace that waits for its listener."""
    options = ["--ros-args", "-r", f"__ns:={graph.namespace}", "-p", f"source:={source}"]
    for parameter in ("wait_for_subscribers:=1", *more):
        options += ["-p", parameter]
    return options


def test_a_video_of_variable_rate_keeps_its_times_to_the_nanosecond(
    graph: Any, start: Start, make_video: Callable[..., Path], tmp_path: Path
) -> None:
    images = graph.listen(Image, "image_raw")
    film = make_video(tmp_path / "a.mp4", STEPS_MS)
    camera = start("video_camera", *arguments(graph, film, "frame_id:=a_lens"))
    first = images.wait(lambda m: True, "the first image")
    assert (first.width, first.height, first.encoding) == (320, 240, "bgr8")
    assert first.header.frame_id == "a_lens"
    assert camera.wait() == 0, camera.output()
    assert "the source has ended" in camera.output()
    found = stamps_ns(images.messages)
    # A frame for which a busy machine has no time is left out; discovery may miss the first ones.
    true = [sum(STEPS_MS[:number]) * 10**6 for number in range(len(STEPS_MS))]
    fits = [first for first in true if {f - found[0] + first for f in found} <= set(true)]
    assert fits, np.diff(found)[:20] / 1e6
    assert len(found) > 0.7 * len(true)


def test_a_damaged_video_plays_to_its_end_and_the_damaged_frames_are_counted(
    graph: Any, start: Start, make_video: Callable[..., Path], tmp_path: Path
) -> None:
    images = graph.listen(Image, "image_raw")
    film = make_video(tmp_path / "a.mp4", [50] * 60, damaged=[2, 40])
    camera = start("video_camera", *arguments(graph, film))
    assert camera.wait() == 0, camera.output()
    assert f"2 frames of '{film}' are damaged; they were left out" in camera.output()
    found = stamps_ns(images.messages)
    assert found[-1] - found[0] >= 0.8 * 59 * 50e6


def test_a_video_plays_again_with_loop_and_its_time_goes_on(
    graph: Any, start: Start, make_video: Callable[..., Path], tmp_path: Path
) -> None:
    images = graph.listen(Image, "image_raw")
    film = make_video(tmp_path / "a.mp4", [50] * 5)
    camera = start("video_camera", *arguments(graph, film, "loop:=true", "images:=22"))
    assert camera.wait() == 0, camera.output()
    steps = np.diff(stamps_ns(images.messages))
    assert len(steps) >= 15
    assert set(steps // 50_000_000) <= {1, 2, 3} and not (steps % 50_000_000).any()


FAILING_DEVICE = """
import sys
import cv2, numpy as np
from vitpose_ros import video

class Device:
    reads = 0
    def __init__(self, path): pass
    def isOpened(self): return True
    def release(self): pass
    def read(self):
        Device.reads += 1
        return Device.reads <= 3, np.zeros((48, 64, 3), np.uint8)

cv2.VideoCapture = Device
video.RETRY_S = 1.0
from vitpose_ros.ros.video_camera import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_device_that_stops_is_tried_again_and_then_fails_with_exit_code_1(
    graph: Any, run: Run, tmp_path: Path
) -> None:
    program = tmp_path / "failing_device"
    program.write_text(FAILING_DEVICE)
    camera = run([sys.executable, str(program), *arguments(graph, "/dev/null")[:-2]])
    assert camera.wait() == 1, camera.output()
    assert "'/dev/null' delivers no image; trying again for 1 s" in camera.output()
    assert "'/dev/null' has delivered no image for 1 s: check its cable" in camera.output()
    assert "Traceback" not in camera.output()


def test_a_file_without_a_single_good_frame_fails_with_exit_code_1(
    graph: Any, start: Start, make_video: Callable[..., Path], tmp_path: Path
) -> None:
    film = make_video(tmp_path / "a.mp4", [50] * 5, damaged=range(5))
    camera = start("video_camera", *arguments(graph, film)[:-2])
    assert camera.wait() == 1, camera.output()
    assert f"no frame of '{film}' can be decoded" in camera.output()
    assert "Traceback" not in camera.output()


@pytest.mark.parametrize("name", ["synthetic_camera", "video_camera"])
def test_a_simulated_clock_that_stands_still_does_not_slow_a_camera(
    graph: Any, start: Start, make_video: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    images = graph.listen(Image, "image_raw")
    film = make_video(tmp_path / "a.mp4", [100] * 200)
    options = arguments(graph, film, "use_sim_time:=true")
    if name == "synthetic_camera":
        options += ["-p", "rate:=10.0", "-p", "width:=64", "-p", "height:=64"]
    camera = start(name, *options)
    # Images that wait for the clock come ever later: the tenth after 5 s, the thirtieth after 46 s.
    graph.wait_for(lambda: len(images.messages) >= 60, "60 images at 10 Hz", 30.0)
    assert "nothing is published on /clock" in camera.output()
    assert "ros2 bag play --clock" in camera.output()
    assert camera.output().count("/clock") == 1
    assert camera.interrupt() == 0


def test_the_synthetic_camera_publishes_image_depth_camera_and_truth_that_agree(
    graph: Any, start: Start
) -> None:
    image, depth = graph.listen(Image, "image_raw"), graph.listen(Image, "depth/image_raw")
    info = graph.listen(CameraInfo, "camera_info")
    truth = graph.listen(SkeletonArray, "true_skeletons")
    camera = start(
        "synthetic_camera",
        *("--ros-args", "-r", f"__ns:={graph.namespace}", "-p", "frame_id:=a_lens"),
        *("-p", "script:=still", "-p", "width:=320", "-p", "height:=240"),
        *("-p", "wait_for_subscribers:=1"),
    )
    topics = (image, depth, info, truth)

    def shared() -> set[int]:
        return set.intersection(*(set(stamps_ns(topic.messages)) for topic in topics))

    graph.wait_for(shared, "all four messages of one image", TIMEOUT_S)
    stamp = max(shared())
    same = [next(m for m in topic.messages if stamps_ns([m]) == [stamp]) for topic in topics]
    assert camera.interrupt() == 0, camera.output()
    assert {m.header.frame_id for m in same} == {"a_lens"}
    true = same.pop()
    assert [(m.width, m.height) for m in same] == [(320, 240)] * 3
    assert (same[0].encoding, same[1].encoding) == ("bgr8", "32FC1")
    k = np.array(same[2].k).reshape(3, 3)
    np.testing.assert_array_equal(k, Scene("still", width=320, height=240).camera_matrix)
    depth_m = np.frombuffer(same[1].data, np.float32).reshape(240, 320)
    assert [s.side for s in true.skeletons] == [
        Skeleton.SIDE_RIGHT,
        Skeleton.SIDE_LEFT,
    ]
    for skeleton in true.skeletons:
        hand = instance_from_message(skeleton).keypoints
        assert set(hand.z_source) == {ZSource.TRUTH}
        projected = hand.xyz @ k.T
        assert np.abs(projected[:, :2] / projected[:, 2:] - hand.uv).max() < 0.01
        seen = hand.state == JointState.VISIBLE
        u, v = hand.uv[seen].round().astype(int).T
        assert np.abs(depth_m[v, u] - hand.xyz[seen, 2]).max() < 0.05, "flesh is thinner than that"
