"""The identity of bodies from image to image, and when the person detector runs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from vitpose_ros.assignment import assign
from vitpose_ros.geometry import iou, unrotated_box
from vitpose_ros.layouts import Layout
from vitpose_ros.measurements import BodyMeasurement, FramePlan
from vitpose_ros.oks import pair_oks
from vitpose_ros.settings import PersonSettings
from vitpose_ros.track.assign import body_costs
from vitpose_ros.track.tracks import Reading, Tracks, as_lost
from vitpose_ros.track.views import SAME_TRUNK
from vitpose_ros.types import Instance, Region

SEARCH_INTERVAL = 3
"""While a tracked body is not seen, the detector runs at least in every third image."""

STRAY_OKS = 0.4
"""See `_without_strays`."""

JOINT_SCORE = 0.3
"""Joints with a lower score are ignored when bodies are compared."""

CHECK_INTERVAL, UNSURE_INTERVAL = 30, 10
"""Bodies are read again at least in every CHECK_INTERVAL-th image; while further readings have not
confirmed one of them, in every UNSURE_INTERVAL-th.
"""

FAILED_CHECKS = 2
"""A confirmed body is no longer a person when this many checks in a row deny it."""

_DETAIL = re.compile(r"face_|(left|right)_hand_")


class BodyTracks:
    """Bodies of one camera from image to image.

    Parameters
    ----------
    ids : where the ids of new tracks come from.
    layout : of the bodies.
    """

    def __init__(self, ids: Iterator[int], layout: Layout) -> None:
        self._tracks = Tracks(ids)
        self._last: dict[int, Instance] = {}
        # The many points of face and hands tell bodies apart no better than the body's own few.
        self._compared = [i for i, name in enumerate(layout.joints) if not _DETAIL.match(name)]
        self._sigmas = [layout.sigmas[i] for i in self._compared]
        self.reset()

    def reset(self) -> None:
        """Drop all tracks."""
        self._tracks.clear()
        self._since_detection = 0
        self._since_check = CHECK_INTERVAL
        self._denied: dict[int, int] = {}  # checks since a confirmed body was last confirmed

    def crops(self, stamp_ns: int, most: int) -> tuple[list[Region], frozenset[int]]:
        """Where to look at a time, and which of these tracks are lost; see `Tracks.regions`."""
        return self._tracks.regions(stamp_ns, most), self._tracks.lost_ids

    def detect_below(self, settings: PersonSettings) -> int:
        """The person detector runs in the next image when fewer bodies than this are measured."""
        waited = self._since_detection + 1
        if waited >= settings.detect_interval:
            return settings.max_persons
        if waited >= SEARCH_INTERVAL:  # somebody may be hidden, and come out again
            return min(max(len(self._tracks.all), 1), settings.max_persons)
        return 1

    def check_is_due(self) -> bool:
        """Whether to read all bodies of the next image again, to find out which are persons."""
        sure = all(self.is_person(track.track_id) for track in self._tracks.live)
        return self._since_check + 1 >= (CHECK_INTERVAL if sure else UNSURE_INTERVAL)

    def is_person(self, body_id: int) -> bool:
        """Whether further readings of this body confirmed it: networks also find bodies in arms."""
        return self._denied.get(body_id, FAILED_CHECKS) < FAILED_CHECKS

    def associate(
        self,
        stamp_ns: int,
        bodies: Sequence[BodyMeasurement],
        plan: FramePlan,
        searched: bool,
        model: str,
    ) -> list[Instance]:
        """Give each body of an image its identity.

        Parameters
        ----------
        bodies : each body once.
        plan : of the image.
        searched : whether the person detector ran for it.
        model : the network's name.

        Returns
        -------
        The bodies, and the lost ones without joints where there is room, oldest tracks first.
        """
        self._since_detection = 0 if searched else self._since_detection + 1
        self._since_check = 0 if plan.check_persons else self._since_check + 1
        readings = [self._reading(body) for body in bodies]
        costs = body_costs(self._tracks.all, readings, stamp_ns, self._sigmas)
        stay = _without_strays(bodies, costs)
        pairs = assign(costs[:, stay])
        tracks, _ = self._tracks.update([readings[n] for n in stay], pairs, stamp_ns)
        for n, track in zip(stay, tracks, strict=True):
            self._judge(track.track_id, bodies[n].disagreement)
        seen = [
            Instance(
                keypoints=bodies[n].keypoints,
                score=bodies[n].score,
                model=model,
                **track.identity(stamp_ns),
            )
            for n, track in zip(stay, tracks, strict=True)
        ]
        self._last.update((body.track_id, body) for body in seen)
        ids = [track.track_id for track in self._tracks.all]
        self._last = {i: self._last[i] for i in ids}
        self._denied = {i: count for i, count in self._denied.items() if i in ids}
        lost = [
            as_lost(self._last[track.track_id], track, stamp_ns, track.identity(stamp_ns))
            for track in self._tracks.latest_lost
        ]
        room = plan.persons.max_persons - len(seen)
        return sorted((*seen, *lost[:room]), key=lambda body: body.track_id)

    def _judge(self, body_id: int, disagreement: float) -> None:
        """Note what a check says of a body; NaN, which compares false, says nothing."""
        if disagreement <= SAME_TRUNK:
            self._denied[body_id] = 0
        elif disagreement > SAME_TRUNK and body_id in self._denied:
            self._denied[body_id] += 1

    def _reading(self, body: BodyMeasurement) -> Reading:
        joints, region = body.keypoints, body.region
        assert region is not None  # measured bodies have one
        uv = joints.uv[self._compared]
        sure = joints.scored(JOINT_SCORE)[self._compared]
        return Reading(uv, sure, math.sqrt(region.width * region.height), region)


def _without_strays(bodies: Sequence[BodyMeasurement], costs: npt.NDArray[np.float64]) -> list[int]:
    """Indices of the measured bodies that do not stray, by the costs (tracks, bodies).

    When a body is about to be hidden, its crop shows more and more of the one in front. Such a
    measurement is more similar to another body, which is itself where it should be, than to what
    its own track predicts.
    """
    fits = {n: 1 - float(costs[t, n]) for t, n in assign(costs)}
    joints = [body.keypoints for body in bodies]
    boxes = [unrotated_box(body.region) for body in bodies if body.region is not None]
    areas = [box[2] * box[3] for box in boxes]

    def strays(n: int) -> bool:
        return any(
            fits[m] > fits[n]
            and iou(boxes[n], boxes[m]) > 0
            and pair_oks(joints[n], joints[m], (areas[n], areas[m]), JOINT_SCORE)
            > max(fits[n], STRAY_OKS)
            for m in fits
            if m != n
        )

    return [n for n in range(len(bodies)) if n not in fits or not strays(n)]
