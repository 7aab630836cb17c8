"""Tests of vitpose_ros.smooth.biomechanics."""

import numpy as np
import pytest

from vitpose_ros.layouts import AP10K17, COCO17, COCO_WHOLEBODY133, HAND21, MEDIAPIPE33
from vitpose_ros.limits import rigid_bones
from vitpose_ros.smooth.biomechanics import Biomechanics
from vitpose_ros.synthetic.motion import FIST, Motion
from vitpose_ros.types import Correction, JointState, Keypoints, Side, ZSource

FIRST, SECOND = np.array(rigid_bones(HAND21)).T
FRAME_NS = 33_333_333
INDEX, PIP = 1, 2


def keypoints(layout=HAND21, shape=None, xyz=None, state=JointState.VISIBLE, score=1.0):
    count = len(layout)
    state = np.full(count, state, np.uint8)
    known = np.zeros(count, bool) if xyz is None else np.isfinite(xyz).all(axis=1)
    nothing = np.full((count, 3), np.nan)
    return Keypoints(
        layout=layout,
        uv=np.zeros((count, 2), np.float32),
        score=np.full(count, score, np.float32),
        state=state,
        xyz=np.asarray(nothing if xyz is None else xyz, np.float32),
        z_source=np.where(known, ZSource.MEASURED, ZSource.NONE).astype(np.uint8),
        shape_xyz=np.asarray(nothing if shape is None else shape, np.float32),
    )


def lengths_of(points):
    points = np.asarray(points, float)
    return np.linalg.norm(points[..., SECOND, :] - points[..., FIRST, :], axis=-1)


def variation(points):
    """The bones' standard deviation over time, as a fraction of their length, mean of the bones."""
    lengths = lengths_of(points)
    return (lengths.std(axis=0) / lengths.mean(axis=0)).mean()


def follow(hands, side=Side.RIGHT, biomechanics=None, start=0, **arguments):
    """Each of the frames (T, 21, 3), as one track with id 7."""
    biomechanics = biomechanics or Biomechanics(HAND21)
    results = []
    for number, shape in enumerate(hands):
        stamp = 1 + (start + number) * FRAME_NS
        results += biomechanics(stamp, [7], [keypoints(shape=shape, **arguments)], [side])
    return results


def moving_hand(true_hands, seconds=4.0, rate_hz=30.0):
    motion = Motion("reach", 0)
    poses = [motion.hand(0, number / rate_hz) for number in range(round(seconds * rate_hz))]
    return np.stack([true_hands(pose.digits, pose.wrist_flexion_deg) for pose in poses])


def slow_noise(shape, sigma, seed=0, frames=6.0):
    """Noise over time (T, ...) that stays for some images, as networks' errors do."""
    rng = np.random.default_rng(seed)
    keep = np.exp(-1.0 / frames)
    noise = np.empty(shape)
    noise[0] = rng.normal(0, sigma, shape[1:])
    for t in range(1, len(noise)):
        noise[t] = keep * noise[t - 1] + np.sqrt(1 - keep**2) * rng.normal(0, sigma, shape[1:])
    return noise


def test_a_hand_that_moves_as_hands_do_is_passed_on_as_it_is(true_hands):
    hands = moving_hand(true_hands)
    results = follow(hands)
    assert all((result.corrected == 0).all() for result in results)
    given = np.stack([result.shape_xyz for result in results])
    assert np.abs(given - hands.astype(np.float32)).max() < 1e-6


@pytest.mark.parametrize("space", ["shape_xyz", "xyz"])
def test_noise_on_bones_shrinks_and_so_does_the_error_to_the_truth(true_hands, space):
    truth = moving_hand(true_hands, seconds=6.0)
    noisy = truth + slow_noise(truth.shape, 0.005)
    biomechanics = Biomechanics(HAND21)
    after = []
    for number, hand in enumerate(noisy):
        joints = keypoints(**{"shape" if space == "shape_xyz" else "xyz": hand})
        (result,) = biomechanics(1 + number * FRAME_NS, [7], [joints], [Side.RIGHT])
        after.append(getattr(result, space))
    late = slice(60, None)
    before, after, truth = noisy[late], np.stack(after)[late], truth[late]
    assert variation(before) > 0.1
    assert variation(after) < 0.25 * variation(before)
    error = [np.linalg.norm(joints - truth, axis=-1).mean() for joints in (before, after)]
    assert error[1] < 0.95 * error[0]
    right = lengths_of(truth)
    wrong = [np.abs(lengths_of(joints) / right - 1).mean() for joints in (before, after)]
    assert wrong[1] < 0.6 * wrong[0]


