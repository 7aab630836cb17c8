from __future__ import annotations

import cv2
import numpy as np
import pytest

from vitpose_ros.detect.boxes import classes_of
from vitpose_ros.detect.yolox import BAR, Form, YoloxDetector, cells, letterbox
from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.geometry import iou, unrotated_box

SIZE = 64  # 84 cells: 64 of stride 8, 16 of 16, 4 of 32
CELLS = 84


@pytest.fixture(scope="session")
def nano(test_data):
    """The real YOLOX-nano of the test data."""
    return OpenVinoEngine(test_data / "yolox_nano.onnx")


@pytest.fixture
def raw(fake_engine):
    """A function: a network of raw outputs (84, 5 + classes) in which tests put objects."""

    def make(classes=2):
        return fake_engine(
            {"images": (None, 3, SIZE, SIZE)},
            {"output": np.zeros((1, CELLS, 5 + classes), np.float32)},
        )

    return make


def put(engine, cell, box, objectness, *classes):
    """Write raw values: box is (dx, dy, log w, log h) in cells."""
    engine.arrays["output"][0, cell] = (*box, objectness, *classes)


def look(engine, threshold=0.3, width=SIZE, height=SIZE, **options):
    return YoloxDetector(engine, "yolox", **options)(
        np.zeros((height, width, 3), np.uint8), threshold
    )


# --- on real images


def test_the_skier_is_found_where_coco_has_him(nano, real_image):
    best, *others = YoloxDetector(nano, "yolox-nano")(real_image("000000000785.jpg"), 0.3)
    assert iou(unrotated_box(best), (280.79, 44.73, 218.7, 346.68)) > 0.85  # the annotation
    assert best.score > 0.8
    assert not others


def test_four_players_at_least_are_found_each_once(nano, real_image):
    players = YoloxDetector(nano, "yolox-nano")(real_image("people_demo.jpg"), 0.3)
    assert len(players) >= 4
    assert [p.score for p in players] == sorted((p.score for p in players), reverse=True)
    boxes = [unrotated_box(player) for player in players]
    assert all(iou(a, b) <= 0.45 for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_graph_that_decodes_gives_the_same_persons_as_one_that_does_not(nano, real_image):
    class Decoding:
        name, inputs, outputs = nano.name, nano.inputs, nano.outputs

        def run(self, tensors):
            rows = nano.run(tensors)["output"]
            grid, strides = cells(416, 416)
            rows[..., :2] = (rows[..., :2] + grid) * strides
            rows[..., 2:4] = np.exp(rows[..., 2:4]) * strides
            return {"output": rows}

    image = real_image("people_demo.jpg")
    inside = YoloxDetector(Decoding(), "decoding")
    outside = YoloxDetector(nano, "yolox-nano")
    assert (inside.form, outside.form) == (Form.DECODED, Form.RAW)
    assert np.allclose(
        [unrotated_box(r) for r in inside(image, 0.3)],
        [unrotated_box(r) for r in outside(image, 0.3)],
        atol=1e-3,
    )


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (2000, 3)])
def test_an_image_smaller_than_the_input_is_no_error(nano, size):
    assert YoloxDetector(nano, "yolox-nano")(np.zeros((*size, 3), np.uint8), 0.3) == []


# --- the recipe


def test_an_image_stands_at_the_top_left_with_grey_bars_in_bgr():
    image = np.zeros((50, 100, 3), np.uint8)
    image[:] = (10, 20, 200)
    tensor, scale = letterbox(image, 64, 64)
    assert tensor.shape == (1, 3, 64, 64)
    assert scale == pytest.approx(0.64)
    assert (tensor[0, :, :32] == np.array([10, 20, 200], np.float32)[:, None, None]).all()
    assert (tensor[0, :, 32:] == BAR).all()


def test_a_wide_input_is_filled_by_its_tighter_side():
    tensor, scale = letterbox(np.zeros((100, 100, 3), np.uint8), 96, 64)
    assert scale == pytest.approx(0.64)
    assert (tensor[0, 0, :, :64] == 0).all()
    assert (tensor[0, 0, :, 64:] == BAR).all()


def test_cells_go_row_by_row_through_the_strides():
    grid, strides = cells(64, 96)
    assert len(grid) == 8 * 12 + 4 * 6 + 2 * 3
    assert grid[[0, 1, 8, 95, 96]].tolist() == [[0, 0], [1, 0], [0, 1], [7, 11], [0, 0]]
    assert strides[[95, 96, 119, 120], 0].tolist() == [8, 16, 16, 32]


def test_a_box_is_offset_and_log_size_in_strides_and_freed_of_the_letterbox(raw):
    engine = raw()
    # Cell 9 is column 1, row 1 of stride 8: centre (12, 20), size (16, 24) in the input.
    put(engine, 9, (0.5, 1.5, np.log(2), np.log(3)), 0.9, 0.8, 0.1)
    (region,) = look(engine, width=128, height=128)  # twice the input
    assert unrotated_box(region) == pytest.approx((8, 16, 32, 48), abs=1e-3)
    assert region.score == pytest.approx(0.72)


def test_what_is_more_likely_of_another_class_is_no_person(raw):
    engine = raw()
    put(engine, 9, (0, 0, 1, 1), 0.9, 0.6, 0.8)
    put(engine, 60, (0, 0, 1, 1), 0.9, 0.8, 0.6)
    assert [r.score for r in look(engine)] == pytest.approx([0.72])


def test_a_network_may_number_its_persons_otherwise(raw):
    engine = raw()
    put(engine, 9, (0, 0, 1, 1), 0.9, 0.6, 0.8)
    assert [r.score for r in look(engine, classes=classes_of(1))] == pytest.approx([0.72])


