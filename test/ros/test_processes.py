"""The installed programs as real processes: they work, say what is wrong, and end cleanly."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ament_index_python.packages import get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CameraInfo, Image

from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import Skeleton, SkeletonArray
from vitpose_ros.ros.messages import instance_from_message
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.types import JointState, ZSource

TIMEOUT_S = 45.0


def program(name: str) -> str:
    return str(Path(get_package_prefix("vitpose_ros")) / "lib" / "vitpose_ros" / name)


class Started:
    """A process of the test's own, with all that it has said.

    In the background: as a script's `program &` starts it, which lets it ignore Ctrl-C at first.
    """

    def __init__(
        self, name: str, arguments: tuple[str, ...], log: Path, in_background: bool = False
    ) -> None:
        self.log = log
        self._file = log.open("w")
        command = [program(name), *arguments]
        if in_background:
            command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command]
        self.process = subprocess.Popen(command, stdout=self._file, stderr=subprocess.STDOUT)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def interrupt(self) -> int:
        """Ctrl-C, and the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(TIMEOUT_S)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._file.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """``start(name, *arguments)``: a program of the package, ended with the test."""
    started: list[Started] = []

    def run(name: str, *arguments: str, in_background: bool = False) -> Started:
        log = tmp_path / f"{name}_{len(started)}.log"
        started.append(Started(name, arguments, log, in_background))
        return started[-1]

    yield run
    for one in started:
        one.end()


def finish(name: str, *arguments: str) -> tuple[int, str]:
    """Run a program to its end: exit code and output."""
    result = subprocess.run(
        [program(name), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return result.returncode, result.stdout


def stamps(messages: list[Any]) -> set[tuple[int, int]]:
    return {(m.header.stamp.sec, m.header.stamp.nanosec) for m in messages}


def one_line(text: str) -> str:
    """Without the breaks of a narrow terminal."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of rendered hands, 320x240 at 15 images per second."""
    path = tmp_path_factory.mktemp("video") / "hands.mp4"
    code = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), code, 15.0, (320, 240))
    scene = Scene("rotate", seed=1, width=320, height=240)
    turn = [scene.render(number / 15).image for number in range(15)]
    # Long enough that discovery, which takes seconds on a busy machine, does not miss all of it.
    for image in 3 * (turn + turn[::-1]):
        writer.write(image)
    writer.release()
    return path


@pytest.mark.usefixtures("models")
def test_camera_and_node_work_as_processes_and_end_on_sigint_without_a_traceback(
    graph: Any, start: Callable[..., Started]
) -> None:
    skeletons = graph.listen(SkeletonArray, "skeletons")
    truths = graph.listen(SkeletonArray, "true_skeletons")
    remap = ("--ros-args", "-r", f"__ns:={graph.namespace}")
    node = start("pose_node", *remap, "-r", "image:=image_raw")
    camera = start(
        "synthetic_camera", *remap, "-p", "wait_for_subscribers:=1", "-p", "script:=still"
    )
    graph.wait_for(lambda: len(skeletons.messages) >= 5, "five skeleton messages", TIMEOUT_S)
    assert any(len(message.skeletons) == 2 for message in skeletons.messages)
    graph.wait_for(
        lambda: stamps(skeletons.messages) & stamps(truths.messages),
        "skeletons and the truth of the same image",
    )
    for one in (node, camera):
        assert one.interrupt() == 0, one.output()
        assert "Traceback" not in one.output()
        assert "Error" not in one.output()


@pytest.mark.parametrize("name", ["synthetic_camera", "pose_node"])
def test_a_program_that_a_script_started_in_the_background_ends_on_sigint(
    graph: Any, start: Callable[..., Started], name: str
) -> None:
    statuses = graph.listen(DiagnosticArray, "/diagnostics")
    one = start(name, "--ros-args", "-r", f"__ns:={graph.namespace}", in_background=True)

    def alive() -> bool:
        return any(s.name.startswith(graph.namespace) for m in statuses.messages for s in m.status)

    graph.wait_for(alive, f"the diagnostics of {name}", TIMEOUT_S)
    assert one.interrupt() == 0, one.output()
    assert "Traceback" not in one.output()


def test_a_node_that_may_not_start_stays_alive_says_why_and_ends_on_sigint(
    graph: Any, start: Callable[..., Started]
) -> None:
    remap = ("--ros-args", "-r", f"__ns:={graph.namespace}")
    node = start("pose_node", *remap, "-p", "max_hands:=40")
    graph.wait_for(lambda: "refused" in node.output(), "the refusal in its output", TIMEOUT_S)
    values = graph.wait_for_status(lambda v: v["level"] == "ERROR", "level ERROR")
    assert "'max_hands' was given as 40, but accepted is a whole number" in values["message"]
    assert node.process.poll() is None
    assert node.interrupt() == 0
    assert "Traceback" not in node.output()


@pytest.mark.usefixtures("models")
def test_the_demo_writes_overlay_and_summary_with_the_promised_keys(tmp_path: Path) -> None:
    code, output = finish("demo", "--duration", "3", "--script", "still", "--output", str(tmp_path))
    assert code == 0, output
    assert "Traceback" not in output
    summary = json.loads((tmp_path / "summary.json").read_text())
    promised = {"frames_published", "frames_received", "frames_processed", "latency_ms"}
    truth = {"detection_rate", "side_accuracy", "joint_error_palm"}
    assert promised | truth <= set(summary)
    assert set(summary["latency_ms"]) == {"p50", "p95"}
    assert set(summary["joint_error_palm"]) == {"median", "p95"}
    assert summary["frames_published"] + summary["frames_left_out_by_camera"] >= 90
    assert summary["frames_published"] >= summary["frames_received"]
    assert summary["frames_received"] >= summary["frames_processed"] > 0
    assert summary["detection_rate"] > 0.9
    assert summary["interrupted"] is False
    picture = cv2.imread(str(tmp_path / "overlay.png"))
    assert picture.shape == (480, 640, 3)
    film = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) >= summary["frames_processed"] // 2
    assert film.read()[1].shape == (480, 640, 3)


