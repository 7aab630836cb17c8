"""Joints over time on the real node: smoothed, held, lost, and begun anew when time jumps.

The pipeline is the real one; its two networks are played, so that a test says what they see.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vitpose_ros import measure
from vitpose_ros.detect.palms import Palm
from vitpose_ros.measurements import HandMeasurement
from vitpose_ros.msg import Skeleton, SkeletonArray
from vitpose_ros.pipeline import Pipeline
from vitpose_ros.ros import pose_node

PERIOD_NS, PERIOD_S = 33_333_333, 0.033333333
IMAGE = np.full((480, 640, 3), 90, np.uint8)
LEFT, RIGHT = (180.0, 260.0), (460.0, 260.0)
TIP = 8
FINGERS = ((-0.3, 1.0, 0.2), (0.0, 1.0, 0.25), (0.2, 1.0, 0.2), (0.4, 0.9, 0.2))
THUMB = [(0.0, 0.0), (-0.3, -0.2), (-0.45, -0.4), (-0.6, -0.6), (-0.7, -0.8)]
JOINTS = [*THUMB, *((x, -y - dy * i) for x, y, dy in FINGERS for i in range(4))]
PALM_PX = 60.0
HAND = (np.add(JOINTS, (0.0, 0.8)) * PALM_PX).astype(np.float32)  # around its middle

Points = npt.NDArray[np.float32]


def at(place: tuple[float, float]) -> Points:
    """(21, 2) px of a hand whose middle is there."""
    return HAND + np.array(place, np.float32)


class Networks:
    """Plays the palm detector and the hand's network.

    Attributes
    ----------
    hands : (21, 2) px of each hand in view.
    """

    name, engine = "played", "played"
    turned, tells_presence = True, False

    def __init__(self) -> None:
        self.hands: list[Points] = []

    def detector(self, crops: Any, threshold: float) -> list[list[Palm]]:
        found = []
        for uv in self.hands:
            (x, y), points = uv.mean(axis=0).tolist(), uv[[0, 5, 9, 13, 17, 1, 2]]
            box = (x - PALM_PX / 2, y - PALM_PX / 2, PALM_PX, PALM_PX)
            found.append(Palm(box, points, 0.9))
        return [found if crop.region.width >= 640 else [] for crop in crops]

    def __call__(self, crops: Any) -> list[HandMeasurement | None]:
        return [self._estimate(crop.region) for crop in crops]

    def _estimate(self, region: Any) -> HandMeasurement | None:
        def far(uv: Points) -> float:
            return float(np.hypot(*(uv.mean(axis=0) - (region.cx, region.cy))))

        near = [uv for uv in self.hands if far(uv) < region.width / 2]
        if not near:
            return None
        uv = min(near, key=far).astype(np.float32)
        right = 0.9 if uv[:, 0].mean() > 320 else 0.1
        shape = np.c_[uv - uv.mean(axis=0), np.zeros(21)].astype(np.float32) * 0.0015
        score = np.full(21, 0.9, np.float32)
        return HandMeasurement(uv, score, np.ones(21, bool), shape, 0.98, right)


class PlayedPalms:
    """The detector's half of the networks."""

    name = "played"

    def __init__(self, networks: Networks) -> None:
        self.networks = networks

    def __call__(self, *arguments: Any) -> list[list[Palm]]:
        return self.networks.detector(*arguments)


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> Networks:
    """The node's pipeline has these networks."""
    networks = Networks()

    def load(store: Any, settings: Any, **how: Any) -> Pipeline:
        palms: Any = PlayedPalms(networks)
        return Pipeline(measure.Networks(networks, palms), settings)

    monkeypatch.setattr(pose_node, "load_pipeline", load)
    return networks


class Stage:
    """Shows hands to the node, image by image."""

    def __init__(self, camera: Any, networks: Networks) -> None:
        self.camera, self.networks = camera, networks

    def show(self, *hands: Points) -> SkeletonArray:
        """What the node publishes for an image with these hands."""
        self.networks.hands = list(hands)
        return self.camera.process(self.camera.image(IMAGE))


@pytest.fixture
def stage(camera: Any, networks: Networks) -> Stage:
    return Stage(camera, networks)


def published(skeleton: Skeleton) -> Points:
    return np.array([skeleton.u, skeleton.v], np.float32).T


def raw(skeleton: Skeleton) -> Points:
    return np.array([skeleton.raw_u, skeleton.raw_v], np.float32).T


def ids(message: SkeletonArray) -> set[int]:
    return {skeleton.track_id for skeleton in message.skeletons}


