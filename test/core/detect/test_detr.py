from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.detect.boxes import classes_of
from vitpose_ros.detect.detr import DetrDetector, stretch
from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.geometry import unrotated_box

onnx = pytest.importorskip("onnx", reason="the tests' own networks need it: pip install onnx")

BOXES = np.array(
    [[(0.5, 0.5, 0.2, 0.4), (0.25, 0.5, 0.1, 0.2), (0.75, 0.25, 0.1, 0.2)]], np.float32
)


@pytest.fixture
def network(tmp_path):
    """A function: a real ONNX network of the family's inputs and outputs, of known answers.

    Its logits are `bias` (queries, classes) plus, in every class, the mean red of its input times
    `red`, the mean green times `green` and the mean blue times `blue`.
    """

    def make(bias, colours=(0, 0, 0), names=("logits", "pred_boxes"), size=(640, 640), extra=False):
        helper, array = onnx.helper, onnx.numpy_helper.from_array
        bias = np.asarray(bias, np.float32)[None]
        queries, classes = bias.shape[1:]
        nodes = [
            helper.make_node("GlobalAveragePool", ["pixel_values"], ["mean"]),
            helper.make_node("Reshape", ["mean", "flat"], ["row"]),
            helper.make_node("MatMul", ["row", "colours"], ["tint"]),
            helper.make_node("Add", ["tint", "bias"], [names[0]]),
            helper.make_node("Mul", ["row", "zero"], ["nothing"]),
            helper.make_node("ReduceSum", ["nothing"], ["zeros"], keepdims=1),
            helper.make_node("Add", ["zeros", "boxes"], [names[1]]),
        ]
        shapes = {names[0]: (1, queries, classes), names[1]: (1, queries, 4)}
        if extra:
            nodes.append(helper.make_node("Add", ["zeros", "hidden"], ["last_hidden_state"]))
            shapes["last_hidden_state"] = (1, queries, 256)
        weights = {
            "flat": np.array([1, 1, 3], np.int64),
            "colours": np.repeat(np.array(colours, np.float32)[:, None], classes, axis=1),
            "bias": bias,
            "zero": np.zeros(1, np.float32),
            "boxes": BOXES[:, :queries],
            "hidden": np.zeros((1, queries, 256), np.float32),
        }
        tensor = onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            nodes,
            "net",
            [helper.make_tensor_value_info("pixel_values", tensor, [1, 3, *size])],
            [
                helper.make_tensor_value_info(name, tensor, shape)
                for name, shape in sorted(shapes.items(), reverse=names[0] == "labels")
            ],
            [array(value, name) for name, value in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        path = tmp_path / "net.onnx"
        onnx.save(model, str(path))
        return OpenVinoEngine(path)

    return make


def bias(persons, classes=80, person=0):
    """Logits with these values for the persons, and -9 for all else."""
    values = np.full((len(persons), classes), -9.0)
    values[:, person] = persons
    return values


IMAGE = np.zeros((480, 640, 3), np.uint8)


def test_each_query_above_the_threshold_is_a_person_best_first(network):
    detector = DetrDetector(network(bias([1.0, -1.0, 2.0])), "dfine")
    regions = detector(IMAGE, 0.5)
    assert [r.score for r in regions] == pytest.approx([0.880797, 0.731059], abs=1e-6)
    # Fractions of the image, stretched: centre and size.
    assert unrotated_box(regions[0]) == pytest.approx((448, 72, 64, 96), abs=1e-3)
    assert unrotated_box(regions[1]) == pytest.approx((256, 144, 128, 192), abs=1e-3)


def test_the_threshold_is_on_the_probability(network):
    detector = DetrDetector(network(bias([1.0, -1.0, 2.0])), "dfine")
    assert len(detector(IMAGE, 0.73)) == 2
    assert len(detector(IMAGE, 0.74)) == 1
    assert detector(IMAGE, 0.9) == []


def test_other_classes_are_no_persons_and_take_no_query_away(network):
    values = bias([1.0, -9.0])
    values[:, 5] = 8.0  # both are more likely a bus
    regions = DetrDetector(network(values), "dfine")(IMAGE, 0.5)
    assert [r.score for r in regions] == pytest.approx([0.731059], abs=1e-6)


@pytest.mark.parametrize(
    ("colour", "logit"),  # BGR; the network adds red + 2 green + 3 blue
    [((0, 0, 255), 1.0), ((0, 255, 0), 2.0), ((255, 0, 0), 3.0), ((51, 102, 204), 2.2)],
)
def test_pixels_are_rgb_from_0_to_1(network, colour, logit):
    image = np.empty((50, 70, 3), np.uint8)
    image[:] = colour
    (region,) = DetrDetector(network(bias([0.0]), (1, 2, 3)), "dfine")(image, 0.1)
    assert region.score == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)


