from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from vitpose_ros.detect.detr import DetrDetector
from vitpose_ros.detect.factory import load_person_detector, person_detector
from vitpose_ros.detect.mediapipe_person import MediaPipePersonDetector
from vitpose_ros.detect.rtmdet import RtmdetDetector
from vitpose_ros.detect.yolox import YoloxDetector
from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore

sys.path.insert(0, str(Path(__file__).parents[2]))
from added_networks import detector

PERSONS = load_catalogue().names("person_detector")


@pytest.fixture
def engine_for(fake_engine):
    """A function: an engine with the inputs and outputs that an entry's architecture has."""

    def make(entry):
        width, height = entry.input_width, entry.input_height
        if entry.architecture == "mediapipe":
            inputs, shapes = (None, 224, 224, 3), {"a": (1, 2254, 12), "b": (1, 2254, 1)}
        elif entry.architecture == "yolox":
            inputs = (None, 3, height, width)
            shapes = {"output": (1, width * height * 21 // 1024, 85)}
        elif entry.architecture == "rtmdet":
            inputs = (None, 3, height, width)
            shapes = {str(s): (1, height // s, width // s, 5) for s in (8, 16, 32)}
        else:
            classes = 91 if "rfdetr" in entry.name else 80
            inputs = (None, 3, height, width)
            shapes = {"logits": (1, 300, classes), "pred_boxes": (1, 300, 4)}
        return fake_engine({"in": inputs}, {n: np.zeros(s, np.float32) for n, s in shapes.items()})

    return make


@pytest.mark.parametrize("name", PERSONS)
def test_every_person_detector_of_the_catalogue_has_its_recipe(name, engine_for):
    entry = load_catalogue().get(name)
    kinds = {
        "mediapipe": MediaPipePersonDetector,
        "yolox": YoloxDetector,
        "rtmdet": RtmdetDetector,
        "detr": DetrDetector,
    }
    detector = person_detector(engine_for(entry), entry)
    assert isinstance(detector, kinds[entry.architecture])
    assert detector.name == name


def test_rf_detrs_entries_ask_for_imagenets_normalisation(engine_for):
    for name in ("rfdetr-nano", "rfdetr-small"):
        entry = load_catalogue().get(name)
        engine = engine_for(entry)
        person_detector(engine, entry)(np.zeros((9, 9, 3), np.uint8), 0.9)
        assert engine.seen[0, 0].max() == pytest.approx(-0.485 / 0.229, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("yolox-s", {"architecture": "hog"}, "'hog'; person detectors can be mediapipe"),
        ("yolox-s", {"settings": {"nms": 0.5}}, "unknown settings nms"),
        ("yolox-s", {"settings": {"person_class": "a"}}, "expected a whole number, got 'a'"),
        ("dfine-m", {"settings": {"normalise": "caffe"}}, "expected 'none' or 'imagenet'"),
        ("mediapipe-person", {"settings": {"a": 1}}, "mediapipe detectors accept none"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(name, change, complaint, engine_for):
    entry = load_catalogue().get(name)
    engine = engine_for(entry)
    with pytest.raises(EngineError, match=f"'{name}'.*{complaint}"):
        person_detector(engine, dataclasses.replace(entry, **change))


ANIMALS = {80: range(14, 24), 91: range(16, 26)}
"""COCO's bird to giraffe, by the number of classes."""


@pytest.mark.parametrize(
    ("name", "classes"), [("yolox-s", 80), ("dfine-m", 80), ("rtdetr-r50", 80), ("rfdetr-nano", 91)]
)
def test_a_detector_of_coco_finds_animals_for_a_layout_of_animals(name, classes, engine_for):
    entry = load_catalogue().get(name)
    assert person_detector(engine_for(entry), entry, "animal").classes == tuple(ANIMALS[classes])
    assert set(person_detector(engine_for(entry), entry).classes).isdisjoint(ANIMALS[classes])


@pytest.mark.parametrize("found", [0, 13, 14, 23, 24])
@pytest.mark.parametrize("form", ["yolox", "rtmdet", "detr"])
def test_only_boxes_of_animals_are_found(form, found, fake_engine):
    shapes = {name: np.float32(values) for name, values in detector(form, 80, found=found).items()}
    engine = fake_engine({"in": (1, 3, 64, 64)}, shapes)
    base = load_catalogue().get("yolox-s")
    entry = dataclasses.replace(base, architecture=form, input_width=64, input_height=64)
    if form == "yolox":  # which recognises its form by a blank image
        shapes["output"][0, :, :2] += 0.01
    regions = person_detector(engine, entry, "animal")(np.zeros((64, 64, 3), np.uint8), 0.5)
    assert len(regions) == (found in ANIMALS[80])


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("mediapipe-person", {}, "finds persons only, .*such as yolox-s"),
        ("rtmdet-nano", {}, r"it has a single class.*COCO's 80 .*animal_classes: \[NUMBER"),
        ("yolox-s", {"animal_classes": 16}, r"a list of whole numbers such as \[15, 16\], got 16"),
        ("yolox-s", {"animal_classes": []}, r"a list of whole numbers .* got \[\]"),
        ("yolox-s", {"animal_classes": [1.5]}, r"a list of whole numbers .* got \[1.5\]"),
        ("yolox-s", {"animal_classes": [15, 80]}, "has 80 classes.*asks for class 80"),
    ],
)
def test_a_detector_without_known_animals_is_refused(name, settings, complaint, engine_for):
    entry = dataclasses.replace(load_catalogue().get(name), settings=settings)
    with pytest.raises(EngineError, match=f"'{name}'.*{complaint}"):
        person_detector(engine_for(entry), entry, "animal")


def test_a_network_that_hides_its_classes_must_be_told_its_animals(fake_engine):
    shapes = {name: np.float32(values) for name, values in detector("mmdeploy", found=16).items()}
    engine = fake_engine({"in": (1, 3, 640, 640)}, shapes)
    entry = load_catalogue().get("yolox-s")
    with pytest.raises(EngineError, match="does not tell its number of classes"):
        person_detector(engine, entry, "animal")
    told = dataclasses.replace(entry, settings={"animal_classes": [16]})
    assert len(person_detector(engine, told, "animal")(np.zeros((640, 640, 3), np.uint8), 0.5)) == 1


def test_a_detector_that_is_not_on_this_machine_is_answered_with_the_command(tmp_path):
    with pytest.raises(ModelError, match="vitpose_ros models pull yolox-nano"):
        load_person_detector(ModelStore(tmp_path), "yolox-nano")


def test_a_hand_network_is_no_person_detector(engine_of):
    entry = load_catalogue().get("mediapipe-person")
    with pytest.raises(EngineError, match="'mediapipe-person' is not MediaPipe's person detector"):
        person_detector(engine_of("mediapipe-palm-full"), entry)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path):
    path = tmp_path / "yolox_nano.onnx"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(EngineError, match="cannot read"):
        person_detector(OpenVinoEngine(path), load_catalogue().get("yolox-nano"))


def test_the_shared_yolox_runs_by_its_entry(test_data, real_image):
    path = test_data / "yolox_nano.onnx"
    if not path.is_file():
        pytest.skip(f"no {path}")
    detector = person_detector(OpenVinoEngine(path), load_catalogue().get("yolox-nano"))
    assert len(detector(real_image("000000000785.jpg"), 0.5)) == 1