def test_what_was_moved_is_marked_and_what_was_not_is_as_it_was(true_hands):
    backwards = true_hands.bent(INDEX, PIP, -60)
    (result,) = follow([backwards])
    moved = np.abs(result.shape_xyz - backwards.astype(np.float32)).max(axis=1) > 0
    assert np.array_equal(np.flatnonzero(moved), [7, 8])
    assert np.array_equal(result.corrected, moved * Correction.JOINT_LIMIT)

    usual = true_hands()
    longer = usual.copy()
    longer[4] += 0.02 * (usual[4] - usual[3]) / np.linalg.norm(usual[4] - usual[3])
    biomechanics = Biomechanics(HAND21)
    follow([usual] * 60, biomechanics=biomechanics)
    (result,) = follow([longer], biomechanics=biomechanics, start=60)
    moved = np.abs(result.shape_xyz - longer.astype(np.float32)).max(axis=1) > 0
    far = np.linalg.norm(result.shape_xyz - longer, axis=1)
    assert far[[3, 4]].min() > 0.003
    assert far[5:].max() < 0.1 * far[4], "other fingers hang on the same wrist, and hardly move"
    assert np.array_equal(result.corrected, moved * Correction.BONE_LENGTH)
    assert lengths_of(result.shape_xyz)[3] == pytest.approx(lengths_of(usual)[3], rel=0.02)


def test_marks_that_joints_have_are_kept_and_pixels_are_not_touched(true_hands):
    hand = keypoints(shape=true_hands.bent(INDEX, PIP, -60))
    hand.corrected[8] = Correction.OUTLIER
    (result,) = Biomechanics(HAND21)(1, [0], [hand], [Side.RIGHT])
    assert result.corrected[8] == Correction.OUTLIER | Correction.JOINT_LIMIT
    assert result.corrected[7] == Correction.JOINT_LIMIT
    assert hand.corrected[7] == 0, "the given one is as it was"
    assert result.uv is hand.uv and result.score is hand.score and result.state is hand.state


def test_the_first_lengths_fade_in_without_a_jump(true_hands):
    truth = true_hands()
    rng = np.random.default_rng(0)
    wrong = truth + rng.normal(0, 0.004, truth.shape)
    frames = np.concatenate([np.repeat(truth[None], 12, 0), np.repeat(wrong[None], 60, 0)])
    after = np.stack([result.shape_xyz for result in follow(frames)])
    correction = np.linalg.norm(after[12:] - wrong, axis=-1).max(axis=1)
    assert correction.max() > 0.002
    assert np.abs(np.diff(correction)).max() < 0.1 * correction.max()


def test_what_was_learnt_is_forgotten_with_its_track_and_by_reset(true_hands):
    large, small = true_hands() * 1.2, true_hands()
    for forget in ("another id", "reset", "nothing"):
        biomechanics = Biomechanics(HAND21)
        follow([small] * 60, biomechanics=biomechanics)
        if forget == "another id":
            biomechanics(61 * FRAME_NS, [8], [keypoints(shape=small)])
        elif forget == "reset":
            biomechanics.reset()
        (result,) = follow([large], biomechanics=biomechanics, start=62)
        untouched = np.array_equal(result.shape_xyz, large.astype(np.float32))
        assert untouched == (forget != "nothing"), forget


def test_a_track_that_is_not_known_for_a_while_keeps_its_lengths(true_hands):
    large, small = true_hands() * 1.2, true_hands()
    biomechanics = Biomechanics(HAND21)
    follow([small] * 60, biomechanics=biomechanics)
    for number in range(5):
        assert biomechanics((70 + number) * FRAME_NS, [7], [None]) == [None]
    (result,) = follow([large], biomechanics=biomechanics, start=90)
    assert lengths_of(result.shape_xyz) == pytest.approx(lengths_of(small), rel=0.01)


