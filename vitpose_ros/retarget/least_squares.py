"""Retargeting by damped least squares on the robot's own description.

Which way each bone of the operator's hand points is what the robot's bone should do: every target
is the operator's bone with the robot's length. So the operator's hand needs no calibration, and a
wrong scale of the measured hand changes nothing. A robot's finger follows

- each of its bones, from one joint that has a counterpart on the operator's hand to the next;
- its tip, seen from its knuckle: the sum of these bones (this is the fingertip error);
- near a pinch, the vector from the thumb's tip to the finger's, scaled by the ratio of the lengths
  of all bones of both hands, so that tips meet when the operator's do.

A joint of the operator that is not known leaves out what depends on it. A finger of which nothing
is known holds. The solver is Levenberg-Marquardt within the joint limits; a small pull to the rest
pose makes the solution unique where the hand leaves a joint free.
"""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import FINGERS, THUMB_TIP
from vitpose_ros.retarget.kinematics import HandKinematics, import_mujoco
from vitpose_ros.retarget.retargeter import Retargeted
from vitpose_ros.retarget.robot import Robot, RobotError

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

BONE_WEIGHT, TIP_WEIGHT, PINCH_WEIGHT = 0.3, 1.0, 4.0
PINCH_FROM_M, PINCH_TO_M = 0.05, 0.02
"""Distances of the tips, at the robot's size: the pinch begins to count, and counts in full."""
REST_WEIGHT = 3.0
"""Pull to the resting pose, mm^2 per rad^2: 1 rad costs what 1.7 mm cost."""
MAX_STEPS = 8
SETTLED_RAD = 1e-5
"""A smaller step is not taken: on a still hand the joints stay exactly as they are."""
CLOSE_RAD = 1e-3
"""A smaller step is the last one for this image. It leaves some 0.1 mrad to the next image."""
_LEAST_M = 1e-4
"""A shorter bone of the operator has no direction."""
_MOST_RAD = 0.4
"""The largest change of a joint in one step: beyond it the linear model is not true."""
_LEAST_RAD = 1e-12
_MM = 1e3
"""Residuals are in mm: MuJoCo's QP solver ends below a gradient that does not depend on units."""


