"""Rendered hands, and the data set that they become."""

from __future__ import annotations

import json
from itertools import islice

import cv2
import hand_samples
import numpy as np
import pytest
import render_hands

from vitpose_ros.geometry import apply_affine
from vitpose_ros.hand_geometry import hand_region
from vitpose_ros.keypoints.warp import crop_to_image
from vitpose_ros.layouts import HAND21
from vitpose_ros.train.labels import read_labels
from vitpose_ros.train.regions import (
    NONE,
    jittered,
    random_region,
    training_errors,
    upright_box,
)
from vitpose_ros.train.samples import cut_samples
from vitpose_ros.train.split import split
from vitpose_ros.types import Region


@pytest.fixture(scope="module")
def samples() -> list[hand_samples.Sample]:
    """Free hands, then hands of scenes."""
    rng = np.random.default_rng(3)
    free = list(islice(hand_samples.free_hands(rng), 12))
    return free + list(islice(hand_samples.scene_hands(rng, 3), 6))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data set of three small folders, the last one of scenes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render_hands, "FOLDER", 4)
        patch.setattr(render_hands, "_BACKGROUNDS", 4)
        patch.setattr(render_hands.multiprocessing, "get_context", lambda _: InThisProcess())
        out = tmp_path_factory.mktemp("rendered")
        render_hands.render(out, 12, 3, 1)
        (out / "0001" / "labels.json").unlink()  # as if interrupted there
        before = (out / "0001" / "003.jpg").read_bytes()
        (out / "0001" / "003.jpg").write_bytes(b"")
        for path in (out / "0001").iterdir():
            path.unlink()
        (out / "0001").rmdir()
        render_hands.render(out, 12, 3, 1)
        assert (out / "0001" / "003.jpg").read_bytes() == before
        with pytest.raises(ValueError, match="another data set"):
            render_hands.render(out, 12, 4, 1)
    return out


class InThisProcess:
    """A pool of no processes."""

    def Pool(self, workers):  # noqa: N802
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    imap_unordered = staticmethod(map)


def test_a_sample_shows_the_region_of_its_own_joints_upright(samples):
    for sample in samples:
        uv = sample.uv
        region, own = hand_region(uv, 1.0, 0), hand_samples.own_region()
        assert region is not None
        # hand_region works on an image's lattice, of which a side of n px has n - 1.
        assert (region.cx, region.cy) == pytest.approx((own.cx, own.cy), abs=0.5)
        assert region.width == pytest.approx(own.width, rel=0.01)
        turn = (region.rotation_rad + np.pi) % (2 * np.pi) - np.pi
        assert turn == pytest.approx(0.0, abs=0.02)


def test_visible_joints_of_free_hands_lie_on_the_hand(samples):
    for sample in samples:
        u, v = np.clip(np.round(sample.uv[sample.visible]), 0, 199).astype(int).T
        near = cv2.dilate(sample.image[..., 3], np.ones((7, 7), np.uint8))
        assert (near[v, u] == 255).all()
    assert np.mean([sample.image[..., 3] == 0 for sample in samples[:12]]) > 0.5
    assert 0.3 < np.mean([sample.visible for sample in samples]) < 1.0


def test_fingers_keep_to_the_limits_of_anatomy():
    rng = np.random.default_rng(5)
    low, high = (limit[:20].reshape(5, 4) for limit in hand_samples.ANGLE_LIMITS_DEG)
    digits = np.array([hand_samples.random_digits(rng) for _ in range(300)])
    assert (digits >= low).all() and (digits <= high).all()
    # The bend of every finger's middle joint covers most of its range.
    assert (np.ptp(digits[:, 1:, 2], axis=0) > 90).all()


