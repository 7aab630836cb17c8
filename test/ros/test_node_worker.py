"""A pipeline that hangs and a worker thread that dies, in the real node."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState

from vitpose_ros.ros import pose_node, supervisor


def state(graph: Any) -> int:
    return graph.call(GetState, "pose_node/get_state", GetState.Request()).current_state.id


def ask(graph: Any, transition_id: int) -> bool:
    """Ask for a transition by its number alone, as nav2's lifecycle manager does."""
    request = ChangeState.Request(transition=Transition(id=transition_id))
    return graph.call(ChangeState, "pose_node/change_state", request).success


class Crowd:
    """Counts how many threads are in the pipeline at once."""

    def __init__(self, pipeline: Any) -> None:
        self._inside, self.most = 0, 0
        self._lock = threading.Lock()
        self._call: Callable[..., Any] = type(pipeline).__call__

    def __call__(self, pipeline: Any, frame: Any) -> Any:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        try:
            return self._call(pipeline, frame)
        finally:
            with self._lock:
                self._inside -= 1


def hang(graph: Any, camera: Any, pipeline: Any) -> None:
    """Send an image that the pipeline does not return from."""
    pipeline.held = True
    before = len(pipeline.frames)
    camera.send(camera.image())
    graph.wait_for(lambda: len(pipeline.frames) > before, "the image to be processed")


def test_while_the_pipeline_hangs_every_transition_is_refused_and_the_node_goes_on_afterwards(
    graph: Any, camera: Any, fakes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pose_node, "STOP_S", 0.1)
    graph.start_pose_node()
    pipeline = fakes[0]
    crowd = Crowd(pipeline)
    monkeypatch.setattr(type(pipeline), "__call__", lambda own, frame: crowd(own, frame))
    hang(graph, camera, pipeline)
    for name in ("deactivate", "cleanup", "activate", "deactivate"):
        assert not graph.change_state(name), name
        assert state(graph) == State.PRIMARY_STATE_ACTIVE
    text = graph.wait_for_log("deactivate refused")
    assert "the current image has not finished" in text
    assert "The node is still active." in text
    pipeline.held = False
    pipeline.go_on.release()
    camera.process()  # it is not deaf
    assert graph.change_state("deactivate", "activate")
    camera.process()
    assert graph.change_state("deactivate", "cleanup", "configure", "activate")
    camera.process()
    assert crowd.most == 1
    assert len([t for t in threading.enumerate() if t.name == "pose_worker"]) == 1


def test_a_pipeline_that_hangs_is_an_error_in_diagnostics_and_logged_once(
    graph: Any, camera: Any, fakes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STUCK_S", 0.2)
    graph.start_pose_node()
    hang(graph, camera, fakes[0])
    for _ in range(2):
        values = graph.wait_for_status(lambda v: "the pipeline hangs" in v["message"], "the hang")
        assert values["level"] == "ERROR"
    fakes[0].held = False
    fakes[0].go_on.release()
    graph.wait_for_status(lambda v: "hangs" not in v["message"], "no hang")
    assert len([text for text in graph.logged() if "has been processed for" in text]) == 1


def test_a_shutdown_while_the_pipeline_hangs_is_final_and_says_what_is_left(
    graph: Any, camera: Any, fakes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pose_node, "STOP_S", 0.1)
    graph.start_pose_node()
    hang(graph, camera, fakes[0])
    assert not ask(graph, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert state(graph) == State.PRIMARY_STATE_FINALIZED
    assert "the current image has not finished" in graph.wait_for_log("shutdown refused")
    graph.wait_for(
        lambda: camera.publisher.get_subscription_count() == 0, "the camera to be let go"
    )
    fakes[0].go_on.release()


def test_a_worker_that_dies_is_counted_reported_and_restarted_once(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    camera.process()
    fakes[0].error = SystemExit("the driver ended us")
    camera.send(camera.image())
    text = graph.wait_for_log("the worker thread ended")
    assert "SystemExit('the driver ended us'); it was restarted" in text
    values = graph.wait_for_status(lambda v: v["worker failures"] == "1", "one failure")
    assert [s["level"] for s in graph.statuses() if "was restarted" in s["message"]] == ["ERROR"]
    assert camera.process().reset, "tracking restarts"
    fakes[0].error = SystemExit("again")
    camera.send(camera.image())
    text = graph.wait_for_log("for the second time: no images are processed")
    assert f"ros2 lifecycle set {graph.namespace}/pose_node deactivate" in text
    for _ in range(2):
        values = graph.wait_for_status(lambda v: v["worker failures"] == "2", "two failures")
        assert values["level"] == "ERROR"
        assert "for the second time" in values["message"]
    assert graph.change_state("deactivate", "activate")
    camera.process()
    graph.wait_for_status(lambda v: v["level"] != "ERROR", "no error")


@pytest.mark.parametrize(
    "transition",
    [
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_ACTIVATE,
        Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
        99,
    ],
)
def test_a_transition_that_the_state_does_not_have_is_refused_with_a_sentence(
    graph: Any, camera: Any, fakes: list[Any], transition: int
) -> None:
    graph.start_pose_node()
    assert not ask(graph, transition)
    text = graph.wait_for_log("is not possible in state 'active'")
    assert "possible are: deactivate, shutdown" in text
    camera.process()