def test_tracks_do_not_teach_each_other_and_their_order_plays_no_part(true_hands):
    small, large = true_hands(), true_hands() * 1.1
    biomechanics = Biomechanics(HAND21)
    hands = {3: small, 5: large}
    for number in range(60):
        ids = [3, 5] if number % 2 else [5, 3]
        results = biomechanics(
            1 + number * FRAME_NS, ids, [keypoints(shape=hands[track]) for track in ids]
        )
    for track, result in zip(ids, results, strict=True):
        assert np.array_equal(result.shape_xyz, hands[track].astype(np.float32))
        assert (result.corrected == 0).all()


def test_joints_of_a_model_without_scores_teach_lengths_as_sure_ones_do(true_hands):
    taught = []
    for score in (1.0, np.nan):
        biomechanics = Biomechanics(HAND21)
        follow([true_hands()] * 90, biomechanics=biomechanics, score=score)
        taught += follow([true_hands() * 1.2], biomechanics=biomechanics, start=90)
    assert (taught[1].corrected > 0).any()
    assert np.array_equal(taught[0].shape_xyz, taught[1].shape_xyz)


@pytest.mark.parametrize(
    ("state", "score"), [(JointState.PREDICTED, 1.0), (JointState.VISIBLE, 0.0)]
)
def test_joints_that_were_not_seen_teach_no_lengths(true_hands, state, score):
    biomechanics = Biomechanics(HAND21)
    follow([true_hands()] * 90, biomechanics=biomechanics, state=state, score=score)
    large = true_hands() * 1.2
    (result,) = follow([large], biomechanics=biomechanics, start=90)
    assert np.array_equal(result.shape_xyz, large.astype(np.float32))


def test_missing_joints_stay_missing_whatever_is_known_of_them(true_hands):
    biomechanics = Biomechanics(HAND21)
    usual = true_hands()
    follow([usual] * 60, biomechanics=biomechanics)
    for missing in ([8], [6, 7], [0], [5, 9, 13, 17], list(range(21))):
        hand = true_hands.bent(INDEX, PIP, -60, FIST) * 1.1
        hand[missing] = np.nan
        (result,) = follow([hand], biomechanics=biomechanics, start=60)
        assert np.array_equal(np.isnan(result.shape_xyz), np.isnan(hand))
        assert (result.corrected[missing] == 0).all()
        assert np.isnan(result.xyz).all() and (result.z_source == ZSource.NONE).all()


def test_left_hands_come_out_as_the_mirror_images_of_right_ones(true_hands):
    hands = moving_hand(true_hands, 2.0)
    hands = hands + slow_noise(hands.shape, 0.008)
    right = follow(hands)
    left = follow(hands * true_hands.MIRROR, Side.LEFT)
    for a, b in zip(right, left, strict=True):
        assert b.shape_xyz * true_hands.MIRROR == pytest.approx(a.shape_xyz, abs=1e-6)
        assert np.array_equal(a.corrected, b.corrected)
    assert any((a.corrected & Correction.JOINT_LIMIT).any() for a in right)


def test_it_turns_and_moves_with_the_hand(true_hands, rotation):
    hands = moving_hand(true_hands, 2.0)
    hands = hands + slow_noise(hands.shape, 0.008)
    turn = rotation(5)
    here, there = follow(hands), follow(hands @ turn.T + (0.1, -0.2, 0.5))
    for a, b in zip(here, there, strict=True):
        assert b.shape_xyz == pytest.approx(a.shape_xyz @ turn.T + (0.1, -0.2, 0.5), abs=2e-5)


def test_lengths_and_angles_can_be_had_alone(true_hands):
    hand = true_hands.bent(INDEX, PIP, -60)
    learner = Biomechanics(HAND21, angles=False)
    follow([true_hands()] * 60, biomechanics=learner)
    (result,) = follow([hand * 1.1], biomechanics=learner, start=60)
    assert set(np.unique(result.corrected)) <= {0, Correction.BONE_LENGTH}
    assert lengths_of(result.shape_xyz) == pytest.approx(lengths_of(hand), rel=0.01)
    limiter = Biomechanics(HAND21, lengths=False)
    results = follow([hand, hand * 1.1], biomechanics=limiter)
    assert set(np.unique(results[-1].corrected)) == {0, Correction.JOINT_LIMIT}
    assert lengths_of(results[-1].shape_xyz) == pytest.approx(lengths_of(hand * 1.1), rel=1e-4)


