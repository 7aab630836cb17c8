"""Wrist orientations, finger joints and angles of the hands that command, on rendered hands.

The default pipeline sees rendered hands, and `retarget.operator` follows them, as pose_node does
for its outputs. They are compared with the exact truth, from three sources: the network's shape
alone, an assumed hand size (the true one), and a depth image without noise. A hand of the truth
counts while all its joints are inside the image; coverage is the share of these for which there was
an output.

JSON: for each of `shape`, `assumed`, `depth`: orientation_deg and orientation_95_deg (angle between
the operator frames, median and 95th percentile), joints_mm (distance of the 20 joints in their
operator frames, median), flexion_deg (error of the 14 flexions, median), coverage (0 .. 1). Targets
for depth: orientation_deg at most 5, flexion_deg at most 6, joints_mm at most 15.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from common import machine, parser, report, write_json
from scipy.spatial.transform import Rotation

from vitpose_ros.factory import load_pipeline
from vitpose_ros.lift.settings import LiftSettings
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.retarget.angles import HAND_ANGLES, hand_angles, side_axes
from vitpose_ros.retarget.operator import Operator, OperatorHand
from vitpose_ros.retarget.operator_frame import operator_axes
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.synthetic.truth import TrueHand
from vitpose_ros.types import Depth, Frame

SCRIPTS = ("reach", "grasp", "rotate")
SEED, RATE_HZ, IMAGES = 1, 10.0, 50
FLEXIONS = [i for i, name in enumerate(HAND_ANGLES) if name.endswith("flexion")]
SOURCES = {"shape": "the network's shape", "assumed": "an assumed size", "depth": "depth"}

Array = npt.NDArray[np.float64]


def true_size_m(scene: Scene) -> float:
    """From the wrist over the middle finger's joints to its tip: the length of a flat hand."""
    chain = scene.truth(0.0)[0].xyz[[0, 9, 10, 11, 12]]
    return float(np.linalg.norm(np.diff(chain, axis=0), axis=1).sum())


def pairs(
    pipeline: Pipeline, source: str, script: str
) -> Iterator[tuple[TrueHand, OperatorHand | None]]:
    """Every true hand in view, and the one that commanded for its side."""
    scene, operator = Scene(script, seed=SEED), Operator()
    size_m = true_size_m(scene) if source == "assumed" else 0.0
    pipeline.update(Settings(lifting=LiftSettings(hand_size_m=size_m)))
    pipeline.reset()
    for number in range(IMAGES):
        time_s = number / RATE_HZ
        rendering = scene.render(time_s)
        depth = Depth(rendering.depth_m, 1.0) if source == "depth" else None
        stamp_ns = 10**18 + round(1e9 * time_s)
        frame = Frame(rendering.image, stamp_ns, "camera", scene.camera, depth)
        result = pipeline(frame)
        pose = operator(stamp_ns, result.instances, result.reset)
        for hand in rendering.hands:
            if hand.in_view:
                yield hand, pose.hands.get(hand.side)


def errors(true: TrueHand, found: OperatorHand) -> tuple[float, float, float]:
    """Orientation, degrees; joints, mm; flexions, degrees: each the median of a hand."""
    points: Array = true.xyz.astype(np.float64)
    axes = operator_axes(points, true.side)
    assert axes is not None
    turned = Rotation.from_matrix(axes.T @ found.frame.rotation).magnitude()
    apart = found.frame.local(found.points) - (points - points[0]) @ axes
    angles = hand_angles(side_axes(points, true.side), true.side).values
    flexions = np.abs(found.angles.values - angles)[FLEXIONS]
    joints = np.linalg.norm(apart[1:], axis=1)
    return (
        float(np.degrees(turned)),
        1000 * _median(joints),
        float(np.degrees(_median(flexions))),
    )


def _median(values: Array) -> float:
    """Of those that are known; NaN if none is, as without a palm no angle is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def main() -> None:
    """Measure, print, and write the JSON."""
    options = parser(__doc__).parse_args()
    figures, pipeline = {}, load_pipeline(ModelStore())
    for source in SOURCES:
        found, count = [], 0
        for script in SCRIPTS:
            for true, hand in pairs(pipeline, source, script):
                count += 1
                if hand is not None and hand.metric == (source != "shape"):
                    found.append(errors(true, hand))
        turned, joints, flexions = np.array(found).T
        figures[source] = {
            "orientation_deg": float(np.median(turned)),
            "orientation_95_deg": float(np.percentile(turned, 95)),
            "joints_mm": float(np.nanmedian(joints)),
            "flexion_deg": float(np.nanmedian(flexions)),
            "coverage": len(found) / count,
        }
    heads = ("source", "orientation, deg", "95 %", "joints, mm", "flexions, deg", "coverage")
    rows = [[SOURCES[source], *of.values()] for source, of in figures.items()]
    report(f"Rendered hands against their truth ({machine()})", heads, rows)
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