@pytest.mark.usefixtures("models")
def test_a_vitpose_runs_through_the_node_by_its_name(tmp_path: Path) -> None:
    name = "vitpose-tiny-synthetic"
    try:
        ModelStore().get(name)
    except ModelError as error:
        pytest.skip(str(error))
    code, output = finish("demo", "--duration", "4", "--hands", name, "--output", str(tmp_path))
    assert code == 0, output
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["detection_rate"] > 0.9
    assert summary["joint_error_palm"]["median"] <= 0.05
    assert summary["side_accuracy"] is None
    assert "not by this model" in output


@pytest.mark.usefixtures("models")
def test_the_demo_takes_a_video_file_as_source(tmp_path: Path, video: Path) -> None:
    arguments = ("--duration", "10", "--source", str(video), "--output", str(tmp_path))
    code, output = finish("demo", *arguments)
    assert code == 0, output
    assert "Traceback" not in output
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert 0 < summary["frames_processed"] <= summary["frames_published"] <= 90
    assert "detection_rate" not in summary, "nobody knows the truth of a video"
    assert "not known" in output
    assert cv2.imread(str(tmp_path / "overlay.png")).shape == (240, 320, 3)


# program, its arguments, exit code, what it must say
WRONG = [
    ("demo", ["--duration", "0"], 2, ["--duration: expected a positive number of seconds"]),
    ("demo", ["--duration", "long"], 2, ["--duration", "'long'"]),
    ("demo", ["--script", "dance"], 2, ["'dance'", "tour", "still"]),
    ("demo", ["--speed", "3"], 2, ["--speed"]),
    ("demo", ["--source", "/nowhere/a.mp4"], 1, ["demo failed", "/nowhere/a.mp4"]),
    ("video_camera", [], 2, ["there is no file or device ''", "parameter 'source'"]),
    ("video_camera", ["--ros-args", "-p", "source:=/"], 2, ["there is no file or device '/'"]),
    (
        "video_camera",
        ["--ros-args", "-p", "source:=/nowhere/a.mp4"],
        2,
        ["there is no file or device '/nowhere/a.mp4'", "/dev/video0"],
    ),
    (
        "synthetic_camera",
        ["--ros-args", "-p", "script:=dance"],
        2,
        ["'script' was given as 'dance', but accepted is 'tour'"],
    ),
    (
        "synthetic_camera",
        ["--ros-args", "-p", "rate:=30"],
        2,
        ["'rate' was given as 30, but accepted is", "write 30.0"],
    ),
]


@pytest.mark.parametrize(
    ("name", "arguments", "code", "said"),
    WRONG,
    ids=[" ".join([row[0], *row[1][-1:]]) for row in WRONG],
)
def test_wrong_arguments_end_a_program_with_a_sentence_not_a_traceback(
    name: str, arguments: list[str], code: int, said: list[str], tmp_path: Path
) -> None:
    if name == "demo":
        arguments = [*arguments, "--output", str(tmp_path)]
    found, output = finish(name, *arguments)
    assert found == code, output
    assert all(part in one_line(output) for part in said), output
    assert "Traceback" not in output


def test_a_file_that_is_no_video_is_named_with_what_is_accepted(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    code, output = finish("video_camera", "--ros-args", "-p", f"source:={text}")
    assert code == 2
    assert f"OpenCV cannot open '{text}'" in one_line(output)
    assert "Traceback" not in output


def test_a_video_camera_publishes_the_files_images_and_ends_with_it(
    graph: Any, start: Callable[..., Started], video: Path
) -> None:
    images = graph.listen(Image, "image_raw")
    camera = start(
        "video_camera",
        *("--ros-args", "-r", f"__ns:={graph.namespace}"),
        *("-p", f"source:={video}", "-p", "wait_for_subscribers:=1", "-p", "frame_id:=a_lens"),
    )
    first = images.wait(lambda m: True, "the first image")
    assert (first.width, first.height, first.encoding) == (320, 240, "bgr8")
    assert first.header.frame_id == "a_lens"
    assert camera.process.wait(TIMEOUT_S) == 0, camera.output()
    assert "the source has ended" in camera.output()
    times_ns = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in images.messages]
    steps = np.diff(times_ns)
    assert (steps > 0).all()
    # Multiples of the file's own period: images that there was no time for are left out.
    assert np.abs(steps / (1e9 / 15) - np.round(steps / (1e9 / 15))).max() < 1e-3


def test_the_synthetic_camera_publishes_image_depth_camera_and_truth_that_agree(
    graph: Any, start: Callable[..., Started]
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

    def shared() -> set[tuple[int, int]]:
        return set.intersection(*(stamps(topic.messages) for topic in topics))

    graph.wait_for(shared, "all four messages of one image", TIMEOUT_S)
    stamp = max(shared())
    same = [next(m for m in topic.messages if stamps([m]) == {stamp}) for topic in topics]
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
