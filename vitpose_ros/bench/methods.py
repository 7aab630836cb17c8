"""The filters that are measured: the package's presets, and those of other projects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.bench.baselines import (
    Baseline,
    MmposeOneEuro,
    MovingAverage,
    PublishedOneEuro,
)
from vitpose_ros.bench.metrics import Array
from vitpose_ros.bench.recording import HandRecording
from vitpose_ros.evaluate import palm_length
from vitpose_ros.hand_geometry import hand_region
from vitpose_ros.layouts import HAND21
from vitpose_ros.smooth.predict import Velocity
from vitpose_ros.smooth.scale import object_size
from vitpose_ros.smooth.settings import PRESETS, SmoothingSettings
from vitpose_ros.smooth.smoother import Smoother
from vitpose_ros.smooth.whole import smooth_track
from vitpose_ros.types import NO_ID, Keypoints

DEFAULT_PRESET = "balanced"
RAW = "raw"
OFFLINE = "offline"

_PALM_M = 0.09
"""Wrist to the middle finger's MCP joint of a usual hand."""

Each = Callable[[int, int, Keypoints, Velocity], None]


@dataclass(frozen=True)
class Smoothed:
    """The filtered joints of one hand.

    Attributes
    ----------
    uv : (T, 21, 2), px; NaN where a joint is absent.
    shape_xyz : (T, 21, 3), metres; NaN where it is not known.
    """

    uv: Array
    shape_xyz: Array


@dataclass(frozen=True)
class Method:
    """One row of the tables.

    Attributes
    ----------
    name : the row's key.
    about : what it is, for people.
    run : smooths the hands of one scene.
    of_package : a preset of this package, not a filter to compare with.
    """

    name: str
    about: str
    run: Callable[[Sequence[HandRecording]], list[Smoothed]]
    of_package: bool = True


def methods(rate_hz: float) -> list[Method]:
    """All rows: raw joints, the presets, and published filters.

    Parameters
    ----------
    rate_hz : of the recording: a filter with a fixed share per image is another one at another
        rate.
    """
    rows = [Method(RAW, "the network alone", _preset("none"), of_package=False)]
    for name in PRESETS:
        if name != "none":
            about = "the default" if name == DEFAULT_PRESET else ""
            rows.append(Method(name, about, _preset(name)))
    rows.append(Method(OFFLINE, "sees the future: vitpose_ros annotate", _whole))
    rows += [
        moving_average("ema_0.2", 0.2, rate_hz),
        moving_average("ema_0.5", 0.5, rate_hz),
        one_euro("one_euro", 0.05, 1.0, 3.0),
        _published(
            "mediapipe_world",
            "MediaPipe's One-Euro for metres (0.1, 40, 1)",
            lambda: PublishedOneEuro(0.1, 40.0, 1.0),
            _px_per_m,
            _one,
        ),
        _published(
            "mediapipe_pose",
            "MediaPipe's One-Euro for pixels of poses (0.05, 80, 1)",
            lambda: PublishedOneEuro(0.05, 80.0, 1.0),
            _region_px,
        ),
        _published(
            "mmpose_0x",
            "MMPose 0.x's One-Euro (1.7, 0.3), px per image",
            lambda: MmposeOneEuro(rate_hz),
            _one,
        ),
    ]
    return rows


def moving_average(name: str, share: float, rate_hz: float) -> Method:
    """An exponential moving average with a share of each new value."""
    about = f"moving average, {share:g} of each new value"
    return _published(name, about, lambda: MovingAverage(share, rate_hz), _one, _one)


def one_euro(name: str, min_cutoff_hz: float, beta: float, d_cutoff_hz: float) -> Method:
    """A One-Euro filter on the joint's speed in palm sizes, as the package measures them."""
    numbers = min_cutoff_hz, beta, d_cutoff_hz
    about = "One-Euro ({:g} Hz, {:g} per palm, {:g} Hz) on joint speed".format(*numbers)
    return _published(
        name, about, lambda: PublishedOneEuro(*numbers, by_joint=True), _palm_size, _palm_size
    )