class LeastSquares:
    """The default retargeter; see `retargeter.Retargeter` for its interface.

    Parameters
    ----------
    robot : a robot whose retargeter is `least_squares`.

    Raises
    ------
    RobotError : the description cannot be used.
    """

    def __init__(self, robot: Robot) -> None:
        self.kinematics = hand = HandKinematics(robot)
        self.joint_names, self.lower, self.upper = hand.joint_names, hand.lower, hand.upper
        self._mujoco, count = import_mujoco(), len(hand.joint_names)
        self._identity, self._factor = np.eye(count), np.empty((count, count + 7))
        self._rest = np.clip(0.0, self.lower, self.upper)
        if "rest" in robot.safe_poses:
            self._rest = np.clip(robot.safe_pose("rest"), self.lower, self.upper)
        self._row = {joint: row for row, joint in enumerate(hand.points)}
        hand.set(np.clip(0.0, self.lower, self.upper))
        place = hand.positions()
        self._chains = [
            [joint for joint in range(1 + 4 * f, 5 + 4 * f) if joint in self._row]
            for f in range(len(FINGERS))
        ]
        self._bones = [pair for chain in self._chains for pair in pairwise(chain)]
        reach = {0: 0.0}
        for a, b in self._bones:  # along each finger, from its first point
            bone = place[self._row[b]] - place[self._row[a]]
            reach[b] = reach.setdefault(a, 0.0) + float(np.linalg.norm(bone))
        self._robot_m = {
            (a, b): reach[b] - reach[a] for chain in self._chains for a, b in combinations(chain, 2)
        }
        if not self._bones:
            raise RobotError(
                f"{robot.path}: field 'points': no finger has two points, so that no bone can "
                "follow the operator's: name at least a knuckle and a tip."
            )
        self._fingers_of_joint = self._ownership()
        self._joints = self._rest.copy()

    def reset(self, joints: Array) -> None:
        """Continue from these joint angles."""
        self._joints = np.clip(joints, self.lower, self.upper)

    def watch(self) -> None:
        """Nothing can hang."""

    def close(self) -> None:
        """Nothing to release."""

    def __call__(self, points: Array, valid: BoolArray, dt_s: float) -> Retargeted:
        """See `Retargeter`. The solution does not depend on time."""
        known = valid & np.isfinite(points).all(axis=1)
        rows = self._tasks(points, known)
        followed = {row[4] for row in rows}
        free = np.array([bool(owners & followed) for owners in self._fingers_of_joint])
        if free.any():
            starts, ends, wanted, weights, _ = zip(*rows, strict=True)
            root, number = _MM * np.sqrt(weights), np.arange(len(rows))
            select = np.zeros((len(rows), len(self._row)))  # vectors from points, and their weight
            select[number, ends], select[number, starts] = root, -root
            self._solve(select, root[:, None] * wanted, free)
        remark = "" if free.any() else "no finger is known"
        return Retargeted(self._joints.copy(), free, remark)

    def wanted_tips(self, points: Array, valid: BoolArray) -> dict[int, Array]:
        """Where the operator's hand wants the robot's tips: vectors from knuckle to tip, m, by the
        tip's joint. Arguments as in a call; fingers that are not known as a whole are left out.
        """
        known = valid & np.isfinite(points).all(axis=1)
        tips = {}
        for start, end, wanted, weight, finger in self._tasks(points, known):
            chain = self._chains[finger]
            whole = (start, end) == (self._row[chain[0]], self._row[chain[-1]])
            if weight == TIP_WEIGHT and whole and chain[-1] == 4 + 4 * finger:
                tips[chain[-1]] = wanted
        return tips

    def tips(self, joints: Array) -> dict[int, Array]:
        """Where the robot's tips are: vectors from knuckle to tip, m, by the tip's joint."""
        self.kinematics.set(joints)
        place = self.kinematics.positions()
        return {
            chain[-1]: place[self._row[chain[-1]]] - place[self._row[chain[0]]]
            for chain in self._chains
            if len(chain) > 1
        }

    def tip_errors(self, points: Array, valid: BoolArray, joints: Array) -> dict[int, float]:
        """Distance between each tip that the operator wants and the robot's, m, by the tip's joint.

        Parameters
        ----------
        points, valid : as in a call.
        joints : (N,) of the robot, rad.
        """
        tips = self.tips(joints)
        return {
            tip: float(np.linalg.norm(wanted - tips[tip]))
            for tip, wanted in self.wanted_tips(points, valid).items()
        }

    def _ownership(self) -> list[set[int]]:
        """The fingers that each joint moves."""
        middle = (self.lower + self.upper) / 2 + 0.1 * (self.upper - self.lower)
        self.kinematics.set(middle)
        jacobian = np.abs(self.kinematics.jacobians()).max(axis=1)  # (P, N)
        owners: list[set[int]] = [set() for _ in self.joint_names]
        for finger, chain in enumerate(self._chains):
            for joint in chain:
                for column in np.flatnonzero(jacobian[self._row[joint]] > 1e-9):
                    owners[column].add(finger)
        return owners

    def _tasks(self, points: Array, known: BoolArray) -> list[tuple[int, int, Array, float, int]]:
        """(start row, end row, wanted vector m, weight, finger) of everything that is followed."""
        steps_m = _steps_m(points, known)
        scale = self._scale(steps_m)
        tasks = []
        for finger, chain in enumerate(self._chains):
            present = [joint for joint in chain if known[joint]]
            total = np.zeros(3)
            for a, b in pairwise(present):
                vector = points[b] - points[a]
                measured = sum(steps_m[a:b])
                ratio = self._robot_m[a, b] / measured if measured > _LEAST_M else scale
                if ratio is None:
                    break
                wanted = ratio * vector
                total = total + wanted
                tasks.append((self._row[a], self._row[b], wanted, BONE_WEIGHT, finger))
            else:
                if len(present) > 1:
                    first, last = present[0], present[-1]
                    tasks.append((self._row[first], self._row[last], total, TIP_WEIGHT, finger))
        if scale is not None and THUMB_TIP in self._row and known[THUMB_TIP]:
            tasks += self._pinches(points, known, scale)
        return tasks

    def _pinches(
        self, points: Array, known: BoolArray, scale: float
    ) -> list[tuple[int, int, Array, float, int]]:
        tasks = []
        for finger in range(1, len(FINGERS)):
            tip = 4 + 4 * finger
            if tip not in self._row or not known[tip]:
                continue
            vector = scale * (points[tip] - points[THUMB_TIP])
            near = (PINCH_FROM_M - math.hypot(*vector)) / (PINCH_FROM_M - PINCH_TO_M)
            near = min(max(near, 0.0), 1.0)
            weight = PINCH_WEIGHT * near * near * (3.0 - 2.0 * near)
            if weight > 0.0:
                thumb, end = self._row[THUMB_TIP], self._row[tip]
                tasks.append((thumb, end, vector, weight, finger))
        return tasks

    def _scale(self, steps_m: list[float]) -> float | None:
        """The robot's bones over the operator's, by their total lengths; None without a bone."""
        robot_m = human_m = 0.0
        for start, end in self._bones:
            measured = sum(steps_m[start:end])
            if measured > _LEAST_M:
                robot_m, human_m = robot_m + self._robot_m[start, end], human_m + measured
        return robot_m / human_m if human_m > 0 else None

    def _solve(self, select: Array, target: Array, free: BoolArray) -> None:
        """Move the free joints so that select @ positions comes close to target (T, 3), mm."""
        hand, pull, reach = self.kinematics, REST_WEIGHT * free, _MOST_RAD * free

        def residual(joints: Array) -> tuple[Array, float]:
            hand.set(joints)
            gap = (target - select @ hand.positions()).ravel()
            away = self._rest - joints
            return gap, float(gap @ gap + pull @ (away * away))

        joints, damping = self._joints, 1e-3
        gap, cost = residual(joints)
        fresh = True
        for _ in range(MAX_STEPS):
            if fresh:
                every = hand.jacobians()
                slope = (select @ every.reshape(len(every), -1)).reshape(len(gap), -1)
                gradient = slope.T @ gap + REST_WEIGHT * (self._rest - joints)
                normal = slope.T @ slope
            step = self._step(
                normal + (REST_WEIGHT + damping) * self._identity,
                gradient,
                np.maximum(self.lower - joints, -reach),
                np.minimum(self.upper - joints, reach),
            )
            trial = np.minimum(np.maximum(joints + step * free, self.lower), self.upper)
            moved = float(abs(trial - joints).max())
            if moved < SETTLED_RAD:
                break
            next_gap, next_cost = residual(trial)
            fresh = next_cost <= cost
            if fresh:
                joints, gap, cost, damping = trial, next_gap, next_cost, max(damping / 10, 1e-3)
                if moved < CLOSE_RAD:
                    break
            else:
                damping = max(damping, 1.0) * 10
        self._joints = joints

    def _step(self, normal: Array, gradient: Array, low: Array, high: Array) -> Array:
        """The step (N,) from low to high that comes closest to normal @ step = gradient."""
        step = np.zeros(len(gradient))
        # The bounds of a joint have to differ.
        self._mujoco.mju_boxQP(
            step, self._factor, None, normal, -gradient, low - _LEAST_RAD, high + _LEAST_RAD
        )
        return step


def _steps_m(points: Array, known: BoolArray) -> list[float]:
    """The 20 lengths from each joint to the next by index, m; NaN where one is not known."""
    joints = zip(points.tolist(), known.tolist(), strict=True)
    return [
        math.dist(a, b) if known_a and known_b else math.nan
        for (a, known_a), (b, known_b) in pairwise(joints)
    ]
