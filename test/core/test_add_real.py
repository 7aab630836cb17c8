"""`models add` with real networks, and with the shapes of lifting networks."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from vitpose_ros.models.add.choose import NeedsOptionError
from vitpose_ros.models.add.run import Added, Request, add_model
from vitpose_ros.models.catalogue import own_catalogue
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore

sys.path.insert(0, str(Path(__file__).parents[1]))
import added_networks as own

MEDIAPIPE = [
    ("mediapipe-palm-lite", "hand_detector", "hand21", 2),
    ("mediapipe-hand-lite", "hand_keypoints", "hand21", 2),
    ("mediapipe-person", "person_detector", None, 1),
    ("mediapipe-body-full", "body_keypoints", "mediapipe33", 1),
]


@pytest.fixture
def add(tmp_path):
    """A function that adds a network to a store of its own; what it told is in `add.said`."""

    def run(path: Path, name: str = "mine", **options) -> Added:
        run.said.clear()
        request = Request(path, name, tmp_path / f"{name}.png", **options)
        root = tmp_path / "store"
        return add_model(ModelStore(root), own_catalogue(root), request, run.said.append)

    run.said = []
    return run


@pytest.mark.parametrize(("model", "task", "layout", "found"), MEDIAPIPE)
def test_mediapipes_networks_are_told_apart_and_find_what_is_rendered(
    add, model_path, model, task, layout, found
):
    added = add(model_path(model))
    entry = added.model.entry
    assert (entry.task, entry.architecture) == (task, "mediapipe")
    assert (entry.layout and entry.layout.name) == (layout if "keypoints" in task else None)
    assert added.trial.found == found


def test_a_real_hand_network_is_measured_right_but_for_its_pixels(add, model_path):
    path = model_path("vitpose-tiny-synthetic")
    with pytest.raises(NeedsOptionError, match="--pixels") as caught:
        add(path)
    assert set(caught.value.questions) == {"pixels"}
    assert caught.value.tiles[0][0].startswith("--pixels imagenet")  # the right one comes first
    added = add(path, settings={"pixels": "imagenet"})
    settings = added.model.entry.settings
    assert (settings["codec"], settings["turned"]) == ("udp", True)
    assert added.trial.found == 2 and added.trial.evidence > 0.7
    with pytest.raises(ModelError, match=r"does not have the codec 'classic'.*--codec udp"):
        add(path, "second", settings={"pixels": "imagenet", "codec": "classic"})


def test_a_real_detector_of_persons_finds_the_players(add, test_data):
    path = test_data / "nets" / "rtmdet-nano.onnx"
    if not path.is_file():
        pytest.skip(f"no {path}")
    image = test_data / "people_demo.jpg"
    added = add(path, task="person_detector", image=image)
    assert added.model.entry.architecture == "rtmdet" and added.trial.found >= 4


def test_a_real_yolox_is_no_one_stage_network(add, test_data):
    path = test_data / "yolox_nano.onnx"
    if not path.is_file():
        pytest.skip(f"no {path}")
    added = add(path, image=test_data / "people_demo.jpg")
    assert added.model.entry.architecture == "yolox" and added.trial.found >= 3


def test_a_real_openpose_is_asked_for_its_pixels_and_then_finds_the_skier(add, test_data):
    path = test_data / "nets" / "openpose_mnv2_small.pb"
    if not path.is_file():
        pytest.skip(f"no {path}")
    image = test_data / "000000000785.jpg"
    with pytest.raises(NeedsOptionError, match="too close to each other"):
        add(path, image=image)
    added = add(path, image=image, settings={"pixels": "rgb"})
    assert added.model.entry.layout.name == "openpose18"
    assert (added.model.entry.input_width, added.model.entry.input_height) == (432, 368)
    assert added.trial.text.startswith("1 body: 18 of 18 joints")


def test_sixty_six_points_of_a_face_are_no_layout(add, test_data):
    path = test_data / "nets" / "lm_model0_opt.onnx"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with pytest.raises(ModelError, match="198 joints"):
        add(path)


def test_a_real_network_of_the_classic_lattice_shows_it(add, test_data):
    """For a file with heatmaps of COCO's joints and ImageNet's pixels, such as SimplePose's."""
    path = os.environ.get("VITPOSE_ROS_TEST_CLASSIC")
    if not path:
        pytest.skip("set VITPOSE_ROS_TEST_CLASSIC to an ONNX file of SimpleBaseline, HRNet, ...")
    truth = json.loads((test_data / "coco_785.json").read_text())["annotations"][0]
    added = add(
        Path(path), image=test_data / "000000000785.jpg", box=tuple(truth["bbox"]),
        settings={"pixels": "imagenet"},
    )  # fmt: skip
    entry = added.model.entry
    assert (entry.layout.name, entry.settings["codec"]) == ("coco17", "classic")
    assert added.trial.text.startswith("1 body: 17 of 17 joints")


LIFTING = [
    ("motionbert", (1, 27, 17, 3), (1, 27, 17, 3), {}, "coco17"),
    ("videopose3d", (1, 27, 17, 2), (1, 1, 17, 3), {}, "h36m17"),
    (
        "martinez", (1, 34), (1, 51),
        {"mean_2d": [0.0] * 34, "std_2d": [1.0] * 34, "mean_3d": [0.0] * 51, "std_3d": [1.0] * 51},
        "h36m17",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "shape", "result", "settings", "layout"), LIFTING)
def test_lifting_networks_are_told_apart_and_draw_a_person_who_stands(
    add, tmp_path, kind, shape, result, settings, layout
):
    pytest.importorskip("onnx", reason="the tests' own networks need it: pip install onnx")
    joints = np.zeros(17 * 3).reshape(17, 3)
    joints[:, 1] = np.linspace(-0.5, 0.8, 17) * (1000.0 if kind == "martinez" else 1.0)
    answer = np.broadcast_to(joints, (*result[:-2], 17, 3)) if len(result) > 2 else joints
    path = own.constants(tmp_path / "net.onnx", shape, {"out": answer.reshape(result)})
    if kind != "martinez":
        with pytest.raises(NeedsOptionError, match="--layout"):
            add(path)
    added = add(path, layout=layout, settings=settings)
    entry = added.model.entry
    assert (entry.task, entry.architecture, entry.layout.name) == ("body_lifting", kind, layout)
    assert entry.input_width == 0 and "12 joints of coco17" in added.trial.text
    picture = cv2.imread(str(tmp_path / "mine.png"))
    assert picture is not None and picture.shape[1] > 2 * picture.shape[0]


def test_a_martinez_network_without_its_statistics_gets_the_reason(add, tmp_path):
    pytest.importorskip("onnx", reason="the tests' own networks need it: pip install onnx")
    path = own.constants(tmp_path / "net.onnx", (1, 34), {"out": np.zeros((1, 51))})
    with pytest.raises(ModelError, match=r"settings.mean_2d: expected 34 numbers"):
        add(path)
