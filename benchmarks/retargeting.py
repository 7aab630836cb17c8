"""How well and how fast a robot hand follows: the Shadow Hand and rendered hands, without ROS.

Fingertip error: distance of each tip of the robot, seen from its knuckle, from where the operator's
finger wants it: every bone of the operator's finger with the robot's length (least_squares.py).
Rendered hands are scenes of the script `grasp` at 30 Hz; the true joints, and what the default
pipeline finds in the images (with smoothing). The simulated hand gets its commands through the
limiter, with MuJoCo's physics.

JSON: truth_mm_mean, truth_mm_p95 (from true joints); simulated_mm_mean, simulated_mm_p95 (the
same, robot simulated); from colour images (the model's shape), and from colour and depth images:
colour_mm_mean, colour_mm_p95, depth_mm_mean, depth_mm_p95 (against the true hand),
colour_own_mm_mean, depth_own_mm_mean (against the skeleton found), colour_share_of_images,
depth_share_of_images (every finger known); solver_ms_p50, solver_ms_p95; rest_rad (largest change
per call on a still hand); pinch_mm (gap of the robot's thumb and index tips when the operator's are
5 mm apart).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import machine, parser, report, write_json

from vitpose_ros.camera import CameraModel
from vitpose_ros.factory import Models, load_pipeline
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Settings
from vitpose_ros.retarget.choice import finger_points
from vitpose_ros.retarget.factory import make_limiter
from vitpose_ros.retarget.least_squares import LeastSquares
from vitpose_ros.retarget.palm_frame import palm_axes
from vitpose_ros.retarget.robot import Robot, load_robot
from vitpose_ros.retarget.simulation import SimulatedHand
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.types import Depth, Frame, Side

Array = npt.NDArray[np.float64]

RATE_HZ = 30.0
ROBOT = Path(__file__).resolve().parent.parent / "config" / "robots" / "shadow.yaml"
ALL = np.ones(21, bool)


def local(points: npt.NDArray, side: Side) -> Array | None:
    """Return a hand in its palm's frame; None where it has none."""
    axes = palm_axes(points.astype(np.float64), np.isfinite(points).all(axis=1), side)
    return None if axes is None else (points - points[0]) @ axes


def true_hands(seed: int) -> Iterator[Array]:
    """Yield the right hand of a scene, image by image, in its palm's frame."""
    scene = Scene("grasp", seed=seed, hands=1)
    for number in range(round(scene.duration_s * RATE_HZ)):
        hand = scene.truth(number / RATE_HZ)[0]
        points = local(hand.xyz, hand.side)
        assert points is not None
        yield points


def errors_mm(retarget: LeastSquares, points: Array, joints: Array) -> list[float]:
    """Return the fingertip errors for joints of the robot."""
    return [1e3 * error for error in retarget.tip_errors(points, ALL, joints).values()]


def from_truth(robot: Robot, seeds: range) -> dict[str, Any]:
    """Measure the solver on true joints, and the simulated hand behind the limiter."""
    solved, simulated, times = [], [], []
    for seed in seeds:
        retarget, hand = LeastSquares(robot), SimulatedHand(robot)
        limiter = make_limiter(robot, retarget)
        for number, points in enumerate(true_hands(seed)):
            begin_s = time.perf_counter()
            joints = retarget(points, ALL, 1 / RATE_HZ).joints
            times.append(1e3 * (time.perf_counter() - begin_s))
            if number == 0:
                limiter.start(joints)
                hand.command(joints)
                hand.advance(1.0)
            hand.command(limiter.step(joints, 1 / RATE_HZ))
            hand.advance(1 / RATE_HZ)
            solved += errors_mm(retarget, points, joints)
            simulated += errors_mm(retarget, points, hand.joints)
    return {
        "truth_mm_mean": float(np.mean(solved)),
        "truth_mm_p95": float(np.percentile(solved, 95)),
        "simulated_mm_mean": float(np.mean(simulated)),
        "simulated_mm_p95": float(np.percentile(simulated, 95)),
        "solver_ms_p50": float(np.median(times)),
        "solver_ms_p95": float(np.percentile(times, 95)),
    }