def test_rf_detr_sees_pixels_by_imagenets_mean_and_deviation(network):
    engine = network(bias([0.0], 91, 1), (1, 2, 3), ("labels", "dets"), (384, 384))
    image = np.empty((50, 70, 3), np.uint8)
    image[:] = (51, 102, 204)  # b .2, g .4, r .8
    (region,) = DetrDetector(engine, "rfdetr", normalise="imagenet")(image, 0.0)
    logit = (0.8 - 0.485) / 0.229 + 2 * (0.4 - 0.456) / 0.224 + 3 * (0.2 - 0.406) / 0.225
    assert region.score == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)


def test_of_91_classes_the_person_is_number_1(network):
    values = bias([3.0], 91, 1)
    values[:, 0] = 7.0
    regions = DetrDetector(network(values), "rfdetr")(IMAGE, 0.5)
    assert [r.score for r in regions] == pytest.approx([0.952574], abs=1e-5)


def test_a_network_may_number_its_persons_otherwise(network):
    detector = DetrDetector(network(bias([3.0], 80, 7)), "net", classes=classes_of(7))
    assert len(detector(IMAGE, 0.5)) == 1


def test_further_outputs_are_passed_over(network):
    detector = DetrDetector(network(bias([1.0, 2.0]), extra=True), "rtdetr")
    assert len(detector(IMAGE, 0.5)) == 2


@pytest.mark.parametrize("names", [("logits", "pred_boxes"), ("labels", "dets"), ("a", "b")])
def test_outputs_are_known_by_name_or_else_by_shape_in_any_order(network, names):
    engine = network(bias([1.0]), names=names)

    class Reordered:
        name, inputs, outputs, run = engine.name, engine.inputs, engine.outputs[::-1], engine.run

    DetrDetector(engine, "net")
    detector = DetrDetector(Reordered(), "net")
    (region,) = detector(IMAGE, 0.5)
    assert unrotated_box(region) == pytest.approx((256, 144, 128, 192), abs=1e-3)


def test_a_network_of_four_classes_is_told_apart_by_names(network):
    detector = DetrDetector(network(bias([1.0], 4), names=("labels", "dets")), "net")
    assert [r.score for r in detector(IMAGE, 0.5)] == pytest.approx([0.731059], abs=1e-6)


def test_four_classes_without_names_are_refused(network):
    with pytest.raises(EngineError, match=r"'net' cannot be used as a DETR detector"):
        DetrDetector(network(bias([1.0], 4), names=("a", "b")), "net")


def test_images_are_taken_at_any_size(network):
    detector = DetrDetector(network(bias([1.0])), "net")
    assert len(detector(np.zeros((40, 2000, 3), np.uint8), 0.5)) == 1
    assert detector(np.zeros((1, 1, 3), np.uint8), 0.5) == []  # no person fits


# --- what no real network gives


def fake(fake_engine, boxes, logits, inputs=None):
    return fake_engine(
        inputs or {"pixel_values": (None, 3, 640, 640)},
        {"logits": np.asarray(logits, np.float32), "pred_boxes": np.asarray(boxes, np.float32)},
    )


@pytest.mark.parametrize(
    ("box", "logit"),
    [
        ((np.nan, 0.5, 0.2, 0.2), 3),
        ((0.5, 0.5, np.inf, 0.2), 3),
        ((0.5, 0.5, 0.2, 0.2), np.nan),
        ((1.5, 0.5, 0.2, 0.2), 3),
        ((0.5, 0.5, 0.0, 0.2), 3),
        ((0.5, 0.5, -0.2, 0.2), 3),
    ],
    ids=["nan", "inf", "nan score", "outside", "no size", "inside out"],
)
def test_a_broken_box_is_left_out_and_the_others_stay(fake_engine, box, logit):
    engine = fake(fake_engine, [[box, (0.5, 0.5, 0.2, 0.4)]], [[[logit, 0], [2, 0]]])
    regions = DetrDetector(engine, "net")(IMAGE, 0.5)
    assert [r.score for r in regions] == pytest.approx([0.880797], abs=1e-6)


