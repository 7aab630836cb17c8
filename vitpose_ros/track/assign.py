"""What it costs to assign readings to tracks; `assignment.assign` then finds the lowest total.

A cost is infinite if the object cannot have moved from the track to the reading. Hands are compared
by wrist and MCP joints, because boxes of clasped hands overlap. Bodies are compared by OKS.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vitpose_ros.geometry import iou, known_median, unrotated_box
from vitpose_ros.layouts import INDEX_MCP, MIDDLE_MCP, PINKY_MCP, RING_MCP, WRIST
from vitpose_ros.track.sides import probability
from vitpose_ros.track.tracks import Reading, Track
from vitpose_ros.types import TrackState

Array = npt.NDArray[np.float64]

HAND_REACH, HAND_SPEED, HAND_FARTHEST = 1.0, 30.0, 4.0
"""A hand lies within HAND_REACH + HAND_SPEED dt palms of its predicted position, and at most
HAND_FARTHEST from it; dt is the time since it was last seen. 30 palms/s are about 3 m/s."""

HAND_LOST = 0.5
"""Extra cost of a lost hand, in palms: hands seen in the previous image take precedence."""

SIDE_WEIGHT = 0.6
"""Palms for each nat of disagreement about the side."""

SIDE_VETO = 0.2
"""A lost hand does not match a reading if the probability that their sides agree is lower."""

BODY_REACH, BODY_SPEED = 0.03, 1.0
"""Tolerance of OKS for prediction errors: object sizes, and object sizes per second since the body
was last seen."""

BODY_SIMILAR = 0.1
"""Bodies with a lower similarity do not match, 0 .. 1."""

BODY_LOST = 0.2
"""Extra cost of a lost body, as similarity: bodies seen in the previous image take precedence."""

FEW_JOINTS = 5
"""With fewer sure joints in common, the boxes of two bodies are compared, too."""

_PALM = [WRIST, INDEX_MCP, MIDDLE_MCP, RING_MCP, PINKY_MCP]
_WIDEST, _OKS_ENDS = 0.25, 4.0  # every joint's sigma is below half of that; exp(-8) is about 0


def hand_costs(
    tracks: Sequence[Track],
    readings: Sequence[Reading],
    stamp_ns: int,
    track_odds: Sequence[float],
    reading_odds: Sequence[float],
) -> Array:
    """Costs for hands, in palms: the median distance of wrist and MCP joints from their predicted
    positions, and the disagreement about the side.

    Parameters
    ----------
    tracks, readings : of hands; sizes are palm sizes.
    stamp_ns : of the readings.
    track_odds : log odds that a track is a right hand.
    reading_odds : log odds that a reading is a right hand, from this image alone; 0 if unknown.

    Returns
    -------
    (tracks, readings); infinite beyond a hand's reach, and if a lost hand's side disagrees.
    """
    if not tracks or not readings:
        return np.full((len(tracks), len(readings)), np.inf)
    places = np.stack([t.reading.uv[_PALM] + t.moved_px(stamp_ns) for t in tracks])
    found = np.stack([r.uv[_PALM] for r in readings])
    size = np.maximum(
        np.array([t.reading.size for t in tracks])[:, None],
        np.array([r.size for r in readings])[None],
    )
    apart = np.linalg.norm(places[:, None] - found[None], axis=-1)
    distance = known_median(apart) / size
    dt_s = np.array([(stamp_ns - t.seen_ns) * 1e-9 for t in tracks])
    reach = np.minimum(HAND_REACH + HAND_SPEED * dt_s, HAND_FARTHEST)[:, None]
    lost = np.array([t.state is TrackState.LOST for t in tracks])[:, None]
    right = np.array([probability(odds) for odds in track_odds])[:, None]
    looks = np.array([probability(odds) for odds in reading_odds])[None]
    agree = right * looks + (1 - right) * (1 - looks)
    costs = distance - SIDE_WEIGHT * np.log(agree) + HAND_LOST * lost
    # A distance of NaN is beyond any reach.
    return np.where((distance <= reach) & ~(lost & (agree < SIDE_VETO)), costs, np.inf)


def body_costs(
    tracks: Sequence[Track], readings: Sequence[Reading], stamp_ns: int, sigmas: Sequence[float]
) -> Array:
    """Costs for bodies: 1 - OKS, with a tolerance for prediction errors.

    Parameters
    ----------
    tracks, readings : of bodies with the same layout; sizes are the square root of the area, px.
    stamp_ns : of the readings.
    sigmas : the layout's; joints with a NaN sigma are ignored.

    Returns
    -------
    (tracks, readings); infinite if they are not similar.
    """
    costs = np.full((len(tracks), len(readings)), np.inf)
    if not costs.size:
        return costs
    size = (_of(tracks, "size")[:, None] + np.array([r.size for r in readings])) / 2
    dt_s = np.array([(stamp_ns - t.seen_ns) * 1e-9 for t in tracks])
    reach = BODY_REACH + BODY_SPEED * dt_s
    moved = np.stack([t.moved_px(stamp_ns) for t in tracks])
    middles = np.array([(t.region.cx, t.region.cy) for t in tracks]) + moved
    found = np.array([(r.region.cx, r.region.cy) for r in readings])
    apart = np.hypot(*(middles[:, None] - found[None]).transpose(2, 0, 1))
    near = apart <= size * (_OKS_ENDS * (_WIDEST + reach) + 1)[:, None]
    rows, columns = np.nonzero(near)  # skips distant pairs, which are most pairs in a crowd
    if not len(rows):
        return costs
    sigma = np.asarray(sigmas, np.float64)
    uv = np.stack([t.reading.uv for t in tracks]) + moved[:, None]
    step = uv[rows] - np.stack([r.uv for r in readings])[columns]
    both = np.stack([t.reading.sure for t in tracks])[rows] & np.isfinite(sigma)
    both &= np.stack([r.sure for r in readings])[columns]
    spread = 2 * ((2 * sigma) ** 2 + reach[rows, None] ** 2) * size[rows, columns, None] ** 2
    with np.errstate(invalid="ignore"):
        alike = np.exp(-(step[..., 0] ** 2 + step[..., 1] ** 2) / spread)
    common = both.sum(axis=1)
    similarity = np.where(both, alike, 0.0).sum(axis=1) / np.maximum(common, 1)
    for n in np.flatnonzero(common < FEW_JOINTS).tolist():
        box = unrotated_box(tracks[rows[n]].region_at(stamp_ns))
        overlap = iou(box, unrotated_box(readings[columns[n]].region))
        similarity[n] = (similarity[n] * common[n] + overlap) / (common[n] + 1)
    lost = np.array([t.state is TrackState.LOST for t in tracks])[rows]
    costs[rows, columns] = np.where(
        similarity >= BODY_SIMILAR, 1 - similarity + BODY_LOST * lost, np.inf
    )
    return costs


def _of(tracks: Sequence[Track], name: str) -> Array:
    """(T,) a field of each track's last reading."""
    return np.array([getattr(track.reading, name) for track in tracks], np.float64)