def from_images(robot: Robot, seeds: range, with_depth: bool) -> dict[str, Any]:
    """Measure the whole chain, from images to joints."""
    against_truth, against_own, seen, all_images = [], [], 0, 0
    pipeline = load_pipeline(ModelStore(), models=Models(), settings=Settings())
    for seed in seeds:
        pipeline.reset()
        retarget, scene = LeastSquares(robot), Scene("grasp", seed=seed, hands=1)
        (fx, _, cx), (_, fy, cy), _ = scene.camera_matrix.tolist()
        camera = CameraModel(width=scene.width, height=scene.height, fx=fx, fy=fy, cx=cx, cy=cy)
        for number in range(round(scene.duration_s * RATE_HZ)):
            shot = scene.render(number / RATE_HZ)
            stamp_ns = round(1e9 * (seed * 100 + number / RATE_HZ))
            depth = Depth(shot.depth_m, 1.0) if with_depth else None
            frame = Frame(shot.image, stamp_ns, camera=camera, depth=depth)
            hands = [one for one in pipeline(frame).instances if not one.is_lost]
            all_images += 1
            found = finger_points(hands[0]) if hands else None
            true = local(shot.hands[0].xyz, Side.RIGHT)
            points = None if found is None else local(found[0], Side.RIGHT)
            if found is None or points is None or true is None:
                continue
            result = retarget(points, found[1], 1 / RATE_HZ)
            seen += bool(result.valid.all())
            against_truth += errors_mm(retarget, true, result.joints)
            own = retarget.tip_errors(points, found[1], result.joints).values()
            against_own += [1e3 * error for error in own]
    name = "depth" if with_depth else "colour"
    return {
        f"{name}_mm_mean": float(np.mean(against_truth)),
        f"{name}_mm_p95": float(np.percentile(against_truth, 95)),
        f"{name}_own_mm_mean": float(np.mean(against_own)),
        f"{name}_share_of_images": seen / all_images,
    }


def at_rest(robot: Robot) -> dict[str, Any]:
    """Measure how much joints move on a still hand, and how a pinch closes."""
    moved = 0.0
    hands = list(true_hands(0))
    for points in hands[::15]:
        retarget = LeastSquares(robot)
        path = [retarget(points, ALL, 1 / RATE_HZ).joints for _ in range(20)]
        moved = max(moved, float(np.abs(np.diff(path[10:], axis=0)).max()))
    points = hands[60].copy()
    points[4] = points[8] + (0.0, 0.005, 0.0)
    retarget = LeastSquares(robot)
    for _ in range(20):
        retarget(points, ALL, 1 / RATE_HZ)
    kinematics = retarget.kinematics
    place = dict(zip(kinematics.points, kinematics.positions(), strict=True))
    return {"rest_rad": moved, "pinch_mm": 1e3 * float(np.linalg.norm(place[4] - place[8]))}


def main() -> None:
    """Measure, print the table, write the figures."""
    options = parser(__doc__)
    options.add_argument("--scenes", type=int, default=4, help="scenes, each with a seed (4)")
    arguments = options.parse_args()
    robot = load_robot(ROBOT)
    seeds = range(20, 20 + arguments.scenes)
    figures = {**from_truth(robot, seeds), **at_rest(robot)}
    for with_depth in (False, True):
        figures.update(from_images(robot, seeds, with_depth))
    report(
        f"Shadow Hand, rendered grasps, {arguments.scenes} scenes ({machine()})",
        ("", "measured", "at most"),
        [
            ("fingertip error from true joints, mean, mm", figures["truth_mm_mean"], 10.0),
            ("  95th percentile, mm", figures["truth_mm_p95"], None),
            ("of the simulated hand, limits and inertia, mean", figures["simulated_mm_mean"], 10.0),
            ("  95th percentile, mm", figures["simulated_mm_p95"], None),
            ("colour images, against the true hand, mean, mm", figures["colour_mm_mean"], None),
            ("  against the skeleton found, mean, mm", figures["colour_own_mm_mean"], None),
            ("colour and depth, against the true hand, mean", figures["depth_mm_mean"], None),
            ("  against the skeleton found, mean, mm", figures["depth_own_mm_mean"], None),
            ("solver, median, ms", figures["solver_ms_p50"], 1.0),
            ("  95th percentile, ms", figures["solver_ms_p95"], None),
            ("change per call on a still hand, rad", figures["rest_rad"], 1e-6),
            ("robot's gap when the operator's tips are 5 mm apart, mm", figures["pinch_mm"], None),
        ],
    )
    write_json(arguments.json, figures)


if __name__ == "__main__":
    main()
