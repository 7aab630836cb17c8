"""One rendered view of hands: how exact lifting is, with depth and without. Part of
metric_hands.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from common import machine, report

from vitpose_ros.camera import CameraModel
from vitpose_ros.evaluate import match_hands
from vitpose_ros.layouts import HAND21, WRIST
from vitpose_ros.lift import Lifter
from vitpose_ros.lift.hand_fit import fit_hand
from vitpose_ros.lift.settings import LiftSettings
from vitpose_ros.measure import Networks
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.smooth.settings import preset
from vitpose_ros.synthetic.scene import Rendering, Scene, TrueHand
from vitpose_ros.types import Depth, Frame, Instance, JointState, Keypoints, ZSource

Array = npt.NDArray[np.float64]
LENGTH = (0, 9, 10, 11, 12)
"""Joints along which a hand is as long as hand_size says."""
LEAST_VISIBLE = 12
NOISE_PX = 2.0


@dataclass
class Errors:
    """Errors of lifted hands, mm, one row for each joint."""

    off: list[Array] = field(default_factory=list)
    std: list[Array] = field(default_factory=list)
    source: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    visible: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    wrist: list[float] = field(default_factory=list)
    against_wrist: list[Array] = field(default_factory=list)

    def add(self, joints: Keypoints, hand: TrueHand) -> None:
        """Add a hand."""
        xyz = joints.xyz.astype(np.float64)
        self.off.append(1e3 * np.linalg.norm(xyz - hand.xyz, axis=1))
        self.std.append(1e3 * joints.xyz_std.astype(np.float64))
        self.source.append(joints.z_source)
        self.visible.append(hand.visible)
        true_m = float(np.linalg.norm(hand.xyz[WRIST]))
        self.wrist.append(100 * abs(float(np.linalg.norm(xyz[WRIST])) / true_m - 1))
        moved = (xyz - xyz[WRIST]) - (hand.xyz - hand.xyz[WRIST])
        self.against_wrist.append(1e3 * np.linalg.norm(moved, axis=1)[1:])

    def of_visible(self) -> dict[str, float]:
        """Median, 95th and 99th percentile of visible joints with metres."""
        off, visible = np.concatenate(self.off), np.concatenate(self.visible)
        known = off[visible & np.isfinite(off)]
        return {
            "median_mm": float(np.median(known)),
            "p95_mm": float(np.percentile(known, 95)),
            "p99_mm": float(np.percentile(known, 99)),
        }

    def measured_share(self) -> float:
        """Of the visible joints."""
        source, visible = np.concatenate(self.source), np.concatenate(self.visible)
        return float((source[visible] == ZSource.MEASURED).mean())

    def honest(self, source: ZSource) -> list[float]:
        """Shares of errors within one and two standard deviations, of joints of this source."""
        chosen = np.concatenate(self.source) == source
        ratio = (np.concatenate(self.off) / np.concatenate(self.std))[chosen]
        return [
            float((ratio <= limit).mean()) if chosen.any() else float("nan") for limit in (1, 2)
        ]

    def hidden(self) -> dict[str, float]:
        """Hidden joints: median and 95th percentile, and the share that is called measured although
        it is wrong by more than 20 mm.
        """
        hidden = ~np.concatenate(self.visible)
        off, source = np.concatenate(self.off)[hidden], np.concatenate(self.source)[hidden]
        wrong = (source == ZSource.MEASURED) & (off > 20)
        return {
            "median_mm": float(np.nanmedian(off)),
            "p95_mm": float(np.nanpercentile(off, 95)),
            "measured_wrong": float(wrong.mean()),
        }

    def without_depth(self) -> dict[str, float]:
        """What matters where the distance rests on the size."""
        against = np.concatenate(self.against_wrist)
        return {
            "wrist_percent": float(np.nanmedian(self.wrist)),
            "joints_mm": float(np.nanmedian(against)),
            "joints_p95_mm": float(np.nanpercentile(against, 95)),
        }


def hand_length_m(hand: TrueHand) -> float:
    """Return the length that the parameter hand_size means."""
    return float(np.linalg.norm(np.diff(hand.xyz[list(LENGTH)], axis=0), axis=1).sum())


def camera_of(scene: Scene) -> CameraModel:
    """Return the camera of a scene."""
    k = scene.camera_matrix
    return CameraModel(scene.width, scene.height, k[0, 0], k[1, 1], k[0, 2], k[1, 2])


def as_measured(
    hand: TrueHand, rng: np.random.Generator, noise_px: float = 0.0, shape: bool = False
) -> Instance:
    """Return a true hand as a network without errors would measure it: visible joints, and noise
    on the pixels.
    """
    uv = (hand.uv + rng.normal(0.0, noise_px, (21, 2))).astype(np.float32)
    state = np.where(hand.visible, JointState.MEASURED, JointState.OCCLUDED).astype(np.uint8)
    # The model's axes are those of its crop, whose optical axis is the hand's ray.
    turned = (hand.xyz - hand.xyz.mean(axis=0)) @ towards(hand.xyz.mean(axis=0))
    shape_xyz = turned if shape else np.full((21, 3), np.nan)
    joints = Keypoints(
        HAND21, uv, np.ones(21, np.float32), state, shape_xyz=shape_xyz.astype(np.float32)
    )
    return Instance(joints, 1.0, "truth", track_id=int(hand.side))


def towards(direction: npt.NDArray) -> Array:
    """Return a rotation from the optical axis to a direction."""
    z = direction / np.linalg.norm(direction)
    x = np.cross((0.0, 1.0, 0.0), z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)


def damaged(depth_m: npt.NDArray, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return depth as cameras give it: mixed at edges, with holes and flying pixels."""
    mixed = depth_m.copy()
    for axis in (0, 1):
        step = np.abs(np.roll(mixed, 1, axis) - mixed)
        edge = step > 0.03
        share = rng.random(depth_m.shape)
        mixed = np.where(edge, share * mixed + (1 - share) * np.roll(mixed, 1, axis), mixed)
    mixed += rng.normal(0.0, 1.0, depth_m.shape) * 0.003 * np.nan_to_num(mixed)
    flying = rng.random(depth_m.shape) < 0.03
    mixed[flying] = rng.uniform(0.2, 1.5, int(flying.sum()))
    mixed[rng.random(depth_m.shape) < 0.2] = np.nan
    return mixed.astype(np.float32)