def test_nothing_is_suppressed(fake_engine):
    same = (0.5, 0.5, 0.2, 0.4)
    engine = fake(fake_engine, [[same, same]], [[[2, 0], [1, 0]]])
    assert len(DetrDetector(engine, "net")(IMAGE, 0.5)) == 2


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"x": (None, 3, 64, 64)}, {"logits": (1, 300, 80)}),
        ({"x": (None, 3, 64, 64)}, {"logits": (1, 300, 80), "pred_boxes": (1, 200, 4)}),
        ({"x": (None, 3, 64, 64)}, {"logits": (1, 300, 80), "pred_boxes": (1, 300, 5)}),
        ({"x": (None, 3, 64, 64)}, {"labels": (1, 300), "boxes": (1, 300, 4), "scores": (1, 300)}),
        ({"x": (None, 64, 64, 3)}, {"logits": (1, 300, 80), "pred_boxes": (1, 300, 4)}),
        (
            {"images": (None, 3, 64, 64), "orig_target_sizes": (None, 2)},
            {"logits": (1, 300, 80), "pred_boxes": (1, 300, 4)},
        ),
    ],
    ids=["no boxes", "queries", "box of 5", "decoded", "channels last", "two inputs"],
)
def test_another_network_is_refused_when_loaded(fake_engine, inputs, outputs):
    arrays = {name: np.zeros(shape, np.float32) for name, shape in outputs.items()}
    with pytest.raises(EngineError, match=r"'net' cannot be used as a .*(the file has)"):
        DetrDetector(fake_engine(inputs, arrays), "net")


def test_a_network_for_any_size_is_given_the_one_of_its_entry(fake_engine):
    engine = fake(fake_engine, [[(0.5, 0.5, 0.2, 0.4)]], [[[2, 0]]])
    engine.inputs = (TensorSpec("pixel_values", (None, 3, None, None)),)
    with pytest.raises(EngineError, match=r"any image size.*input: \{width: W, height"):
        DetrDetector(engine, "net")
    assert len(DetrDetector(engine, "net", size=(640, 480))(IMAGE, 0.5)) == 1
    assert engine.seen.shape == (1, 3, 480, 640)


def test_the_first_detr_with_its_softmax_is_refused(fake_engine):
    engine = fake(fake_engine, [[(0.5, 0.5, 0.2, 0.4)]], np.zeros((1, 1, 92)))
    with pytest.raises(EngineError, match="92 classes, like the original DETR"):
        DetrDetector(engine, "net")


def test_a_network_that_hides_its_classes_must_be_told_the_persons(fake_engine):
    engine = fake(fake_engine, [[(0.5, 0.5, 0.2, 0.4)]], [[[-9, 2]]])
    engine.outputs = (TensorSpec("logits", (None, None, None)), engine.outputs[1])
    with pytest.raises(EngineError, match=r"settings: \{person_class: NUMBER\}"):
        DetrDetector(engine, "net")
    assert len(DetrDetector(engine, "net", classes=classes_of(1))(IMAGE, 0.5)) == 1


def test_a_class_that_the_network_has_not_is_refused(fake_engine):
    engine = fake(fake_engine, [[(0.5, 0.5, 0.2, 0.4)]], [[[2, 0]]])
    with pytest.raises(EngineError, match=r"has 2 classes, 0 to 1, and .* asks for class 2"):
        DetrDetector(engine, "net", classes=classes_of(2))


def test_an_unknown_normalisation_is_refused(fake_engine):
    engine = fake(fake_engine, [[(0.5, 0.5, 0.2, 0.4)]], [[[2, 0]]])
    with pytest.raises(EngineError, match="expected 'none' or 'imagenet', got 'caffe'"):
        DetrDetector(engine, "net", normalise="caffe")


def test_stretching_a_fine_pattern_down_averages_it():
    lines = np.zeros((1280, 1280, 3), np.uint8)
    lines[:, ::2] = 200  # finer than the input can show
    assert np.ptp(stretch(lines, 500, 500)) < 45  # bilinear interpolation: 192
