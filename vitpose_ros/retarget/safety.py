"""Whether a robot hand may move, and how: the layer before and after the retargeter. Pure: time is
given, nothing is read or sent.

    RELEASED --clutch--> ENGAGING --the hand's pose is reached--> FOLLOWING
                            ^                                       | hand lost, switch let go, ...
                            +--- the cause is gone --- HOLDING <----+
                            ^                             | after a time
                            +-------- SAFE <-- RETURNING <+

Opening the clutch brakes, holds, and then ends all commands: RELEASED.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from vitpose_ros.retarget.limiter import MotionLimiter
from vitpose_ros.retarget.retargeter import Retargeted

Array = npt.NDArray[np.float64]

MAX_STEP_S = 0.1
"""After a longer time without a command, the robot is taken to be at rest at the last one."""
REACHED_RAD = 0.05
"""Below this distance from the hand's pose, engaging ends, and full speed is allowed."""

_SILENT = "no skeletons arrive: is the pose node running?"


class Phase(Enum):
    """What the robot hand does."""

    RELEASED = "released"
    ENGAGING = "engaging"
    FOLLOWING = "following"
    HOLDING = "holding"
    RETURNING = "returning to the safe pose"
    SAFE = "in the safe pose"


@dataclass(frozen=True)
class SafetySettings:
    """When the hand may move.

    Attributes
    ----------
    deadman : whether a dead man's switch has to be pressed.
    deadman_timeout_s : after this time without its message, it counts as let go.
    input_timeout_s : after this time without a usable hand, the robot brakes and holds.
    measured_timeout_s : as old as measured joints may be.
    approach_velocity : the speed while engaging and returning, rad/s.
    safe_after_s : holding for this long moves the robot to the safe pose; inf for never.
    """

    deadman: bool = True
    deadman_timeout_s: float = 0.25
    input_timeout_s: float = 0.2
    measured_timeout_s: float = 0.5
    approach_velocity: float = 0.5
    safe_after_s: float = math.inf


@dataclass(frozen=True)
class Command:
    """What to send now.

    Attributes
    ----------
    position, speed : (N,) rad and rad/s; None while nothing may be sent.
    phase : what the robot hand does.
    reason : why it does not follow the hand, in words; "" if it does.
    """

    position: Array | None
    speed: Array | None
    phase: Phase
    reason: str

    @property
    def words(self) -> str:
        """Phase and reason as one line."""
        return f"{self.phase.value}: {self.reason}" if self.reason else self.phase.value


