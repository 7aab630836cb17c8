"""SimCC networks of the user's, from their file to joints: added, stored, loaded by name, and run
in a pipeline. They are small and see brightness, so that every joint's place is known beforehand.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.factory import Models, load_pipeline
from vitpose_ros.keypoints.factory import TopDownOptions, create_top_down
from vitpose_ros.keypoints.pixels import IMAGENET_MEAN, IMAGENET_STD
from vitpose_ros.layouts import (
    COCO17,
    COCO_WHOLEBODY133,
    HALPE26,
    HALPE136,
    HAND21,
    get_layout,
)
from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.models.convert.run import convert_checkpoint
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.pull import pull
from vitpose_ros.models.store import ModelStore, State
from vitpose_ros.types import NO_ID, Crop, Frame, JointState, Region, Side

onnx = pytest.importorskip("onnx", reason="the tests' own networks need it: pip install onnx")

RED, GREEN = 0, 1
DOT = (350.0, 310.0)  # a red dot in the image, which the body's network sees
CENTRE, SIZE = (320.0, 190.0), 100.0  # the person's trunk
BOX = (235.0, 80.0, 170.0, 320.0)  # around the person
HAND_DOT = (398.0, 258.0)  # a green dot beside the left wrist, which the hand's network sees
HAND_BRIGHTNESS = 0.7


def save(path, nodes, inputs, outputs, weights):
    """Write a network; weights are arrays by name."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def simcc(path, bins, size, channel=RED, height=1.0, names=("simcc_x", "simcc_y"), swap=False):
    """A SimCC network: the curves of joint k are the profiles of one channel's brightness, full
    brightness as `height`, moved by bins[k] (K, 2).
    """
    node, weights, nodes, outputs = onnx.helper.make_node, {}, [], {}
    weights["channel"] = np.array(channel)
    weights["std"] = np.float32(IMAGENET_STD[channel] / 255 * height)
    weights["mean"] = np.float32(IMAGENET_MEAN[channel] / 255 * height)
    nodes += [
        node("Gather", ["image", "channel"], ["plane"], axis=1),
        node("Mul", ["plane", "std"], ["scaled"]),
        node("Add", ["scaled", "mean"], ["brightness"]),
    ]
    for axis, name in enumerate(names):
        count = 2 * size[axis]
        places = np.arange(count) / 2
        between = np.zeros((size[axis], count), np.float32)  # bins between pixels' centres
        low = np.minimum(places.astype(int), size[axis] - 1)
        np.add.at(between, (low, np.arange(count)), 1 - places % 1)
        np.add.at(between, (np.minimum(low + 1, size[axis] - 1), np.arange(count)), places % 1)
        moved = np.clip(np.arange(count) - bins[:, axis, None], 0, count - 1)
        weights |= {f"between{axis}": between, f"moved{axis}": moved.astype(np.int64)}
        nodes += [
            node("ReduceMax", ["brightness"], [f"profile{axis}"], axes=[1 + axis], keepdims=0),
            node("MatMul", [f"profile{axis}", f"between{axis}"], [f"curve{axis}"]),
            node("Gather", [f"curve{axis}", f"moved{axis}"], [name], axis=1),
        ]
        outputs[name] = ["batch", len(bins), count]
    if swap:
        outputs = dict(reversed(outputs.items()))
    return save(path, nodes, {"image": ["batch", 3, *size[::-1]]}, outputs, weights)


def detector(path):
    """A YOLOX as MMDeploy exports it, which finds one person in every image: BOX."""
    node = onnx.helper.make_node
    x, y, width, height = BOX
    weights = {
        "found": np.array([[[x, y, x + width, y + height, 0.9]]], np.float32),
        "classes": np.zeros((1, 1), np.float32),
        "none": np.float32(1e-30),
    }
    nodes = [
        node("ReduceMax", ["input"], ["brightest"], keepdims=0),
        node("Mul", ["brightest", "none"], ["nothing"]),
        node("Add", ["found", "nothing"], ["dets"]),
        node("Floor", ["nothing"], ["zero"]),
        node("Add", ["classes", "zero"], ["labels"]),
    ]
    return save(
        path,
        nodes,
        {"input": [1, 3, 640, 640]},
        {"dets": [1, 1, 5], "labels": [1, 1]},
        weights,
    )