def shaken(seed: int, images: int, px: float) -> list[Points]:
    """A hand that stands still, read with noise."""
    rng = np.random.default_rng(seed)
    return [at(LEFT) + rng.normal(0, px, (21, 2)).astype(np.float32) for _ in range(images)]


@pytest.mark.parametrize("jump_ns", [-3 * 10**9, 10 * 10**9], ids=["looping bag", "10 s gap"])
def test_when_time_jumps_filters_and_tracks_start_anew_once_and_no_id_goes_on(
    graph: Any, stage: Stage, jump_ns: int
) -> None:
    graph.start_pose_node(smoothing="steady")
    before = [stage.show(at((200.0 + 3 * i, 260.0)), at(RIGHT)) for i in range(6)]
    stage.camera.stamp_ns += jump_ns
    elsewhere = at((205.0, 250.0)), at((430.0, 280.0))
    after = [stage.show(*elsewhere) for _ in range(6)]
    assert [m.reset for m in before + after] == [True, *[False] * 5] * 2
    assert len(ids(before[-1])) == len(ids(after[-1])) == 2
    assert not ids(before[-1]) & set().union(*map(ids, after))
    for skeleton in after[0].skeletons:
        assert skeleton.track_state == Skeleton.TRACK_TENTATIVE
        assert skeleton.track_age == 0
        assert np.array_equal(published(skeleton), raw(skeleton)), "nothing of the time before"
    said = [text for text in graph.logged() if "time went back" in text]
    assert len(said) == (1 if jump_ns < 0 else 0)


def test_a_hand_that_leaves_is_lost_and_decays_and_is_then_absent_and_never_zero(
    graph: Any, stage: Stage
) -> None:
    graph.start_pose_node()
    seen = [stage.show(at(LEFT), at((460.0 + 4 * i, 260.0))) for i in range(8)][-1]
    stays, goes = sorted(seen.skeletons, key=lambda skeleton: skeleton.u[0])
    after = [stage.show(at(LEFT)) for _ in range(25)]
    lost = [s for m in after for s in m.skeletons if s.track_id == goes.track_id]
    assert len(lost) == round(0.5 / PERIOD_S), "for hold_time, and no longer"
    assert [ids(m) for m in after[:15]] == [{stays.track_id, goes.track_id}] * 15
    assert [ids(m) for m in after[15:]] == [{stays.track_id}] * 10
    scores = [goes.joint_score[TIP], *(s.joint_score[TIP] for s in lost)]
    assert all(a > b for a, b in itertools.pairwise(scores))
    assert scores[-1] < 0.1 * scores[0]
    assert all(a.score > b.score > 0 for a, b in itertools.pairwise([goes, *lost]))
    for skeleton in lost:
        assert skeleton.track_state == Skeleton.TRACK_LOST
        assert skeleton.side == goes.side
        assert set(skeleton.state) == {Skeleton.STATE_PREDICTED}
        assert set(skeleton.raw_state) == {Skeleton.STATE_ABSENT}
        assert np.isnan(raw(skeleton)).all()
        assert np.isnan(np.array([skeleton.raw_shape_x, skeleton.x, skeleton.raw_x])).all()
        assert np.abs(published(skeleton) - published(goes)).max() < 0.5 * PALM_PX
        assert np.array_equal(np.isfinite(skeleton.shape_x), np.ones(21, bool))
    # While a hand is followed, the detector looks at the whole image in every second image.
    back = [stage.show(at(LEFT), at(RIGHT)) for _ in range(2)][-1]
    assert ids(back) == {stays.track_id, goes.track_id}, "within a second with its id"


def test_a_hold_time_of_zero_holds_nothing(graph: Any, stage: Stage) -> None:
    graph.start_pose_node(hold_time=0.0)
    assert len([stage.show(at(LEFT), at(RIGHT)) for _ in range(4)][-1].skeletons) == 2
    (stays,) = stage.show(at(LEFT)).skeletons
    assert stays.track_state == Skeleton.TRACK_CONFIRMED
    assert len(stage.show().skeletons) == 0