def smooth(
    settings: SmoothingSettings, hands: Sequence[HandRecording], each: Each | None = None
) -> list[Smoothed]:
    """Smooth the hands of one scene as the pipeline does: all in one smoother, by their ids.

    Parameters
    ----------
    settings : of the smoother.
    hands : with equal stamps.
    each : called with (hand, image, joints, velocity) of every hand that was seen in an image.
    """
    smoother = Smoother(HAND21, settings)
    count = len(hands[0].stamp_ns)
    done = [
        Smoothed(np.full((count, 21, 2), np.nan), np.full((count, 21, 3), np.nan)) for _ in hands
    ]
    ids = [NO_ID] * len(hands)
    for image in range(count):
        for number, hand in enumerate(hands):
            if hand.found[image]:
                ids[number] = int(hand.track_id[image])
        given = {
            ids[number]: (number, hand.keypoints(image))
            for number, hand in sorted(enumerate(hands), key=lambda pair: pair[1].found[image])
            if ids[number] != NO_ID
        }
        tracks = [(track_id, joints) for track_id, (_, joints) in given.items()]
        results = smoother(int(hands[0].stamp_ns[image]), tracks)
        velocities = smoother.velocities() if each is not None else []
        for place, ((number, joints), result) in enumerate(
            zip(given.values(), results, strict=True)
        ):
            if result is None:
                continue
            done[number].uv[image] = result.uv
            done[number].shape_xyz[image] = result.shape_xyz
            if each is not None and joints is not None:
                each(number, image, result, velocities[place])
    return done


def _whole(hands: Sequence[HandRecording]) -> list[Smoothed]:
    """As `vitpose_ros annotate` smooths: each track with its future."""
    done = []
    for hand in hands:
        count = len(hand.stamp_ns)
        uv, shape = np.full((count, 21, 2), np.nan), np.full((count, 21, 3), np.nan)
        for track_id in set(hand.track_id.tolist()) - {NO_ID}:
            seen = np.flatnonzero(hand.track_id == track_id)
            images = range(seen[0], seen[-1] + 1)
            joints = [hand.keypoints(i) if i in seen else None for i in images]
            given = [Keypoints.absent(HAND21) if one is None else one for one in joints]
            settings = PRESETS[DEFAULT_PRESET]
            smoothed = smooth_track(HAND21, settings, hand.time_s[images], given)
            for image, one in zip(images, smoothed, strict=True):
                if one is not None:
                    uv[image], shape[image] = one.uv, one.shape_xyz
        done.append(Smoothed(uv, shape))
    return done


def _preset(name: str) -> Callable[[Sequence[HandRecording]], list[Smoothed]]:
    return lambda hands: smooth(PRESETS[name], hands)


def _published(
    name: str,
    about: str,
    make: Callable[[], Baseline],
    size_px: Callable[[Array], float],
    size_m: Callable[[Array], float] | None = None,
) -> Method:
    """A filter to compare with; one without `size_m` works in pixels alone."""

    def one(hand: HandRecording) -> Smoothed:
        uv = _filtered(hand, hand.uv, make, size_px)
        if size_m is None:
            return Smoothed(uv, np.full((len(uv), 21, 3), np.nan))
        return Smoothed(uv, _filtered(hand, hand.shape_xyz, make, size_m))

    return Method(name, about, lambda hands: [one(hand) for hand in hands], of_package=False)


def _filtered(
    hand: HandRecording,
    joints: npt.NDArray,
    make: Callable[[], Baseline],
    size: Callable[[Array], float],
) -> Array:
    """A new filter for each id; after a gap within one id, a longer step."""
    joints = joints.astype(np.float64)
    result = np.full_like(joints, np.nan)
    filters: dict[int, Baseline] = {}
    last_s: dict[int, float] = {}
    for image, time_s in enumerate(hand.time_s.tolist()):
        track_id = int(hand.track_id[image])
        if track_id == NO_ID:
            continue
        own = filters.setdefault(track_id, make())
        step_s = time_s - last_s.get(track_id, time_s)
        result[image] = own.step(joints[image], step_s, size(joints[image]))
        last_s[track_id] = time_s
    return result


def _one(joints: Array) -> float:
    return 1.0


def _palm_size(joints: Array) -> float:
    """As the package's smoother takes it."""
    return float(object_size(HAND21, joints[None])[0])


def _region_px(joints: Array) -> float:
    """Side of the region that is read in the next image."""
    region = hand_region(joints.astype(np.float32), 1.0, NO_ID)
    return palm_length(joints) if region is None else region.width


def _px_per_m(joints: Array) -> float:
    """As if the palm lay across the view."""
    return max(palm_length(joints), 1.0) / _PALM_M
