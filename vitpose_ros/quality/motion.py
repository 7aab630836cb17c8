"""Jumps, changes of side and of identity, bone lengths: what no real hand does."""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass

import numpy as np

from vitpose_ros.layouts import HAND21
from vitpose_ros.quality.hands import ENOUGH, Array, Hands, Images, Indices, Mask
from vitpose_ros.track.assign import HAND_FARTHEST, HAND_REACH, HAND_SPEED
from vitpose_ros.types import NO_ID, Side

HAND_LIMIT = 30.0
"""Palms/s, about 3 m/s: a whole hand that is faster between two images has jumped."""

METRES_LIMIT = 3.0
"""m/s, likewise, where metres are known."""

JOINT_LIMIT, JOINT_LIMIT_S = 0.6, 0.1
"""Palms by which a joint moves from one image to the next, at most JOINT_LIMIT_S later, against all
joints that it is connected to. A real hand reached 0.45 (30 Hz) and 0.54 (10 Hz); see smooth.gate.
"""

LONGEST_S = 0.5
"""Longest time between two images of a hand that are compared."""

SAME_HAND_S = 1.0
"""A track that begins so soon after another ended, and near it, is the same hand."""

_BONES = np.array(HAND21.edges, np.intp)


@dataclass(frozen=True)
class Steps:
    """The motion of tracks between consecutive images in which they are measured.

    Attributes
    ----------
    before, after : (M,) rows of Hands.
    dt_s : (M,) time between them.
    speed : (M,) of the whole hand (median over joints), palms/s; NaN if unknown.
    speed_m : (M,) likewise in m/s.
    apart : (M,) largest motion of a joint against all joints that it is connected to, palms; NaN
        where too much time lies between.
    joint : (M,) which joint that is.
    """

    before: Indices
    after: Indices
    dt_s: Array
    speed: Array
    speed_m: Array
    apart: Array
    joint: Indices

    @property
    def jumped(self) -> Mask:
        """(M,) whether no hand moves like this."""
        with np.errstate(invalid="ignore"):
            return np.asarray(
                (self.speed > HAND_LIMIT)
                | (self.speed_m > METRES_LIMIT)
                | (self.apart > JOINT_LIMIT)
            )


def steps(hands: Hands, images: Images) -> Steps:
    """The motion of every track."""
    time_s = images.time_s
    rows = np.flatnonzero(hands.measured & (hands.track != NO_ID))
    order = rows[np.lexsort((hands.image[rows], hands.track[rows]))]
    before, after = order[:-1], order[1:]
    dt_s = time_s[hands.image[after]] - time_s[hands.image[before]]
    same = (hands.track[before] == hands.track[after]) & (dt_s > 0) & (dt_s <= LONGEST_S)
    # Ids do not continue over a restart, and stamps on both sides of it are not of one clock.
    restarts = np.cumsum(images.reset)
    same &= restarts[hands.image[before]] == restarts[hands.image[after]]
    before, after, dt_s = before[same], after[same], dt_s[same]
    palm = np.fmax(hands.palm_px[before], hands.palm_px[after])[:, None, None]
    step = (hands.raw_uv[after] - hands.raw_uv[before]) / palm
    apart, joint = _apart(step)
    apart[dt_s > JOINT_LIMIT_S] = np.nan
    metres = hands.raw_xyz[after] - hands.raw_xyz[before]
    return Steps(
        before, after, dt_s, _common(step) / dt_s, _common(metres) / dt_s, apart, joint
    )


def _common(step: Array) -> Array:
    """(M,) length of the motion that joints have in common; NaN if fewer than ENOUGH are known."""
    few = np.isfinite(step[..., 0]).sum(axis=1) < ENOUGH
    step = np.where(few[:, None, None], 0.0, step)
    common = np.linalg.norm(np.nanmedian(step, axis=1), axis=-1) if len(step) else np.empty(0)
    return np.where(few, np.nan, common)


def _apart(step: Array) -> tuple[Array, Indices]:
    nearest = np.full(step.shape[:2], np.nan)
    for a, b in _BONES:
        away = np.linalg.norm(step[:, a] - step[:, b], axis=-1)
        for joint in (a, b):
            nearest[:, joint] = np.fmin(nearest[:, joint], away)
    filled = np.where(np.isnan(nearest), -1.0, nearest)
    joint = np.argmax(filled, axis=1) if len(filled) else np.empty(0, np.intp)
    worst = filled[np.arange(len(filled)), joint]
    return np.where(worst < 0, np.nan, worst), joint


@dataclass(frozen=True)
class Change:
    """A hand that got another side or another identity.

    Attributes
    ----------
    image : index of the image from which on it is another.
    track, side : before.
    new_track, new_side : since then.
    """

    image: int
    track: int
    side: Side
    new_track: int
    new_side: Side


def changes(hands: Hands, images: Images) -> tuple[list[Change], list[Change]]:
    """Changes of side, and changes of identity alone, in the order of the images.

    A hand keeps its identity within a track. Beyond that, a track that begins within SAME_HAND_S
    after another one was last measured, where the same hand can be, continues it.
    """
    rows = hands.pick(hands.measured & (hands.track != NO_ID))
    sides: list[Change] = []
    ids: list[Change] = []
    tracks = _by_track(rows)
    for own in tracks:
        told = own[rows.side[own] != Side.UNKNOWN]
        for a, b in itertools.pairwise(told):
            if rows.side[a] != rows.side[b]:
                sides.append(_change(rows, int(a), int(b)))
    for a, b in _continued(rows, images, tracks):
        change = _change(rows, a, b)
        known = Side.UNKNOWN not in (change.side, change.new_side)
        (sides if known and change.side != change.new_side else ids).append(change)
    return sorted(sides, key=_when), sorted(ids, key=_when)


