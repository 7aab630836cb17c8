"""Metres for what one camera sees, on rendered hands whose joints are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.camera import CameraModel
from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133, HAND21, LEFT_HAND_START
from vitpose_ros.lift import lift
from vitpose_ros.lift.lifter import Lifter
from vitpose_ros.lift.settings import LiftSettings
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.transform import Transform
from vitpose_ros.types import (
    NO_ID,
    Depth,
    Frame,
    Instance,
    JointState,
    Keypoints,
    TrackState,
    ZSource,
)

SIZE = (640, 480)
LENGTH = [0, 9, 10, 11, 12]


@pytest.fixture(scope="module")
def scene():
    return Scene("tour", seed=4, width=SIZE[0], height=SIZE[1])


@pytest.fixture(scope="module")
def shots(scene):
    """Rendered images of all motions, one every 1.5 s."""
    return [scene.render(float(t)) for t in np.arange(0.5, scene.duration_s, 1.5)]


@pytest.fixture(scope="module")
def camera(scene):
    k = scene.camera_matrix
    return CameraModel(*SIZE, k[0, 0], k[1, 1], k[0, 2], k[1, 2])


def as_metres(shot):
    return Depth(shot.depth_m, 1.0)


def as_millimetres(shot):
    return Depth(np.nan_to_num(shot.depth_m * 1000).round().astype(np.uint16), 0.001)


def instance(hand, track_id=1, shape=True, visible=None):
    """A true hand as if it had been measured, with the shape that a perfect model gives."""
    visible = hand.visible if visible is None else visible
    shape_xyz = (hand.xyz - hand.xyz.mean(axis=0)).astype(np.float32)
    joints = Keypoints(
        HAND21,
        hand.uv,
        np.ones(21, np.float32),
        np.where(visible, JointState.MEASURED, JointState.OCCLUDED).astype(np.uint8),
        shape_xyz=shape_xyz if shape else np.full((21, 3), np.nan, np.float32),
    )
    return Instance(joints, 1.0, "m", track_id=track_id, track_state=TrackState.CONFIRMED)


def frame(camera, depth=None):
    return Frame(np.zeros((SIZE[1], SIZE[0], 3), np.uint8), 1, "camera", camera, depth)


def lifted(lifter, shot, camera, depth, **more):
    """[(joints, true hand)] of the hands in view."""
    hands = [h for h in shot.hands if h.visible.sum() >= 5]
    found = lifter(frame(camera, depth), [instance(h, int(h.side), **more) for h in hands])
    return list(zip([i.raw for i in found], hands, strict=True))


def errors(pairs):
    return np.concatenate([np.linalg.norm(j.xyz - h.xyz, axis=1)[h.visible] for j, h in pairs])


@pytest.fixture(scope="module")
def from_depth(shots, camera):
    lifter = Lifter(LiftSettings())
    return [pair for shot in shots for pair in lifted(lifter, shot, camera, as_metres(shot))]


# --- with depth ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [True, False], ids=["with shape", "without"])
def test_visible_joints_are_right_to_5_mm_median_and_15_mm_at_95_percent(shape, shots, camera):
    lifter = Lifter(LiftSettings())
    pairs = [
        pair
        for shot in shots
        for pair in lifted(lifter, shot, camera, as_metres(shot), shape=shape)
    ]
    found = errors(pairs)
    assert np.isfinite(found).all() and len(found) > 300
    assert np.median(found) < 0.005
    assert np.percentile(found, 95) < 0.015


def test_millimetres_and_metres_give_the_same_joints_to_a_millimetre(shots, camera):
    for shot in shots:
        both = [
            lifted(Lifter(LiftSettings()), shot, camera, depth(shot), shape=False)
            for depth in (as_metres, as_millimetres)
        ]
        for (metres, _), (millimetres, _) in zip(*both, strict=True):
            same = metres.z_source == millimetres.z_source
            apart = np.linalg.norm(metres.xyz - millimetres.xyz, axis=1)
            assert same.mean() > 0.9 and np.nanmedian(apart[same]) < 0.001


def test_each_joint_says_where_its_metres_come_from_and_how_sure_they_are(from_depth):
    for joints, hand in from_depth:
        known = ~np.isnan(joints.xyz[:, 2])
        assert (np.isnan(joints.xyz_std) == ~known).all() and (joints.xyz_std[known] > 0).all()
        assert set(joints.z_source[hand.visible]) <= {ZSource.MEASURED, ZSource.INFERRED}
        assert set(joints.z_source[~hand.visible]) <= {ZSource.INFERRED, ZSource.NONE}


def test_the_standard_deviation_is_honest(from_depth):
    sure = np.concatenate([joints.xyz_std for joints, _ in from_depth])
    off = np.concatenate([np.linalg.norm(j.xyz - h.xyz, axis=1) for j, h in from_depth])
    assert (off < sure).mean() > 0.68 and (off < 2 * sure).mean() > 0.95
    assert np.median(sure) < 0.012


def test_a_joint_whose_pixel_is_uncertain_is_uncertain_across_its_ray(shots, camera):
    shot = shots[2]
    given = instance(shot.hands[0])
    vague = replace(given.raw, uv_std=np.full(21, 40.0, np.float32))
    (found,) = Lifter(LiftSettings())(
        frame(camera, as_metres(shot)), [replace(given, keypoints=vague, raw=vague)]
    )
    across = 40 / camera.fx * np.linalg.norm(found.raw.xyz, axis=1)
    assert (found.raw.xyz_std >= 0.999 * across).all() and np.isfinite(found.raw.xyz_std).all()


def test_in_the_target_frame_joints_are_the_same_points_and_without_a_transform_none(shots, camera):
    shot = shots[2]
    given = [instance(shot.hands[0])]
    to_target = Transform.from_quaternion((0.1, -0.2, 0.3, 0.9), (1.0, 2.0, 3.0))
    here = frame(camera, as_metres(shot))
    results = [
        lift([Lifter(LiftSettings())], [replace(here, to_target=transform)], [given])[0][0].raw
        for transform in (None, to_target, Transform.unknown())
    ]
    np.testing.assert_allclose(results[1].xyz, to_target.points(results[0].xyz), atol=1e-5)
    assert (results[0].z_source == results[1].z_source).all()
    assert np.isnan(results[2].xyz).all() and (results[2].z_source == ZSource.NONE).all()


def test_pixels_scores_and_states_do_not_change(shots, camera):
    shot = shots[2]
    given = instance(shot.hands[0])
    (found,) = Lifter(LiftSettings())(frame(camera, as_metres(shot)), [given])
    for name in ("uv", "score", "state", "shape_xyz"):
        np.testing.assert_array_equal(getattr(found.raw, name), getattr(given.raw, name))
    assert found.keypoints is found.raw


def test_without_the_skin_joints_lie_on_it(shots, camera):
    shot = shots[2]
    skin, joint = (
        lifted(Lifter(LiftSettings(skin_scale=s)), shot, camera, as_metres(shot))[0][0]
        for s in (0.0, 1.0)
    )
    measured = (skin.z_source == ZSource.MEASURED) & (joint.z_source == ZSource.MEASURED)
    between = np.linalg.norm(joint.xyz - skin.xyz, axis=1)[measured]
    assert between.min() > 0.004 and between.max() < 0.025
    ray = camera.rays(skin.uv[measured])
    np.testing.assert_allclose((joint.xyz - skin.xyz)[measured], ray * between[:, None], atol=1e-5)


def test_hidden_joints_are_never_called_measured_where_the_shape_tells_them_apart(shots, camera):
    """The state says MEASURED for all, as MediaPipe does."""
    lifter, wrong, hidden = Lifter(LiftSettings()), 0, 0
    for shot in shots:
        hands = [h for h in shot.hands if h.visible.sum() >= 12]
        given = [instance(h, int(h.side), visible=np.ones(21, bool)) for h in hands]
        for found, hand in zip(lifter(frame(camera, as_metres(shot)), given), hands, strict=True):
            off = np.linalg.norm(found.raw.xyz - hand.xyz, axis=1)
            measured = found.raw.z_source == ZSource.MEASURED
            wrong += int((measured & ~hand.visible & (off > 0.02)).sum())
            hidden += int((~hand.visible).sum())
    assert hidden > 50 and wrong < 0.15 * hidden


def test_an_object_before_the_hand_moves_no_joint_by_more_than_it_says(shots, camera):
    shot = shots[2]
    depth = shot.depth_m.copy()
    u, v = shot.hands[0].uv[12].round().astype(int)
    depth[v - 12 : v + 13, u - 12 : u + 13] = 0.25  # a cable near the camera
    (joints, hand), *_ = lifted(Lifter(LiftSettings()), shot, camera, Depth(depth, 1.0))
    assert joints.z_source[12] != ZSource.MEASURED
    assert np.linalg.norm(joints.xyz[12] - hand.xyz[12]) < 0.03


@pytest.mark.parametrize("joint", [8, 12])
def test_a_fingertip_that_something_hides_6_cm_before_it_is_inferred(shots, camera, joint):
    """Near enough for bones to reach; but the rest of the hand says otherwise."""
    for hand, shot in ((h, s) for s in shots for h in s.hands if h.visible.all()):
        depth = shot.depth_m.copy()
        u, v = hand.uv[joint].round().astype(int)
        patch = depth[max(v - 7, 0) : v + 8, max(u - 7, 0) : u + 8]
        patch[:] = np.fmin(patch, hand.xyz[joint, 2] - 0.06)
        (found,) = Lifter(LiftSettings())(frame(camera, Depth(depth, 1.0)), [instance(hand)])
        assert found.raw.z_source[joint] == ZSource.INFERRED
        assert np.linalg.norm(found.raw.xyz[joint] - hand.xyz[joint]) < 0.025


# --- without depth ------------------------------------------------------------------------------


def test_a_known_size_gives_the_distance_and_it_says_that_it_assumes(shots, camera):
    off = []
    for shot in shots:
        hand = shot.hands[0]
        size = float(np.linalg.norm(np.diff(hand.xyz[LENGTH], axis=0), axis=1).sum())
        if hand.visible.sum() < 15:
            continue
        lifter = Lifter(LiftSettings(hand_size_m=size))
        (found,) = lifter(frame(camera), [instance(hand)])
        joints = found.raw
        assert set(joints.z_source) == {ZSource.ASSUMED}
        assert (joints.xyz_std > 0.02).all()
        off.append(joints.xyz[0, 2] / hand.xyz[0, 2] - 1)
    assert len(off) > 6 and np.median(np.abs(off)) < 0.06


def test_without_a_size_nothing_is_assumed(shots, camera):
    given = instance(shots[2].hands[0])
    (found,) = Lifter(LiftSettings())(frame(camera), [given])
    assert found is given


def test_what_depth_measured_of_a_track_is_its_size_once_depth_is_gone(shots, camera):
    lifter, shot = Lifter(LiftSettings()), shots[2]
    given = instance(shot.hands[0], track_id=8)
    lifter(frame(camera, as_metres(shot)), [given])
    (found,) = lifter(frame(camera), [given])
    assert set(found.raw.z_source) == {ZSource.ASSUMED}
    true = shot.hands[0].xyz[:, 2]
    assert np.median(np.abs(found.raw.xyz[:, 2] / true - 1)) < 0.08
    other = instance(shot.hands[0], track_id=9)
    assert lifter(frame(camera), [other]) == [other]  # nobody measured that one
    lifter.reset()
    assert lifter(frame(camera), [given]) == [given]


def test_of_a_hand_without_track_nothing_is_remembered(shots, camera):
    lifter, shot = Lifter(LiftSettings()), shots[2]
    given = instance(shot.hands[0], track_id=NO_ID)
    assert (lifter(frame(camera, as_metres(shot)), [given])[0].raw.z_source > 0).all()
    assert lifter(frame(camera), [given]) == [given]


def body(uv):
    state = np.full(len(uv), JointState.MEASURED, np.uint8)
    score = np.ones(len(uv), np.float32)
    layout = COCO17 if len(uv) == 17 else COCO_WHOLEBODY133
    return Instance(Keypoints(layout, uv.astype(np.float32), score, state), 1.0, "m", track_id=3)


def test_bodies_are_not_assumed_to_have_a_size(camera):
    given = body(np.random.default_rng(1).uniform(100, 400, (17, 2)))
    assert Lifter(LiftSettings(hand_size_m=0.18))(frame(camera), [given]) == [given]


def test_a_body_is_measured_a_radius_behind_its_skin(camera):
    depth = Depth(np.full((SIZE[1], SIZE[0]), 2.0, np.float32), 1.0)
    given = body(np.random.default_rng(1).uniform(200, 280, (17, 2)))
    (found,) = Lifter(LiftSettings())(frame(camera, depth), [given])
    assert set(found.raw.z_source) == {ZSource.MEASURED}
    behind = (found.raw.xyz - camera.points(camera.rays(given.raw.uv), np.full(17, 2.0)))[:, 2]
    assert behind[0] == pytest.approx(0, abs=1e-6)  # the nose is on the skin
    assert behind[COCO17.index("left_hip")] == pytest.approx(0.085, abs=0.01)


def test_the_hands_of_a_whole_body_are_lifted_as_hands_are(shots, camera):
    shot = shots[2]
    hand = instance(shot.hands[0])
    uv = np.full((133, 2), 320.0)
    uv[LEFT_HAND_START : LEFT_HAND_START + 21] = hand.raw.uv
    person = body(uv)
    state = person.raw.state.copy()
    state[LEFT_HAND_START : LEFT_HAND_START + 21] = hand.raw.state
    joints = replace(person.raw, state=state)
    person = replace(person, keypoints=joints, raw=joints)
    alone = instance(shot.hands[0], shape=False)
    found = Lifter(LiftSettings())(frame(camera, as_metres(shot)), [person, alone])
    part = slice(LEFT_HAND_START, LEFT_HAND_START + 21)
    np.testing.assert_array_equal(found[0].raw.xyz[part], found[1].raw.xyz)


# --- what is left alone -------------------------------------------------------------------------


def test_without_a_camera_model_there_are_no_metres(shots):
    given = instance(shots[2].hands[0])
    assert Lifter(LiftSettings(hand_size_m=0.18))(frame(None, as_metres(shots[2])), [given]) == [
        given
    ]


def test_metres_that_a_network_gave_itself_stay(shots, camera):
    shot = shots[2]
    given = instance(shot.hands[0])
    xyz, source = np.full((21, 3), np.nan, np.float32), np.zeros(21, np.uint8)
    xyz[3], source[3] = (1, 2, 3), ZSource.TRIANGULATED
    joints = replace(given.raw, xyz=xyz, z_source=source)
    (found,) = Lifter(LiftSettings())(
        frame(camera, as_metres(shot)), [replace(given, keypoints=joints, raw=joints)]
    )
    assert found.raw.xyz[3].tolist() == [1, 2, 3]
    assert found.raw.z_source[3] == ZSource.TRIANGULATED
    assert (np.delete(found.raw.z_source, 3) > 0).all()


def test_lost_tracks_stay_as_they_are(shots, camera):
    lost = Instance(Keypoints.absent(HAND21), 0.5, "m", track_id=4, track_state=TrackState.LOST)
    assert Lifter(LiftSettings())(frame(camera, as_metres(shots[2])), [lost]) == [lost]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"skin_scale": -1.0}, "skin_scale: expected a number from 0 to 3, got -1.0"),
        ({"skin_scale": True}, "skin_scale: expected a number"),
        ({"hand_size_m": 18.0}, "hand_size_m: expected 0, or a number from 0.08 to 0.3, got 18.0"),
        ({"hand_size_m": float("nan")}, "hand_size_m: expected 0, or a number"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong, error):
    with pytest.raises(ValueError, match=error):
        LiftSettings(**wrong)
