"""The figures of one episode, as they stand in quality.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitpose_ros.layouts import HAND21
from vitpose_ros.quality import coverage, motion
from vitpose_ros.quality.coverage import Absence
from vitpose_ros.quality.hands import Array, Hands, Images
from vitpose_ros.quality.motion import HAND_LIMIT, JOINT_LIMIT, METRES_LIMIT, Change, Steps
from vitpose_ros.quality.thresholds import SIDES
from vitpose_ros.types import Side

BLURRED = 0.6
"""A hand's image with more blur than this is blurred. See docs/quality.md."""

LISTED = 100
"""Events of one kind that are listed; all are counted."""

BINS = 200
"""Values of a curve: each is the worst of its stretch of time."""


@dataclass(frozen=True)
class Looked:
    """What the images of the recording add, for each row of Hands.

    Attributes
    ----------
    blur : (N,) see `blur.hand_blur`; NaN where it cannot be told.
    reprojection_px : (N,) median over joints; NaN where metres or the camera are not known.
    """

    blur: Array
    reprojection_px: Array


@dataclass(frozen=True)
class Moment:
    """An image worth looking at.

    Attributes
    ----------
    image : its index.
    kind, text : what happens there.
    """

    image: int
    kind: str
    text: str


def measure(images: Images, hands: Hands, looked: Looked | None) -> dict[str, Any]:
    """All figures. Unknown ones are None.

    Parameters
    ----------
    images, hands : of the episode.
    looked : None where the recording could not be read.
    """
    timing = coverage.timing(images)
    moved = motion.steps(hands, images)
    sides, ids = motion.changes(hands, images)
    bones = motion.bones(hands)
    events = _jumps(hands, images, moved)
    return {
        "images": len(images),
        "hand_images": int(hands.measured.sum()),
        "duration_s": _number(timing.duration_s),
        "hands": {name: _hand(hands, name, images) for name in SIDES},
        "jumps": _events(events, timing.duration_s),
        "fastest": _fastest(hands, images, moved),
        "outliers": _outliers(hands),
        "side_changes": _events(_changes(sides, images), timing.duration_s),
        "id_changes": _events(_changes(ids, images), timing.duration_s),
        "bones": None
        if bones is None
        else {
            "spread": _number(bones.spread),
            "worst": bones.worst,
            "worst_spread": _number(bones.worst_spread),
            "space": "metres" if bones.metres else "shape",
            "hands": bones.hands,
        },
        "reprojection": None if looked is None else _reprojection(hands, looked),
        "blur": None if looked is None else _blur(hands, images, looked),
        "timing": {
            "rate_hz": _number(timing.rate_hz),
            "lost_images": timing.lost_images,
            "lost_share": _number(timing.lost_share),
            "longest_gap_s": _number(timing.longest_gap_s),
            "longest_gap_at_s": _number(timing.longest_gap_at_s),
            "restarts": timing.restarts,
        },
        "curves": _curves(hands, images, moved, looked),
    }