@pytest.mark.parametrize("rotation", [0.0, 0.4, -2.0, np.pi])
def test_an_upright_box_holds_the_joints_whatever_its_rotation(samples, rotation):
    uv = samples[0].uv.astype(np.float64)
    region = upright_box(uv, rotation, 1.0)
    matrix = crop_to_image([region], (101, 101), udp=True)[0]
    inside = apply_affine(cv2.invertAffineTransform(matrix), uv)
    assert inside.min() == pytest.approx(0.0, abs=0.51) and inside.max() <= 100 + 1e-6
    assert max(np.ptp(inside[:, 0]), np.ptp(inside[:, 1])) == pytest.approx(100.0, abs=1e-6)


def test_the_data_set_is_read_and_held_out_by_people(data, tmp_path):
    labels = read_labels([data / "coco.json"])
    assert len(labels.labels) == 12 and labels.layout.name == "hand21" and not labels.found
    parts = split(labels, 0)
    assert parts.by == "folders of images"
    assert len(parts.validation.labels) == 4
    samples = cut_samples(tmp_path / "samples", labels, None, (128, 128), 0.5, 0)
    assert samples.empty.sum() > 3  # the other half of a picture is empty


def test_joints_of_a_picture_lie_on_its_hand(data):
    content = json.loads((data / "coco.json").read_text())
    for image, one in zip(content["images"], content["annotations"], strict=True):
        x, _, width, _ = one["bbox"]
        left = (x + width / 2) < render_hands.WIDTH / 2
        joints = np.array(one["keypoints"]).reshape(21, 3)
        known = joints[joints[:, 2] > 0]
        assert len(known) > 10 and ((known[:, 0] < render_hands.WIDTH / 2) == left).mean() > 0.8
        assert cv2.imread(str(data / image["file_name"])).shape == (200, 400, 3)


def test_a_picture_mirrors_its_joints_with_its_hand():
    """Spots painted where the joints are come out where the picture says the joints are."""
    side, rng = hand_samples.SAMPLE_PX, np.random.default_rng(0)
    uv = np.array([(60.0 + 4 * i, 40.0 + 6 * i) for i in range(21)], np.float32)
    image = np.zeros((side, side, 4), np.uint8)
    image[..., 3] = 255
    for u, v in uv:
        image[round(v), round(u), :3] = 255
    sample = hand_samples.Sample(image, uv, np.ones(21, bool))
    black = np.zeros((1, 288, 288, 3), np.uint8)
    places = set()
    for _ in range(24):
        made, joints = render_hands.picture(sample, None, black, rng)
        assert sorted(map(tuple, np.argwhere(made[..., 0])[:, ::-1])) == sorted(
            (round(u), round(v)) for u, v in joints
        )
        places.add((joints[0, 0] > side, joints[1, 0] > joints[0, 0]))
    assert len(places) == 4  # both halves, mirrored or not


def test_a_jitter_of_nothing_leaves_a_region_as_it_is():
    region = Region(50.0, 60.0, 80.0, 80.0, 0.3)
    assert jittered(region, np.random.default_rng(0), NONE) == region


def test_a_fifth_of_the_training_regions_are_boxes_at_any_angle(samples):
    rng, errors = np.random.default_rng(0), training_errors(HAND21)
    own, uv = hand_samples.own_region(), samples[0].uv
    turns = [random_region(own, uv, rng, errors, (128, 128)).rotation_rad for _ in range(400)]
    assert 0.04 < np.mean(np.abs(turns) > 1.0) < 0.16


def test_scenes_that_are_measured_are_never_trained_on():
    from held_out import FIRST_SEED

    assert FIRST_SEED > render_hands.HELD_OUT_SEED + 10_000
    assert render_hands.HELD_OUT_SEED > 1000 * 500  # more folders than a data set has


def test_free_hands_are_of_many_shapes_and_lights():
    hands = list(islice(hand_samples.free_hands(np.random.default_rng(1)), 12))
    brightness = [hand.image[hand.image[..., 3] > 0][:, :3].mean() for hand in hands]
    assert np.ptp(brightness) > 20
    assert np.std([hand.uv for hand in hands], axis=0).mean() > 4
