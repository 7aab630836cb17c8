"""The service that marks episodes, on the real graph."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from rcl_interfaces.msg import Log
from std_srvs.srv import SetBool

from vitpose_ros.episodes import END, START, TOPIC
from vitpose_ros.ros import episode_marker
from vitpose_ros.ros.episode_marker import EpisodeMarker


@pytest.fixture
def marker(graph):
    """Started as its program does, in the test's namespace."""
    script = "import sys; from vitpose_ros.ros.episode_marker import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "--ros-args", "-r", f"__ns:={graph.namespace}"]
    )
    yield graph
    process.terminate()
    process.wait(timeout=20)


def test_marks_are_published_with_the_moment_of_the_call(marker):
    marks = marker.listen(Log, TOPIC)
    marker.wait_for(lambda: marker.observer.count_publishers(f"{marker.namespace}/{TOPIC}"), TOPIC)

    def mark(start: bool) -> SetBool.Response:
        return marker.call(SetBool, "episode_marker/mark", SetBool.Request(data=start))

    refused = mark(False)
    assert not refused.success and "no episode is running" in refused.message
    before_ns = marker.observer.get_clock().now().nanoseconds
    assert mark(True).message == "episode 1 starts"
    assert mark(True).message == "episode 2 starts; episode 1 is given up"
    assert mark(False).message == "episode 2 ends"
    after_ns = marker.observer.get_clock().now().nanoseconds
    marker.wait_for(lambda: len(marks.messages) == 3, "three marks")
    assert [m.name for m in marks.messages] == [START, START, END]
    stamps = [m.stamp.sec * 10**9 + m.stamp.nanosec for m in marks.messages]
    assert before_ns <= stamps[0] <= stamps[1] <= stamps[2] <= after_ns


def test_a_disk_that_is_nearly_full_is_told_once_and_so_is_its_recovery(monkeypatch):
    told: list[str] = []
    node = SimpleNamespace(
        _folder="/bags",
        _least_gb=5.0,
        _warned=False,
        get_logger=lambda: SimpleNamespace(
            error=told.append, info=told.append, warning=told.append
        ),
    )
    for free_gb in (9, 4, 3, 8, 9):
        usage = SimpleNamespace(free=free_gb * 1e9)
        monkeypatch.setattr(episode_marker.shutil, "disk_usage", lambda folder, u=usage: u)
        EpisodeMarker.check_disk(node)
    assert len(told) == 2
    assert "only 4.0 GB are free" in told[0] and "8.0 GB are free again" in told[1]