def test_raw_values_stand_beside_smoothed_ones_in_the_message(graph: Any, stage: Stage) -> None:
    graph.start_pose_node()
    given = shaken(seed=3, images=30, px=2.0)
    out = [stage.show(uv) for uv in given]
    assert {m.smoothing for m in out} == {"balanced"}
    assert all(np.array_equal(raw(m.skeletons[0]), uv) for m, uv in zip(out, given, strict=True))
    smooth = np.stack([published(m.skeletons[0]) for m in out])
    shake, calm = (np.abs(np.diff(uv[5:], 2, axis=0)).mean() for uv in (np.stack(given), smooth))
    assert calm < 0.35 * shake
    one = out[-1].skeletons[0]
    assert not np.array_equal(one.shape_x, one.raw_shape_x)
    assert list(one.raw_state) == list(one.state) == [Skeleton.STATE_MEASURED] * 21


def test_without_smoothing_gate_and_hold_exactly_the_raw_values_are_published(
    graph: Any, stage: Stage
) -> None:
    graph.start_pose_node(smoothing="none", hold_time=0.0, outlier_gate=False)
    for given in shaken(seed=5, images=6, px=15.0):
        message = stage.show(given)
        (skeleton,) = message.skeletons
        assert message.smoothing == "none"
        assert np.array_equal(raw(skeleton), given)
        for name in ("u", "v", "shape_x", "shape_y", "shape_z", "state"):
            assert list(getattr(skeleton, name)) == list(getattr(skeleton, f"raw_{name}")), name
        assert not any(skeleton.corrected)


def test_a_single_spike_is_held_back_and_marked_while_raw_tells_it(
    graph: Any, stage: Stage
) -> None:
    graph.start_pose_node()
    calm = [stage.show(at(LEFT)) for _ in range(5)][-1].skeletons[0]
    spike = at(LEFT)
    spike[TIP, 0] += 65.0
    (hit,) = stage.show(spike).skeletons
    assert raw(hit)[TIP, 0] - raw(calm)[TIP, 0] == 65.0
    assert np.abs(published(hit) - published(calm)).max() < 1.0
    expected = [Skeleton.STATE_MEASURED] * 21
    expected[TIP] = Skeleton.STATE_PREDICTED
    assert list(hit.state) == expected
    assert [i for i in range(21) if hit.corrected[i]] == [TIP]
    assert hit.corrected[TIP] == Skeleton.CORRECTED_OUTLIER
    (after,) = stage.show(at(LEFT)).skeletons
    assert not any(after.corrected)
    assert set(after.state) == {Skeleton.STATE_MEASURED}
    assert np.abs(published(after) - published(calm)).max() < 3.0


def test_whether_a_spike_gets_through_where_nothing_is_smoothed_is_up_to_the_gate(
    graph: Any, stage: Stage
) -> None:
    graph.start_pose_node(smoothing="none")
    calm = [stage.show(at(LEFT)) for _ in range(5)][-1].skeletons[0]
    spike = at(LEFT)
    spike[TIP, 0] += 65.0
    (stopped,) = stage.show(spike).skeletons
    assert published(stopped) == pytest.approx(published(calm), abs=1e-3)
    assert graph.set_parameter("outlier_gate", False).successful
    (through,) = stage.show(spike).skeletons
    assert np.array_equal(published(through), spike)
    assert not any(through.corrected)


def test_smoothing_changes_while_the_node_runs_and_the_messages_and_the_log_say_so(
    graph: Any, stage: Stage
) -> None:
    graph.start_pose_node()
    first = [stage.show(at(LEFT)) for _ in range(4)][-1]
    assert first.smoothing == "balanced"
    assert graph.set_parameter("smoothing_min_cutoff_hz", 0.8).successful
    graph.wait_for_log("smoothing_min_cutoff_hz: no effect while smoothing is 'balanced'")
    assert stage.show(at(LEFT)).smoothing == "balanced"
    assert graph.set_parameter("smoothing_beta", 0.0).successful
    assert graph.set_parameter("smoothing", "custom").successful
    rest = stage.show(at(LEFT))
    assert rest.smoothing == "one_euro min_cutoff_hz=0.8 beta=0"
    graph.wait_for_log(r"smoothing: one_euro min_cutoff_hz=0.8 beta=0 \(before: balanced\)")
    step = stage.show(at(LEFT) + np.float32(1.0)).skeletons[0]
    share = 1.0 - np.exp(-2 * np.pi * 0.8 * PERIOD_S)
    assert published(step) - published(rest.skeletons[0]) == pytest.approx(1.0 * share, abs=1e-3)
    assert step.track_id == first.skeletons[0].track_id, "it is the same hand"
    assert graph.set_parameter("smoothing", "none").successful
    last = stage.show(at(LEFT) + np.float32(9.0))
    assert last.smoothing == "none"
    assert np.array_equal(published(last.skeletons[0]), raw(last.skeletons[0]))
    graph.wait_for_status(lambda v: v["smoothing"] == "none", "smoothing none")


