"""The renderer's promises: image, depth, camera and joints agree with each other, and nothing
depends on history."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.synthetic.anatomy import ANGLE_LIMITS_DEG, JOINT_RADIUS_MM
from vitpose_ros.synthetic.scene import SCRIPTS, Scene
from vitpose_ros.types import Side

MOVING = tuple(name for name in SCRIPTS if name != "still")
TIPS = [4, 8, 12, 16, 20]


@pytest.fixture(scope="module", params=SCRIPTS)
def scene(request: pytest.FixtureRequest) -> Scene:
    return Scene(request.param, seed=3)


def _times(scene: Scene, count: int) -> list[float]:
    return [scene.duration_s * (i + 0.37) / count for i in range(count)]


def test_a_rendering_has_the_promised_types_and_shapes(scene: Scene) -> None:
    seen = scene.render(0.4)
    assert seen.image.shape == (480, 640, 3) and seen.image.dtype == np.uint8
    assert seen.depth_m.shape == (480, 640) and seen.depth_m.dtype == np.float32
    assert scene.camera_matrix.shape == (3, 3) and scene.camera_matrix.dtype == np.float64
    assert [hand.side for hand in seen.hands] == [Side.RIGHT, Side.LEFT]
    for hand in seen.hands:
        assert hand.uv.shape == (21, 2) and hand.uv.dtype == np.float32
        assert hand.xyz.shape == (21, 3) and hand.xyz.dtype == np.float32
        assert hand.visible.shape == (21,) and hand.visible.dtype == bool


def test_uv_is_the_projection_of_xyz(scene: Scene) -> None:
    for time_s in _times(scene, 5):
        for hand in scene.truth(time_s):
            projected = hand.xyz.astype(np.float64) @ scene.camera_matrix.T
            in_front = hand.xyz[:, 2] > 0.1
            difference = projected[in_front, :2] / projected[in_front, 2:] - hand.uv[in_front]
            assert np.abs(difference).max() < 1e-3


def test_truth_without_drawing_is_that_of_the_rendering(scene: Scene) -> None:
    for plain, full in zip(scene.truth(0.9), scene.render(0.9).hands, strict=True):
        assert np.array_equal(plain.uv, full.uv) and np.array_equal(plain.xyz, full.xyz)
        assert not (full.visible & ~plain.visible).any()


def test_the_skin_lies_about_a_radius_before_a_visible_fingertip(scene: Scene) -> None:
    gaps = []
    for time_s in _times(scene, 8):
        seen = scene.render(time_s)
        for hand in seen.hands:
            for joint in np.intersect1d(TIPS, np.flatnonzero(hand.visible)):
                u, v = np.round(hand.uv[joint]).astype(int)
                gaps.append(
                    (hand.xyz[joint, 2] - seen.depth_m[v, u]) * 1e3 / JOINT_RADIUS_MM[joint]
                )
    assert len(gaps) >= 20
    assert 0.8 < np.median(gaps) < 1.6
    assert np.percentile(gaps, 2) > 0.0


def test_something_is_nearer_than_every_hidden_joint(scene: Scene) -> None:
    for time_s in _times(scene, 8):
        seen = scene.render(time_s)
        for hand in seen.hands:
            for joint in np.flatnonzero(hand.inside & ~hand.visible):
                u, v = np.round(hand.uv[joint]).astype(int)
                assert seen.depth_m[v, u] < hand.xyz[joint, 2] - 0.7e-3 * JOINT_RADIUS_MM[joint]


def test_no_joint_outside_the_image_is_visible() -> None:
    scene = Scene("leave", seed=1)
    outside = 0
    for time_s in _times(scene, 16):
        for hand in scene.render(time_s).hands:
            outside += int((~hand.inside).sum())
            assert not (hand.visible & ~hand.inside).any()
            assert hand.in_view == bool(hand.inside.all())
    assert outside > 80


def test_each_hand_leaves_the_view_and_comes_back_in_leave() -> None:
    scene = Scene("leave", seed=1)
    inside = np.array([[h.inside.sum() for h in scene.truth(t)] for t in _times(scene, 60)])
    for column in inside.T:
        assert column[0] == 21 and column[-1] == 21 and (column == 0).any()
    assert not (inside == 0).all(axis=1).any()


def test_the_plate_hides_joints_in_occlude() -> None:
    scene = Scene("occlude", seed=1)
    hidden = [
        (~hand.visible).sum()
        for t in _times(scene, 16)
        for hand in scene.render(t).hands
        if hand.in_view
    ]
    assert max(hidden) >= 15


def test_one_hand_hides_part_of_the_other_in_cross() -> None:
    scene = Scene("cross", seed=1)
    most = [max((~hand.visible).sum() for hand in scene.render(t).hands) for t in _times(scene, 16)]
    assert max(most) >= 10
    assert all(hand.in_view for t in _times(scene, 60) for hand in scene.truth(t))


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_same_time_gives_the_same_image_whatever_was_drawn_before(script: str) -> None:
    first, second = (Scene(script, seed=5, width=320, height=240) for _ in range(2))
    second.render(2.0)
    second.render(0.3)
    a, b = first.render(0.7), second.render(0.7)
    assert np.array_equal(a.image, b.image) and np.array_equal(a.depth_m, b.depth_m, equal_nan=True)


def test_seeds_differ_in_what_is_seen() -> None:
    images = [
        Scene("still", seed=seed, width=320, height=240).render(0.0).image.astype(int)
        for seed in range(4)
    ]
    for i in range(3):
        assert np.abs(images[i] - images[i + 1]).mean() > 5.0


@pytest.mark.parametrize("script", MOVING)
def test_motion_is_continuous_also_over_the_end_of_the_cycle(script: str) -> None:
    scene = Scene(script, seed=2)
    step = 1e-3
    times = np.arange(-0.3, scene.duration_s + 0.3, 0.04)
    now = np.array([[hand.xyz for hand in scene.truth(t)] for t in times], np.float64)
    later = np.array([[hand.xyz for hand in scene.truth(t + step)] for t in times], np.float64)
    for index in range(2):
        places, soon = now[:, index], later[:, index]
        speed = np.linalg.norm(soon - places, axis=2) / step
        assert speed[:, 0].max() < 1.6
        assert speed.max() < 3.5
        acceleration = np.linalg.norm(np.diff(places[:, 0], 2, axis=0), axis=1) / 0.04**2
        assert acceleration.max() < 20.0


def test_reach_is_as_fast_as_people_reach() -> None:
    scene = Scene("reach", seed=2)
    times = np.arange(0.0, scene.duration_s, 0.02)
    wrist = np.array([scene.truth(t)[0].xyz[0] for t in times])
    assert 0.5 < np.linalg.norm(np.diff(wrist, axis=0), axis=1).max() / 0.02 < 1.2


@pytest.mark.parametrize("script", SCRIPTS)
def test_joint_angles_stay_within_the_limits(script: str) -> None:
    scene = Scene(script, seed=4)
    low, high = ANGLE_LIMITS_DEG
    for time_s in _times(scene, 60):
        for index in range(2):
            angles = scene._motion.hand(index, time_s).to_vector()[:23]
            assert (angles >= low).all() and (angles <= high).all()


def test_bones_keep_their_length() -> None:
    scene = Scene("grasp", seed=4)
    bones = np.array([(a, a + 1) for a in range(1, 20) if a % 4])
    lengths = []
    for time_s in _times(scene, 10):
        for hand in scene.truth(time_s):
            lengths.append(np.linalg.norm(hand.xyz[bones[:, 0]] - hand.xyz[bones[:, 1]], axis=1))
    assert np.ptp(lengths, axis=0).max() < 1e-5


def test_the_left_hand_is_a_mirror_image_of_the_right() -> None:
    for hand in Scene("still", seed=0).truth(0.0):
        joints = hand.xyz.astype(np.float64)
        across, along = joints[5] - joints[17], joints[9] - joints[0]
        turn = np.cross(along, across)[
            2
        ]  # seen from its back with the fingers up, a right hand's thumb is on the left
        assert (turn < 0) == (hand.side is Side.RIGHT)


def test_nothing_moves_in_still() -> None:
    scene = Scene("still", seed=0, noise=0.0)
    assert np.array_equal(scene.render(0.0).image, scene.render(0.77).image)


def test_depth_is_nan_exactly_where_nothing_is_hit() -> None:
    seen = Scene("reach", seed=0, horizontal_fov_deg=110.0).render(0.0)
    assert np.isnan(seen.depth_m[0]).all()
    known = seen.depth_m[~np.isnan(seen.depth_m)]
    assert known.size > 0.5 * seen.depth_m.size
    assert known.min() > 0.1 and known.max() < 2.0


def test_one_hand_is_the_right_one() -> None:
    assert [hand.side for hand in Scene("reach", hands=1).render(0.2).hands] == [Side.RIGHT]


@pytest.mark.parametrize(("width", "height"), [(64, 64), (321, 243), (1280, 720)])
def test_any_size_renders_with_its_own_camera_matrix(width: int, height: int) -> None:
    scene = Scene("reach", width=width, height=height, horizontal_fov_deg=80.0)
    seen = scene.render(0.1)
    assert seen.image.shape == (height, width, 3) and seen.depth_m.shape == (height, width)
    left = (0 - 0.5 - scene.camera_matrix[0, 2]) / scene.camera_matrix[0, 0]
    assert np.degrees(2 * np.arctan(-left)) == pytest.approx(80.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"script": "dance"}, "unknown script 'dance'; known are tour, reach"),
        ({"width": 63}, "63x480"),
        ({"height": 10}, "at least 64x64"),
        ({"width": 640.5}, "whole numbers"),
        ({"hands": 3}, "hands: expected 1"),
        ({"hands": 0}, "hands: expected 1"),
        ({"horizontal_fov_deg": 180.0}, "horizontal_fov_deg"),
        ({"noise": float("nan")}, "noise"),
        ({"blur_px": -1.0}, "blur_px"),
    ],
)
def test_bad_arguments_are_refused_with_a_sentence(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scene(**arguments)


@pytest.mark.parametrize("time_s", [float("nan"), float("inf")])
def test_a_time_that_is_not_finite_is_refused(time_s: float) -> None:
    scene = Scene("still")
    with pytest.raises(ValueError, match="finite"):
        scene.render(time_s)
    with pytest.raises(ValueError, match="finite"):
        scene.truth(time_s)
