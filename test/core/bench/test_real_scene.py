from __future__ import annotations

import cv2
import numpy as np
import pytest

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.bench.real.clips import clips
from vitpose_ros.bench.real.material import PARTS, SPRITE_SCALE, Material, cut_out, load_material
from vitpose_ros.bench.real.photographs import ROWS, WindowScene
from vitpose_ros.bench.real.scene import EVENTS, HEIGHT, RATE_HZ, WIDTH, RealScene
from vitpose_ros.layouts import MIDDLE_MCP, THUMB_TIP, WRIST
from vitpose_ros.types import Side

SKIN, WALL, DOT = (110, 150, 215), (140, 140, 140), (40, 40, 250)


def filmed():
    """A forearm before a wall, with a red dot at the wrist, and its joints."""
    image = np.full((720, 1280, 3), WALL, np.uint8)
    cv2.line(image, (760, 719), (720, 400), SKIN, 80)
    cv2.circle(image, (700, 320), 90, SKIN, -1)
    uv = np.random.default_rng(0).uniform((640, 250), (760, 390), (21, 2)).astype(np.float32)
    uv[WRIST], uv[MIDDLE_MCP], uv[THUMB_TIP] = (720, 420), (700, 290), (770, 330)
    cv2.circle(image, (720, 420), 9, DOT, -1)
    return image, uv


def red(image):
    """(H, W) where the dots are."""
    return (image[..., 2] > 150) & (image[..., 1] < 100)


@pytest.fixture(scope="module")
def scene():
    image, uv = filmed()
    ground = np.full((700, 950, 3), (60, 80, 60), np.uint8)
    return RealScene(Material((cut_out(image, uv),) * 5, (ground,)), seed=0)


def test_a_cut_out_covers_the_arm_and_nothing_of_the_wall():
    sprite = cut_out(*filmed())
    seen = sprite.image[sprite.alpha > 200].astype(int)
    wall = np.abs(seen - WALL).max(axis=1) < 12
    assert wall.mean() < 0.02
    assert (sprite.alpha > 200).sum() == pytest.approx(
        SPRITE_SCALE**2 * (np.pi * 90**2 + 80 * 260), rel=0.15
    )


def test_joints_of_a_cut_out_lie_where_they_lay_in_the_image():
    sprite = cut_out(*filmed())
    assert np.argwhere(red(sprite.image)).mean(axis=0)[::-1] == pytest.approx(
        sprite.uv[WRIST], abs=0.7
    )


def test_an_image_without_skin_is_refused():
    with pytest.raises(BenchError, match="no skin"):
        cut_out(np.full((720, 1280, 3), WALL, np.uint8), np.zeros((21, 2), np.float32))


def test_joints_of_a_scene_lie_where_its_images_show_them(scene):
    checked = 0
    for number in range(0, len(scene), 7):
        seen = scene.render(number)
        dots = red(seen.image)
        wrists = [hand.uv[WRIST] for hand in seen.hands]
        apart = np.linalg.norm(np.subtract(*wrists)) > 150
        for hand in seen.hands:
            if not (apart and hand.inside.all()) or hand.hidden.any():
                continue
            u, v = np.rint(hand.uv[WRIST]).astype(int)
            near = np.argwhere(dots[max(v - 9, 0) : v + 10, max(u - 9, 0) : u + 10])
            if len(near):  # not where the light fails
                assert np.median(near, axis=0) == pytest.approx((9, 9), abs=2.0)
                checked += 1
    assert checked > 60


def test_the_left_hand_is_the_mirror_image_of_the_right_one(scene):
    left, right = scene.render(3).hands
    assert (left.side, right.side) == (Side.LEFT, Side.RIGHT)

    def turn(hand):  # from the wrist, on which side of the middle finger the thumb lies
        a, b = hand.uv[MIDDLE_MCP] - hand.uv[WRIST], hand.uv[THUMB_TIP] - hand.uv[WRIST]
        return np.sign(a[0] * b[1] - a[1] * b[0])

    assert turn(left) == -turn(right)


def middles(scene, event):
    """For the left and the right hand, the share of joints inside the image in mid-event."""
    start, end = scene.during(event)
    return [hand.inside.mean() for hand in scene.render(round((start + end) / 2 * RATE_HZ)).hands]