def shots(seeds: Sequence[int], step_s: float) -> Iterator[tuple[Scene, CameraModel, Rendering]]:
    """Render the scenes."""
    for seed in seeds:
        scene = Scene("tour", seed=seed)
        camera = camera_of(scene)
        for time_s in np.arange(0.0, scene.duration_s, step_s):
            yield scene, camera, scene.render(float(time_s))


def with_true_joints(seeds: Sequence[int], step_s: float) -> tuple[dict[str, Errors], Array, Array]:
    """Lift true joints; also the differences between encodings, mm, and the times, ms."""
    rng = np.random.default_rng(0)
    names = ("depth_true_joints", "depth_damaged", "rgb_true_shape")
    found = {name: Errors() for name in names}
    lifters = {name: Lifter(LiftSettings()) for name in (*names, "millimetres")}
    between: list[Array] = []
    times: list[float] = []
    seed = -1
    for scene, camera, shot in shots(seeds, step_s):
        if scene.seed != seed:
            seed = scene.seed
            for lifter in lifters.values():
                lifter.reset()
        hands = [h for h in shot.hands if h.visible.sum() >= LEAST_VISIBLE]
        frame = Frame(shot.image, 1 + round(1e9 * shot.time_s), "camera", camera)

        def lifted(
            name: str, depth: Depth | None, given: list[Instance], frame: Frame = frame
        ) -> list[Keypoints]:
            whole = Frame(frame.image, frame.stamp_ns, frame.frame_id, frame.camera, depth)
            begun = time.thread_time()
            result = lifters[name](whole, given)
            if given and depth is not None:
                times.append(1e3 * (time.thread_time() - begun) / len(given))
            return [instance.raw for instance in result]

        exact = [as_measured(hand, rng, shape=True) for hand in hands]
        metres = lifted("depth_true_joints", Depth(shot.depth_m, 1.0), exact)
        rounded = np.nan_to_num(1e3 * shot.depth_m).round().astype(np.uint16)
        millimetres = lifted("millimetres", Depth(rounded, 0.001), exact)
        noisy = [as_measured(hand, rng, NOISE_PX, shape=True) for hand in hands]
        worse = lifted("depth_damaged", Depth(damaged(shot.depth_m, rng), 1.0), noisy)
        for hand, exactly, in_mm, badly in zip(hands, metres, millimetres, worse, strict=True):
            found["depth_true_joints"].add(exactly, hand)
            found["depth_damaged"].add(badly, hand)
            same = exactly.z_source == in_mm.z_source
            between.append(1e3 * np.linalg.norm(exactly.xyz - in_mm.xyz, axis=1)[same])
        for hand, given in zip(hands, noisy, strict=True):
            rays = camera.rays(given.raw.uv)
            shape = given.raw.shape_xyz.astype(np.float64)
            noise_rad = np.full(21, NOISE_PX / camera.fx)
            fit = fit_hand(shape, hand_length_m(hand), rays, noise_rad, hand.visible)
            if fit is not None:
                xyz = (rays * fit.distance_m[:, None]).astype(np.float32)
                source = np.full(21, ZSource.ASSUMED, np.uint8)
                found["rgb_true_shape"].add(replace(given.raw, xyz=xyz, z_source=source), hand)
    return found, np.concatenate(between), np.array(times)


