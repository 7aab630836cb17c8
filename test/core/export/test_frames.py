"""Which image each frame shows, and which episodes are dropped."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.export.frames import NS, DroppedError, cut

START = 1_700_000_000_000_000_007


def stamps(rate_hz, count, jitter_s=0.0, seed=1):
    rng = np.random.default_rng(seed)
    times = np.arange(count) / rate_hz + rng.uniform(-jitter_s, jitter_s, count)
    return (START + np.round(times * NS).astype(np.int64)).tolist()


@pytest.mark.parametrize("fps", [5, 10, 15, 24, 25, 29, 30, 33])
@pytest.mark.parametrize("rate_hz", [29.97, 30.0, 60.0])
def test_each_frame_shows_the_nearest_image(fps, rate_hz):
    images = np.array(stamps(rate_hz, 300, 0.006))
    frames = cut(images, images[0], None, fps)
    grid = images[0] + np.round(np.arange(len(frames)) * NS / fps)
    nearest = np.abs(images[None] - grid[:, None]).argmin(axis=1)
    np.testing.assert_array_equal(frames.image, nearest)
    np.testing.assert_array_equal(frames.stamp_ns, images[nearest])
    assert (np.diff(frames.image) >= 0).all() and frames.fresh.all()
    assert abs(frames.offset_ns).max() <= 0.5 * NS / rate_hz + 0.007 * NS


def test_the_grid_does_not_drift():
    images = stamps(30, 30 * 600)
    frames = cut(images, images[0], None, 30)
    assert len(frames) == len(images) and abs(frames.offset_ns).max() < 2


def test_marks_take_the_images_between_them():
    images = stamps(30, 90)
    frames = cut(images, images[10] - 1, images[40] + 1, 30)
    assert frames.image[0] == 10 and frames.image[-1] == 40 and len(frames) == 31


@pytest.mark.parametrize(
    ("images", "end_ns", "fps", "reason", "remedy"),
    [
        (stamps(30, 90), START - 1, 30, "it has 0 images", "needs 2"),
        (stamps(30, 90), START + 1, 30, "it has 1 images", "needs 2"),
        ([*stamps(30, 60), START + 5 * NS], None, 30, "nothing for 3.0 s", "as episodes"),
        (stamps(15, 90), None, 30, "images come at 15.0 Hz", "Use --fps 15"),
        (stamps(1, 2100), None, 1, "35 min long", "Mark shorter episodes"),
        (stamps(30, 8), None, 1, "one frame at 1 per second", "needs 2"),
    ],
    ids=["outside", "one image", "pause", "slow camera", "long", "slow dataset"],
)
def test_an_episode_that_would_mislead_is_dropped_with_the_remedy(
    images, end_ns, fps, reason, remedy
):
    with pytest.raises(DroppedError) as error:
        cut(images, START - 5, end_ns, fps)
    assert reason in str(error.value) and remedy in str(error.value)
