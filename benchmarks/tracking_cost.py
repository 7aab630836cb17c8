"""The cost of tracking and smoothing ten persons with 133 joints each, in ms of one core.

Ten whole bodies cross each other's paths at 30 Hz, with noise on every joint; at times a hand is
hidden or a body is not found. Tracking comprises costs, assignment, and the update of tracks and
regions. Smoothing is the preset `balanced`, with pixels only and with depth. CPU time of the thread
is counted, so that other load on the machine does not matter.

JSON: {tracking_ms, smoothing_ms, total_ms, smoothing_with_depth_ms}, medians per image.
Target: total_ms below 1.
"""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import numpy.typing as npt
from common import machine, parser, report, write_json

from vitpose_ros.assignment import assign
from vitpose_ros.detect.bodies import body_region
from vitpose_ros.layouts import COCO_WHOLEBODY133, FACE_START, LEFT_HAND_START, RIGHT_HAND_START
from vitpose_ros.smooth.settings import preset
from vitpose_ros.smooth.smoother import Smoother
from vitpose_ros.track.assign import body_costs
from vitpose_ros.track.tracks import Reading, Tracks
from vitpose_ros.types import JointState, Keypoints, ZSource

PERSONS, IMAGES, WARM_UP = 10, 400, 30
LAYOUT = COCO_WHOLEBODY133
STEP_NS = 33_333_333
_DEPTH_M, _FOCAL_PX = 3.0, 800.0


def person_px() -> npt.NDArray[np.float64]:
    """Return (133, 2) joints of a standing person, 400 px tall, with the mid-hip at the origin."""
    points = np.empty((len(LAYOUT), 2))
    points[:17] = [
        *((0, -200), (6, -206), (-6, -206), (14, -203), (-14, -203)),
        *((38, -150), (-38, -150), (52, -90), (-52, -90), (58, -35), (-58, -35)),
        *((22, 0), (-22, 0), (24, 95), (-24, 95), (25, 185), (-25, 185)),
    ]
    points[17:FACE_START] = [(34, 200), (40, 198), (22, 194), (-34, 200), (-40, 198), (-22, 194)]
    turn = np.linspace(0, 2 * math.pi, LEFT_HAND_START - FACE_START)
    points[FACE_START:LEFT_HAND_START] = np.c_[16 * np.cos(turn), -200 + 22 * np.sin(turn)]
    hand = np.c_[np.tile(np.linspace(-8, 8, 3), 7), np.repeat(np.linspace(0, 30, 7), 3)]
    points[LEFT_HAND_START:RIGHT_HAND_START] = hand + points[9]
    points[RIGHT_HAND_START:] = hand + points[10]
    return points


def persons(image: int, rng: np.random.Generator, depth: bool) -> list[Keypoints]:
    """Return the persons found in an image, in random order."""
    time_s, shape = image * STEP_NS * 1e-9, person_px()
    found = []
    for number in rng.permutation(PERSONS):
        if rng.random() < 0.03:
            continue
        x = 960 + 700 * math.sin(0.4 * time_s + 2 * math.pi * number / PERSONS)
        uv = shape * (0.8 + 0.04 * number) + (x, 500 + 8 * number)
        uv = (uv + rng.normal(0.0, 1.5, uv.shape)).astype(np.float32)
        score = rng.uniform(0.4, 0.95, len(LAYOUT)).astype(np.float32)
        state = np.full(len(LAYOUT), JointState.VISIBLE, np.uint8)
        xyz = np.full((len(LAYOUT), 3), np.nan, np.float32)
        if depth:
            xyz = np.c_[(uv - (960, 540)) * (_DEPTH_M / _FOCAL_PX), np.full(len(uv), _DEPTH_M)]
        if (image // 5 + number) % 6 == 0:
            hidden = slice(LEFT_HAND_START, RIGHT_HAND_START)
            uv[hidden] = xyz[hidden] = np.nan
            score[hidden], state[hidden] = 0.0, JointState.ABSENT
        source = np.where(np.isnan(xyz[:, 0]), ZSource.NONE, ZSource.MEASURED).astype(np.uint8)
        found.append(Keypoints(LAYOUT, uv, score, state, xyz.astype(np.float32), source))
    return found


def reading(joints: Keypoints) -> Reading:
    """Return the tracker's input for a body."""
    sure = joints.score >= 0.5
    region = body_region(joints)
    if region is None:
        raise RuntimeError("a rendered person has no region")
    return Reading(joints.uv, sure, math.sqrt(region.width * region.height), region)


def measure(depth: bool) -> tuple[float, float]:
    """Return the median ms per image of tracking, and of smoothing."""
    rng = np.random.default_rng(0)
    tracks, smoother = Tracks(itertools.count()), Smoother(LAYOUT, preset("balanced"))
    tracking, smoothing = [], []
    for image in range(IMAGES):
        stamp_ns = image * STEP_NS
        found = persons(image, rng, depth)
        readings = [reading(joints) for joints in found]
        start = time.thread_time()
        pairs = assign(body_costs(tracks.all, readings, stamp_ns, LAYOUT.sigmas))
        now, _ = tracks.update(readings, pairs, stamp_ns)
        tracked = time.thread_time()
        seen = {track.track_id: joints for track, joints in zip(now, found, strict=True)}
        smoother(stamp_ns, [(track.track_id, seen.get(track.track_id)) for track in tracks.all])
        done = time.thread_time()
        if image >= WARM_UP:
            tracking.append(tracked - start)
            smoothing.append(done - tracked)
    return 1e3 * float(np.median(tracking)), 1e3 * float(np.median(smoothing))


def main() -> None:
    """Measure, and print the table."""
    arguments = parser(__doc__).parse_args()
    tracking_ms, smoothing_ms = measure(depth=False)
    _, with_depth_ms = measure(depth=True)
    figures = {
        "tracking_ms": tracking_ms,
        "smoothing_ms": smoothing_ms,
        "total_ms": tracking_ms + smoothing_ms,
        "smoothing_with_depth_ms": with_depth_ms,
    }
    report(
        f"{PERSONS} persons with {len(LAYOUT)} joints, one core of {machine()}",
        ("", "ms per image"),
        [(name[:-3].replace("_", " "), value) for name, value in figures.items()],
    )
    write_json(arguments.json, figures)


if __name__ == "__main__":
    main()