def _when(change: Change) -> int:
    return change.image


def _by_track(rows: Hands) -> list[Indices]:
    """The rows of each track, in the order of the images."""
    order = np.argsort(rows.track, kind="stable")
    starts = np.flatnonzero(np.diff(rows.track[order])) + 1
    return np.split(order, starts) if len(rows) else []


def _change(rows: Hands, a: int, b: int) -> Change:
    return Change(
        int(rows.image[b]),
        int(rows.track[a]),
        Side(int(rows.side[a])),
        int(rows.track[b]),
        Side(int(rows.side[b])),
    )


def _continued(rows: Hands, images: Images, tracks: list[Indices]) -> list[tuple[int, int]]:
    """(last row, first row) of tracks that are one hand, the nearest in time first."""
    time_s, restarts = images.time_s, np.cumsum(images.reset)
    pairs = []
    begins = sorted(int(own[0]) for own in tracks)
    for own in tracks:
        last = int(own[-1])
        # Rows are in the order of their images.
        next_image = int(np.searchsorted(rows.image, rows.image[last], side="right"))
        for number in range(bisect.bisect_left(begins, next_image), len(begins)):
            first = begins[number]
            dt_s = float(time_s[rows.image[first]] - time_s[rows.image[last]])
            if dt_s > SAME_HAND_S:
                break
            if restarts[rows.image[first]] != restarts[rows.image[last]]:
                break
            palm = float(np.fmax(rows.palm_px[first], rows.palm_px[last]))
            away = np.linalg.norm(rows.raw_uv[first] - rows.raw_uv[last], axis=-1)
            known = away[np.isfinite(away)]
            reach = min(HAND_REACH + HAND_SPEED * dt_s, HAND_FARTHEST) * palm
            if known.size and np.median(known) <= reach:
                pairs.append((dt_s, last, first))
    continued: set[int] = set()
    continuing: set[int] = set()
    result = []
    for _, last, first in sorted(pairs):
        if last not in continued and first not in continuing:
            continued.add(last)
            continuing.add(first)
            result.append((last, first))
    return result


@dataclass(frozen=True)
class Bones:
    """How much bone lengths vary in 3D.

    Attributes
    ----------
    spread : median over bones of the robust coefficient of variation: 1.4826 times the median
        absolute deviation over the median.
    worst, worst_spread : the bone that varies most, as "joint-joint".
    metres : from joints in metres; otherwise from the network's own shape.
    hands : number of hand images.
    """

    spread: float
    worst: str
    worst_spread: float
    metres: bool
    hands: int


MIN_LENGTHS = 10
"""Fewer lengths of a bone have no spread."""


def bones(hands: Hands) -> Bones | None:
    """The spread of bone lengths, track by track, of raw joints: smoothing may hold bones fixed.

    Metres are used where at least half of the hands have them, else the network's shape. None where
    neither is known.
    """
    rows = hands.pick(hands.measured)
    for metres, points in ((True, rows.raw_xyz), (False, rows.raw_shape)):
        known = np.isfinite(points[..., 0]).sum(axis=1) >= ENOUGH
        if len(rows) == 0 or known.mean() < 0.5:
            continue
        spreads, weights = [], []
        for own in _by_track(rows.pick(known)):
            spreads.append(_spread(points[known][own]))
            weights.append(len(own))
        each = _weighted(np.array(spreads), np.array(weights, float))
        if np.isnan(each).all():
            continue
        worst = int(np.nanargmax(each))
        names = [HAND21.joints[joint] for joint in _BONES[worst]]
        return Bones(
            spread=float(np.nanmedian(each)),
            worst="-".join(names),
            worst_spread=float(each[worst]),
            metres=metres,
            hands=int(known.sum()),
        )
    return None


def _spread(points: Array) -> Array:
    """(B,) robust coefficient of variation of each bone; NaN for fewer than MIN_LENGTHS."""
    length = np.linalg.norm(points[:, _BONES[:, 0]] - points[:, _BONES[:, 1]], axis=-1)
    result = np.full(len(_BONES), np.nan)
    enough = np.isfinite(length).sum(axis=0) >= MIN_LENGTHS
    if enough.any():
        middle = np.nanmedian(length[:, enough], axis=0)
        deviation = np.nanmedian(np.abs(length[:, enough] - middle), axis=0)
        result[enough] = 1.4826 * deviation / np.where(middle > 0, middle, np.nan)
    return result


def _weighted(values: Array, weights: Array) -> Array:
    """(B,) mean over tracks, weighted by their images; NaN for a bone that none knows."""
    known = np.isfinite(values)
    share = np.where(known, weights[:, None], 0.0)
    total = share.sum(axis=0)
    sums = (np.where(known, values, 0.0) * share).sum(axis=0)
    return np.where(total > 0, sums / np.maximum(total, 1e-9), np.nan)
