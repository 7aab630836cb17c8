"""Two rendered views of the same hands: how exact triangulation is. Part of metric_hands.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import HAND21
from vitpose_ros.lift.views import Views
from vitpose_ros.measure import Networks
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.rig import Rig
from vitpose_ros.smooth.settings import preset
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.synthetic.setting import Eye
from vitpose_ros.types import ByteArray, Frame, Instance, JointState, Keypoints, ZSource

SCRIPTS = ("reach", "grasp", "rotate", "cross")
SEEDS, PIPELINE_SEEDS = (3, 4), (3,)
BASELINES_M = (0.1, 0.15, 0.2, 0.3, 0.6)
PIPELINE_BASELINE_M = 0.3
DISTANCE_M = 0.5
"""Between the cameras and the point at which they look: about that of the hands."""
RATE_HZ, PIPELINE_RATE_HZ = 15, 8
DURATION_S = 3.0

Errors = list[npt.NDArray[np.floating[Any]]]


def eyes(baseline_m: float) -> tuple[Eye, Eye]:
    """Two cameras beside each other, both turned towards the hands."""
    half = baseline_m / 2
    yaw_deg = math.degrees(math.atan2(half, DISTANCE_M))
    return Eye((-half, 0.0, 0.0), yaw_deg), Eye((half, 0.0, 0.0), -yaw_deg)


def scenes(script: str, seed: int, places: Sequence[Eye]) -> list[Scene]:
    """The same motion, seen from several places."""
    return [Scene(script, seed, eye=eye) for eye in places]


def frame(scene: Scene, time_s: float, image: ByteArray) -> Frame:
    """An image of a camera whose geometry and place are known."""
    stamp_ns = 1 + round(1e9 * time_s)
    return Frame(image, stamp_ns, camera=scene.camera, to_rig=scene.pose)


def with_noise(noise_px: float, baseline_m: float, blind: bool = False) -> tuple[float, float]:
    """Median and 95th percentile of the error, m, of the first camera's joints, from true pixels
    with noise. Joints that are hidden from a camera are not measured there. With `blind`, a third
    camera sees nothing.
    """
    rng = np.random.default_rng(1)
    errors: Errors = []
    black = np.zeros((480, 640, 3), np.uint8)
    for script in SCRIPTS:
        for seed in SEEDS:
            cameras = scenes(script, seed, [*eyes(baseline_m), *[Eye((0.0, 0.0, 0.1))] * blind])
            views = Views()
            for n in range(round(DURATION_S * RATE_HZ)):
                time_s = n / RATE_HZ
                shown = [_played(s, time_s, noise_px, rng) for s in cameras[:2]]
                found = views(
                    range(len(cameras)),
                    [frame(s, time_s, black) for s in cameras],
                    [*shown, *[[]] * blind],
                )
                errors += _errors(cameras[0], time_s, found[0])
    return _percentiles(errors)


def _played(
    scene: Scene, time_s: float, noise_px: float, rng: np.random.Generator
) -> list[Instance]:
    hands = []
    for number, hand in enumerate(scene.truth(time_s)):
        uv = (hand.uv + rng.normal(0, noise_px, (21, 2))).astype(np.float32)
        state = np.where(hand.inside, JointState.MEASURED, JointState.OCCLUDED).astype(np.uint8)
        std_px = np.full(21, noise_px, np.float32)
        joints = Keypoints(HAND21, uv, np.ones(21, np.float32), state, uv_std=std_px)
        hands.append(Instance(joints, 1.0, "", side=hand.side, side_score=0.9, track_id=number))
    return hands


def through_pipeline(networks: Networks, blind: bool = False) -> dict[str, float]:
    """The whole pipeline on the rendered images, unsmoothed: errors of triangulated joints, m, the
    share of hands in both cameras that were triangulated, and that of those with one id in both.
    """
    errors: Errors = []
    both = lifted = alike = 0
    places = [*eyes(PIPELINE_BASELINE_M), *[Eye((0.0, 0.0, 0.1))] * blind]
    black = np.zeros((480, 640, 3), np.uint8)
    settings = Settings(smoothing=preset("none"))
    for script in SCRIPTS:
        for seed in PIPELINE_SEEDS:
            cameras = scenes(script, seed, places)
            rig = Rig([Pipeline(networks, settings) for _ in cameras])
            for n in range(round(DURATION_S * PIPELINE_RATE_HZ)):
                time_s = n / PIPELINE_RATE_HZ
                images = [s.render(time_s).image for s in cameras[:2]] + [black] * blind
                shown = [frame(s, time_s, i) for s, i in zip(cameras, images, strict=True)]
                first, second = rig(shown)[:2]
                assert first is not None and second is not None
                here, there = _seen(first.instances), _seen(second.instances)
                both += min(len(here), len(there))
                alike += len({i.track_id for i in here} & {i.track_id for i in there})
                lifted += sum(bool((i.raw.z_source == ZSource.TRIANGULATED).any()) for i in here)
                errors += _errors(cameras[0], time_s, here)
    median, high = _percentiles(errors)
    return {
        "median_mm": 1e3 * median,
        "p95_mm": 1e3 * high,
        "triangulated": lifted / max(both, 1),
        "same_id": alike / max(both, 1),
    }


def _seen(instances: Sequence[Instance]) -> list[Instance]:
    return [instance for instance in instances if not instance.is_lost]


def _errors(scene: Scene, time_s: float, found: Sequence[Instance]) -> Errors:
    """The error of each triangulated joint, m: of the true hand that is nearest in the image."""
    errors: Errors = []
    truth = scene.truth(time_s)
    for instance in found:
        fixed = instance.raw.z_source == ZSource.TRIANGULATED
        if not fixed.any():
            continue
        hand = min(truth, key=lambda h: float(np.nanmedian(np.abs(h.uv - instance.raw.uv))))
        errors.append(np.linalg.norm(instance.raw.xyz - hand.xyz, axis=1)[fixed])
    return errors


def _percentiles(errors: Errors) -> tuple[float, float]:
    joined = np.concatenate(errors)
    return float(np.median(joined)), float(np.percentile(joined, 95))


def measure_views(networks: Networks) -> tuple[list[list[Any]], dict[str, Any]]:
    """Rows of the table (what, median mm, 95th percentile mm, target mm), and the figures."""
    rows: list[list[Any]] = []
    figures: dict[str, Any] = {"baselines": {}}
    for baseline_m in BASELINES_M:
        median, high = with_noise(1.0, baseline_m)
        target = 3.0 if baseline_m == PIPELINE_BASELINE_M else None
        rows.append(
            [f"true joints, 1 px noise, {baseline_m:g} m", 1e3 * median, 1e3 * high, target]
        )
        figures["baselines"][f"{baseline_m:g}"] = {"median_mm": 1e3 * median, "p95_mm": 1e3 * high}
    median, high = with_noise(1.0, PIPELINE_BASELINE_M, blind=True)
    rows.append(["  and a blind third camera", 1e3 * median, 1e3 * high, 3.0])
    figures["blind"] = {"median_mm": 1e3 * median, "p95_mm": 1e3 * high}
    for key, blind in (("pipeline", False), ("pipeline_blind", True)):
        result = through_pipeline(networks, blind)
        name = f"whole pipeline, {PIPELINE_BASELINE_M:g} m" + (
            ", a third one blind" if blind else ""
        )
        rows.append([name, result["median_mm"], result["p95_mm"], None])
        figures[key] = result
    return rows, figures