def with_networks(networks: Networks, seeds: Sequence[int], step_s: float) -> dict[str, Errors]:
    """Run the whole pipeline, with depth, and with the size of the hands only."""
    pipeline = Pipeline(networks, Settings(smoothing=preset("none")))
    found = {name: Errors() for name in ("depth_pipeline", "rgb_pipeline", "rgb_pipeline_size_110")}
    lifter = Lifter(LiftSettings())
    seed = -1
    for scene, camera, shot in shots(seeds, step_s):
        if scene.seed != seed:
            seed = scene.seed
            pipeline.reset()
            lifter.reset()
        stamp_ns = 1 + round(1e9 * shot.time_s)
        flat = Frame(shot.image, stamp_ns, "camera", camera)
        seen = [i for i in pipeline(flat).instances if not i.is_lost]
        depth = Frame(shot.image, stamp_ns, "camera", camera, Depth(shot.depth_m, 1.0))
        with_depth = lifter(depth, seen)
        pairs = match_hands([h.uv for h in shot.hands], [i.raw.uv for i in seen])
        for true, number, _ in pairs:
            hand = shot.hands[true]
            if hand.visible.sum() < LEAST_VISIBLE:
                continue
            found["depth_pipeline"].add(with_depth[number].raw, hand)
            for name, factor in (("rgb_pipeline", 1.0), ("rgb_pipeline_size_110", 1.1)):
                size = LiftSettings(hand_size_m=factor * hand_length_m(hand))
                (alone,) = Lifter(size)(flat, [seen[number]])
                found[name].add(alone.raw, hand)
    return found


def measure_one_view(networks: Networks, seeds: Sequence[int], step_s: float) -> dict[str, Any]:
    """Print the tables and return the figures; see metric_hands.py.

    Parameters
    ----------
    networks : of the whole pipeline.
    seeds : of the scenes.
    step_s : between images.
    """
    true, between, times = with_true_joints(seeds, step_s)
    real = with_networks(networks, seeds, step_s)
    depth: dict[str, dict[str, float]] = {
        "depth_true_joints": true["depth_true_joints"].of_visible(),
        "depth_damaged": true["depth_damaged"].of_visible(),
        "depth_pipeline": {
            **real["depth_pipeline"].of_visible(),
            "measured_share": real["depth_pipeline"].measured_share(),
        },
    }
    hidden = real["depth_pipeline"].hidden()
    rgb = {
        "rgb_true_shape": true["rgb_true_shape"].without_depth(),
        **{n: real[n].without_depth() for n in ("rgb_pipeline", "rgb_pipeline_size_110")},
    }
    honest = {
        "measured": real["depth_pipeline"].honest(ZSource.MEASURED),
        "inferred": real["depth_pipeline"].honest(ZSource.INFERRED),
        "assumed": real["rgb_pipeline"].honest(ZSource.ASSUMED),
    }
    report(
        f"One view with depth, rendered, 640x480, visible joints ({machine()})",
        ("joints", "median, mm", "95th percentile, mm", "99th percentile, mm"),
        [(name, row["median_mm"], row["p95_mm"], row["p99_mm"]) for name, row in depth.items()],
    )
    encodings_mm = float(np.percentile(between, 95))
    share = 100 * depth["depth_pipeline"]["measured_share"]
    print(f"16UC1 and 32FC1: {encodings_mm:.2f} mm apart at the 95th percentile")
    print(f"visible joints that are measured, pipeline: {share:.0f} %")
    median, high, wrong = hidden["median_mm"], hidden["p95_mm"], 100 * hidden["measured_wrong"]
    print(f"hidden joints, pipeline: {median:.1f} mm median, {high:.0f} mm at the 95th percentile;")
    print(f"  {wrong:.0f} % are called measured and are wrong by more than 20 mm")
    report(
        "One view without depth, size known",
        ("joints", "wrist's distance, %", "joints against the wrist, mm", "95th percentile, mm"),
        [
            (n, row["wrist_percent"], row["joints_mm"], row["joints_p95_mm"])
            for n, row in rgb.items()
        ],
    )
    report(
        "Share of errors within one and two standard deviations, pipeline",
        ("source", "one", "two"),
        [(name, *shares) for name, shares in honest.items()],
    )
    lift_ms = float(np.median(times))
    print(f"lifting one hand with depth: {lift_ms:.2f} ms of CPU time (median)")
    return {
        **depth,
        **rgb,
        "hidden": hidden,
        "encodings_mm": encodings_mm,
        "honest": honest,
        "lift_ms": lift_ms,
    }
