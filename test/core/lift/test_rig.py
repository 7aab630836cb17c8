"""Several cameras of one scene: two rendered views, real networks, and played hands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.factory import load_networks
from vitpose_ros.layouts import HAND21
from vitpose_ros.lift.views import Views
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline, Settings, process
from vitpose_ros.rig import Rig
from vitpose_ros.smooth.settings import SmoothingSettings
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.synthetic.setting import Eye
from vitpose_ros.transform import Transform
from vitpose_ros.types import Frame, Instance, JointState, Keypoints, TrackState, ZSource

EYES = (Eye((-0.15, 0.0, 0.0), 17.0), Eye((0.15, 0.0, 0.0), -17.0))
SCENES = [Scene("reach", 2, eye=eye) for eye in EYES]
BLACK = np.zeros((480, 640, 3), np.uint8)
PLAIN = Settings(smoothing=SmoothingSettings(gate=False))


@pytest.fixture(scope="module")
def networks():
    try:
        return load_networks(ModelStore())
    except ModelError as error:
        pytest.skip(str(error))


def frame_of(scene, time_s, image=None, **changes):
    picture = scene.render(time_s).image if image is None else image
    given = {"camera": scene.camera, "to_rig": scene.pose, **changes}
    return Frame(picture, 1 + round(1e9 * time_s), **given)


def played(scene, time_s, first_id=0, std=1.0, seed=0, **changes):
    """The true hands of a scene as instances with 1 px of noise."""
    rng = np.random.default_rng(seed)
    found = []
    for n, hand in enumerate(scene.truth(time_s)):
        uv = (hand.uv + rng.normal(0, 1.0, (21, 2))).astype(np.float32)
        state = np.where(hand.inside, JointState.MEASURED, JointState.OCCLUDED).astype(np.uint8)
        spread = np.full(21, std, np.float32)
        joints = Keypoints(HAND21, uv, np.ones(21, np.float32), state, uv_std=spread)
        one = Instance(joints, 1.0, "", side=hand.side, side_score=0.9, track_id=first_id + n)
        found.append(replace(one, **changes))
    return found


def look(views, time_s, scenes=SCENES, seed=0, **changes):
    frames = [frame_of(scene, time_s, BLACK, **changes) for scene in scenes]
    found = [played(scene, time_s, 10 * n, seed=seed + n) for n, scene in enumerate(scenes)]
    return views(range(len(scenes)), frames, found)


def test_hands_in_two_images_get_one_id_and_true_metres(networks):
    rig = Rig([Pipeline(networks, PLAIN) for _ in SCENES])
    errors, both = [], 0
    for n in range(24):
        time_s = 0.5 + n / 15
        results = rig([frame_of(scene, time_s) for scene in SCENES])
        ids = [{i.track_id for i in r.instances if not i.is_lost} for r in results]
        both += len(ids[0] & ids[1])
        for scene, result in zip(SCENES, results, strict=True):
            truth = {hand.side: hand for hand in scene.truth(time_s)}
            for instance in result.instances:
                fixed = instance.raw.z_source == ZSource.TRIANGULATED
                if fixed.any():
                    off = instance.raw.xyz - truth[instance.side].xyz
                    errors.append(np.linalg.norm(off[fixed], axis=1))
    assert both >= 36  # two hands, most images
    assert np.median(np.concatenate(errors)) < 0.02


def test_noise_of_1_px_at_a_baseline_of_30_cm_gives_3_mm_in_both_cameras():
    views = Views()
    errors = []
    for n in range(30):
        time_s = 0.1 * n
        for scene, found in zip(SCENES, look(views, time_s, seed=10 * n), strict=True):
            for hand, instance in zip(scene.truth(time_s), found, strict=True):
                fixed = instance.raw.z_source == ZSource.TRIANGULATED
                errors.append(np.linalg.norm(instance.raw.xyz - hand.xyz, axis=1)[fixed])
    assert np.median(np.concatenate(errors)) < 0.003


def test_the_spread_that_is_told_fits_the_errors():
    views = Views()
    ratios = []
    for n in range(30):
        found = look(views, 0.1 * n, seed=10 * n)[0]
        for hand, instance in zip(SCENES[0].truth(0.1 * n), found, strict=True):
            off = np.linalg.norm(instance.raw.xyz - hand.xyz, axis=1)
            ratios.append(off / instance.raw.xyz_std)
    assert 0.5 < np.nanmedian(np.concatenate(ratios)) < 1.5


def test_a_camera_that_sees_nothing_changes_nothing(networks):
    """Hands of the other camera are what they are without it."""
    alone = Pipeline(networks, PLAIN)
    rig = Rig([Pipeline(networks, PLAIN) for _ in SCENES])
    for n in range(6):
        time_s = 0.5 + n / 15
        first = frame_of(SCENES[0], time_s)
        expected = process([alone], [first])[0].instances
        result, dark = rig([first, frame_of(SCENES[1], time_s, BLACK)])
        assert dark.instances == ()
        assert [i.raw.uv.tolist() for i in result.instances] == [
            i.raw.uv.tolist() for i in expected
        ]
        assert not any((i.raw.z_source == ZSource.TRIANGULATED).any() for i in result.instances)


def test_a_camera_that_is_late_has_no_result_and_the_others_go_on(networks):
    rig = Rig([Pipeline(networks, PLAIN) for _ in SCENES])
    time_s = 0.5
    before = rig([frame_of(scene, time_s) for scene in SCENES])
    left, right = rig([frame_of(SCENES[0], time_s + 0.05), None])
    assert right is None
    assert {i.track_id for i in left.instances} == {i.track_id for i in before[0].instances}
    again = rig([frame_of(scene, time_s + 0.1) for scene in SCENES])
    assert {i.track_id for i in again[1].instances} == {i.track_id for i in before[1].instances}
    assert rig([None, None]) == [None, None]


def test_a_camera_with_an_unknown_pose_is_left_out():
    for pose in (None, Transform.unknown()):
        left, right = look(Views(), 1.0, to_rig=pose)
        assert not any(i.raw.z_source.any() for i in (*left, *right))
    left, _ = look(Views(), 1.0, camera=None)
    assert not any(i.raw.z_source.any() for i in left)


def test_a_wrong_pose_is_told_by_contradictions_and_never_as_metres():
    views = Views()
    frames = [frame_of(scene, 1.0, BLACK) for scene in SCENES]
    tilted = SCENES[1].pose.after(Transform.from_quaternion((0.03, 0, 0, 1), np.zeros(3)))
    frames[1] = replace(frames[1], to_rig=tilted)
    found = [played(scene, 1.0, 10 * n) for n, scene in enumerate(SCENES)]
    left, right = views(range(2), frames, found)
    assert not any(i.raw.z_source.any() for i in (*left, *right))
    assert views.shared.objects == 4 and views.shared.triangulated == 0


def test_joints_of_an_assumed_distance_give_way_and_measured_ones_stay():
    views = Views()
    frames = [frame_of(scene, 1.0, BLACK) for scene in SCENES]
    found = [played(scene, 1.0, 10 * n) for n, scene in enumerate(SCENES)]
    hand = found[0][0]
    source = np.full(21, ZSource.ASSUMED, np.uint8)
    source[:2] = ZSource.MEASURED
    guess = replace(
        hand.raw,
        xyz=np.ones((21, 3), np.float32),
        xyz_std=np.full(21, 0.05, np.float32),
        z_source=source,
    )
    found[0][0] = replace(hand, raw=guess, keypoints=guess)
    hidden = found[1][0].raw
    state = hidden.state.copy()
    state[[0, 5]] = JointState.OCCLUDED
    hidden = replace(hidden, state=state)
    found[1][0] = replace(found[1][0], raw=hidden, keypoints=hidden)
    result = views(range(2), frames, found)[0][0].raw
    assert result.z_source[0] == ZSource.MEASURED and result.xyz[0].tolist() == [1, 1, 1]
    assert result.z_source[1] == ZSource.TRIANGULATED
    assert result.z_source[5] == ZSource.NONE and np.isnan(result.xyz_std[5])
    assert (result.z_source[6:] == ZSource.TRIANGULATED).all()


def test_a_joint_that_a_camera_only_guesses_gets_the_metres_of_the_others():
    scenes = [*SCENES, Scene("reach", 2, eye=Eye((0.0, 0.0, 0.15)))]
    views = Views()
    frames = [frame_of(scene, 1.0, BLACK) for scene in scenes]
    found = [played(scene, 1.0, 10 * n) for n, scene in enumerate(scenes)]
    joints = found[2][0].raw
    state, uv, score = joints.state.copy(), joints.uv.copy(), joints.score.copy()
    spread = joints.uv_std.copy()
    state[4] = JointState.OCCLUDED
    uv[4] += 60  # a guess
    state[8], uv[8], score[8], spread[8] = JointState.ABSENT, np.nan, 0, np.nan
    joints = Keypoints(HAND21, uv, score, state, uv_std=spread)
    found[2][0] = replace(found[2][0], raw=joints, keypoints=joints)
    result = views(range(3), frames, found)[2][0].raw
    truth = scenes[2].truth(1.0)[0]
    assert np.linalg.norm(result.xyz[4] - truth.xyz[4]) < 0.02
    assert np.isnan(result.xyz[8]).all()  # what is absent in an image stays absent there


def test_labels_are_common_and_parents_follow():
    views = Views()
    frames = [frame_of(scene, 1.0, BLACK) for scene in SCENES]
    found = [played(scene, 1.0, 10 * n) for n, scene in enumerate(SCENES)]
    views(range(2), frames, found)
    left, right = (views.label(n, each) for n, each in enumerate(found))
    assert [i.track_id for i in left] == [i.track_id for i in right]
    child = replace(found[1][0], parent_id=found[1][1].track_id)
    assert views.label(1, [child])[0].parent_id == right[1].track_id
    stranger = replace(found[1][0], track_id=77, track_state=TrackState.LOST)
    assert views.label(1, [stranger]) == ()


@pytest.mark.parametrize("count", [0, 1, 9])
def test_a_rig_has_two_to_eight_cameras(networks, count):
    with pytest.raises(ValueError, match=f"expected 2 to 8 cameras, got {count}"):
        Rig([Pipeline(networks) for _ in range(count)])


def test_a_rig_wants_one_frame_for_each_camera(networks):
    with pytest.raises(ValueError, match="expected 2 frames, got 1"):
        Rig([Pipeline(networks) for _ in range(2)])([None])