@pytest.mark.parametrize(
    ("event", "left", "right"),
    [
        ("look_right", 0.0, 1.0),
        ("look_left", 1.0, 0.0),
        ("left_leaves", 0.0, 1.0),
        ("right_leaves", 1.0, 0.0),
        ("look_away", 0.0, 0.0),
    ],
)
def test_hands_leave_the_image_when_the_event_says_so(scene, event, left, right):
    assert middles(scene, event) == pytest.approx([left, right], abs=0.3)
    both = scene.render(round((scene.during(event)[1] - 0.02) * RATE_HZ)).hands
    assert min(hand.inside.mean() for hand in both) > 0.7


def test_hands_cross_and_one_takes_the_place_of_the_other(scene):
    start, end = scene.during("cross")
    left, right = scene.render(round((start + end) / 2 * RATE_HZ)).hands
    assert left.uv[WRIST, 0] > right.uv[WRIST, 0]
    before = scene.render(round((scene.during("left_leaves")[0] - 0.1) * RATE_HZ)).hands[0]
    start, end = scene.during("left_leaves")
    after = scene.render(round((start + end) / 2 * RATE_HZ)).hands[1]
    assert np.linalg.norm(after.uv[WRIST] - before.uv[WRIST]) < 150


def test_what_is_held_hides_joints_of_both_hands(scene):
    start, end = scene.during("hold")
    hands = scene.render(round((start + end) / 2 * RATE_HZ)).hands
    assert all(hand.hidden.any() for hand in hands)
    assert not any(hand.hidden.any() for hand in scene.render(0).hands)


def test_a_seed_is_a_scene_of_its_own_and_always_the_same(scene):
    image, uv = filmed()
    ground = np.full((700, 950, 3), 60, np.uint8)
    material = Material((cut_out(image, uv),) * 5, (ground,))
    a, b, c = (RealScene(material, seed) for seed in (3, 3, 4))
    assert np.array_equal(a.render(100).image, b.render(100).image)
    assert [a.during(event) for event in EVENTS] != [c.during(event) for event in EVENTS]
    assert a.render(0).image.shape == (HEIGHT, WIDTH, 3)


def test_no_image_is_in_both_parts():
    tune, report = (PARTS[name] for name in ("tune", "report"))
    assert tune.clip[1] <= report.clip[0]
    names = [{name.rsplit("_", 1)[0] for name, _ in part.grounds} for part in (tune, report)]
    rows = [{row.name for row in ROWS[part]} for part in ("tune", "report")]
    assert not (names[0] | rows[0]) & (names[1] | rows[1])


def test_missing_material_is_named(tmp_path):
    with pytest.raises(BenchError, match=r"forearm\.mp4.*missing"):
        load_material(tmp_path, "tune", lambda image: [])
    with pytest.raises(BenchError, match=r"ego_aea_0\.jpg is missing"):
        next(clips(tmp_path, "tune", lambda image: [], [0]))


def test_hands_of_photographs_are_where_they_were_seen(test_data):
    folder, row = test_data / "real", ROWS["report"][1]
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    shown = iter(row.hands)
    shape = np.random.default_rng(0).uniform(-60, 60, (21, 2))

    def read(image):  # in an order of its own, and one that is no hand
        return [(np.asarray(p) + shape).astype(np.float32) for p in ((50, 50), *next(shown)[::-1])]

    window = WindowScene(folder, row, read, seed=0)
    seen = [window.render(number) for number in range(0, len(window), 5)]
    for image in seen:
        left, right = image.hands
        assert (left.side, right.side) == (Side.LEFT, Side.RIGHT)
        assert left.uv[:, 0].mean() + 100 < right.uv[:, 0].mean()
    inside = [image.hands[1].inside.any() for image in seen]
    assert any(inside)
    assert not all(inside)


def test_a_photograph_in_which_the_model_finds_no_hand_is_named(test_data):
    folder, row = test_data / "real", ROWS["report"][1]
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    with pytest.raises(BenchError, match=r"ego_gen2_0\.jpg: the hand model finds no hand at"):
        WindowScene(folder, row, lambda image: [], seed=0)
