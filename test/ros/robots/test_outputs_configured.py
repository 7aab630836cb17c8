"""Which outputs a node has, and what it refuses at configuration."""

from __future__ import annotations

from typing import Any

import pytest
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState

from vitpose_ros.ros import retargeting


def state_of(graph: Any) -> int:
    answer = graph.call(GetState, "pose_node/get_state", GetState.Request())
    state: int = answer.current_state.id
    return state


def topics(graph: Any) -> set[str]:
    names = dict(graph.observer.get_topic_names_and_types())
    return {n.removeprefix(graph.namespace + "/") for n in names if n.startswith(graph.namespace)}


def test_without_outputs_there_are_no_topics_for_robots(robot: Any, graph: Any) -> None:
    robot.start("")
    robot.see()
    found = topics(graph)
    assert "skeletons" in found
    assert not {name for name in found if "hand" in name or "angles" in name}


def test_each_output_has_its_own_topics_and_commas_separate_too(robot: Any, graph: Any) -> None:
    robot.start("wrist_pose, pinch")
    graph.wait_for(lambda: "right_hand/pinch" in topics(graph), "the topics")
    found = {name for name in topics(graph) if "hand" in name or "angles" in name}
    assert found == {
        f"{side}_hand/{topic}" for side in ("left", "right") for topic in ("wrist_pose", "pinch")
    }


REFUSED = {
    "an unknown output": ({"outputs": "wrist_poses"}, "unknown output 'wrist_poses'; accepted are"),
    "an output twice": ({"outputs": "tf tf"}, "'tf' stands twice"),
    "a map without its output": (
        {"outputs": "pinch", "joint_map": "robot.yaml"},
        "joint_map: it maps the output 'joint_angles', which is not in outputs",
    ),
    "a map that is missing": (
        {"outputs": "joint_angles", "joint_map": "none.yaml"},
        "joint_map 'none.yaml' cannot be read: No such file",
    ),
    "limits in the wrong order": (
        {"pinch_open": 0.01},
        "pinch_close .* must be less than pinch_op",
    ),
}


@pytest.mark.parametrize(("parameters", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_published_is_refused_at_configuration_with_the_remedy(
    graph: Any, fakes: Any, parameters: dict[str, Any], text: str
) -> None:
    graph.start_pose_node(**parameters)
    graph.wait_for_log(f"configure refused: .*{text}")
    assert state_of(graph) == State.PRIMARY_STATE_UNCONFIGURED


def test_a_message_package_that_is_missing_is_named(
    graph: Any, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(retargeting._FOREIGN, "tf", ("no_such_msgs", "TFMessage"))
    graph.start_pose_node(outputs="tf")
    graph.wait_for_log(
        "configure refused: outputs: 'tf' needs no_such_msgs/msg/TFMessage.*"
        "sudo apt install ros-.*no-such-msgs.*remove 'tf' from outputs"
    )
    assert state_of(graph) == State.PRIMARY_STATE_UNCONFIGURED
