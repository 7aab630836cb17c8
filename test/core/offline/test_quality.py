"""The figures of an episode's quality have known answers."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from vitpose_ros.layouts import HAND21
from vitpose_ros.quality.blur import hand_blur
from vitpose_ros.quality.episode import arrays
from vitpose_ros.quality.judge import judge
from vitpose_ros.quality.measure import measure, moments
from vitpose_ros.quality.thresholds import ACCEPT, FLAG, REJECT, Thresholds
from vitpose_ros.types import Correction, JointState, Side

sys.path.insert(0, str(Path(__file__).parent))
from takes import (
    PALM_PX,
    RATE_HZ,
    changed,
    hand_shape,
    keypoints,
    moved,
    predicted,
    stamp,
    take,
    with_metres,
)

INDEX_TIP = HAND21.index("index_tip")


def figures(images):
    return measure(*arrays(images), None)


def verdict(images, thresholds=None):
    return judge(figures(images), thresholds or Thresholds())


def with_id(one, track_id, side=None):
    return replace(one, track_id=track_id, side=one.side if side is None else side)


def test_a_clean_take_is_accepted_and_has_no_events():
    found = figures(take())
    for side in ("left", "right"):
        hand = found["hands"][side]
        assert (hand["coverage"], hand["predicted"], hand["missing"]) == (1, 0, 0)
        assert hand["dropouts"]["count"] == hand["out_of_view"]["count"] == 0
        assert hand["timeline"] == [[2, 0, 10]]
    assert found["hands"]["unknown"]["coverage"] == 0
    for event in ("jumps", "side_changes", "id_changes"):
        assert found[event]["count"] == 0
    assert found["outliers"] == {"joints": 0, "of": 2 * 300 * 21, "share": 0}
    assert found["bones"]["spread"] == pytest.approx(0, abs=1e-6)
    assert found["timing"]["rate_hz"] == pytest.approx(RATE_HZ, rel=1e-6)
    assert found["timing"]["lost_images"] == 0
    assert found["duration_s"] == pytest.approx(299 / 30, abs=1e-6)
    result = judge(found, Thresholds())
    assert result["verdict"] == ACCEPT and result["reasons"] == []
    assert result["judged"] == ["left", "right"]


@pytest.mark.parametrize("count", [1, 10, 45])
def test_a_removed_hand_is_a_dropout_of_exactly_that_length(count):
    images = changed(take(), Side.RIGHT, range(100, 100 + count), lambda one: None)
    found = figures(images)["hands"]
    dropouts = found["right"]["dropouts"]
    assert dropouts["count"] == 1
    assert dropouts["longest_s"] == dropouts["total_s"] == pytest.approx(count / 30, abs=1e-6)
    assert dropouts["longest_at_s"] == pytest.approx(100 / 30, abs=1e-6)
    assert found["right"]["coverage"] == pytest.approx(1 - count / 300, abs=1e-6)
    assert found["left"]["coverage"] == 1 and found["left"]["dropouts"]["count"] == 0


def test_a_hand_that_leaves_at_the_edge_has_no_dropout_but_is_out_of_view():
    images = changed(take(), Side.LEFT, [99], lambda one: moved(one, (-180, 0)))
    images = changed(images, Side.LEFT, range(100, 160), lambda one: None)
    found = figures(images)["hands"]["left"]
    assert found["dropouts"]["count"] == 0
    assert found["out_of_view"]["count"] == 1
    assert found["out_of_view"]["total_s"] == pytest.approx(2.0, abs=1e-6)
    assert found["coverage"] == pytest.approx(0.8)


def test_a_hand_that_begins_late_and_ends_early_has_no_dropout():
    images = changed(take(), Side.LEFT, [*range(30), *range(270, 300)], lambda one: None)
    found = figures(images)["hands"]["left"]
    assert found["dropouts"]["count"] == 0 and found["coverage"] == pytest.approx(0.8)
    assert (found["first_s"], found["last_s"]) == pytest.approx((1.0, 269 / 30), abs=1e-6)


def test_a_predicted_hand_is_not_measured():
    images = changed(take(), Side.LEFT, range(60, 90), predicted)
    found = figures(images)["hands"]["left"]
    assert found["predicted"] == pytest.approx(0.1) and found["coverage"] == pytest.approx(0.9)
    assert found["dropouts"]["longest_s"] == pytest.approx(1.0, abs=1e-6)
    assert found["timeline"] == [[2, 0, 2], [1, 2, 3], [2, 3, 10]]


def test_a_hand_of_few_joints_is_not_measured():
    def few(one):
        state = one.raw.state.copy()
        state[:11] = JointState.ABSENT
        uv = one.raw.uv.copy()
        uv[:11] = np.nan
        raw = replace(one.raw, state=state, uv=uv)
        return replace(one, raw=raw, keypoints=raw)

    images = changed(take(), Side.LEFT, range(60, 90), few)
    assert figures(images)["hands"]["left"]["predicted"] == pytest.approx(0.1)


def test_an_inserted_jump_of_a_hand_is_found_with_its_time_and_speed():
    by = (0, -3 * PALM_PX)
    images = changed(take(), Side.RIGHT, range(150, 300), lambda one: moved(one, by))
    found = figures(images)["jumps"]
    assert found["count"] == 1
    (one,) = found["listed"]
    assert one["at_s"] == pytest.approx(5.0, abs=1e-6) and one["stamp_ns"] == stamp(150)
    assert (one["hand"], one["kind"], one["unit"]) == ("right", "hand", "palms/s")
    assert one["value"] == pytest.approx(3 * RATE_HZ, rel=0.02)


def test_an_inserted_jump_of_a_joint_is_found_on_the_way_there_and_back():
    images = changed(
        take(), Side.LEFT, [150], lambda one: moved(one, (PALM_PX, 0), [INDEX_TIP])
    )
    found = figures(images)["jumps"]["listed"]
    assert [(one["kind"], one["joint"]) for one in found] == [("joint", "index_tip")] * 2
    assert [one["stamp_ns"] for one in found] == [stamp(150), stamp(151)]
    assert found[0]["value"] == pytest.approx(1.0, rel=0.03)


def test_a_jump_in_depth_alone_is_found_in_metres():
    flat = np.c_[hand_shape() * 0.09, np.full(21, 0.5)]

    def lifted(number, far):
        joints = with_metres(hand_joints(number), flat + np.array([0, 0, far]))
        return lambda one: replace(one, keypoints=joints, raw=joints)

    def hand_joints(number):
        return take(number + 1)[number].instances[1].keypoints

    images = take(60)
    for number in range(60):
        far = 0.2 if number >= 30 else 0.0
        images = changed(images, Side.RIGHT, [number], lifted(number, far))
    (one,) = figures(images)["jumps"]["listed"]
    assert (one["kind"], one["unit"]) == ("metres", "m/s")
    assert one["value"] == pytest.approx(0.2 * RATE_HZ, rel=1e-4)


def test_a_rejected_measurement_is_an_outlier_and_no_jump():
    def rejected(one):
        raw = moved(one, (4 * PALM_PX, 0)).raw
        corrected = np.full(21, Correction.OUTLIER, np.uint8)
        return replace(one, raw=raw, keypoints=replace(one.keypoints, corrected=corrected))

    found = figures(changed(take(), Side.LEFT, [150], rejected))
    assert found["jumps"]["count"] == 0
    assert found["outliers"]["joints"] == 21
    assert found["hands"]["left"]["coverage"] == 1


def test_a_fast_reach_is_no_jump():
    def reach(number):
        progress = np.clip((number - 100) / 12, 0, 1)  # 3.5 palms in 0.4 s: minimum jerk
        share = 10 * progress**3 - 15 * progress**4 + 6 * progress**5
        return lambda one: moved(one, (0, -3.5 * PALM_PX * share))

    images = take()
    for number in range(100, 300):
        images = changed(images, Side.RIGHT, [number], reach(number))
    found = figures(images)
    assert found["jumps"]["count"] == 0
    assert 10 < found["fastest"]["palms_s"] < 20


def test_a_swapped_side_is_counted_there_and_back():
    images = changed(
        take(), Side.RIGHT, range(100, 110), lambda one: with_id(one, 2, Side.LEFT)
    )
    found = figures(images)
    events = found["side_changes"]["listed"]
    assert [one["stamp_ns"] for one in events] == [stamp(100), stamp(110)]
    assert [one["to"]["hand"] for one in events] == ["left", "right"]
    assert found["id_changes"]["count"] == 0


def test_an_unknown_side_in_between_is_no_change():
    images = changed(
        take(), Side.RIGHT, range(100, 110), lambda one: with_id(one, 2, Side.UNKNOWN)
    )
    assert figures(images)["side_changes"]["count"] == 0


@pytest.mark.parametrize(
    ("side", "gap", "by", "sides", "ids"),
    [
        (Side.RIGHT, 0, 0, 0, 1),
        (Side.RIGHT, 20, 0, 0, 1),
        (Side.LEFT, 0, 0, 1, 0),
        (Side.UNKNOWN, 5, 0, 0, 1),
        (Side.RIGHT, 40, 0, 0, 0),  # longer than a second
        (Side.RIGHT, 0, 2.5, 0, 0),  # where no hand gets in an image
        (Side.RIGHT, 10, 2.5, 0, 1),
    ],
)
def test_a_new_track_where_the_hand_was_is_a_change_of_side_or_identity(side, gap, by, sides, ids):
    images = changed(
        take(),
        Side.RIGHT,
        range(100, 300),
        lambda one: with_id(moved(one, (0, -by * PALM_PX)), 7, side),
    )
    gone = range(100, 100 + gap)
    images = changed(images, side, gone, lambda one: None if one.track_id == 7 else one)
    found = figures(images)
    assert (found["side_changes"]["count"], found["id_changes"]["count"]) == (sides, ids)


def test_a_track_of_one_image_is_two_changes_of_identity():
    images = changed(take(), Side.RIGHT, [100], lambda one: with_id(one, 7))
    images = changed(images, Side.RIGHT, range(101, 300), lambda one: with_id(one, 8))
    events = figures(images)["id_changes"]["listed"]
    assert [(one["from"]["track_id"], one["to"]["track_id"]) for one in events] == [(2, 7), (7, 8)]


def test_a_restart_of_tracking_changes_no_identity_and_is_counted():
    images = [
        replace(
            one,
            reset=one.reset or number == 100,
            instances=tuple(with_id(h, h.track_id + 10 * (number >= 100)) for h in one.instances),
        )
        for number, one in enumerate(take())
    ]
    found = figures(images)
    assert found["id_changes"]["count"] == 0 and found["timing"]["restarts"] == 1


def test_the_spread_of_bones_is_the_robust_coefficient_of_variation():
    scales = np.random.default_rng(3).normal(1.0, 0.1, 300)
    images = take()
    for number, scale in enumerate(scales):
        shape = np.c_[hand_shape(), np.zeros(21)] * 0.09 * scale

        def scaled(one, shape=shape):
            joints = keypoints(one.raw.uv, shape)
            return replace(one, raw=joints, keypoints=joints)

        for side in (Side.LEFT, Side.RIGHT):
            images = changed(images, side, [number], scaled)
    found = figures(images)["bones"]
    middle = np.median(scales)
    expected = 1.4826 * np.median(np.abs(scales - middle)) / middle
    assert found["spread"] == pytest.approx(expected, rel=1e-3)
    assert found["space"] == "shape" and found["hands"] == 600


def test_the_worst_bone_is_named():
    images = take()
    rng = np.random.default_rng(0)
    for number in range(300):
        shape = np.c_[hand_shape(), np.zeros(21)] * 0.09
        shape[INDEX_TIP] += rng.normal(0, 0.02, 3)

        def shaken(one, shape=shape):
            joints = keypoints(one.raw.uv, shape)
            return replace(one, raw=joints, keypoints=joints)

        images = changed(images, Side.LEFT, [number], shaken)
    assert figures(images)["bones"]["worst"] == "index_dip-index_tip"


def test_lost_images_and_the_longest_gap_are_counted():
    images = take()
    del images[200:203], images[100:105]
    timeline = figures(images)["hands"]["left"]["timeline"]
    assert [state for state, *_ in timeline] == [2, 3, 2, 3, 2]
    assert timeline[1][1:] == pytest.approx([100 / 30, 105 / 30], abs=2e-3)
    found = figures(images)["timing"]
    assert found["lost_images"] == 8 and found["lost_share"] == pytest.approx(8 / 300, abs=1e-6)
    assert found["longest_gap_s"] == pytest.approx(6 / 30, abs=1e-6)
    assert found["longest_gap_at_s"] == pytest.approx(99 / 30, abs=1e-6)


def test_stamps_that_go_back_count_as_no_interval():
    first = take(100)
    again = [replace(one, reset=number == 0) for number, one in enumerate(take(100))]
    found = figures([*first, *again])
    assert found["timing"]["restarts"] == 1 and found["timing"]["lost_images"] == 0
    assert found["duration_s"] == pytest.approx(2 * 99 / 30, abs=1e-6)
    assert found["jumps"]["count"] == 0


def test_an_episode_without_images_and_one_without_hands_are_rejected():
    assert verdict([])["verdict"] == REJECT
    nothing = [replace(one, instances=()) for one in take()]
    result = verdict(nothing)
    assert result["verdict"] == REJECT and result["reasons"][0] == "no hand was found"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda t: changed(t, Side.LEFT, range(40, 60), lambda one: None), "left hand: longest"),
        (lambda t: changed(t, Side.LEFT, range(60), lambda one: None), "left hand: measured in"),
        (lambda t: changed(t, Side.LEFT, [9], lambda one: moved(one, (200, 0))), "jumps: 2"),
        (lambda t: t[:100] + t[110:], "lost images: 3.3 %"),
        (lambda t: t[:20], "duration 0.633 s"),
    ],
    ids=["dropout", "coverage", "jump", "lost", "short"],
)
def test_each_fault_flags_with_its_reason(damage, reason):
    result = verdict(damage(take()))
    assert result["verdict"] == FLAG
    assert any(one.startswith(reason) and "(flag " in one for one in result["reasons"])


def test_a_hand_that_is_asked_for_and_missing_rejects():
    images = [
        replace(one, instances=tuple(h for h in one.instances if h.side is Side.RIGHT))
        for one in take()
    ]
    assert verdict(images)["verdict"] == ACCEPT
    assert verdict(images)["judged"] == ["right"]
    result = verdict(images, Thresholds(hands=("left", "right")))
    assert result["verdict"] == REJECT
    assert result["reasons"] == ["left hand: measured in images: 0 % (reject below 50 %)"]


def test_the_worst_reason_is_first():
    images = changed(take(), Side.LEFT, range(40, 60), lambda one: None)
    images = changed(images, Side.RIGHT, range(100, 160), lambda one: None)
    first, *rest = verdict(images)["reasons"]
    assert first == "right hand: longest dropout 2 s (reject above 1.5 s)"
    assert len(rest) == 2 and all("(flag " in one for one in rest)


def test_a_worse_episode_has_more_badness():
    levels = [
        verdict(changed(take(), Side.LEFT, range(50, 50 + count), lambda one: None))["badness"]
        for count in range(0, 250, 10)
    ]
    assert levels == sorted(levels) and levels[0] < 1 < levels[-1]


def test_moments_show_the_longest_dropout_and_the_largest_jump():
    images = changed(take(), Side.RIGHT, range(100, 120), lambda one: None)
    images = changed(images, Side.LEFT, [200], lambda one: moved(one, (250, 0)))
    found = {one.kind: one.image for one in moments(*arrays(images))}
    assert found["dropout"] == 110 and found["jump"] in (200, 201)


# --- blur


def textured(size=200):
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 255, (size // 8, size // 8, 3), np.uint8)
    image = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_NEAREST)
    return cv2.GaussianBlur(image, (0, 0), 0.7)


UV = hand_shape() * 60 + (100, 160)


@pytest.mark.parametrize("angle", [0, 45, 90, 135])
def test_motion_in_any_direction_blurs(angle):
    image = textured()
    kernel = np.zeros((15, 15), np.float32)
    dx, dy = np.cos(np.radians(angle)) * 6, np.sin(np.radians(angle)) * 6
    cv2.line(kernel, (round(7 - dx), round(7 - dy)), (round(7 + dx), round(7 + dy)), 1.0)
    blurred = cv2.filter2D(image, -1, kernel / kernel.sum())
    assert hand_blur(blurred, UV) > hand_blur(image, UV) + 0.2


def test_blur_does_not_depend_on_light_and_contrast():
    image = textured()
    assert hand_blur(image // 4 + 20, UV) == pytest.approx(hand_blur(image, UV), abs=0.02)


def test_only_the_hand_itself_counts():
    image = textured()
    mask = np.zeros(image.shape[:2], np.uint8)
    for a, b in HAND21.edges:
        ends = [tuple(int(x) for x in np.rint(UV[joint])) for joint in (a, b)]
        cv2.line(mask, *ends, 255, 44)
    soft = cv2.GaussianBlur(image, (0, 0), 5)
    behind = np.where(mask[..., None] > 0, image, soft)
    assert hand_blur(behind, UV) == pytest.approx(hand_blur(image, UV), abs=0.05)
    before = np.where(mask[..., None] > 0, soft, image)
    assert hand_blur(before, UV) == pytest.approx(hand_blur(soft, UV), abs=0.1)


@pytest.mark.parametrize(
    "uv", [UV * 0.1, np.full((21, 2), np.nan), UV + 1000], ids=["small", "unknown", "outside"]
)
def test_nothing_is_said_about_the_blur_of_what_cannot_be_seen(uv):
    assert np.isnan(hand_blur(textured(), uv))


def test_a_plain_surface_has_no_blur():
    assert np.isnan(hand_blur(np.full((200, 200, 3), 80, np.uint8), UV))