@pytest.fixture
def store(tmp_path, make_catalogue, make_entry, monkeypatch):
    """A store with a person detector, and a hand detector that finds none; networks of one's own
    join it.
    """
    (tmp_path / "given").mkdir()
    file = {"name": "net.onnx", "size": "absent", "sha256": "unknown"}
    source = {"file": str(detector(tmp_path / "given" / "persons.onnx"))}
    of_any = {
        "architecture": "yolox",
        "layout": "absent",
        "input": {"width": 640, "height": 640},
    }
    persons = make_entry(source, file, task="person_detector", **of_any)
    hands = make_entry(source, file, task="hand_detector", **of_any, settings={"hand_class": 1})
    path = make_catalogue({"one-person": persons, "no-hand": hands})
    monkeypatch.setenv("VITPOSE_ROS_CATALOGUE", str(path))
    monkeypatch.setenv("VITPOSE_ROS_MODELS", str(tmp_path / "store"))
    assert main(["models", "pull", "one-person", "no-hand", "--quiet"]) == 0
    return ModelStore()


def add(path, name, layout, **settings):
    """`vitpose_ros models add`, and the store with the model in it."""
    words = ["models", "add", str(path), name, "--layout", layout.name, "--quiet"]
    words += ["--picture", str(path.with_suffix(".png"))]
    for key, value in settings.items():
        words += ["--setting", f"{key}={value}"]
    assert main(words) == 0
    return ModelStore()


def image():
    """The two dots on black, BGR."""
    ys, xs = np.mgrid[:480, :640]
    planes = np.zeros((480, 640, 3))
    for plane, (x, y), brightness in ((2, DOT, 1.0), (1, HAND_DOT, HAND_BRIGHTNESS)):
        planes[..., plane] = brightness * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * 4.0**2))
    return (255 * planes).round().astype(np.uint8)


def moves(places, dot, px_per_crop_px):
    """How far joints are from the dot, in whole bins, (K, 2)."""
    return np.round(2 * (places - np.array(dot)) / px_per_crop_px).astype(int)


