"""The installed programs as real processes: they work, say what is wrong, and end cleanly."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from ament_index_python.packages import get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray

from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import SkeletonArray
from vitpose_ros.synthetic.scene import Scene

Start = Finish = Callable[..., Any]

TIMEOUT_S = 45.0


def program(name: str) -> str:
    return str(Path(get_package_prefix("vitpose_ros")) / "lib" / "vitpose_ros" / name)


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
    graph: Any, start: Start
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
    graph: Any, start: Start, name: str
) -> None:
    statuses = graph.listen(DiagnosticArray, "/diagnostics")
    one = start(name, "--ros-args", "-r", f"__ns:={graph.namespace}", in_background=True)

    def alive() -> bool:
        return any(s.name.startswith(graph.namespace) for m in statuses.messages for s in m.status)

    graph.wait_for(alive, f"the diagnostics of {name}", TIMEOUT_S)
    assert one.interrupt() == 0, one.output()
    assert "Traceback" not in one.output()


def test_a_node_that_may_not_start_stays_alive_says_why_and_ends_on_sigint(
    graph: Any, start: Start
) -> None:
    remap = ("--ros-args", "-r", f"__ns:={graph.namespace}")
    node = start("pose_node", *remap, "-p", "max_hands:=40")
    graph.wait_for(lambda: "refused" in node.output(), "the refusal in its output", TIMEOUT_S)
    values = graph.wait_for_status(lambda v: v["level"] == "ERROR", "level ERROR")
    assert "'max_hands': expected a whole number from 1 to 16, got 40" in values["message"]
    assert node.process.poll() is None
    assert node.interrupt() == 0
    assert "Traceback" not in node.output()


@pytest.mark.usefixtures("models")
def test_the_demo_writes_overlay_and_summary_with_the_promised_keys(
    finish: Finish, tmp_path: Path
) -> None:
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
def test_a_vitpose_runs_through_the_node_by_its_name(finish: Finish, tmp_path: Path) -> None:
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
    assert "does not tell them apart" in one_line(output)


@pytest.mark.usefixtures("models")
def test_the_demo_takes_a_video_file_as_source(finish: Finish, tmp_path: Path, video: Path) -> None:
    arguments = ("--duration", "10", "--source", str(video), "--output", str(tmp_path))
    code, output = finish("demo", *arguments)
    assert code == 0, output
    assert "Traceback" not in output
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert 0 < summary["frames_processed"] <= summary["frames_published"] <= 90
    assert "detection_rate" not in summary, "a video has no ground truth"
    assert "no ground truth" in output
    assert cv2.imread(str(tmp_path / "overlay.png")).shape == (240, 320, 3)


# program, its arguments, exit code, what it must say
WRONG = [
    ("demo", ["--duration", "0"], 2, ["--duration: expected a positive number of seconds"]),
    ("demo", ["--duration", "long"], 2, ["--duration", "'long'"]),
    ("demo", ["--script", "dance"], 2, ["'dance'", "tour", "still"]),
    ("demo", ["--speed", "3"], 2, ["--speed"]),
    ("demo", ["--source", "/nowhere/a.mp4"], 1, ["demo failed", "/nowhere/a.mp4"]),
    ("pose_node", ["--ros-args", "--log-level", "loud"], 2, ["log level 'loud'", "debug, info"]),
    ("pose_node", ["--ros-args", "--params-file", "/nowhere.yaml"], 2, ["file '/nowhere.yaml'"]),
    ("pose_node", ["--ros-args", "--nonsense"], 2, ["unknown options", "--nonsense"]),
    ("pose_node", ["--ros-args", "-r", "a b"], 2, ["'-r a b'", "-r FROM:=TO"]),
    ("pose_node", ["--ros-args", "-p", "max_hands"], 2, ["'-p max_hands'", "-p NAME:=VALUE"]),
    ("pose_node", ["--ros-args", "-p", "use_sim_time:=5"], 2, ["'use_sim_time'", "BOOL"]),
    ("synthetic_camera", ["--ros-args", "--log-level", "loud"], 2, ["log level 'loud'"]),
    ("synthetic_camera", ["--ros-args", "-p", "use_sim_time:=5"], 2, ["'use_sim_time'", "BOOL"]),
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
        ["'script': expected 'tour'"],
    ),
    (
        "synthetic_camera",
        ["--ros-args", "-p", "rate:=30"],
        2,
        ["'rate': expected a number", "got 30; write 30.0"],
    ),
]


@pytest.mark.parametrize(
    ("name", "arguments", "code", "said"),
    WRONG,
    ids=[" ".join([row[0], *row[1][-1:]]) for row in WRONG],
)
def test_wrong_arguments_end_a_program_with_a_sentence_not_a_traceback(
    finish: Finish, name: str, arguments: list[str], code: int, said: list[str], tmp_path: Path
) -> None:
    if name == "demo":
        arguments = [*arguments, "--output", str(tmp_path)]
    found, output = finish(name, *arguments)
    assert found == code, output
    assert all(part in one_line(output) for part in said), output
    assert "Traceback" not in output


def test_a_file_that_is_no_video_is_named_with_what_is_accepted(
    finish: Finish, tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    code, output = finish("video_camera", "--ros-args", "-p", f"source:={text}")
    assert code == 2
    assert f"OpenCV cannot open '{text}'" in one_line(output)
    assert "Traceback" not in output


FAKE_RVIZ = """#!/bin/sh
echo "$@" > "$0.arguments.part"
mv "$0.arguments.part" "$0.arguments"
"""


@pytest.mark.parametrize("frame", ["head_lens", ""])
def test_rviz_is_started_in_the_frame_of_the_first_skeletons(
    graph: Any, run: Callable[..., Any], tmp_path: Path, frame: str
) -> None:
    fake = tmp_path / "rviz2"
    fake.write_text(FAKE_RVIZ)
    fake.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    one = run([program("rviz"), "--ros-args", "-r", f"__ns:={graph.namespace}"], env=env)
    publisher = graph.observer.create_publisher(SkeletonArray, "skeletons", 1)
    graph.wait_for(lambda: publisher.get_subscription_count() > 0, "its subscription", TIMEOUT_S)
    message = SkeletonArray()
    message.header.frame_id = frame

    def ended() -> bool:
        publisher.publish(message)
        return one.process.poll() is not None

    graph.wait_for(ended, "RViz", TIMEOUT_S)
    assert one.process.returncode == 0, one.output()
    given = (tmp_path / "rviz2.arguments").read_text().split()
    assert given[0] == "-d" and given[1].endswith("share/vitpose_ros/config/pose.rviz")
    options = ["--ros-args", "-r", f"__ns:={graph.namespace}"]
    assert given[2:] == ([*["-f", frame], *options] if frame else options)
    assert ("no frame_id" in one.output()) == (frame == "")


def test_without_rviz_its_package_is_named(finish: Finish) -> None:
    path = ":".join(p for p in os.environ["PATH"].split(":") if not (Path(p) / "rviz2").exists())
    code, output = finish("rviz", env={**os.environ, "PATH": path, "ROS_DISTRO": "jazzy"})
    assert code == 1
    assert "RViz is not installed" in output
    assert "sudo apt install ros-jazzy-rviz2" in output
