from __future__ import annotations

import json
import math

import numpy as np
import pytest

from vitpose_ros.detect.mediapipe_person import MediaPipePersonDetector
from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.geometry import apply_affine, region_to_image
from vitpose_ros.keypoints.layout_conversion import convert_layout
from vitpose_ros.keypoints.mediapipe_body import BodyLandmarks, refine
from vitpose_ros.layouts import COCO17, MEDIAPIPE33
from vitpose_ros.oks import oks
from vitpose_ros.types import Crop, JointState, Region

IMAGE = np.zeros((480, 640, 3), np.uint8)
SHAPES = {"a": (195,), "b": (1,), "c": (256, 256, 1), "d": (64, 64, 39), "e": (117,)}


class FakeEngine:
    """An engine whose outputs a test writes; its heatmaps are nowhere confident."""

    name = "fake"

    def __init__(self, shapes=SHAPES, size=256):
        self.inputs = (TensorSpec("in", (None, size, size, 3)),)
        self.outputs = tuple(TensorSpec(name, (None, *s)) for name, s in shapes.items())
        rng = np.random.default_rng(0)
        self.values = {n: rng.uniform(0, 1, (2, *s)).astype(np.float32) for n, s in shapes.items()}
        if shapes == SHAPES:
            self.points = self.values["a"].reshape(2, 39, 5)
            self.points *= (256, 256, 1, 1, 1)
            self.points[:, 33:35, :2] = ((128, 128), (128, 64))  # the circle
            self.values["d"][...] = -9

    def run(self, tensors):
        count = len(tensors["in"])
        return {name: value[:count].copy() for name, value in self.values.items()}


def estimates(engine, *regions):
    return BodyLandmarks(engine, "bodies")([Crop(IMAGE, region) for region in regions])


REGION = Region(300, 200, 256, 256, 0.5, track_id=7)


def test_joints_go_from_the_crop_to_the_image_by_the_crops_own_map():
    engine = FakeEngine()
    (body,) = estimates(engine, REGION)
    expected = apply_affine(region_to_image(REGION, (256, 256)), engine.points[0, :33, :2])
    assert body.uv == pytest.approx(expected, abs=1e-3)
    assert body.uv.dtype == body.shape_xyz.dtype == np.float32


def test_the_shape_turns_with_the_region_and_keeps_its_depth():
    engine = FakeEngine()
    (upright,) = estimates(engine, Region(300, 200, 180, 180))
    (turned,) = estimates(engine, Region(300, 200, 180, 180, math.pi / 2))
    x, y, z = upright.shape_xyz.T
    assert turned.shape_xyz == pytest.approx(np.stack([-y, x, z], axis=1), abs=1e-6)


def test_visibility_and_presence_are_probabilities_of_logits():
    engine = FakeEngine()
    engine.points[0, :2, 3:] = ((2.0, -1.0), (-800.0, 800.0))
    (body,) = estimates(engine, REGION)
    assert body.visibility[:2] == pytest.approx([0.880797, 0], abs=1e-6)
    assert body.joint_presence[:2] == pytest.approx([0.268941, 1], abs=1e-6)


def test_each_region_has_its_own_estimate_in_order():
    engine = FakeEngine()
    bodies = estimates(engine, REGION, Region(100, 100, 90, 90))
    assert [body.presence for body in bodies] == pytest.approx(engine.values["b"][:, 0])


def test_the_next_region_is_the_circle_of_the_auxiliary_points_a_quarter_larger():
    (body,) = estimates(FakeEngine(), REGION)
    region = body.next_region
    assert (region.cx, region.cy) == pytest.approx((300, 200), abs=1e-3)
    assert region.width == region.height == pytest.approx(2 * 64 * 1.25, abs=1e-3)
    assert region.rotation_rad == pytest.approx(0.5, abs=1e-5)
    assert region.track_id == 7


def test_auxiliary_points_on_one_spot_give_no_next_region():
    engine = FakeEngine()
    engine.points[0, 34] = engine.points[0, 33]
    (body,) = estimates(engine, REGION)
    assert body.next_region is None