def standing(person, layout):
    """(K, 2) px: the joints of a standing person; those that are not played lie on a grid."""
    places = person(*CENTRE, SIZE).keypoints(layout).uv.astype(float)
    missing = np.flatnonzero(np.isnan(places[:, 0]))
    places[missing] = np.stack([300 + 6 * (missing % 7), 180 + 3 * (missing // 7)], axis=1)
    return places


HAND_BINS = np.stack([40 * (np.arange(21) % 5), -40 * (np.arange(21) // 5)], axis=1)
"""The wrist is at the dot."""


@pytest.mark.parametrize(
    ("layout", "size", "height"),
    [
        (COCO17, (192, 256), 1.0),
        (COCO_WHOLEBODY133, (192, 256), 1.0),
        (COCO_WHOLEBODY133, (288, 384), 10.0),  # as high as RTMW's
        (HALPE26, (192, 256), 1.0),
        (HALPE136, (192, 256), 1.0),
    ],
    ids=["coco17", "wholebody", "wholebody-384-high", "halpe26", "halpe136"],
)
def test_bodies_and_hands_are_where_the_networks_see_them(
    layout, size, height, store, person, tmp_path
):
    px = 400 / size[1]  # the person's box, as high as 4/3 of its width and 1.25 times larger
    bins = moves(standing(person, layout), DOT, px)
    body = simcc(tmp_path / "body.onnx", bins, size, height=height)
    add(body, "my-body", layout, score_scale=height)
    hand = simcc(tmp_path / "hand.onnx", HAND_BINS, (256, 256), GREEN, swap=True)
    store = add(hand, "my-hand", HAND21, score_scale=1.0, turned="false")
    models = Models("no-hand", "my-hand", "one-person", "my-body")
    pipeline = load_pipeline(store, models, view="third_person", threads=1)
    assert {"my-hand", "my-body"} <= set(pipeline.models)
    found, *hands = pipeline(Frame(image(), 10**18)).instances

    assert found.layout is layout and found.model == "my-body"
    expected = np.array(DOT) + bins / 2 * px
    assert found.keypoints.uv == pytest.approx(expected, abs=0.5)
    assert found.keypoints.score == pytest.approx(np.ones(len(layout)), abs=0.03)
    assert (found.keypoints.state == JointState.MEASURED).all()

    (hand,) = hands  # the other one's crop has nothing green
    # These joints grow with the crop: further readings deny the body, and the hand is nobody's.
    assert (hand.side, hand.parent_id) == (Side.UNKNOWN, NO_ID)
    assert hand.model == "my-hand"
    assert hand.keypoints.uv[0] == pytest.approx(HAND_DOT, abs=0.5)
    apart = (hand.keypoints.uv - hand.keypoints.uv[0]).astype(float)
    crop_px = (apart * HAND_BINS).sum() / (HAND_BINS**2).sum() * 2
    assert 0.1 < crop_px < 1  # the hand's region is smaller than its crop
    assert apart == pytest.approx(HAND_BINS / 2 * crop_px, abs=0.01)
    assert hand.keypoints.score == pytest.approx(np.full(21, HAND_BRIGHTNESS), abs=0.03)


def test_scores_of_high_curves_are_cut_at_1_without_their_scale(store, person, tmp_path):
    bins = moves(standing(person, COCO17), DOT, 400 / 256)
    body = simcc(tmp_path / "b.onnx", bins, (192, 256), height=10.0)
    add(body, "my-body", COCO17, score_scale=1.0)
    hand = simcc(tmp_path / "h.onnx", HAND_BINS, (256, 256), GREEN, height=0.5)
    store = add(hand, "my-hand", HAND21, score_scale=0.5, turned="false")
    models = Models("no-hand", "my-hand", "one-person", "my-body")
    dim = (image() * np.array([1, 1, 0.2])).astype(np.uint8)  # red at a fifth
    found, hand = load_pipeline(store, models, view="third_person")(Frame(dim)).instances
    assert (found.keypoints.score == 1).all()  # 0.2 with the scale
    assert hand.keypoints.score == pytest.approx(np.full(21, HAND_BRIGHTNESS), abs=0.03)


@pytest.mark.parametrize(
    ("name", "size"),
    [("hand21", (256, 256)), ("coco17", (192, 256)), ("coco_wholebody133", (288, 384))],
)
def test_the_entry_of_a_simcc_network_says_what_it_is(name, size, store, tmp_path):
    layout = get_layout(name)
    path = simcc(tmp_path / "net.onnx", np.zeros((len(layout), 2), int), size)
    store = add(path, "mine", layout)
    entry = store.catalogue.get("mine")
    assert store.get("mine").path.read_bytes() == path.read_bytes()
    assert entry.architecture == "rtmpose"
    assert entry.task == ("hand_keypoints" if name == "hand21" else "body_keypoints")
    assert (entry.input_width, entry.input_height) == size
    assert store.verify("mine").state is State.VERIFIED


def test_curves_with_other_names_are_taken_in_their_order(store, tmp_path, capsys):
    path = simcc(tmp_path / "a.onnx", HAND_BINS, (192, 256), names=("first", "second"))
    assert add(path, "a", HAND21).catalogue.get("a").architecture == "rtmpose"
    path = simcc(tmp_path / "b.onnx", HAND_BINS, (192, 256), names=("first", "second"), swap=True)
    words = ["models", "add", str(path), "b", "--layout", "hand21", "--architecture", "rtmpose"]
    assert main([*words, "--quiet"]) == 1
    assert "expected (N, 21, 384), (N, 21, 512)" in capsys.readouterr().err


def test_a_network_needs_no_conversion(tmp_path):
    path = simcc(tmp_path / "net.onnx", HAND_BINS, (256, 256))
    with pytest.raises(ModelError, match=r"models add .*net\.onnx mine --layout hand21"):
        convert_checkpoint(path, "mine", tmp_path / "mine", layout="hand21")
    assert not list((tmp_path / "mine").glob("model*"))


def test_a_network_in_a_published_archive_is_pulled_and_found_by_its_name(
    site, make_entry, make_store, tmp_path
):
    bins = np.stack([4 * np.arange(133) - 266, 3 * np.arange(133) - 200], axis=1)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        network = simcc(tmp_path / "n.onnx", bins, (288, 384), height=10.0)
        archive.write(network, "2023/end2end.onnx")
    site.files["/rtmw.zip"] = stream.getvalue()
    entry = make_entry(
        {"url": f"{site.url}/rtmw.zip", "member": "end2end.onnx"},
        {"name": "end2end.onnx", "size": "absent", "sha256": "unknown"},
        task="body_keypoints",
        architecture="rtmpose",
        layout="coco_wholebody133",
        input={"width": 288, "height": 384},
        settings={"score_scale": 10},
    )
    store = make_store({"whole": entry})
    pull(store, ["whole"])
    how = TopDownOptions("openvino", precision="fp32")
    model = create_top_down(store, "whole", "body_keypoints", options=how, padding=1.0)
    # Two pixels of the crop for each of the image.
    (found,) = model([Crop(image() // 2, Region(*DOT, 144.0, 192.0))])
    inside = (np.abs(bins) < (280, 376)).all(axis=1)
    assert inside.sum() > 100
    expected = np.array(DOT) + bins / 4
    assert found.uv[inside] == pytest.approx(expected[inside], abs=0.26)
    assert found.score[inside] == pytest.approx(np.full(inside.sum(), 0.5), abs=0.03)


def test_every_rtmpose_of_the_catalogue_has_the_setting_of_its_training():
    entries = [e for e in load_catalogue().entries if e.architecture == "rtmpose"]
    assert entries
    for entry in entries:
        wanted = {"score_scale": 10} if entry.name.startswith("rtmw") else {}
        assert entry.settings == wanted, entry.name
