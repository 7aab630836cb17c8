"""One-stage networks: each format by a graph of constants, run by the real engine."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.keypoints.onestage import OneStage
from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133
from vitpose_ros.types import JointState

sys.path.insert(0, str(Path(__file__).parents[2]))
import onestage_networks as nets

pytest.importorskip("onnx", reason="the tests' own networks need it: pip install onnx")

SIZE = 64


def person(x: float, y: float, height: float, score: float = 0.8, joints: float = 0.7):
    """A person in an input of 64 x 64 px, standing with its middle at (x, y)."""
    grid = np.stack([np.arange(17) % 3 - 1.0, np.arange(17) / 16 - 0.5], axis=1)
    return nets.Answer(grid * (height / 4, height) + (x, y), np.full(17, joints), score)


class Fixed:
    """A network of a format with these outputs, without an engine."""

    name = "fixed"

    def __init__(self, form, outputs, size=SIZE):
        image = TensorSpec("image", (1, 3, size, size))
        self.inputs = (image,)
        if form == "detrpose":
            self.inputs = (image, TensorSpec("orig_target_sizes", (1, 2)))
        self.outputs = tuple(TensorSpec(name, values.shape) for name, values in outputs.items())
        self._outputs = {name: np.float32(values) for name, values in outputs.items()}

    def run(self, tensors):
        return {name: values.copy() for name, values in self._outputs.items()}


@pytest.fixture
def model(tmp_path):
    """A function: a network of a format with these answers."""

    def make(form, *people):
        engine = OpenVinoEngine(nets.write(tmp_path / f"{form}.onnx", form, people))
        return OneStage(engine, form, COCO17, (SIZE, SIZE))

    return make


def in_image(form: str, uv: np.ndarray, width: int, height: int) -> np.ndarray:
    """Where points of the input lie in an image of that size."""
    if form in ("rf-detr", "rf-detr-background", "detrpose"):
        return uv * (width / SIZE, height / SIZE)
    scale = SIZE / max(width, height)
    if form.startswith(("yolo", "dekr")):
        uv = uv - ((SIZE - width * scale) / 2, (SIZE - height * scale) / 2)
    return uv / scale


@pytest.mark.parametrize(("width", "height"), [(64, 64), (320, 160), (160, 320)])
@pytest.mark.parametrize("form", nets.FORMS)
def test_each_format_gives_its_persons_in_pixels_of_the_image(model, form, width, height):
    one, two = person(20, 32, 28, 0.8), person(44, 32, 28, 0.6)
    found = model(form, two, one)(np.zeros((height, width, 3), np.uint8), 0.3)
    assert [body.score for body in found] == pytest.approx([0.8, 0.6], abs=1e-5)
    for body, truth in zip(found, (one, two), strict=True):
        where = in_image(form, truth.uv, width, height)
        np.testing.assert_allclose(body.keypoints.uv, where, atol=0.02)
        joints = np.nan if form == "detrpose" else 0.7  # it gives joints no scores
        np.testing.assert_allclose(body.keypoints.score, joints, atol=1e-5)
        inside = ((where > -0.5) & (where < np.array((width, height)) - 0.5)).all(axis=1)
        assert ((body.keypoints.state == JointState.MEASURED) == inside).all()
        u, v = where.mean(axis=0)
        assert abs(body.region.cx - u) < 0.2 * width and abs(body.region.cy - v) < 0.2 * height


@pytest.mark.parametrize("form", nets.FORMS)
def test_an_image_without_persons_has_none(model, form):
    assert model(form)(np.zeros((64, 64, 3), np.uint8), 0.3) == []


@pytest.mark.parametrize("form", nets.FORMS)
def test_persons_below_the_threshold_are_left_out(model, form):
    see = model(form, person(20, 32, 28, 0.8), person(44, 32, 28, 0.35))
    assert len(see(np.zeros((64, 64, 3), np.uint8), 0.4)) == 1
    assert len(see(np.zeros((64, 64, 3), np.uint8), 0.3)) == 2


@pytest.mark.parametrize("form", ["rtmo", "yolo", "dekr", "dekr-mmpose"])
def test_a_person_found_twice_is_one(model, form):
    see = model(form, person(30, 32, 28, 0.8), person(30.5, 32, 28, 0.7))
    (body,) = see(np.zeros((64, 64, 3), np.uint8), 0.3)
    assert body.score == pytest.approx(0.8)


@pytest.mark.parametrize("form", nets.FORMS)
def test_numbers_that_are_not_finite_cost_that_person_only(model, form):
    bad = person(20, 32, 28, 0.9)
    bad.uv[3] = np.nan
    found = model(form, bad, person(44, 32, 28, 0.6))(np.zeros((64, 64, 3), np.uint8), 0.3)
    assert 1 <= len(found) <= 2
    for body in found:
        known = body.keypoints.state != JointState.ABSENT
        assert np.isfinite(body.keypoints.uv[known]).all()
        assert np.isfinite(body.score)
    assert found[-1].score == pytest.approx(0.6, abs=1e-5)


def test_a_joint_states_what_is_known_of_it(model):
    one = person(32, 32, 60)
    one.joint_score[:] = [0.9] * 14 + [0.2, 0.02, 0.9]
    one.uv[16] = (70, 70)  # outside
    (body,) = model("rtmo", one)(np.zeros((64, 64, 3), np.uint8), 0.3)
    expected = [JointState.MEASURED] * 14
    expected += [JointState.OCCLUDED, JointState.ABSENT, JointState.OCCLUDED]
    assert body.keypoints.state.tolist() == expected
    assert np.isnan(body.keypoints.uv[15]).all()


def test_rf_detr_gives_the_standard_deviation_of_its_joints(model):
    # L = diag(50, 100): x / width has the deviation 1/50, y / height 1/100.
    (body,) = model("rf-detr", person(32, 32, 28))(np.zeros((100, 200, 3), np.uint8), 0.3)
    np.testing.assert_allclose(body.keypoints.uv_std, np.sqrt((4.0**2 + 1.0**2) / 2), rtol=1e-4)
    (body,) = model("rtmo", person(32, 32, 28))(np.zeros((100, 200, 3), np.uint8), 0.3)
    assert np.isnan(body.keypoints.uv_std).all()


@pytest.mark.parametrize("form", ["rtmo", "yolo", "detrpose", "dekr"])
def test_two_hundred_persons_in_a_crowd_are_all_read(form):
    people = [person(20 + 30 * (i % 20), 30 + 60 * (i // 20), 28) for i in range(200)]
    see = OneStage(Fixed(form, nets.outputs(form, people, 640), 640), form, COCO17, (640, 640))
    found = see(np.zeros((640, 640, 3), np.uint8), 0.3)
    truth = np.array([one.uv for one in people]).reshape(200, -1)
    seen = np.array([body.keypoints.uv for body in found]).reshape(len(found), -1)
    assert len(found) == 200
    order = np.lexsort(seen.round().T[::-1]), np.lexsort(truth.round().T[::-1])
    np.testing.assert_allclose(seen[order[0]], truth[order[1]], atol=0.02)


# --- DEKR


@pytest.mark.parametrize("form", ["dekr", "dekr-mmpose"])
def test_two_persons_who_embrace_are_two(model, form):
    one, two = person(28, 32, 40, 0.8), person(40, 32, 40, 0.6)  # boxes overlap, joints do not
    found = model(form, one, two)(np.zeros((64, 64, 3), np.uint8), 0.3)
    assert [body.score for body in found] == pytest.approx([0.8, 0.6], abs=1e-5)


@pytest.mark.parametrize("direction", [-1, 1])
def test_offsets_that_lead_to_no_heat_give_no_person(direction):
    outputs = nets.outputs("dekr", [person(32, 32, 28)])
    outputs["heatmap"][:, :-1] = 0
    outputs["offset"] *= direction
    see = OneStage(Fixed("dekr", outputs), "dekr", COCO17, (SIZE, SIZE))
    assert see(np.zeros((SIZE, SIZE, 3), np.uint8), 0.05) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.0])
@pytest.mark.parametrize("name", ["heatmap", "offset"])
def test_maps_of_one_value_end_with_finite_bodies_or_none(name, value):
    outputs = nets.outputs("dekr", [person(32, 32, 28)], 640)
    outputs[name][:] = value
    see = OneStage(Fixed("dekr", outputs, 640), "dekr", COCO17, (640, 640))
    for body in see(np.zeros((640, 640, 3), np.uint8), 0.05):
        assert np.isfinite(body.score)
        known = body.keypoints.state != JointState.ABSENT
        assert np.isfinite(body.keypoints.uv[known]).all()


def test_the_image_lies_in_dekrs_input_where_its_joints_are_read():
    given = []

    class Eye(Fixed):
        def run(self, tensors):
            given.append(tensors["image"][0])
            return super().run(tensors)

    image = np.zeros((160, 320, 3), np.uint8)
    image[60:101, 180:221] = 255  # centred at (200, 80)
    outputs = nets.outputs("dekr", [person(40, 32, 28)])
    (body,) = OneStage(Eye("dekr", outputs), "dekr", COCO17, (SIZE, SIZE))(image, 0.3)
    light = given[0][0] - given[0][0].min()
    y, x = np.mgrid[:SIZE, :SIZE]
    assert ((light * x).sum() / light.sum(), (light * y).sum() / light.sum()) == pytest.approx(
        (40, 32), abs=0.1
    )
    assert body.keypoints.uv[1, 0] == pytest.approx(200, abs=0.1)  # at the person's x
    assert body.keypoints.uv[8, 1] == pytest.approx(80, abs=0.1)  # at its y


# --- what is refused


class Shapes:
    """A network of these inputs and outputs."""

    name = "shapes"

    def __init__(self, inputs, outputs):
        self.inputs = tuple(TensorSpec(name, shape) for name, shape in inputs.items())
        self.outputs = tuple(TensorSpec(name, shape) for name, shape in outputs.items())

    def run(self, tensors):
        raise AssertionError("a network that is refused is not run")


IMAGE = {"image": (1, 3, SIZE, SIZE)}


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (IMAGE, {"dets": (1, 10, 5), "keypoints": (1, 10, 21, 3)}),  # a hand's joints
        (IMAGE, {"output0": (1, 55, 84)}),  # one column too few for a class
        ({"image": (1, 3, 32, 32)}, {"dets": (1, 10, 5), "keypoints": (1, 10, 17, 3)}),
        (IMAGE, {"heatmaps": (1, 17, 16, 16)}),
        (IMAGE, {"heatmap": (1, 18, 16, 16), "offset": (1, 36, 16, 16)}),  # one joint too many
        (IMAGE, {"heatmap": (1, 18, 32, 32), "offset": (1, 34, 32, 32)}),  # half the input's size
        (IMAGE, {"heatmap": (1, None, 16, 16), "offset": (1, None, 16, 16)}),  # which is which?
        (IMAGE, {"scores": (1, 60), "labels": (1, 60), "keypoints": (1, 60, 17, 2)}),  # no size
        (
            {**IMAGE, "orig_target_sizes": (1, 2)},  # a detector
            {"scores": (1, 60), "labels": (1, 60), "boxes": (1, 60, 4)},
        ),
        (IMAGE, {}),
    ],
)
def test_a_network_that_fits_no_format_is_refused_with_what_is_accepted(inputs, outputs):
    with pytest.raises(EngineError, match=r"fit no known format for 17 joints.*Accepted are RTMO"):
        OneStage(Shapes(inputs, outputs), "mine", COCO17, (SIZE, SIZE))


def test_a_network_that_fits_two_formats_is_refused_and_both_are_named():
    shapes = Shapes(IMAGE, {"output0": (1, None, 57)})  # two classes per cell, or YOLO26's rows
    with pytest.raises(EngineError, match="fit YOLOv8/11-pose and YOLO26-pose"):
        OneStage(shapes, "mine", COCO17, (SIZE, SIZE))


def test_a_layout_of_other_joints_is_refused():
    shapes = Shapes(IMAGE, {"dets": (1, 10, 5), "keypoints": (1, 10, 17, 3)})
    with pytest.raises(EngineError, match="for 133 joints"):
        OneStage(shapes, "mine", COCO_WHOLEBODY133, (SIZE, SIZE))