def test_hidden_joints_and_those_outside_the_image_are_occluded():
    engine = FakeEngine()
    engine.points[:, :, 3:] = 3.0
    engine.points[0, :5, :2] = 128  # the region's middle
    engine.points[0, 1, 3] = -0.1  # hidden
    engine.points[0, 2, 4] = -0.1  # not in the image, says the network
    engine.points[0, 3, :2] = (-128, 128)  # not in the image, says its place
    body = estimates(engine, Region(100, 200, 256, 256))[0].keypoints(640, 480)
    seen, occluded = JointState.VISIBLE, JointState.OCCLUDED
    assert body.state[:5].tolist() == [seen, occluded, occluded, occluded, seen]
    assert body.layout is MEDIAPIPE33
    assert body.score[:3] == pytest.approx([0.952574, 0.475021, 0.475021], abs=1e-6)
    assert np.isfinite(body.uv).all()


@pytest.mark.parametrize("name", ["a", "b", "d", "e"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_gives_no_body_and_leaves_the_others(name, value):
    engine = FakeEngine()
    engine.values[name][0].flat[-1] = value
    broken, sound = estimates(engine, REGION, REGION)
    assert broken is None
    assert sound is not None


def test_no_region_needs_no_network():
    engine = FakeEngine()
    engine.run = None
    assert estimates(engine) == []


def test_a_region_outside_the_image_and_one_larger_than_it_are_looked_at():
    engine = FakeEngine()
    assert None not in estimates(engine, Region(-900, -900, 50, 50), Region(9, 9, 9000, 9000))


def test_outputs_are_known_by_their_shapes_in_any_order():
    engine, other = FakeEngine(), FakeEngine()
    other.outputs = other.outputs[::-1]
    (a,), (b,) = estimates(engine, REGION), estimates(other, REGION)
    assert (a.uv == b.uv).all()


@pytest.mark.parametrize(
    "network",
    [
        {"shapes": {"a": (63,), "b": (1,), "c": (1,), "d": (63,)}},
        {"shapes": {**SHAPES, "a": (165,)}},
        {"size": 224},
    ],
    ids=["a hand's", "33 points", "other input"],
)
def test_another_network_is_refused_when_loaded(network):
    said = r"'net' is not MediaPipe's body landmark network.*the file has in"
    with pytest.raises(EngineError, match=said):
        BodyLandmarks(FakeEngine(**network), "net")


# --- refinement from heatmaps


def by_hand(xy, heatmap):
    """MediaPipe's calculator, loop by loop."""
    height, width, count = heatmap.shape
    result = np.array(xy, np.float64)
    for i in range(count):
        column, row = int(xy[i, 0] * width), int(xy[i, 1] * height)
        if not (0 <= column < width and 0 <= row < height):
            continue
        total = sum_x = sum_y = best = 0.0
        for r in range(max(0, row - 3), min(height, row + 4)):
            for c in range(max(0, column - 3), min(width, column + 4)):
                confidence = 1 / (1 + math.exp(-heatmap[r, c, i]))
                total, best = total + confidence, max(best, confidence)
                sum_x, sum_y = sum_x + c * confidence, sum_y + r * confidence
        if best >= 0.5:
            result[i] = sum_x / width / total, sum_y / height / total
    return result


def test_refinement_is_the_calculators_inside_at_the_edges_and_outside():
    rng = np.random.default_rng(1)
    heatmap = rng.normal(-4, 3, (64, 64, 39)).astype(np.float32)
    heatmap[..., ::4] -= 40  # nowhere confident
    xy = rng.uniform(-0.1, 1.1, (39, 2)).astype(np.float32)
    refined = refine(xy, heatmap)
    assert refined == pytest.approx(by_hand(xy, heatmap), abs=1e-6)
    moved = (refined != xy).any(axis=1)
    assert 10 < moved.sum() < 30  # both cases occur


def test_a_point_just_left_of_the_crop_is_refined_in_the_first_column():
    heatmap = np.full((64, 64, 1), -40, np.float32)
    heatmap[32, 1] = 5
    xy = np.array([(-0.01, 0.5)], np.float32)  # -0.64 cells: C++ casts to 0
    assert refine(xy, heatmap)[0] == pytest.approx((1 / 64, 0.5))


# --- on the real network

# What MediaPipe 0.10.21 itself gives for the skier: solutions.pose.Pose(static_image_mode=True,
# model_complexity=1, smooth_landmarks=False), in px, and in metres for some joints.
# fmt: off
POSE_API = np.array([
    (364.0, 83.8), (368.1, 77.2), (370.6, 76.8), (373.1, 76.6), (362.8, 78.0), (361.4, 78.2),
    (360.0, 78.4), (380.8, 78.8), (364.3, 81.1), (369.6, 89.4), (362.7, 91.1), (397.3, 109.2),
    (369.6, 122.4), (433.3, 151.5), (343.3, 160.7), (428.1, 160.7), (302.4, 179.1), (424.4, 159.7),
    (292.6, 184.7), (420.6, 152.9), (292.4, 184.5), (420.4, 153.8), (296.8, 183.2), (428.4, 215.2),
    (406.4, 219.2), (433.3, 292.8), (368.7, 272.7), (471.7, 362.9), (402.6, 340.2), (487.8, 373.7),
    (417.4, 353.9), (437.0, 383.0), (362.6, 363.2),
])
# fmt: on
POSE_API_METRES = {
    "nose": (-0.237, -0.606, -0.198),
    "left_wrist": (0.021, -0.261, -0.464),
    "right_wrist": (-0.538, -0.169, 0.13),
    "left_ankle": (0.276, 0.655, -0.21),
    "right_ankle": (-0.062, 0.627, 0.238),
}


@pytest.fixture
def skier(engine_of, real_image):
    """The estimate of the skier, by MediaPipe's own detector and then the landmarks."""
    image = real_image("000000000785.jpg")
    detector = MediaPipePersonDetector(engine_of("mediapipe-person"), "mediapipe-person")
    landmarks = BodyLandmarks(engine_of("mediapipe-body-full"), "mediapipe-body-full")
    (body,) = landmarks([Crop(image, region) for region in detector.body_regions(image, 0.5)])
    return body


def test_the_skiers_joints_lie_on_cocos(skier, test_data):
    (annotation,) = json.loads((test_data / "coco_785.json").read_text())["annotations"]
    truth = np.array(annotation["keypoints"], np.float64).reshape(17, 3)
    body = convert_layout(skier.keypoints(640, 425), COCO17)
    assert skier.presence > 0.99
    assert oks(body.uv, truth[:, :2], annotation["area"], COCO17.sigmas, truth[:, 2] > 0) >= 0.85


def test_the_skiers_points_are_those_of_mediapipes_own_api(skier):
    torso = np.linalg.norm(POSE_API[11:13].mean(axis=0) - POSE_API[23:25].mean(axis=0))
    apart = np.linalg.norm(skier.uv - POSE_API, axis=1) / torso
    assert np.median(apart) < 0.01
    assert apart.max() < 0.05


def test_the_skiers_shape_is_in_metres_about_the_hips_with_z_away_from_the_camera(skier):
    for joint, metres in POSE_API_METRES.items():
        index = MEDIAPIPE33.index(joint)
        assert skier.shape_xyz[index] == pytest.approx(metres, abs=0.03), joint
    hips = [MEDIAPIPE33.index("left_hip"), MEDIAPIPE33.index("right_hip")]
    assert skier.shape_xyz[hips].mean(axis=0) == pytest.approx((0, 0, 0), abs=0.01)


def test_a_wall_is_no_body(engine_of):
    landmarks = BodyLandmarks(engine_of("mediapipe-body-full"), "mediapipe-body-full")
    (body,) = landmarks([Crop(np.full((480, 640, 3), 120, np.uint8), Region(320, 240, 400, 400))])
    assert body.presence < 0.5
