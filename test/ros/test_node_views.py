"""Persons and their hands: the real node with the real networks on a real image."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray

from vitpose_ros.layouts import HAND21, MEDIAPIPE33
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import Skeleton, SkeletonArray, SkeletonLayoutArray

BODIES = ("mediapipe-person", "mediapipe-body-full")


@pytest.fixture(scope="session")
def body_models(models: ModelStore) -> ModelStore:
    """The store with the models of bodies, too."""
    try:
        for name in BODIES:
            models.get(name)
    except ModelError as error:
        pytest.skip(str(error))
    return models


@pytest.fixture(scope="session")
def players() -> npt.NDArray[np.uint8]:
    """A real image of several players, two of them near."""
    checkout = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("VITPOSE_ROS_TEST_DATA", checkout.parent / "shared" / "data"))
    image = cv2.imread(str(folder / "people_demo.jpg"))
    if image is None:
        pytest.skip(f"no {folder / 'people_demo.jpg'}; set VITPOSE_ROS_TEST_DATA to its folder")
    return np.asarray(image, np.uint8)


def split(message: SkeletonArray) -> tuple[list[Skeleton], list[Skeleton]]:
    """Bodies and hands; bodies come first."""
    bodies = [s for s in message.skeletons if s.kind == Skeleton.KIND_BODY]
    hands = [s for s in message.skeletons if s.kind == Skeleton.KIND_HAND]
    assert list(message.skeletons) == bodies + hands
    return bodies, hands


def test_third_person_gives_bodies_and_hands_that_name_their_body(
    graph: Any, camera: Any, body_models: Any, players: Any
) -> None:
    graph.start_pose_node(view="third_person")
    messages = [camera.process(camera.image(players)) for _ in range(3)]
    for message in messages:
        bodies, hands = split(message)
        assert message.view == SkeletonArray.VIEW_THIRD_PERSON
        assert (message.image_width, message.image_height) == (950, 641)
        assert len(bodies) == 2
        for body in bodies:
            assert (body.layout, body.model) == ("mediapipe33", "mediapipe-body-full")
            assert len(body.u) == len(body.state) == len(MEDIAPIPE33)
            assert body.side == Skeleton.SIDE_UNKNOWN
            assert body.parent_id == Skeleton.NO_ID
        owned = [hand for hand in hands if hand.parent_id != Skeleton.NO_ID]
        assert len(owned) >= 3
        assert {hand.parent_id for hand in owned} == {body.track_id for body in bodies}
        arms = {(hand.parent_id, hand.side) for hand in owned}
        assert len(arms) == len(owned), "one arm has one hand"
        assert {side for _, side in arms} == {Skeleton.SIDE_LEFT, Skeleton.SIDE_RIGHT}
        assert {hand.layout for hand in hands} == {"hand21"}
    assert list(messages[0].models) == [*BODIES, "mediapipe-hand-full", "mediapipe-palm-full"]
    assert list(messages[1].models) == ["mediapipe-body-full", "mediapipe-hand-full"]
    ids = [[skeleton.track_id for skeleton in message.skeletons] for message in messages]
    assert ids == [ids[0]] * 3
    assert len(set(ids[0])) == len(ids[0])


@pytest.mark.parametrize("view", ["third_person", "auto"])
def test_without_the_hand_detector_the_node_names_the_command_and_configures_after_it(
    graph: Any, camera: Any, body_models: ModelStore, tmp_path: Path, view: str
) -> None:
    for name in ("mediapipe-hand-full", *BODIES):
        shutil.copytree(body_models.root / name, tmp_path / name)
    graph.start_pose_node(view=view, models_dir=str(tmp_path))
    text = graph.wait_for_log("configure refused")
    assert "vitpose_ros models pull mediapipe-palm-full" in text
    assert "Traceback" not in text
    shutil.copytree(body_models.root / "mediapipe-palm-full", tmp_path / "mediapipe-palm-full")
    assert graph.change_state("configure", "activate")
    camera.process()
    values = graph.wait_for_status(lambda v: v["state"] == "active", "state active")
    assert values["models"] == ", ".join(("mediapipe-palm-full", "mediapipe-hand-full", *BODIES))


def test_the_latched_layouts_are_those_of_bodies_and_hands(
    graph: Any, camera: Any, body_models: Any
) -> None:
    graph.start_pose_node(view="third_person")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    layouts = graph.listen(SkeletonLayoutArray, "skeleton_layouts", latched)
    message = layouts.wait(lambda m: m.layouts, "the layouts")
    assert {item.name: tuple(item.joints) for item in message.layouts} == {
        "hand21": HAND21.joints,
        "mediapipe33": MEDIAPIPE33.joints,
    }


def test_bodies_and_hands_are_drawn_each_with_markers_of_its_own(
    graph: Any, camera: Any, body_models: Any, players: Any
) -> None:
    node = graph.start_pose_node(view="third_person")
    markers = graph.listen(MarkerArray, "skeleton_markers")
    debug_image = graph.listen(Image, "pose_node/debug_image")
    for topic in ("skeleton_markers", "debug_image"):
        (publisher,) = (p for p in node.publishers if p.topic_name.endswith(topic))
        graph.wait_for(lambda p=publisher: p.get_subscription_count() > 0, f"a match of {topic}")
    message = camera.process(camera.image(players))
    drawn = markers.wait(lambda m: len(m.markers) > 1, "markers")
    added = [marker for marker in drawn.markers if marker.action == Marker.ADD]
    assert len({(marker.ns, marker.id) for marker in added}) == len(added), "markers overwritten"
    joints = [len(marker.points) for marker in added if marker.type == Marker.SPHERE_LIST]
    assert len(joints) == len(message.skeletons)
    assert sorted(joints)[-1] == len(MEDIAPIPE33)
    picture = debug_image.wait(lambda m: True, "a debug image")
    pixels = np.frombuffer(picture.data, np.uint8).reshape(players.shape)
    changed = np.argwhere((pixels != players).any(axis=2))
    for body in split(message)[0]:
        inside = (np.abs(changed - (body.v[0], body.u[0])) < 10).all(axis=1)
        assert inside.any(), "nothing was drawn at a nose"


def test_auto_says_in_each_message_how_it_looked(
    graph: Any, camera: Any, body_models: Any, players: Any
) -> None:
    graph.start_pose_node(view="auto")
    seen = []
    for _ in range(31):
        message = camera.process(camera.image(players))
        seen.append(message.view)
        assert bool(split(message)[0]) is (message.view == SkeletonArray.VIEW_THIRD_PERSON)
    turned = seen.index(SkeletonArray.VIEW_THIRD_PERSON)
    assert seen == [SkeletonArray.VIEW_EGOCENTRIC] * turned + [SkeletonArray.VIEW_THIRD_PERSON] * (
        len(seen) - turned
    )
    assert turned > 0


# --- parameters --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value", "accepted"),
    [
        ("body_model", "no-such-body", "mediapipe-body-full"),
        ("body_model", "mediapipe-hand-full", "mediapipe-body-full"),
        ("person_detector", "no-such-detector", "mediapipe-person"),
        ("person_detector", "mediapipe-palm-full", "mediapipe-person"),
    ],
)
def test_an_unknown_network_for_persons_is_refused_with_those_that_are_accepted(
    graph: Any, body_models: Any, parameter: str, value: str, accepted: str
) -> None:
    graph.start_pose_node(view="third_person", **{parameter: value})
    text = graph.wait_for_log("configure refused")
    assert f"'{value}'" in text
    assert accepted in text.partition("accepted")[2]
    assert f"ros2 lifecycle set {graph.namespace}/pose_node configure" in text
    assert "Traceback" not in text
    assert graph.set_parameter(parameter, accepted).successful
    assert graph.change_state("configure", "activate"), "corrected"


def test_networks_for_persons_are_not_looked_for_in_the_first_person(
    graph: Any, camera: Any, models: Any
) -> None:
    graph.start_pose_node(body_model="no-such-body", person_detector="no-such-detector")
    assert camera.process().view == SkeletonArray.VIEW_EGOCENTRIC


def test_an_unknown_view_is_refused_with_those_that_are_known(graph: Any, fakes: list[Any]) -> None:
    graph.start_pose_node(view="second_person")
    text = graph.wait_for_log("configure refused")
    assert "'view': expected 'egocentric'" in text
    assert "got 'second_person'" in text
    for mode in ("'egocentric'", "'third_person'", "'auto'"):
        assert mode in text
    assert not fakes, "models were loaded"


@pytest.mark.parametrize(
    ("name", "value"),
    [("view", "auto"), ("body_model", "vitpose-s"), ("person_detector", "yolox-nano")],
)
def test_view_and_networks_change_only_while_the_node_is_unconfigured(
    graph: Any, camera: Any, fakes: list[Any], name: str, value: str
) -> None:
    node = graph.start_pose_node()
    before = node.get_parameter(name).value
    refused = graph.set_parameter(name, value)
    assert not refused.successful
    assert "can change only while the node is unconfigured" in refused.reason
    assert node.get_parameter(name).value == before
    assert graph.change_state("deactivate", "cleanup")
    assert graph.set_parameter(name, value).successful
    assert graph.change_state("configure", "activate")
    assert node.get_parameter(name).value == value


def test_max_persons_acts_on_the_next_image_and_keeps_the_one_followed_longest(
    graph: Any, camera: Any, body_models: Any, players: Any
) -> None:
    graph.start_pose_node(view="third_person", detect_interval=1)
    before, _ = split(camera.process(camera.image(players)))
    assert len(before) == 2
    assert graph.set_parameter("max_persons", 1).successful
    after, hands = split(camera.process(camera.image(players)))
    assert [body.track_id for body in after] == [before[0].track_id]
    assert {hand.parent_id for hand in hands} <= {before[0].track_id, Skeleton.NO_ID}
    assert graph.set_parameter("max_persons", 2).successful
    again, _ = split(camera.process(camera.image(players)))
    assert len(again) == 2
    assert again[0].track_id == before[0].track_id
    assert again[1].track_id not in {body.track_id for body in before}
    assert not graph.set_parameter("max_persons", 33).successful


def test_settings_of_persons_reach_the_pipeline_at_the_start_and_at_run_time(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node(max_persons=7, person_threshold=0.25)
    settings = fakes[0].settings.persons
    assert (settings.max_persons, settings.person_threshold) == (7, 0.25)
    assert graph.set_parameter("body_threshold", 0.75).successful
    assert graph.set_parameter("detect_interval", 3).successful
    camera.process()
    settings = fakes[0].settings.persons
    assert (settings.max_persons, settings.body_threshold, settings.detect_interval) == (7, 0.75, 3)