def test_another_class_suppresses_no_person(raw):
    engine = raw()
    put(engine, 9, (0, 0, 1, 1), 1.0, 0.1, 0.9)
    put(engine, 10, (-1, 0, 1, 1), 1.0, 0.8, 0.1)  # the same box
    assert [r.score for r in look(engine)] == pytest.approx([0.8])


def test_two_boxes_of_one_person_become_the_better_one(raw):
    engine = raw(classes=1)
    put(engine, 9, (0, 0, 1, 1), 1.0, 0.7)
    put(engine, 10, (-1, 0.1, 1, 1), 1.0, 0.8)
    put(engine, 54, (0, 0, 1, 1), 1.0, 0.6)  # another one
    assert [r.score for r in look(engine)] == pytest.approx([0.8, 0.6])


@pytest.mark.parametrize(
    ("box", "objectness"),
    [
        ((np.nan, 0, 1, 1), 0.9),
        ((0, 0, np.inf, 1), 0.9),
        ((0, 0, 1, 1), np.nan),
        ((0, 0, 500, 1), 0.9),  # e^500 is no number
        ((-30, -30, 1, 1), 0.9),  # outside the image
        ((0, 0, -9, 1), 0.9),  # narrower than a pixel
    ],
    ids=["nan", "inf", "nan score", "too large", "outside", "no size"],
)
def test_a_broken_box_is_left_out_and_the_others_stay(raw, box, objectness):
    detector = YoloxDetector(engine := raw(classes=1), "yolox")
    put(engine, 9, box, objectness, 0.9)
    put(engine, 54, (0, 0, 1, 1), 0.9, 0.9)
    regions = detector(np.zeros((SIZE, SIZE, 3), np.uint8), 0.3)
    assert [r.score for r in regions] == pytest.approx([0.81])


def test_a_region_is_cut_at_the_images_edge(raw):
    engine = raw(classes=1)
    put(engine, 0, (0, 0, np.log(4), np.log(4)), 0.9, 0.9)  # -16 .. 16
    (region,) = look(engine)
    assert unrotated_box(region) == pytest.approx((0, 0, 16, 16), abs=1e-3)


# --- which networks


def test_boxes_suppressed_in_the_graph_are_taken_as_they_are(fake_engine):
    rows = np.array([[(8, 8, 24, 40, 0.9), (0, 0, 32, 32, 0.8), (8, 8, 25, 40, 0.7)]], np.float32)
    classes = np.array([[0, 3, 0]], np.int64)
    engine = fake_engine(
        {"input": (None, 3, SIZE, SIZE)}, {"labels": classes, "dets": rows}
    )  # MMDeploy's names; their order does not matter
    regions = look(engine, width=128, height=128)
    assert YoloxDetector(engine, "mm").form is Form.SUPPRESSED
    assert [unrotated_box(r) for r in regions] == [(16, 16, 32, 64), (16, 16, 34, 64)]


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        ({"images": (None, 3, SIZE, SIZE)}, (1, CELLS + 1, 85)),
        ({"images": (None, 3, SIZE, SIZE)}, (1, CELLS, 5)),  # no class
        ({"images": (None, 3, SIZE, SIZE)}, (1, 300, 80)),
        ({"images": (None, SIZE, SIZE, 3)}, (1, CELLS, 85)),
        ({"images": (None, 3, 70, 70)}, (1, CELLS, 85)),
        ({"images": (None, 3, SIZE, SIZE), "size": (None, 2)}, (1, CELLS, 85)),
    ],
    ids=["cells", "no class", "another kind", "channels last", "not of 32", "two inputs"],
)
def test_another_network_is_refused_when_loaded(fake_engine, inputs, output):
    engine = fake_engine(inputs, {"output": np.zeros(output, np.float32)})
    with pytest.raises(EngineError, match=r"'net' (cannot be used as|accepts)"):
        YoloxDetector(engine, "net")


def test_values_that_are_no_boxes_are_refused_when_loaded(raw):
    engine = raw()
    engine.arrays["output"][..., :2] = 1000.0  # neither offsets nor places
    with pytest.raises(EngineError, match=r"'net' cannot be used as a YOLOX detector.*blank image"):
        YoloxDetector(engine, "net")
    engine.arrays["output"][...] = np.nan
    with pytest.raises(EngineError, match="'net' cannot be used as a YOLOX detector"):
        YoloxDetector(engine, "net")


def test_a_network_for_any_size_needs_one(raw):
    engine = raw()
    engine.inputs = (TensorSpec("images", (None, 3, None, None)),)
    with pytest.raises(EngineError, match=r"any image size.*input: \{width: W, height"):
        YoloxDetector(engine, "net")
    assert YoloxDetector(engine, "net", size=(SIZE, SIZE)).form is Form.RAW


def test_a_size_that_is_not_the_networks_is_refused(raw):
    with pytest.raises(EngineError, match=r"its catalogue entry says 64x32"):
        YoloxDetector(raw(), "net", size=(64, 32))


def test_a_class_that_the_network_has_not_is_refused(raw):
    with pytest.raises(EngineError, match=r"has 2 classes, 0 to 1, and .* asks for class 2"):
        YoloxDetector(raw(), "net", classes=classes_of(2))


def test_scaling_is_the_authors(real_image):
    image = real_image("people_demo.jpg")
    tensor, scale = letterbox(image, 416, 416)
    expected = cv2.resize(
        image, (int(950 * scale), int(641 * scale)), interpolation=cv2.INTER_LINEAR
    )
    assert (tensor[0, :, : expected.shape[0]].transpose(1, 2, 0) == expected).all()
