"""From heatmaps and part affinity fields to persons.

The rules are those of lightweight OpenPose (Osokin, 2018): peaks of the enlarged heatmaps; for each
limb, every pair of peaks is scored by ten samples of the field along it; the best pairs that share
no peak are kept; persons grow from limb to limb. The time hardly depends on the number of persons.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.keypoints.paf.fields import Fields
from vitpose_ros.types import FloatArray

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

ENLARGED = 4
"""The maps are enlarged by this before peaks are looked for: joints lie between their pixels."""

MIN_PEAK = 0.1
"""The lowest heatmap value of a joint."""

MIN_APART = 6.0
"""Of peaks of one joint that are nearer to one another, one is kept; enlarged px."""

MIN_AFFINITY = 0.05
"""A sample of the field along a limb supports it above this."""

MIN_SUPPORT = 0.8
"""More than this share of the samples must support a limb."""

MIN_JOINTS, MIN_MEAN = 3, 0.2
"""A person has at least so many joints, and this mean of joint and limb scores per joint."""

_SAMPLES = 10


@dataclass(frozen=True)
class Peaks:
    """The peaks of all heatmaps, joint after joint.

    Attributes
    ----------
    xy : (N, 2) int, enlarged px.
    score : (N,) heatmap value.
    first : (K + 1,) peaks first[j] to first[j + 1] are those of joint j.
    """

    xy: Indices
    score: FloatArray
    first: Indices

    def of(self, joint: int) -> Indices:
        """The numbers of a joint's peaks."""
        return np.arange(self.first[joint], self.first[joint + 1])


def decode(maps: FloatArray, fields: Fields) -> tuple[Array, FloatArray]:
    """The persons in the maps of one image.

    Parameters
    ----------
    maps : (h, w, maps) as the network gives them.
    fields : what they are.

    Returns
    -------
    (P, K, 2) joints in px of the maps, by the position of pixel centres, NaN where a person has
    none; and (P, K) their heatmap values, 0 where there is none.
    """
    joints = len(fields.layout)
    peaks = find_peaks(_enlarged(maps[..., :joints]))
    persons = assemble(peaks, _enlarged(maps[..., fields.heatmaps :]), fields)
    xy = np.full((len(persons), joints, 2), np.nan)
    score = np.zeros((len(persons), joints), np.float32)
    known = persons >= 0
    xy[known] = (peaks.xy[persons[known]] + 0.5) / ENLARGED - 0.5
    score[known] = peaks.score[persons[known]]
    return xy, score


def _enlarged(maps: FloatArray) -> FloatArray:
    size = maps.shape[1] * ENLARGED, maps.shape[0] * ENLARGED
    return np.asarray(
        cv2.resize(np.ascontiguousarray(maps), size, interpolation=cv2.INTER_CUBIC), np.float32
    )


def find_peaks(heat: FloatArray) -> Peaks:
    """Pixels not below their four neighbours and at least MIN_PEAK; of those nearer than MIN_APART
    to one another, the leftmost.

    Parameters
    ----------
    heat : (H, W, K) enlarged heatmaps.
    """
    height, width, joints = heat.shape
    y, x, joint = np.nonzero(heat >= MIN_PEAK)  # NaN compares false
    value = heat[y, x, joint]
    above = np.ones(len(value), bool)
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        u, v = x + dx, y + dy
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        other = heat[v[inside], u[inside], joint[inside]]
        # Of two equal pixels side by side, the first is the peak.
        above[inside] &= ~(value[inside] <= other) if dx + dy < 0 else ~(value[inside] < other)
    x, y, joint = x[above], y[above], joint[above]
    order = np.lexsort((y, x, joint))
    xy, joint = np.stack([x, y], axis=1)[order], joint[order]
    kept = _apart(xy, joint)
    xy, joint = xy[kept], joint[kept]
    first = np.searchsorted(joint, np.arange(joints + 1))
    return Peaks(xy, heat[xy[:, 1], xy[:, 0], joint], first)


