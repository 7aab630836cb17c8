"""Lifting networks: told by their shapes, fed by their recipes, and decoded to metres."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vitpose_ros.camera import CameraModel
from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.keypoints.lifting_joints import reading_matrix, shape_order, source_of
from vitpose_ros.keypoints.lifting_network import ShapeNetwork
from vitpose_ros.keypoints.lifting_recipes import ADULT_LIMBS_M, H36M_FOCAL_PX, recognise
from vitpose_ros.layouts import (
    COCO17,
    COCO_WHOLEBODY133,
    H36M17,
    HALPE26,
    HALPE136,
    MEDIAPIPE33,
    MPII16,
)
from vitpose_ros.lift.body_shapes import MAX_GAP_S, BodyShapes, lift_shapes
from vitpose_ros.types import Frame, Instance, JointState, Keypoints, TrackState

sys.path.insert(0, str(Path(__file__).parent))
import lifting_networks as nets

SIZE = (640, 480)
FPS = 50.0
CAMERA = CameraModel(*SIZE, 573.0, 573.0, 319.5, 239.5)


@pytest.fixture
def network(tmp_path):
    """A function: one of the small networks."""

    def make(architecture, layout=COCO17, reads="h36m17", settings=None, **how):
        path = nets.WRITE[architecture](tmp_path / f"{architecture}.onnx", **how)
        entry = nets.entry(architecture, path, reads, **(settings or {}))
        engine = OpenVinoEngine(path, threads=1)
        recipe = recognise(entry.name, architecture, engine.inputs, engine.outputs, entry.settings)
        return ShapeNetwork(engine, entry, recipe, layout)

    return make


def body_at(time_s, layout=COCO17, seed=3, velocity=(20.0, 5.0)):
    """A body that moves as a whole; every joint elsewhere."""
    uv = np.random.default_rng(seed).uniform(150, 350, (len(layout), 2))
    uv = (uv + np.multiply(velocity, time_s)).astype(np.float32)
    score = np.full(len(layout), 0.8, np.float32)
    state = np.full(len(layout), JointState.MEASURED, np.uint8)
    return Instance(Keypoints(layout, uv, score, state), 0.9, "played", track_id=4)


def run(network, times_s, camera=None, mirrored=False, change=lambda body, n: body, **how):
    """The last result of a network that sees a body at these times."""
    shapes, image = BodyShapes(), np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for n, time_s in enumerate(times_s):
        frame = Frame(image, round(1e9 * (time_s + 10)), camera=camera)
        body = change(body_at(time_s, **how), n)
        lifted, ran = lift_shapes(network, [(shapes, frame, mirrored)], [[body]])
    return lifted[0][0], ran[0]


def h36m(body):
    """The joints as the network reads them, (17, 2) px."""
    return reading_matrix(H36M17, body.layout) @ body.raw.uv.astype(float)


TIMES = np.arange(30) / FPS


def test_the_joints_of_human36m_come_from_coco_and_guesses_are_marked():
    matrix = reading_matrix(H36M17, COCO17)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0)
    pelvis, knee = matrix[H36M17.index("pelvis")], matrix[H36M17.index("left_knee")]
    assert pelvis[[COCO17.index("left_hip"), COCO17.index("right_hip")]].tolist() == [0.5, 0.5]
    assert knee[COCO17.index("left_knee")] == 1.0
    guessed = {joint for joint in H36M17.joints if source_of(joint, COCO17).guessed}
    assert guessed == {"spine", "neck_base", "head"}


@pytest.mark.parametrize("layout", [HALPE26, HALPE136], ids=lambda layout: layout.name)
def test_halpes_own_pelvis_and_top_of_the_head_are_read_and_lifted(layout):
    matrix, order = reading_matrix(H36M17, layout), shape_order(layout)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0)
    for human36m, own in (("pelvis", "pelvis"), ("head", "head_top"), ("left_knee", "left_knee")):
        row, column = H36M17.index(human36m), layout.index(own)
        assert matrix[row, column] == 1.0
        assert order[column] == row
        assert not source_of(human36m, layout).guessed
    assert (order >= 0).sum() == 14
    assert {j for j in H36M17.joints if source_of(j, layout).guessed} == {"spine", "neck_base"}


def test_a_body_gets_the_limbs_back_and_nothing_that_the_network_does_not_know():
    order = shape_order(COCO17)
    assert [COCO17.joints[i] for i in np.flatnonzero(order < 0)] == list(COCO17.joints[:5])
    for index in np.flatnonzero(order >= 0):
        assert H36M17.joints[order[index]] == COCO17.joints[index]


@pytest.mark.parametrize("layout", [COCO17, COCO_WHOLEBODY133, MEDIAPIPE33])
def test_body_layouts_with_coco_joints_can_be_lifted(layout):
    np.testing.assert_allclose(reading_matrix(COCO17, layout).sum(axis=1), 1.0)
    assert (shape_order(layout) >= 0).sum() == 12


def test_a_layout_that_lacks_joints_is_refused_by_their_names():
    with pytest.raises(
        ValueError, match=r"needs the joints nose, which.*mpii16"
    ):
        reading_matrix(H36M17, MPII16)


def test_motionberts_shape_has_its_axes_its_root_and_an_adults_size(network):
    body, ran = run(network("motionbert"), TIMES)
    assert ran
    uv = h36m(body)
    expected = np.concatenate([uv / SIZE[0] * 2, 0.8 * nets.DEPTHS], axis=1)
    expected -= expected[0]
    limbs = [
        np.linalg.norm(expected[H36M17.index(f"{s}_{a}")] - expected[H36M17.index(f"{s}_{b}")])
        for s in ("left", "right")
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
    ]
    expected *= ADULT_LIMBS_M / sum(limbs)
    order = shape_order(COCO17)
    shape = body.raw.shape_xyz
    np.testing.assert_allclose(shape[order >= 0], expected[order[order >= 0]], atol=1e-4)
    assert np.isnan(shape[order < 0]).all()


def test_the_result_is_a_shape_and_no_position(network):
    body, _ = run(network("motionbert"), TIMES)
    assert np.isnan(body.raw.xyz).all() and not body.raw.z_source.any()
    assert body.keypoints is body.raw


def test_videopose3d_reads_this_image_in_the_middle_of_its_window(network):
    body, _ = run(network("videopose3d"), TIMES)
    centred = h36m(body) / SIZE[0] * 2 - (1, SIZE[1] / SIZE[0])
    expected = np.concatenate([0.5 * centred, nets.DEPTHS], axis=1)
    expected -= expected[0]
    order = shape_order(COCO17)
    np.testing.assert_allclose(
        body.raw.shape_xyz[order >= 0], expected[order[order >= 0]], atol=1e-5
    )


@pytest.mark.parametrize(
    ("read", "output_image", "images_ago"),
    [
        (0, "middle", nets.IMAGES // 2),
        (0, "last", nets.IMAGES - 1),
        (8, "middle", 0),
        (6, "last", 2),
    ],
)
def test_a_window_reaches_into_the_past_only(network, read, output_image, images_ago):
    net = network("videopose3d", read=read, settings={"output_image": output_image})
    body, _ = run(net, TIMES)
    before = h36m(body_at(TIMES[-1] - images_ago / FPS))
    elbow = H36M17.index("left_elbow")
    expected = (before[elbow] - before[0]) / SIZE[0]
    np.testing.assert_allclose(
        body.raw.shape_xyz[COCO17.index("left_elbow"), :2], expected, atol=1e-5
    )


def test_windows_have_the_networks_rate_whatever_the_cameras(network):
    """Images that were missed, or another rate, do not splice the sequence."""
    net = network("videopose3d", read=0)
    rng = np.random.default_rng(1)
    rates = [np.arange(18) / 30.0, np.arange(60) / 100.0, TIMES[np.sort(rng.choice(30, 22, False))]]
    for times in rates:
        end = times[-1]

        # relative motion, which the root does not hide
        def wave(body, n, times=times):
            uv = body.raw.uv.copy()
            uv[COCO17.index("left_wrist")] += 100 * times[n]
            return replace(body, keypoints=replace(body.raw, uv=uv), raw=replace(body.raw, uv=uv))

        body, _ = run(net, times, change=wave, velocity=(0, 0))
        base = h36m(body_at(0.0, velocity=(0, 0)))
        past = end - (nets.IMAGES // 2) / FPS
        wrist = base[H36M17.index("left_wrist")] + 100 * past
        expected = (wrist - base[0]) / SIZE[0]
        found = body.raw.shape_xyz[COCO17.index("left_wrist"), :2]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_first_image_is_repeated_into_the_past(network):
    body, ran = run(network("motionbert"), TIMES[:1])
    assert ran and np.isfinite(body.raw.shape_xyz[COCO17.index("left_wrist")]).all()


def martinez_shape(uv, scale):
    s = {key: np.array(value) for key, value in nets.STATISTICS.items()}
    flat = ((uv - uv[0])[1:] * scale).ravel()
    out = ((flat - s["mean_2d"]) / s["std_2d"]) @ nets.WEIGHTS * s["std_3d"] + s["mean_3d"]
    return np.concatenate([np.zeros((1, 3)), out.reshape(16, 3) / 1000])


@pytest.mark.parametrize("camera", [None, CAMERA])
def test_martinez_sees_a_person_as_large_as_human36ms_cameras_do(network, camera):
    body, _ = run(network("martinez"), TIMES[:3], camera=camera)
    scale = 1000 / SIZE[0] if camera is None else H36M_FOCAL_PX / camera.fx
    order = shape_order(COCO17)
    expected = martinez_shape(h36m(body), scale)[order[order >= 0]]
    np.testing.assert_allclose(body.raw.shape_xyz[order >= 0], expected, atol=1e-3)


def test_a_distorted_image_gives_the_shape_of_the_undistorted_one(network):
    lens = replace(CAMERA, distortion=(-0.3, 0.1, 0.0, 0.0, 0.0))
    straight, _ = run(network("motionbert"), TIMES[:5], camera=CAMERA)

    def through_the_lens(body, n):
        uv = lens.project(CAMERA.rays(body.raw.uv)).astype(np.float32)
        joints = replace(body.raw, uv=uv)
        return replace(body, keypoints=joints, raw=joints)

    bent, _ = run(network("motionbert"), TIMES[:5], camera=lens, change=through_the_lens)
    np.testing.assert_allclose(bent.raw.shape_xyz, straight.raw.shape_xyz, atol=1e-4)


def test_a_mirrored_image_gives_the_shape_of_the_real_scene(network):
    straight, _ = run(network("motionbert"), TIMES[:5])

    def in_a_mirror(body, n):  # left and right joints are those of the person
        uv = body.raw.uv.copy()
        uv[:, 0] = SIZE[0] - 1 - uv[:, 0]
        joints = replace(body.raw, uv=uv)
        return replace(body, keypoints=joints, raw=joints)

    seen, _ = run(network("motionbert"), TIMES[:5], mirrored=True, change=in_a_mirror)
    np.testing.assert_allclose(seen.raw.shape_xyz, straight.raw.shape_xyz, atol=1e-4)


def without(joint):
    def change(body, n, since=0):
        if n < since:
            return body
        index = body.layout.index(joint)
        uv, score, state = (a.copy() for a in (body.raw.uv, body.raw.score, body.raw.state))
        uv[index], score[index], state[index] = np.nan, 0, JointState.ABSENT
        joints = Keypoints(body.layout, uv, score, state)
        return replace(body, keypoints=joints, raw=joints)

    return change


def test_a_joint_that_is_missing_for_a_moment_has_no_shape_and_the_others_do(network):
    lose = without("left_knee")
    body, ran = run(network("motionbert"), TIMES, change=lambda b, n: lose(b, n, since=25))
    missing = np.isnan(body.raw.shape_xyz).any(axis=1)
    assert ran and missing[COCO17.index("left_knee")]
    assert not missing[[COCO17.index("left_ankle"), COCO17.index("right_knee")]].any()


def test_a_joint_that_is_never_seen_leaves_the_whole_shape_unknown(network):
    body, ran = run(network("motionbert"), TIMES, change=without("left_knee"))
    assert not ran and np.isnan(body.raw.shape_xyz).all()


def test_a_joint_that_the_network_does_not_read_may_be_missing(network):
    body, ran = run(network("motionbert"), TIMES, change=without("left_ear"))
    assert ran and np.isfinite(body.raw.shape_xyz[COCO17.index("left_wrist")]).all()


def test_a_body_that_was_away_begins_anew(network):
    net = network("videopose3d", read=0)
    there = run(net, [0.0, 0.1])[0]
    times = [0.0, 0.1, 0.1 + MAX_GAP_S + 0.1]
    after, _ = run(net, times)
    fresh, _ = run(net, times[-1:])
    np.testing.assert_allclose(after.raw.shape_xyz, fresh.raw.shape_xyz, atol=1e-6)
    assert there.raw is not after.raw


def test_a_lost_body_is_left_alone(network):
    lost = Instance(Keypoints.absent(COCO17), 0.3, "", track_id=4, track_state=TrackState.LOST)
    body, ran = run(network("motionbert"), [0.0], change=lambda b, n: lost)
    assert body is lost and not ran


def test_bodies_of_several_cameras_share_one_run(network, monkeypatch):
    net = network("motionbert")
    batches = []
    real = net._engine.run
    monkeypatch.setattr(
        net._engine, "run", lambda tensors: batches.append(len(tensors["joints"])) or real(tensors)
    )
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    cameras = [(BodyShapes(), Frame(image, 1), False) for _ in range(2)]
    one, two = body_at(0.0, seed=1), body_at(0.0, seed=2)
    lifted, ran = lift_shapes(net, cameras, [[one], [two, replace(one, track_id=9)]])
    assert batches == [3] and ran == [True, True]
    np.testing.assert_array_equal(lifted[0][0].raw.shape_xyz, lifted[1][1].raw.shape_xyz)


def spec(*shape):
    return TensorSpec("t", (None, *shape))


@pytest.mark.parametrize(
    ("given", "taken", "architecture", "images", "now"),
    [
        ((243, 17, 3), (243, 17, 3), "motionbert", 243, 242),
        ((27, 17, 2), (1, 17, 3), "videopose3d", 27, 13),
        ((243, 17, 2), (17, 3), "videopose3d", 243, 121),
    ],
)
def test_a_sequence_network_is_told_by_its_shapes(given, taken, architecture, images, now):
    recipe = recognise("net", architecture, [spec(*given)], [spec(*taken)], {})
    assert (recipe.architecture, recipe.images, recipe.now) == (architecture, images, now)


@pytest.mark.parametrize(
    ("given", "taken", "architecture", "settings", "message"),
    [
        ((243, 17, 3), (243, 17, 3), "videopose3d", {}, "has the shapes of motionbert"),
        ((None, 17, 2), (1, 17, 3), "videopose3d", {}, "leaves sizes open.*fixed number of images"),
        ((3, 256, 192), (17, 64, 48), "motionbert", {}, "no lifting network.*Known are MotionBERT"),
        ((32,), (48,), "martinez", {}, r"settings.mean_2d: expected 32 numbers, .* got 0"),
        (
            (32,),
            (48,),
            "martinez",
            {**nets.STATISTICS, "std_3d": [0.0] * 48},
            "settings.std_3d: expected 48 numbers above 0",
        ),
        ((9, 17, 2), (1, 17, 3), "videopose3d", {"output_image": "first"}, "'middle' or 'last'"),
        ((9, 17, 2), (1, 17, 3), "videopose3d", {"rate_hz": 0}, "expected 1 to 1000 Hz"),
    ],
)
def test_what_does_not_fit_is_named(given, taken, architecture, settings, message):
    with pytest.raises(EngineError, match=message):
        recognise("net", architecture, [spec(*given)], [spec(*taken)], settings)


def test_a_network_that_reads_joints_the_bodies_lack_is_refused(network):
    with pytest.raises(EngineError, match=r"'my-motionbert'.*mpii16"):
        network("motionbert", layout=MPII16)


def test_martinez_needs_the_pelvis_in_its_layout(network):
    with pytest.raises(EngineError, match="reads the layout h36m17, not 'coco17'"):
        network("martinez", reads="coco17")
