"""Rendered first-person scripts through the real networks: ids, sides, and how soon a hand is found
again. `benchmarks/tracking.py` does the same for all scripts and for longer.
"""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.detect.palms import PalmDetector
from vitpose_ros.evaluate import match_hands
from vitpose_ros.keypoints.mediapipe_hand import HandLandmarks
from vitpose_ros.measure import Networks
from vitpose_ros.pipeline import Pipeline
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.types import Frame, Side, TrackState

RATE_HZ = 30
FILMS = {
    "cross": (1, 1.0, 4.0),
    "occlude": (1, 1.2, 3.5),
    "leave": (0, 5.0, 7.2),
    "rotate": (0, 1.2, 3.8),
}
"""Scene, and from when to when in s: where hands hide and meet, and the network errs most."""


@pytest.fixture(scope="module", params=FILMS)
def film(request, engine_of):
    """(true hands, found hands) of each image of a part of a script."""
    pipeline = Pipeline(
        Networks(
            HandLandmarks(engine_of("mediapipe-hand-full"), "mediapipe-hand-full"),
            PalmDetector(engine_of("mediapipe-palm-full"), "mediapipe-palm-full"),
        )
    )
    seed, start_s, end_s = FILMS[request.param]
    scene = Scene(request.param, seed)
    images = []
    for i in range(round(start_s * RATE_HZ), round(end_s * RATE_HZ)):
        rendering = scene.render(i / RATE_HZ)
        result = pipeline(Frame(rendering.image, 1 + round(i * 1e9 / RATE_HZ)))
        images.append((rendering.hands, result.instances))
    return images


def owners(true, found):
    """[(true hand, found one or None)] of the true hands in view."""
    live = [hand for hand in found if hand.track_state is not TrackState.LOST]
    matches = match_hands([h.uv for h in true], [h.raw.uv for h in live])
    whose = {t: live[i] for t, i, _ in matches}
    return [
        (hand, whose.get(n))
        for n, hand in enumerate(true)
        if hand.in_view and hand.visible.mean() >= 0.5
    ]


def test_an_id_is_always_the_same_hands_and_has_its_side(film):
    hand_of, sides = {}, []
    for true, found in film:
        for hand, one in owners(true, found):
            if one is not None:
                assert hand_of.setdefault(one.track_id, hand.side) is hand.side
                assert one.side in (hand.side, Side.UNKNOWN)
                sides.append(one.side is hand.side)
    assert np.mean(sides) >= 0.97, "a new hand that is half hidden has no side at first"


def test_no_side_changes_and_two_hands_never_have_the_same(film):
    told = {}
    for _, found in film:
        sides = [hand.side for hand in found if hand.side is not Side.UNKNOWN]
        assert len(sides) == len(set(sides))
        for hand in found:
            if hand.side is not Side.UNKNOWN:
                assert told.setdefault(hand.track_id, hand.side) is hand.side


def test_a_hand_that_comes_into_view_is_found_within_three_images(film):
    missed = {Side.LEFT: 0, Side.RIGHT: 0}
    for true, found in film:
        seen = {hand.side: one for hand, one in owners(true, found)}
        for side in missed:
            missed[side] = missed[side] + 1 if side in seen and seen[side] is None else 0
        assert max(missed.values()) <= 3