def _apart(xy: Indices, joint: Indices) -> npt.NDArray[np.bool_]:
    """Which peaks, in order, are not too near to an earlier one of the same joint that is kept."""
    near = np.square(xy[:, None] - xy[None]).sum(axis=2) < MIN_APART**2
    near &= joint[:, None] == joint[None]
    kept = np.ones(len(xy), bool)
    for i in np.flatnonzero(np.triu(near, 1).any(axis=0)):
        kept[i] = not (near[:i, i] & kept[:i]).any()
    return kept


def assemble(peaks: Peaks, affinity: FloatArray, fields: Fields) -> Indices:
    """Put peaks together to persons.

    Parameters
    ----------
    affinity : (H, W, 2 limbs) enlarged fields.

    Returns
    -------
    (P, K) numbers of peaks, -1 where a person lacks the joint.
    """
    scored = _score_limbs(peaks, affinity, fields)
    entries: list[list[int]] = []
    totals: list[float] = []
    counts: list[int] = []
    tails = len(fields.limbs) - fields.tails
    for number, (a, b) in enumerate(fields.limbs):
        for start, end, strength in scored[number]:
            if number >= tails:
                for entry in entries:
                    if entry[a] == start and entry[b] == -1:
                        entry[b] = end
                    elif entry[b] == end and entry[a] == -1:
                        entry[a] = start
                continue
            owners = [i for i, entry in enumerate(entries) if entry[a] == start]
            for i in owners:
                entries[i][b] = end
                counts[i] += 1
                totals[i] += float(peaks.score[end]) + strength
            if not owners:
                entry = [-1] * len(fields.layout)
                entry[a], entry[b] = start, end
                entries.append(entry)
                counts.append(2)
                totals.append(float(peaks.score[start] + peaks.score[end]) + strength)
    kept = [
        entry
        for entry, total, count in zip(entries, totals, counts, strict=True)
        if count >= MIN_JOINTS and total / count >= MIN_MEAN
    ]
    return np.array(kept, np.intp).reshape(-1, len(fields.layout))


def _score_limbs(
    peaks: Peaks, affinity: FloatArray, fields: Fields
) -> list[list[tuple[int, int, float]]]:
    """For each limb, the pairs of peaks that it joins, with their scores, best first."""
    pairs = [np.meshgrid(peaks.of(a), peaks.of(b)) for a, b in fields.limbs]
    start = np.concatenate([each[0].ravel() for each in pairs])
    end = np.concatenate([each[1].ravel() for each in pairs])
    limb = np.repeat(np.arange(len(pairs)), [each[0].size for each in pairs])
    limbs: list[list[tuple[int, int, float]]] = [[] for _ in pairs]
    if not len(start):
        return limbs
    origin = peaks.xy[start].astype(np.float32)
    along = peaks.xy[end].astype(np.float32) - origin
    samples = np.arange(_SAMPLES, dtype=np.float32)[None, :, None]
    points = along[:, None] * np.float32(1 / (_SAMPLES - 1)) * samples + origin[:, None]
    x, y = np.moveaxis(points.round().astype(np.intp), 2, 0)
    channel = np.array(fields.channels)[limb][:, None]
    direction = along / (np.linalg.norm(along, axis=1, keepdims=True) + np.float32(1e-6))
    strength = (
        affinity[y, x, channel] * direction[:, :1] + affinity[y, x, channel + 1] * direction[:, 1:]
    )
    supports = strength > MIN_AFFINITY
    support = supports.sum(axis=1)
    mean = (strength * supports).sum(axis=1) / (support + 1e-6)
    sound = np.flatnonzero((mean > 0) & (support > MIN_SUPPORT * _SAMPLES))
    taken: set[tuple[int, int]] = set()
    for i in sound[np.argsort(-mean[sound], kind="stable")]:
        # The same peak can end limbs of several kinds, but only one of each.
        ends = (int(limb[i]), int(start[i])), (-1 - int(limb[i]), int(end[i]))
        if taken.isdisjoint(ends):
            taken.update(ends)
            limbs[limb[i]].append((int(start[i]), int(end[i]), float(mean[i])))
    return limbs