def test_a_whole_body_has_its_arms_and_both_its_hands_corrected(true_hands):
    xyz = np.full((133, 3), np.nan)
    xyz[[5, 7, 9]] = (0.2, 0, 2), (0.2, 0.3, 2), (0.21, 0.05, 2.02)  # folded by 174 degrees
    hand = true_hands.bent(INDEX, PIP, -60)
    place = np.array((-0.3, 0.2, 2.0))
    xyz[112:] = hand + place
    xyz[91:112] = hand * true_hands.MIRROR + (0.21, 0.05, 2.02)
    joints = keypoints(COCO_WHOLEBODY133, xyz=xyz)
    (result,) = Biomechanics(COCO_WHOLEBODY133)(1, [0], [joints])
    limited = np.flatnonzero(result.corrected == Correction.JOINT_LIMIT)
    assert {9, 98, 99, 119, 120} <= set(limited)
    alone = follow([hand])[0].shape_xyz
    assert result.xyz[112:] - place == pytest.approx(alone, abs=1e-6)
    assert np.array_equal(np.isnan(result.xyz), np.isnan(joints.xyz))
    assert (result.z_source == joints.z_source).all()


def test_a_body_s_sides_share_their_lengths():
    biomechanics = Biomechanics(MEDIAPIPE33)
    seen = np.full((33, 3), np.nan)
    seen[[11, 13, 15]] = (0.2, 0, 2), (0.2, 0.3, 2), (0.2, 0.55, 2)
    for number in range(60):
        biomechanics(1 + number * FRAME_NS, [0], [keypoints(MEDIAPIPE33, xyz=seen)])
    both = seen.copy()
    both[[12, 14, 16]] = (-0.2, 0, 2), (-0.2, 0.4, 2), (-0.2, 0.65, 2)
    (result,) = biomechanics(61 * FRAME_NS, [0], [keypoints(MEDIAPIPE33, xyz=both)])
    right = [np.linalg.norm(result.xyz[a] - result.xyz[b]) for a, b in ((12, 14), (14, 16))]
    assert right == pytest.approx([0.3, 0.25], rel=0.02)
    moved = np.linalg.norm(result.xyz - both, axis=1)
    assert moved[[12, 14, 16]].min() > 0.01
    assert moved[[11, 13, 15]].max() < 0.002


def test_joints_without_three_dimensions_and_animals_pass_as_they_are(true_hands):
    flat = keypoints(COCO17)
    assert Biomechanics(COCO17)(1, [0], [flat])[0] is flat
    animal = keypoints(AP10K17, xyz=np.random.default_rng(0).normal(size=(17, 3)))
    assert Biomechanics(AP10K17)(1, [0], [animal])[0] is animal
    assert Biomechanics(HAND21)(1, [], []) == []


@pytest.mark.parametrize(
    ("ids", "layouts", "sides", "message"),
    [
        ([0, 1], [HAND21], None, "for each of 2 ids, got 1"),
        ([0], [HAND21], [], "for each of 1 ids, got 1 and 0"),
        ([0, 0], [HAND21, HAND21], None, r"once in an image, got \[0, 0\]"),
        ([0], [COCO17], None, "layout 'hand21', got 'coco17'"),
    ],
)
def test_wrong_arguments_are_named(ids, layouts, sides, message):
    given = [keypoints(layout) for layout in layouts]
    with pytest.raises(ValueError, match=message):
        Biomechanics(HAND21)(1, ids, given, sides)


def test_stamps_that_jump_do_no_harm(true_hands):
    biomechanics = Biomechanics(HAND21)
    hands = true_hands()
    for stamp in (10**9, 2 * 10**9, 10**9, 10**9, 0, 10**15):
        (result,) = biomechanics(stamp, [7], [keypoints(shape=hands)], [Side.RIGHT])
        assert np.array_equal(result.shape_xyz, hands.astype(np.float32))