class Safety:
    """Decides about every command.

    Parameters
    ----------
    limiter : of the robot's joints.
    settings : when the hand may move.
    safe_pose : (N,) rad; None for none.
    """

    def __init__(
        self, limiter: MotionLimiter, settings: SafetySettings, safe_pose: Array | None = None
    ) -> None:
        self.settings = settings
        self._limiter, self._safe_pose = limiter, safe_pose
        self._engaged, self._active = False, False
        self._phase = Phase.RELEASED
        self._target: Array = np.full(len(limiter.position), np.nan)
        self._hand_s = self._input_s = -math.inf
        self._hand_problem = ""
        self._pressed, self._pressed_s = False, -math.inf
        self._measured: Array | None = None
        self._measured_s = -math.inf
        self._ticked_s: float | None = None
        self._hold_since_s = 0.0

    @property
    def phase(self) -> Phase:
        """What the robot hand does."""
        return self._phase

    @property
    def position(self) -> Array:
        """(N,) the last command, rad; before the first one, where engaging begins."""
        return self._limiter.position.copy()

    # --- inputs; every time is that of one steady clock, in seconds

    def press(self, pressed: bool, now_s: float) -> None:
        """The dead man's switch says that it is pressed, or let go."""
        self._pressed, self._pressed_s = pressed, now_s

    def measure(self, joints: Array, now_s: float) -> None:
        """The robot reports its joints (N,), rad; NaN for one that it does not report."""
        if np.isfinite(joints).all():
            self._measured, self._measured_s = joints.astype(np.float64), now_s

    def follow(self, result: Retargeted, now_s: float) -> None:
        """The pose of the operator's hand. Joints that are not valid, or not finite, hold."""
        good = result.valid & np.isfinite(result.joints)
        if not good.any():
            self.lose(result.remark or "no joint of the hand is known", now_s)
            return
        self._target = np.where(good, result.joints, np.nan)
        self._hand_s = self._input_s = now_s
        self._hand_problem = ""

    def lose(self, reason: str, now_s: float) -> None:
        """Skeletons came, but the hand cannot be used now."""
        self._hand_problem, self._input_s = reason, now_s

    def engage(self, now_s: float) -> str:
        """Close the clutch; returns why that is refused, or "".

        The robot starts at its measured joints.
        """
        if problem := self._measure_problem(now_s) or self._stop_reason(now_s):
            return problem
        assert self._measured is not None
        if not self._active:  # else commands go on from the last one, without a jump
            self._limiter.start(self._measured)
            self._ticked_s = None  # the first command is the measured joints themselves
        self._engaged = self._active = True
        self._phase = Phase.ENGAGING
        return ""

    def engage_problem(self, now_s: float) -> str:
        """Why the clutch cannot be closed now, whatever the hand does; "" if it can."""
        silent = now_s - self._input_s > self.settings.input_timeout_s
        return self._measure_problem(now_s) or self._let_go(now_s) or (_SILENT if silent else "")

    def release(self) -> None:
        """Open the clutch: brake, then send nothing more."""
        self._engaged = False

    # --- output

    def tick(self, now_s: float) -> Command:
        """The command of this moment. Call it regularly, and when a new pose has come."""
        if not self._active:
            reason = self._stop_reason(now_s) or self._measure_problem(now_s)
            more = f"; and {reason}" if reason else ""
            return Command(None, None, Phase.RELEASED, f"the clutch is open{more}")
        dt_s = now_s - (now_s if self._ticked_s is None else self._ticked_s)
        self._ticked_s = now_s
        if dt_s > MAX_STEP_S:  # a stall: the robot has come to rest
            self._limiter.halt()
            dt_s = 0.0
        reason = self._decide(now_s)
        slow = self.settings.approach_velocity
        if self._phase is Phase.FOLLOWING:
            position = self._limiter.step(self._target, dt_s)
        elif self._phase is Phase.ENGAGING:
            position = self._limiter.step(self._target, dt_s, slow)
        elif self._phase in (Phase.RETURNING, Phase.SAFE):
            assert self._safe_pose is not None
            position = self._limiter.step(self._safe_pose, dt_s, slow)
        else:
            position = self._limiter.step(np.full_like(self._target, np.nan), dt_s)
        if not self._engaged and self._limiter.at_rest:
            self._active, self._phase = False, Phase.RELEASED
        return Command(position, self._limiter.speed.copy(), self._phase, reason)

    def _decide(self, now_s: float) -> str:
        """Choose the phase; the reason in words."""
        reason = "the clutch was opened" if not self._engaged else self._stop_reason(now_s)
        if not reason:
            if self._phase not in (Phase.ENGAGING, Phase.FOLLOWING):
                self._phase = Phase.ENGAGING
            away = np.abs(self._target - self._limiter.position)
            if self._phase is Phase.ENGAGING and not (away > REACHED_RAD).any():
                self._phase = Phase.FOLLOWING
            approaching = self._phase is Phase.ENGAGING
            return "moving slowly to the hand's pose; hold it still" if approaching else ""
        if self._phase in (Phase.ENGAGING, Phase.FOLLOWING):
            self._phase, self._hold_since_s = Phase.HOLDING, now_s
        if self._safe_pose is None or not self._engaged or self._let_go(now_s):
            self._phase, self._hold_since_s = Phase.HOLDING, now_s
        elif now_s - self._hold_since_s >= self.settings.safe_after_s:
            assert self._safe_pose is not None
            there = np.abs(self._safe_pose - self._limiter.position).max() < 1e-3
            self._phase = Phase.SAFE if there else Phase.RETURNING
        return reason

    def _stop_reason(self, now_s: float) -> str:
        if problem := self._let_go(now_s):
            return problem
        if now_s - self._hand_s > self.settings.input_timeout_s:
            silent = now_s - self._input_s > self.settings.input_timeout_s
            return _SILENT if silent else self._hand_problem
        if self._active and now_s - self._measured_s > self.settings.measured_timeout_s:
            return self._measure_problem(now_s)
        return ""

    def _let_go(self, now_s: float) -> str:
        if not self.settings.deadman:
            return ""
        if now_s - self._pressed_s > self.settings.deadman_timeout_s:
            return "the dead man's switch is silent"
        return "" if self._pressed else "the dead man's switch is not pressed"

    def _measure_problem(self, now_s: float) -> str:
        if self._measured is None:
            return "the robot has not reported all of its joints"
        if now_s - self._measured_s > self.settings.measured_timeout_s:
            return f"the robot has not reported its joints for {now_s - self._measured_s:.1f} s"
        return ""