def test_a_prediction_carries_joints_on_and_says_by_how_much_until_it_is_switched_off(
    graph: Any, stage: Stage
) -> None:
    graph.start_pose_node(smoothing="responsive", prediction_horizon=0.1)
    steps = [stage.show(at((120.0 + 6.0 * i, 260.0))) for i in range(25)]
    assert all(m.prediction_horizon == pytest.approx(0.1) for m in steps)
    (moving,) = steps[-1].skeletons
    assert moving.track_state == Skeleton.TRACK_CONFIRMED
    assert set(moving.state) == {Skeleton.STATE_PREDICTED}
    assert set(moving.raw_state) == {Skeleton.STATE_MEASURED}
    ahead_px = (published(moving) - raw(moving))[:, 0].mean()
    assert 4.0 < ahead_px < 18.0, "of the 18 px that it goes in this time"
    assert graph.set_parameter("prediction_horizon", 0.0).successful
    now = stage.show(at((120.0 + 6.0 * 25, 260.0)))
    assert now.prediction_horizon == 0.0
    assert set(now.skeletons[0].state) == {Skeleton.STATE_MEASURED}


TOGETHER = "a prediction needs the joints' velocities"


def test_a_prediction_without_known_velocities_is_refused_with_the_reason(
    graph: Any, stage: Stage
) -> None:
    graph.start_pose_node(smoothing="none", hold_time=0.0, outlier_gate=False)
    refused = graph.set_parameter("prediction_horizon", 0.05)
    assert not refused.successful
    assert TOGETHER in refused.reason
    assert stage.show(at(LEFT)).prediction_horizon == 0.0
    assert graph.set_parameter("hold_time", 0.5).successful
    assert graph.set_parameter("prediction_horizon", 0.05).successful
    assert not graph.set_parameter("hold_time", 0.0).successful
    assert stage.show(at(LEFT)).prediction_horizon == pytest.approx(0.05)


def test_values_of_a_file_that_do_not_go_together_leave_the_node_unconfigured(
    graph: Any, stage: Stage
) -> None:
    graph.start_pose_node(
        smoothing="none", hold_time=0.0, outlier_gate=False, prediction_horizon=0.05
    )
    assert TOGETHER in graph.wait_for_log("configure refused")
    assert graph.set_parameter("prediction_horizon", 0.0).successful
    assert graph.change_state("configure", "activate")
    stage.show(at(LEFT))


def test_biomechanics_is_switched_while_the_node_runs_and_marks_what_it_moved(
    graph: Any, stage: Stage
) -> None:
    graph.start_pose_node()
    usual = [stage.show(at(LEFT)) for _ in range(4)][-1].skeletons[0]
    assert not any(usual.corrected)
    assert graph.set_parameter("biomechanics", True).successful
    bent = at(LEFT)
    bent[6:9] = bent[5] + (bent[6:9] - bent[5]) @ np.array([[0.0, 1.0], [-1.0, 0.0]], np.float32)
    hands = [stage.show(bent).skeletons[0] for _ in range(20)]
    moved = [i for i in range(21) if hands[-1].corrected[i] & Skeleton.CORRECTED_JOINT_LIMIT]
    assert moved
    assert set(moved) <= {6, 7, 8}, "fingers do not bend to the side"
    assert np.array_equal(raw(hands[-1]), bent)
    assert graph.set_parameter("biomechanics", False).successful
    assert not any(stage.show(bent).skeletons[0].corrected)


# name, value, what the refusal must say: in our words, or in rclpy's
REFUSED = [
    ("smoothing", "smooth", "'none' or 'responsive' or 'balanced' or 'steady' or 'custom'"),
    ("smoothing_min_cutoff_hz", 0.0, "smoothing_min_cutoff_hz"),
    ("smoothing_beta", -1.0, "smoothing_beta"),
    ("hold_time", 1.5, "hold_time"),
    ("prediction_horizon", 0.2, "prediction_horizon"),
    ("hold_time", float("nan"), "hold_time|range"),
]


def test_settings_that_do_not_fit_are_refused_and_the_old_ones_go_on(
    graph: Any, stage: Stage
) -> None:
    graph.start_pose_node()
    stage.show(at(LEFT))
    for name, value, reason in REFUSED:
        result = graph.set_parameter(name, value)
        assert not result.successful, name
        assert any(part in result.reason for part in reason.split("|")), result.reason
    assert stage.show(at(LEFT)).smoothing == "balanced"
