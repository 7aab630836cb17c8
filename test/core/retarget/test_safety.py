"""When a robot hand moves, how, and what is said while it does not."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from vitpose_ros.retarget.limiter import MotionLimiter
from vitpose_ros.retarget.retargeter import Retargeted
from vitpose_ros.retarget.safety import Command, Phase, Safety, SafetySettings

RATE_HZ = 100
VELOCITY, ACCELERATION, APPROACH = 3.0, 20.0, 0.5
LOWER, UPPER = np.full(2, -1.5), np.full(2, 1.5)
SAFE = np.array([-0.5, -0.5])


class Rig:
    """A safety layer with a hand, a switch and a robot, and a check of everything it emits."""

    def __init__(self, safe_after_s: float = math.inf, deadman: bool = False) -> None:
        many = np.ones(2)
        limiter = MotionLimiter(LOWER, UPPER, VELOCITY * many, ACCELERATION * many)
        settings = SafetySettings(
            deadman=deadman, approach_velocity=APPROACH, safe_after_s=safe_after_s
        )
        self.safety = Safety(limiter, settings, SAFE)
        self.now_s = 100.0
        self.hand: np.ndarray | None = np.array([0.8, -0.3])
        self.valid = np.ones(2, bool)
        self.robot: np.ndarray | None = np.array([0.1, 0.2])
        self.pressed: bool | None = None
        self.emitted: list[tuple[float, np.ndarray]] = []
        self.last = Command(None, None, Phase.RELEASED, "")

    def step(self, dt_s: float = 1 / RATE_HZ) -> Command:
        self.now_s += dt_s
        if self.robot is not None:
            self.safety.measure(self.robot, self.now_s)
        if self.pressed is not None:
            self.safety.press(self.pressed, self.now_s)
        if self.hand is not None:
            self.safety.follow(Retargeted(self.hand, self.valid), self.now_s)
        self.last = self.safety.tick(self.now_s)
        if self.last.position is not None:
            self.emitted.append((self.now_s, self.last.position))
            self.robot = self.last.position
        return self.last

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> Command:
        for _ in range(round(seconds * RATE_HZ)):
            self.step()
            if until():
                break
        return self.last

    def follow(self) -> None:
        self.step()
        assert self.safety.engage(self.now_s) == ""
        self.run(5.0, lambda: self.last.phase is Phase.FOLLOWING)
        assert self.last.phase is Phase.FOLLOWING

    def check(self) -> None:
        """No jump, no excess of speed or acceleration, in everything that was emitted."""
        times = np.array([time for time, _ in self.emitted])
        path = np.array([position for _, position in self.emitted])
        dt = np.diff(times)[:, None]
        speed = np.diff(path, axis=0) / dt
        assert np.abs(speed).max() <= VELOCITY + 1e-6
        change = np.diff(np.vstack([np.zeros(2), speed]), axis=0)
        assert (np.abs(change) <= ACCELERATION * dt + 1e-6).all()


def test_nothing_is_sent_before_the_clutch_is_closed():
    rig = Rig()
    for _ in range(50):
        assert rig.step().position is None
    assert rig.last.words == "released: the clutch is open"


def test_engaging_starts_at_the_measured_joints_and_goes_slowly_to_the_hands_pose():
    rig = Rig()
    rig.robot = np.array([-1.2, 1.1])
    start = rig.robot.copy()
    rig.follow()
    rig.check()
    path = np.array([position for _, position in rig.emitted])
    np.testing.assert_array_equal(path[0], start)
    assert np.abs(np.diff(path[:-1], axis=0)).max() * RATE_HZ <= APPROACH + 1e-6
    assert np.abs(path[-1] - rig.hand).max() <= 0.051


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda rig: setattr(rig, "robot", None), "the robot has not reported all of its joints"),
        (lambda rig: setattr(rig, "robot", np.array([0.1, np.nan])), "has not reported all"),
        (lambda rig: setattr(rig, "hand", None), "no skeletons arrive"),
        (lambda rig: setattr(rig, "hand", np.full(2, np.nan)), "no joint of the hand is known"),
    ],
)
def test_the_clutch_refuses_to_close_and_says_why(spoil, words):
    rig = Rig()
    spoil(rig)
    rig.step()
    assert words in rig.safety.engage(rig.now_s)
    assert rig.step().position is None
    assert words in rig.last.reason


def test_measured_joints_that_are_too_old_do_not_let_the_clutch_close():
    rig = Rig()
    rig.step()
    rig.robot = None
    rig.run(0.6)
    assert "has not reported its joints for 0.6 s" in rig.safety.engage(rig.now_s)


def test_the_dead_mans_switch_has_to_be_pressed_and_stay_pressed():
    rig = Rig(deadman=True)
    rig.step()
    assert rig.safety.engage(rig.now_s) == "the dead man's switch is silent"
    rig.pressed = False
    rig.step()
    assert rig.safety.engage(rig.now_s) == "the dead man's switch is not pressed"
    rig.pressed = True
    rig.follow()
    rig.hand = np.array([-1.0, 1.0])
    rig.run(0.1)
    for pressed, words in ((False, "is not pressed"), (None, "is silent")):
        rig.pressed = pressed
        rig.run(0.6)
        assert rig.last.phase is Phase.HOLDING and words in rig.last.reason
        still = rig.last.position
        rig.run(0.3)
        np.testing.assert_array_equal(rig.last.position, still)
        rig.pressed = True
        rig.run(0.2)
        assert rig.last.phase is Phase.ENGAGING
    rig.check()


def test_a_lost_hand_brakes_holds_and_is_approached_slowly_when_it_is_back():
    rig = Rig()
    rig.follow()
    rig.hand, target = None, rig.hand
    for _ in range(50):
        rig.safety.lose("hand 3 is not in view", rig.now_s)
        rig.step()
    assert rig.last.words == "holding: hand 3 is not in view"
    still = rig.last.position
    rig.run(2.0)
    assert rig.last.words == "holding: no skeletons arrive: is the pose node running?"
    np.testing.assert_array_equal(rig.last.position, still)
    rig.hand = -target
    before = len(rig.emitted)
    rig.run(0.5)
    assert rig.last.phase is Phase.ENGAGING
    path = np.array([position for _, position in rig.emitted[before:]])
    assert np.abs(np.diff(path, axis=0)).max() * RATE_HZ <= APPROACH + 1e-6
    rig.check()


def test_one_missing_frame_does_not_interrupt_the_motion():
    rig = Rig()
    rig.follow()
    rig.hand, target = None, rig.hand
    rig.run(0.1)
    assert rig.last.phase is Phase.FOLLOWING
    rig.hand = target
    assert rig.step().phase is Phase.FOLLOWING


def test_a_silent_robot_stops_the_motion():
    rig = Rig()
    rig.follow()
    rig.hand = np.array([-1.0, 1.0])
    rig.safety.measure = lambda joints, now_s: None
    rig.run(1.0)
    assert rig.last.phase is Phase.HOLDING
    assert "the robot has not reported its joints for" in rig.last.reason


def test_a_finger_that_is_not_valid_holds_while_the_other_follows():
    rig = Rig()
    rig.follow()
    rig.run(1.0)
    rig.valid[1] = False
    rig.hand = np.array([-0.8, 1.2])
    held = rig.last.position[1]
    rig.run(2.0)
    assert rig.last.position[1] == pytest.approx(held, abs=0.02)
    assert rig.last.position[0] == pytest.approx(-0.8, abs=1e-3)
    rig.check()


def test_after_a_time_of_holding_the_robot_goes_slowly_to_the_safe_pose_and_stays():
    rig = Rig(safe_after_s=1.0)
    rig.follow()
    rig.hand = None
    rig.run(1.0)
    assert rig.last.phase is Phase.HOLDING
    begin = len(rig.emitted)
    rig.run(0.5)
    assert rig.last.phase is Phase.RETURNING
    rig.run(5.0)
    assert rig.last.phase is Phase.SAFE
    np.testing.assert_allclose(rig.last.position, SAFE, atol=1e-3)
    path = np.array([position for _, position in rig.emitted[begin:]])
    assert np.abs(np.diff(path, axis=0)).max() * RATE_HZ <= APPROACH + 1e-6
    rig.hand = np.array([0.8, -0.3])
    rig.run(0.1)
    assert rig.last.phase is Phase.ENGAGING
    rig.check()


def test_a_robot_whose_switch_is_let_go_does_not_go_to_the_safe_pose():
    rig = Rig(safe_after_s=0.5, deadman=True)
    rig.pressed = True
    rig.follow()
    rig.pressed, rig.hand = False, None
    rig.run(3.0)
    assert rig.last.phase is Phase.HOLDING


def test_opening_the_clutch_brakes_before_commands_end():
    rig = Rig()
    rig.follow()
    rig.hand = np.array([-1.4, 1.4])
    rig.run(0.3)
    assert np.abs(rig.last.speed).max() > 1.0
    rig.safety.release()
    rig.run(1.0, lambda: rig.last.position is None)
    assert rig.last.phase is Phase.RELEASED
    rig.check()
    path = [position for _, position in rig.emitted]
    np.testing.assert_array_equal(path[-1], path[-2])


def test_engaging_again_while_commands_go_out_does_not_jump_to_the_measured_joints():
    rig = Rig()
    rig.follow()
    before = rig.last.position
    rig.robot = before + 0.4  # the robot lags behind
    rig.safety.measure(rig.robot, rig.now_s)
    assert rig.safety.engage(rig.now_s) == ""
    assert np.abs(rig.step().position - before).max() < 0.03


def test_a_stall_of_half_a_second_makes_no_jump():
    rig = Rig()
    rig.follow()
    rig.hand = np.array([-1.4, 1.4])
    rig.run(0.2)
    before = rig.last.position
    after = rig.step(0.5).position
    np.testing.assert_array_equal(after, before)
    rig.run(2.0)
    rig.check()


def test_random_events_never_exceed_speed_or_acceleration():
    rng = np.random.default_rng(8)
    rig = Rig(safe_after_s=0.3, deadman=True)
    rig.pressed = True
    rig.follow()
    runs = 0
    for _ in range(4000):
        event = rng.integers(60)
        if event == 0:
            rig.hand = None
        elif event < 6:
            rig.hand = rng.uniform(-3, 3, 2)
            rig.valid = rng.random(2) < 0.8
        elif event == 6:
            rig.pressed = [True, False, None][rng.integers(3)]
        elif event == 7:
            rig.safety.release()
        elif event < 12:
            rig.pressed = True
            was = rig.last.position
            if rig.safety.engage(rig.now_s) == "" and was is None:
                runs += 1
                rig.check()
                rig.emitted = []
        rig.step(rng.choice([0.001, 0.01, 0.03, 0.09, 0.5], p=[0.3, 0.4, 0.2, 0.08, 0.02]))
    rig.check()
    assert runs > 10
