"""Association across cameras, on the true joints of rendered hands."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.camera import CameraModel
from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.lift.across_views import FEWEST_JOINTS, group_views
from vitpose_ros.lift.shared_ids import JOIN_IMAGES, SPLIT_IMAGES, SharedIds
from vitpose_ros.lift.triangulate import PosedCamera
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.synthetic.setting import Eye
from vitpose_ros.transform import Transform
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState

EYES = (Eye((-0.15, 0.0, 0.0), 17.0), Eye((0.15, 0.0, 0.0), -17.0), Eye((0.0, 0.0, 0.1)))
TIMES = np.arange(0.0, 6.0, 0.4)
SCENES = {
    script: [Scene(script, 2, width=640, height=480, eye=eye) for eye in EYES]
    for script in ("reach", "cross")
}


def posed(scenes):
    return [PosedCamera(scene.camera, scene.pose) for scene in scenes]


def instance(hand, track_id, rng, noise_px=2.0, side_known=True):
    inside = hand.inside
    uv = (hand.uv + rng.normal(0, noise_px, (21, 2))).astype(np.float32)
    state = np.where(inside, JointState.MEASURED, JointState.OCCLUDED).astype(np.uint8)
    joints = Keypoints(HAND21, uv, np.ones(21, np.float32), state)
    side = hand.side if side_known else Side.UNKNOWN
    return Instance(
        joints, 1.0, "truth", side=side, side_score=0.9 if side_known else np.nan, track_id=track_id
    )


def in_view(scenes, time_s, rng, **how):
    """The instances of each camera, right hand first; ids differ between cameras."""
    return [
        [
            instance(hand, 10 * camera + n, rng, **how)
            for n, hand in enumerate(scene.truth(time_s))
            if hand.inside.sum() > 12
        ]
        for camera, scene in enumerate(scenes)
    ]


@pytest.mark.parametrize("script", SCENES)
@pytest.mark.parametrize("side_known", [True, False])
@pytest.mark.parametrize("count", [2, 3])
def test_each_hand_finds_itself_in_the_other_cameras(script, side_known, count):
    scenes, rng = SCENES[script][:count], np.random.default_rng(3)
    cameras = posed(scenes)
    right = pairs = 0
    for time_s in TIMES:
        found = in_view(scenes, time_s, rng, side_known=side_known)
        for group in group_views(cameras, found):
            hands = {found[camera][index].track_id % 10 for camera, index in group.items()}
            assert len(hands) == 1  # never two different hands
            right += len(group) > 1
        pairs += min(len(each) for each in found)
    assert pairs >= 20
    assert right >= 0.95 * pairs


@pytest.mark.parametrize("baseline_m", [0.3, 1.0])
@pytest.mark.parametrize("gap_m", [0.5, 1.2])
def test_persons_of_one_height_side_by_side_find_themselves(person, baseline_m, gap_m):
    """Their joints are on the same rows of both images: only where they meet tells them apart."""
    rng = np.random.default_rng(9)
    flat = person(0.0, 0.0, size=0.5)
    known = [j for j in COCO17.joints if not j.endswith(("eye", "ear"))]
    shape = np.array([[*flat.joint(joint), 0.0] for joint in known])
    lens = CameraModel(1280, 720, 900.0, 900.0, 639.5, 359.5)
    turn_rad = np.arctan2(baseline_m / 2, 3.0)
    cameras = []
    for sign in (-1, 1):
        cos, sin = np.cos(-sign * turn_rad), np.sin(-sign * turn_rad)
        rotation = np.array(((cos, 0, sin), (0, 1, 0), (-sin, 0, cos)))
        cameras.append(PosedCamera(lens, Transform(rotation, (sign * baseline_m / 2, 0, 0))))
    together = 0
    for _ in range(20):
        places = [(-gap_m / 2, 0.2, 3.0), (gap_m / 2, 0.2, 3.0 + rng.uniform(-0.5, 0.5))]
        bodies = [shape * rng.uniform(0.9, 1.1) + place for place in places]
        seen = []
        for camera in cameras:
            own = []
            for number, body in enumerate(bodies):
                uv = np.full((17, 2), np.nan, np.float32)
                rows = [COCO17.index(joint) for joint in known]
                uv[rows] = camera.project(body) + rng.normal(0, 4.0, (len(known), 2))
                state = np.where(np.isnan(uv[:, 0]), JointState.ABSENT, JointState.MEASURED)
                score = (state > 0).astype(np.float32)
                joints = Keypoints(COCO17, uv, score, state.astype(np.uint8))
                own.append(Instance(joints, 1.0, "", track_id=number))
            seen.append(own)
        groups = group_views(cameras, seen)
        assert all(len(set(group.values())) == 1 for group in groups)  # never two persons
        together += sum(len(group) == 2 for group in groups)
    assert together >= 38


def test_a_wrong_side_in_one_camera_does_not_part_a_hand():
    scenes, rng = SCENES["reach"][:2], np.random.default_rng(4)
    left, right = in_view(scenes, 1.0, rng)
    exchanged = [
        Instance(i.keypoints, 1.0, "", side=side, side_score=0.7, track_id=i.track_id)
        for i, side in zip(right, (Side.LEFT, Side.RIGHT), strict=True)
    ]
    groups = group_views(posed(scenes), [left, exchanged])
    assert groups == [{0: 0, 1: 0}, {0: 1, 1: 1}]


def test_hands_of_different_places_are_not_matched():
    scenes, rng = SCENES["reach"][:2], np.random.default_rng(5)
    (right, left), (right_too, _) = in_view(scenes, 1.0, rng)
    assert group_views(posed(scenes), [[left], [right_too]]) == [{0: 0}, {1: 0}]
    assert group_views(posed(scenes), [[right], [right_too]]) == [{0: 0, 1: 0}]


def test_a_camera_without_a_pose_sees_for_itself():
    scenes, rng = SCENES["reach"], np.random.default_rng(6)
    first, _, third = posed(scenes)
    groups = group_views([first, None, third], in_view(scenes, 1.0, rng))
    assert {frozenset(group) for group in groups} == {frozenset((0, 2)), frozenset((1,))}


def test_lost_tracks_and_hands_with_too_few_joints_are_not_matched():
    scenes, rng = SCENES["reach"][:2], np.random.default_rng(7)
    (right, _), (other, _) = in_view(scenes, 1.0, rng)
    lost = Instance(Keypoints.absent(HAND21), 1.0, "", track_id=3, track_state=TrackState.LOST)
    assert group_views(posed(scenes), [[right], [lost]]) == [{0: 0}]
    state = other.keypoints.state.copy()
    state[FEWEST_JOINTS - 1 :] = JointState.OCCLUDED
    few = Keypoints(HAND21, other.keypoints.uv, other.keypoints.score, state)
    groups = group_views(posed(scenes), [[right], [Instance(few, 1.0, "", track_id=9)]])
    assert groups == [{0: 0}, {1: 0}]


# --- ids


def test_a_hand_has_one_id_in_all_cameras_from_its_first_image():
    ids = SharedIds().update([[(0, 4), (1, 7)], [(0, 5)]], lost=[])
    assert ids == {(0, 4): 0, (1, 7): 0, (0, 5): 1}


def test_tracks_that_turn_out_to_be_one_take_the_oldest_id_after_some_images():
    shared = SharedIds()
    shared.update([[(0, 4)], [(1, 7)]], lost=[])
    for image in range(1, JOIN_IMAGES + 1):
        ids = shared.update([[(0, 4), (1, 7)]], lost=[])
        assert ids[1, 7] == (0 if image == JOIN_IMAGES else 1)


def test_an_image_without_a_match_changes_no_id():
    shared = SharedIds()
    shared.update([[(0, 4), (1, 7)]], lost=[])
    for _ in range(3 * SPLIT_IMAGES):
        shared.update([[(0, 4)], [(1, 7)]], lost=[])
        ids = shared.update([[(0, 4), (1, 7)]], lost=[])
        assert ids == {(0, 4): 0, (1, 7): 0}


def test_tracks_that_are_apart_for_long_get_different_ids():
    shared = SharedIds()
    shared.update([[(0, 4), (1, 7)]], lost=[])
    for _ in range(SPLIT_IMAGES):
        ids = shared.update([[(0, 4)], [(1, 7)]], lost=[])
    assert ids == {(0, 4): 0, (1, 7): 1}


def test_a_hand_that_one_camera_loses_and_finds_again_keeps_the_id_of_the_other():
    shared = SharedIds()
    shared.update([[(0, 4), (1, 7)]], lost=[])
    assert shared.update([[(1, 7)]], lost=[(0, 4)]) == {(0, 4): 0, (1, 7): 0}
    ids = shared.update([[(0, 9), (1, 7)]], lost=[(0, 4)])
    assert ids == {(0, 9): 0, (1, 7): 0}  # the lost track is this hand: it has no id any more


def test_no_two_tracks_of_a_camera_share_an_id_and_none_is_reused():
    rng, shared = np.random.default_rng(8), SharedIds()
    ended: set[int] = set()
    before: dict[tuple[int, int], int] = {}
    for image in range(400):
        tracks = [[10 * (image // 40) + n for n in range(3)] for _ in range(3)]
        groups: list[list[tuple[int, int]]] = [[] for _ in range(3)]
        lost = []
        for camera, own in enumerate(tracks):
            for track, group in zip(rng.permutation(own), groups, strict=True):
                seen = rng.random() < 0.8
                (group if seen else lost).append((camera, int(track)))
        ids = dict(shared.update([group for group in groups if group], lost))
        for camera in range(3):
            own_ids = [i for (c, _), i in ids.items() if c == camera]
            assert len(set(own_ids)) == len(own_ids)
        gone = set(before.values()) - set(ids.values())
        ended |= gone
        assert not ended & set(ids.values())
        before = ids
