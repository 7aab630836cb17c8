"""Parameters of the real node: from files, changed while it runs, refused with a reason."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from visualization_msgs.msg import Marker, MarkerArray

from vitpose_ros.keypoints.factory import TopDownOptions
from vitpose_ros.synthetic.scene import Rendering
from vitpose_ros.types import Instance


def is_active(graph: Any) -> bool:
    answer = graph.call(GetState, "pose_node/get_state", GetState.Request())
    return answer.current_state.id == State.PRIMARY_STATE_ACTIVE


def test_fewer_hands_are_followed_as_soon_as_max_hands_says_so(
    graph: Any, camera: Any, models: Any, rendering: Rendering
) -> None:
    graph.start_pose_node()
    before = camera.process(camera.image(rendering.image)).skeletons
    assert len(before) == 2
    assert graph.set_parameter("max_hands", 1).successful
    after = camera.process(camera.image(rendering.image)).skeletons
    assert [s.track_id for s in after] == [before[0].track_id]
    assert graph.set_parameter("max_hands", 2).successful
    assert len(camera.process(camera.image(rendering.image)).skeletons) == 2


def test_a_mirrored_input_exchanges_left_and_right_and_starts_tracking_anew(
    graph: Any, camera: Any, models: Any, rendering: Rendering
) -> None:
    graph.start_pose_node()
    before = camera.process(camera.image(rendering.image)).skeletons
    assert graph.set_parameter("input_mirrored", True).successful
    message = camera.process(camera.image(rendering.image))
    assert message.reset
    assert sorted(s.side for s in before) == [1, 2]

    def sides(skeletons: Any) -> dict[int, int]:
        return {round(s.raw_u[0] / 8): s.side for s in skeletons}

    assert sides(message.skeletons) == {at: 3 - side for at, side in sides(before).items()}
    assert not {s.track_id for s in message.skeletons} & {s.track_id for s in before}
    assert graph.set_parameter("input_mirrored", False).successful
    again = camera.process(camera.image(rendering.image)).skeletons
    assert sides(again) == sides(before)


def test_thresholds_act_on_the_next_image(
    graph: Any, camera: Any, models: Any, rendering: Rendering
) -> None:
    graph.start_pose_node(search=False)
    assert len(camera.process(camera.image(rendering.image)).skeletons) == 2
    assert graph.set_parameter("presence_threshold", 1.0).successful
    assert len(camera.process(camera.image(rendering.image)).skeletons) == 0
    assert graph.set_parameter("presence_threshold", 0.5).successful
    assert len(camera.process(camera.image(rendering.image)).skeletons) == 2
    assert graph.set_parameter("presence_threshold", 1.0).successful
    assert graph.set_parameter("detection_threshold", 1.0).successful
    camera.process(camera.image(rendering.image))  # nothing is followed any more
    assert graph.set_parameter("presence_threshold", 0.5).successful
    found = camera.process(camera.image(rendering.image))
    assert len(found.skeletons) == 0
    assert list(found.models) == ["mediapipe-palm-full"], "no palm passed the detector"


def test_search_and_its_tiles_reach_the_pipeline(graph: Any, camera: Any, fakes: list[Any]) -> None:
    graph.start_pose_node()
    camera.process()
    assert fakes[0].settings.hands.search is True
    assert graph.set_parameter("search", False).successful
    assert graph.set_parameter("search_tiles_per_frame", 3).successful
    camera.process()
    assert fakes[0].settings.hands.search is False
    assert fakes[0].settings.hands.search_tiles_per_frame == 3


def test_how_top_down_models_run_reaches_the_loader(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    assert fakes[0].loaded_with["topdown"] == TopDownOptions("auto", 0, "auto", flip_test=False)
    assert graph.change_state("deactivate", "cleanup")
    assert graph.set_parameter("engine", "openvino").successful
    assert graph.set_parameter("gpu", 1).successful
    assert graph.set_parameter("precision", "fp32").successful
    assert graph.set_parameter("flip_test", True).successful
    assert graph.change_state("configure", "activate")
    assert fakes[1].loaded_with["topdown"] == TopDownOptions("openvino", 1, "fp32", flip_test=True)


def test_the_distance_of_markers_changes_at_once(
    graph: Any, camera: Any, fakes: list[Any], hand: Instance
) -> None:
    graph.start_pose_node()
    fakes[0].instances = (hand,)
    markers = graph.listen(MarkerArray, "skeleton_markers")
    assert graph.set_parameter("marker_distance", 2.0).successful
    camera.process()
    drawn = markers.wait(lambda m: len(m.markers) > 1, "a hand's markers")
    joints = next(marker for marker in drawn.markers if marker.type == Marker.SPHERE_LIST)
    assert [math.hypot(p.x, p.y, p.z) for p in joints.points] == pytest.approx([2.0] * 21)


# name, value, what the refusal must say: in our words, or in rclpy's (Jazzy | Kilted)
REFUSED = [
    ("max_hands", 17, "max_hands"),
    ("max_hands", 0, "max_hands"),
    ("max_hands", 2.0, "max_hands|INTEGER|[Ww]rong parameter type"),
    ("detection_threshold", 1.5, "detection_threshold"),
    ("detection_threshold", 1, "detection_threshold|DOUBLE|[Ww]rong parameter type"),
    ("input_mirrored", "yes", "input_mirrored|BOOL|[Ww]rong parameter type"),
    ("hand_model", "mediapipe-hand-lite", "unconfigured: ros2 lifecycle set .* deactivate"),
    ("image_transport", "compressed", "can change only while the node is unconfigured"),
    ("precision", "fp16", "can change only while the node is unconfigured"),
    ("precision", "half", "'fp32' or 'fp16' or 'bf16' or 'auto'"),
    ("flip_test", True, "can change only while the node is unconfigured"),
    ("threads", 1, "can change only while the node is unconfigured"),
    ("autostart", False, "read.only"),
    ("models_dir", "elsewhere", "read.only"),
]


def test_a_value_that_does_not_fit_is_refused_with_the_reason_and_changes_nothing(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    node = graph.start_pose_node()
    camera.process()
    before = {name: node.get_parameter(name).value for name, _, _ in REFUSED}
    settings = fakes[0].settings
    for name, value, reason in REFUSED:
        result = graph.set_parameter(name, value)
        assert not result.successful, name
        assert_matches(reason, result.reason)
    camera.process()
    assert {name: node.get_parameter(name).value for name in before} == before
    assert fakes[0].settings == settings


def test_a_change_that_another_callback_refuses_changes_nothing(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    """rclpy asks its callbacks in turn, its own for use_sim_time last: any of them may refuse."""
    node = graph.start_pose_node()
    camera.process()
    asked = []

    def refuse(changes: list[Parameter]) -> SetParametersResult:
        asked.extend(changes)
        return SetParametersResult(successful=False, reason="not now")

    node._on_set_parameters_callbacks.append(refuse)
    assert graph.set_parameter("max_hands", 7).reason == "not now"
    assert graph.set_parameter("smoothing_beta", 3.0).reason == "not now"
    assert len(asked) == 2, "our own callback accepted them"
    camera.process()
    assert fakes[0].settings.hands.max_hands == 2
    assert not any("without effect" in text for text in graph.logged())
    node._on_set_parameters_callbacks.remove(refuse)
    assert graph.set_parameter("max_hands", 7).successful
    camera.process()
    assert fakes[0].settings.hands.max_hands == 7


def test_a_refused_correction_leaves_the_problem_of_the_start_in_place(
    graph: Any, fakes: list[Any]
) -> None:
    node = graph.start_pose_node(max_hands=40)
    graph.wait_for_log("configure refused")
    node._on_set_parameters_callbacks.append(
        lambda changes: SetParametersResult(successful=False, reason="not now")
    )
    assert not graph.set_parameter("max_hands", 2).successful
    assert not graph.change_state("configure")


def test_set_parameters_of_the_node_itself_takes_effect_too(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    node = graph.start_pose_node()
    good, bad = Parameter("max_hands", value=5), Parameter("max_hands", value=99)
    assert [result.successful for result in node.set_parameters([good, bad])] == [True, False]
    camera.process()
    assert fakes[0].settings.hands.max_hands == 5


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text


def test_the_transport_changes_while_unconfigured(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    assert graph.change_state("deactivate")
    assert not graph.set_parameter("image_transport", "compressed").successful
    assert graph.change_state("cleanup")
    refused = graph.set_parameter("image_transport", "zip")
    assert not refused.successful
    assert "'raw' or 'compressed'" in refused.reason
    assert graph.set_parameter("image_transport", "compressed").successful
    assert graph.change_state("configure", "activate")
    topic = f"{graph.namespace}/image/compressed"
    graph.wait_for(lambda: graph.observer.count_subscribers(topic) == 1, "a subscription")


# --- from a file ---------------------------------------------------------------------------------


def file_with(folder: Path, line: str) -> list[str]:
    """Arguments of a node whose parameter file has this line."""
    path = folder / "pose.yaml"
    path.write_text(f"/**:\n  ros__parameters:\n    {line}\n")
    return ["--params-file", str(path)]


def test_parameters_come_from_a_file(
    graph: Any, camera: Any, fakes: list[Any], tmp_path: Path
) -> None:
    graph.start_pose_node(*file_with(tmp_path, "max_hands: 7"))
    assert fakes[0].settings.hands.max_hands == 7


# the line of the file, the error
INVALID = [
    ("max_hands: 40", "'max_hands': expected a whole number from 1 to 16, got 40"),
    ("max_hands: two", "'max_hands': expected a whole number from 1 to 16, got 'two'"),
    ("detection_threshold: 1", "expected a number with a decimal point .* got 1; write 1.0"),
    ("image_transport: zip", "'image_transport': expected 'raw' or 'compressed', got 'zip'"),
    ("search: 1", "'search': expected true or false, got 1"),
    ("silence_timeout: 0.0", "'silence_timeout': expected .* from 0.5 to 3600, got 0.0"),
]
VALID = {
    "max_hands": 2,
    "detection_threshold": 0.5,
    "image_transport": "raw",
    "search": True,
    "silence_timeout": 5.0,
}


@pytest.mark.parametrize(("line", "said"), INVALID, ids=[row[0] for row in INVALID])
def test_an_invalid_value_in_a_file_keeps_the_node_from_starting_until_it_is_corrected(
    graph: Any, camera: Any, fakes: list[Any], tmp_path: Path, line: str, said: str
) -> None:
    graph.start_pose_node(*file_with(tmp_path, line))
    name = line.partition(":")[0]
    text = graph.wait_for_log("configure refused")
    assert_matches(said, text)
    assert f"ros2 param set {graph.namespace}/pose_node {name} VALUE" in text
    assert f"ros2 lifecycle set {graph.namespace}/pose_node configure" in text
    assert "Traceback" not in text
    assert not is_active(graph)
    assert not graph.change_state("configure"), "nothing was corrected yet"
    values = graph.wait_for_status(lambda v: v["level"] == "ERROR", "level ERROR")
    assert_matches(said, values["message"])
    assert graph.set_parameter(name, VALID[name]).successful
    assert graph.change_state("configure", "activate")
    camera.process()


def test_an_invalid_read_only_value_asks_for_a_restart(
    graph: Any, fakes: list[Any], tmp_path: Path
) -> None:
    graph.start_pose_node(*file_with(tmp_path, "models_dir: 3"))
    text = graph.wait_for_log("configure refused")
    assert "'models_dir': expected a string, got 3" in text
    assert "restart the node" in text
    assert not is_active(graph)


def test_a_name_that_no_parameter_has_is_named_and_the_node_goes_on(
    graph: Any, camera: Any, fakes: list[Any], tmp_path: Path
) -> None:
    graph.start_pose_node(*file_with(tmp_path, "max_hand: 3"))
    text = graph.wait_for_log("parameter 'max_hand' was given, .* has no parameter of that name")
    assert f"ros2 param list {graph.namespace}/pose_node" in text
    camera.process()
