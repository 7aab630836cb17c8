"""The manifest beside a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.manifest import HashedFile, Manifest, Output, read_manifest, write_manifest


def manifest(**fields):
    """The manifest of a ViTPose, with some fields changed."""
    known = {
        "name": "net",
        "task": "body_keypoints",
        "architecture": "vitpose",
        "layout": "coco17",
        "joints": 17,
        "input_name": "image",
        "input_width": 192,
        "input_height": 256,
        "outputs": (Output("heatmaps", (17, 64, 48)),),
        "parameters": 100,
        "licence": "MIT",
        "licence_url": "https://example.org/licence",
        "origin": "",
        "files": (HashedFile("model.onnx", 3, "0" * 64),),
        "sources": (HashedFile("net.pth", 4, "1" * 64, "hub acme/net"),),
        "date": "2026-01-01T00:00:00+00:00",
        "network": {"expert": "coco"},
        "notes": ("a note",),
    }
    return Manifest(**known | fields)


CURVES = {
    "architecture": "rtmpose",
    "outputs": (Output("simcc_x", (17, 384)), Output("simcc_y", (17, 512))),
    "settings": {"score_scale": 10.0},
}


@pytest.mark.parametrize("fields", [{}, CURVES], ids=["heatmaps", "curves"])
def test_a_manifest_survives_writing_and_reading(fields, tmp_path):
    written = manifest(**fields)
    path = write_manifest(tmp_path, written)
    assert json.loads(path.read_text())["format"] == 2
    assert read_manifest(tmp_path) == written


def test_the_shipped_manifest_can_be_read():
    folder = Path(__file__).resolve().parents[3] / "assets" / "vitpose-tiny-synthetic"
    assert read_manifest(folder).outputs == (Output("heatmaps", (21, 32, 32)),)


def test_a_network_outside_of_the_catalogue_keeps_its_architecture_and_settings():
    entry = manifest(**CURVES).entry()
    assert (entry.architecture, entry.settings) == ("rtmpose", {"score_scale": 10.0})


@pytest.mark.parametrize(
    ("version", "complaint"),
    [
        (1, "its format is 1, but this version reads 2"),
        (3, "its format is 3, but this version reads 2"),
        ("2", "its format is '2', but this version reads 2"),
    ],
)
def test_another_format_is_refused(version, complaint, tmp_path):
    path = write_manifest(tmp_path, manifest())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": version}))
    with pytest.raises(ModelError, match=complaint):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "outputs", [(), (Output("heatmaps", (16, 64, 48)),), (*CURVES["outputs"], Output("z", ()))]
)
def test_outputs_for_another_number_of_joints_are_refused(outputs, tmp_path):
    write_manifest(tmp_path, manifest(outputs=outputs))
    with pytest.raises(ModelError, match=r"its outputs \[.*\] are not for 17 joints"):
        read_manifest(tmp_path)
