"""Events: another camera before the same scripts, and a truth that belongs to its images."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.synthetic.events import EVENTS, EventScene
from vitpose_ros.synthetic.scene import Scene

SMALL = {"width": 160, "height": 120}


@pytest.mark.parametrize("event", EVENTS)
def test_images_and_truth_belong_together(event):
    scene = EventScene("reach", event, 1, 320, 240)
    checked = 0
    for time_s in np.arange(0, scene.duration_s, 0.5):
        shot = scene.render(time_s)
        assert shot.image.shape == (240, 320, 3)
        for hand in shot.hands:
            assert (hand.width, hand.height) == (320, 240)
            assert not (hand.visible & ~hand.inside).any()
            for (u, v), xyz in zip(hand.uv[hand.visible], hand.xyz[hand.visible], strict=True):
                # A visible joint lies just behind the surface at its pixel.
                behind = xyz[2] - shot.depth_m[round(float(v)), round(float(u))]
                assert -0.02 < behind < 0.04
                checked += 1
    assert checked > 100


def test_a_pan_lets_each_hand_leave_and_return():
    scene = EventScene("still", "pan", **SMALL)
    seen = np.array(
        [
            [hand.in_view for hand in scene.render(time_s).hands]
            for time_s in np.arange(0, 4.1, 0.25)
        ]
    )
    assert seen[0].all()
    for hand in seen.T:
        assert not hand.all()
        assert hand[-1]


def test_edge_puts_the_middle_of_the_scene_to_the_image_s_edge():
    plain, edge = Scene("cross", 1), EventScene("cross", "edge", 1)
    for before, after in zip(plain.render(2.3).hands, edge.render(2.3).hands, strict=True):
        np.testing.assert_allclose(after.uv[:, 0] - before.uv[:, 0], 640 - 80 - 320, atol=1.5)
        np.testing.assert_allclose(after.uv[:, 1], before.uv[:, 1], atol=0.5)


def test_exposure_goes_dark_and_bright_and_changes_nothing_else():
    plain, event = Scene("still", **SMALL), EventScene("still", "exposure", **SMALL)
    brightness = [event.render(time_s).image.mean() for time_s in (0.5, 2.0, 5.0)]
    usual = plain.render(0.5).image.mean()
    assert brightness[0] == pytest.approx(usual, rel=0.01)
    assert brightness[1] < 0.4 * usual
    assert brightness[2] > 1.4 * usual
    for a, b in zip(plain.render(2.0).hands, event.render(2.0).hands, strict=True):
        np.testing.assert_array_equal(a.uv, b.uv)


def test_blur_smears_what_moves_and_nothing_that_rests():
    def change(script, time_s):
        sharp = Scene(script, 1, 320, 240).render(time_s).image
        blurred = EventScene(script, "blur", 1, 320, 240).render(time_s).image
        return np.abs(sharp.astype(int) - blurred).mean()

    assert change("reach", 1.2) > 3 * change("still", 0.5)


def test_an_unknown_event_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="known are pan, edge, exposure, blur"):
        EventScene("reach", "storm")