def moments(images: Images, hands: Hands) -> list[Moment]:
    """The images that show best what is wrong, then one in the middle of what is measured; none
    for an episode without images.
    """
    if not len(images):
        return []
    found: list[Moment] = []
    gaps = [
        (gap.duration_s, name, gap)
        for name in SIDES
        for gap in coverage.seen(hands, Side[name.upper()], images).dropouts
    ]
    if gaps:
        length_s, name, gap = max(gaps, key=lambda one: one[0])
        text = f"longest dropout: {name} hand, {length_s:.2f} s"
        found.append(Moment((gap.first + gap.end) // 2, "dropout", text))
    moved = motion.steps(hands, images)
    if moved.jumped.any():
        worst = int(np.nanargmax(np.where(moved.jumped, _excess(moved), np.nan)))
        found.append(Moment(int(hands.image[moved.after[worst]]), "jump", "largest jump"))
    sides, _ = motion.changes(hands, images)
    if sides:
        text = f"{sides[0].side.name.lower()} becomes {sides[0].new_side.name.lower()}"
        found.append(Moment(sides[0].image, "side", text))
    there = np.unique(hands.image[hands.measured])
    middle = int(there[len(there) // 2]) if there.size else len(images) // 2
    found.append(Moment(middle, "middle", "middle of the episode"))
    return found


def _hand(hands: Hands, name: str, images: Images) -> dict[str, Any]:
    side = Side[name.upper()]
    seen = coverage.seen(hands, side, images)
    return {
        "coverage": _number(seen.coverage),
        "predicted": _number(seen.predicted),
        "missing": _number(seen.missing),
        "first_s": _number(seen.first_s),
        "last_s": _number(seen.last_s),
        "dropouts": _absences(seen.dropouts),
        "out_of_view": _absences(seen.away),
        "timeline": [
            [state, round(start_s, 3), round(end_s, 3)]
            for state, start_s, end_s in coverage.timeline(
                coverage.states(hands, side, len(images)), images.time_s
            )
        ],
    }


def _absences(found: Sequence[Absence]) -> dict[str, Any]:
    longest = max(found, key=lambda one: one.duration_s, default=None)
    return {
        "count": len(found),
        "total_s": _number(sum(one.duration_s for one in found)),
        "longest_s": _number(0.0 if longest is None else longest.duration_s),
        "longest_at_s": None if longest is None else _number(longest.start_s),
    }


def _events(listed: list[dict[str, Any]], duration_s: float) -> dict[str, Any]:
    """Episodes shorter than a minute count as a minute: one event in 5 s is not twelve."""
    return {
        "count": len(listed),
        "per_min": _number(len(listed) * 60.0 / max(duration_s, 60.0)),
        "listed": listed[:LISTED],
    }


def _excess(moved: Steps) -> Array:
    """(M,) largest of the motions over their limits."""
    return np.fmax(
        np.fmax(moved.speed / HAND_LIMIT, moved.speed_m / METRES_LIMIT), moved.apart / JOINT_LIMIT
    )


def _jumps(hands: Hands, images: Images, moved: Steps) -> list[dict[str, Any]]:
    time_s = images.time_s
    listed = []
    for index in np.flatnonzero(moved.jumped):
        row = moved.after[index]
        joint = None
        if moved.speed[index] > HAND_LIMIT:
            kind, value, unit = "hand", moved.speed[index], "palms/s"
        elif moved.speed_m[index] > METRES_LIMIT:
            kind, value, unit = "metres", moved.speed_m[index], "m/s"
        else:
            kind, value, unit = "joint", moved.apart[index], "palms"
            joint = HAND21.joints[moved.joint[index]]
        listed.append(
            {
                "at_s": _number(time_s[hands.image[row]]),
                "stamp_ns": int(images.stamp_ns[hands.image[row]]),
                "hand": Side(int(hands.side[row])).name.lower(),
                "track_id": int(hands.track[row]),
                "kind": kind,
                "joint": joint,
                "value": _number(value),
                "unit": unit,
            }
        )
    return sorted(listed, key=lambda one: one["stamp_ns"])


def _fastest(hands: Hands, images: Images, moved: Steps) -> dict[str, Any]:
    def most(values: Array) -> float | None:
        return float(np.nanmax(values)) if np.isfinite(values).any() else None

    return {"palms_s": _number(most(moved.speed)), "m_s": _number(most(moved.speed_m))}


def _outliers(hands: Hands) -> dict[str, Any]:
    rejected = int(hands.rejected.sum())
    joints = rejected + int(np.isfinite(hands.raw_uv[..., 0]).sum())
    return {
        "joints": rejected,
        "of": joints,
        "share": _number(rejected / joints) if joints else None,
    }


def _changes(found: Sequence[Change], images: Images) -> list[dict[str, Any]]:
    time_s = images.time_s
    return [
        {
            "at_s": _number(time_s[one.image]),
            "stamp_ns": int(images.stamp_ns[one.image]),
            "from": {"hand": one.side.name.lower(), "track_id": one.track},
            "to": {"hand": one.new_side.name.lower(), "track_id": one.new_track},
        }
        for one in found
    ]


def _reprojection(hands: Hands, looked: Looked) -> dict[str, Any] | None:
    known = np.isfinite(looked.reprojection_px)
    if not known.any():
        return None
    px = looked.reprojection_px[known]
    return {
        "px": _number(np.median(px)),
        "palms": _number(_median(px / hands.palm_px[known])),
        "hands": int(known.sum()),
    }


def _median(values: Array) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def _blur(hands: Hands, images: Images, looked: Looked) -> dict[str, Any] | None:
    known = np.isfinite(looked.blur)
    if not known.any():
        return None
    worst = int(np.nanargmax(looked.blur))
    return {
        "median": _number(np.median(looked.blur[known])),
        "share": _number(np.mean(looked.blur[known] > BLURRED)),
        "worst": _number(looked.blur[worst]),
        "worst_at_s": _number(images.time_s[hands.image[worst]]),
        "hands": int(known.sum()),
    }


def _curves(
    hands: Hands, images: Images, moved: Steps, looked: Looked | None
) -> dict[str, list[list[float]]]:
    """(time, worst value) of each stretch of time that has one."""
    time_s = images.time_s
    curves = {
        "speed_palms_s": _curve(time_s, hands.image[moved.after], moved.speed),
        "speed_m_s": _curve(time_s, hands.image[moved.after], moved.speed_m),
    }
    if looked is not None:
        curves["blur"] = _curve(time_s, hands.image, looked.blur)
    return curves


def _curve(time_s: Array, image: np.ndarray, values: Array) -> list[list[float]]:
    known = np.isfinite(values)
    if not known.any():
        return []
    image, values = image[known], values[known]
    span = max(len(time_s) / BINS, 1.0)
    bins = (image / span).astype(int)
    worst: dict[int, tuple[float, int]] = {}
    for place, value, index in zip(bins.tolist(), values.tolist(), image.tolist(), strict=True):
        if place not in worst or value > worst[place][0]:
            worst[place] = (value, index)
    return [
        [round(float(time_s[index]), 3), round(value, 3)]
        for _, (value, index) in sorted(worst.items())
    ]


def _number(value: float | np.floating[Any] | None) -> float | None:
    """For JSON: rounded, and None where it is not known."""
    return None if value is None or not np.isfinite(value) else round(float(value), 6)
