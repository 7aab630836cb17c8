from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import vitpose_ros
from vitpose_ros.models.catalogue import load_catalogue, read_catalogue, shipped_path
from vitpose_ros.models.errors import CatalogueError, UnknownModelError
from vitpose_ros.models.sources import (
    ArchiveSource,
    FileSource,
    HubSource,
    UrlSource,
    WheelSource,
)

HANDS = ["mediapipe-hand-full", "mediapipe-hand-lite"]
PALMS = ["mediapipe-palm-full", "mediapipe-palm-lite"]


def test_every_shipped_model_has_a_licence_with_the_address_of_its_text():
    for entry in load_catalogue().entries:
        assert entry.licence.url.startswith("https://"), entry.name


def test_the_shipped_catalogue_pins_every_verified_file_by_size_and_sha256():
    verified = [entry for entry in load_catalogue().entries if entry.verified_here]
    assert {*PALMS, *HANDS, "mediapipe-person", "mediapipe-body-full"} <= {
        entry.name for entry in verified
    }
    for entry in verified:
        for file in entry.files:
            assert file.size, entry.name
            assert file.sha256, entry.name


def test_the_shipped_catalogue_says_for_each_file_whether_its_hash_is_known():
    text = shipped_path().read_text()
    files = [file for entry in load_catalogue().entries for file in entry.files]
    known = [file for file in files if file.sha256]
    assert text.count("sha256: unknown\n") == len(files) - len(known) > 0
    assert len(known) > 10


def test_the_documentation_lists_the_models_without_a_known_hash():
    text = (Path(__file__).resolve().parents[3] / "docs" / "models.md").read_text()
    section = text.partition("### Files without a known hash")[2].partition("\n\n`vitpose_ros")[0]
    bullets = re.findall(r"^- ((?!every).*?)[.,]?$", section, re.MULTILINE)
    listed = set()
    for head, sizes, tail in re.findall(
        r"([a-z0-9-]+)(?:\{(.*?)\})?([a-z0-9-]*)", " ".join(bullets)
    ):
        listed |= {f"{head}{size}{tail}" for size in sizes.split(",")}
    entries = load_catalogue().entries
    unknown = {e.name for e in entries if any(file.sha256 is None for file in e.files)}
    others = {entry.name for entry in entries if entry.name.startswith("vitpose-")}
    assert listed == unknown - others
    assert unknown >= others - {"vitpose-tiny-synthetic"}


def test_the_shipped_catalogue_has_both_sizes_of_palms_and_hands():
    catalogue = load_catalogue()
    assert set(PALMS) <= set(catalogue.names("hand_detector"))
    assert set(HANDS) <= set(catalogue.names("hand_keypoints"))
    palm, hand = catalogue.get(PALMS[0]), catalogue.get(HANDS[0])
    assert (palm.input_width, palm.layout) == (192, None)
    assert (hand.input_width, hand.layout and hand.layout.name) == (224, "hand21")
    assert hand.licence.name == "Apache-2.0"


@pytest.mark.parametrize("size", ["s", "b", "l", "h"])
@pytest.mark.parametrize(
    ("name", "layout", "conversion"),
    [
        ("vitpose-{}", "coco17", None),
        ("vitpose-{}-simple", "coco17", None),
        ("vitpose-plus-{}", "coco17", "huggingface"),
        ("vitpose-plus-{}-aic", "aic14", "vitpose_pth"),
        ("vitpose-plus-{}-mpii", "mpii16", "vitpose_pth"),
        ("vitpose-plus-{}-ap10k", "ap10k17", "vitpose_pth"),
        ("vitpose-plus-{}-apt36k", "apt36k17", "vitpose_pth"),
        ("vitpose-plus-{}-wholebody", "coco_wholebody133", "vitpose_pth"),
    ],
)
def test_the_shipped_catalogue_has_every_size_and_head_of_vitpose(size, name, layout, conversion):
    entry = load_catalogue().get(name.format(size), "body_keypoints")
    assert entry.layout is not None
    assert entry.convert is not None
    assert entry.layout.name == layout
    assert conversion in (None, entry.convert.format)
    assert (entry.input_width, entry.input_height) == (192, 256)
    assert entry.licence.name == "Apache-2.0"
    assert entry.parameters
    assert entry.accuracy[0].value > 25
    assert not entry.verified_here


@pytest.mark.parametrize(
    ("name", "task", "layout", "size"),
    [
        *((f"rtmpose-{size}", "body_keypoints", "coco17", (192, 256)) for size in "tsml"),
        ("rtmpose-l-384", "body_keypoints", "coco17", (288, 384)),
        *((f"dwpose-{size}", "body_keypoints", "coco_wholebody133", (192, 256)) for size in "tsml"),
        ("dwpose-l-384", "body_keypoints", "coco_wholebody133", (288, 384)),
        *((f"rtmw-{size}", "body_keypoints", "coco_wholebody133", (192, 256)) for size in "ml"),
        ("rtmw-l-384", "body_keypoints", "coco_wholebody133", (288, 384)),
        *((f"rtmpose-{size}-halpe26", "body_keypoints", "halpe26", (192, 256)) for size in "tsml"),
        *(
            (f"rtmpose-{size}-halpe26-384", "body_keypoints", "halpe26", (288, 384))
            for size in "mlx"
        ),
        ("rtmpose-m-hand", "hand_keypoints", "hand21", (256, 256)),
    ],
)
def test_the_shipped_catalogue_has_rtmpose_for_bodies_whole_bodies_and_hands(
    name, task, layout, size
):
    entry = load_catalogue().get(name, task)
    assert entry.architecture == "rtmpose"
    assert entry.layout and entry.layout.name == layout
    assert (entry.input_width, entry.input_height) == size
    assert (entry.licence.name, entry.convert) == ("Apache-2.0", None)
    assert entry.accuracy[0].value > 45
    assert not entry.verified_here
    (file,) = entry.files
    (source,) = file.sources
    assert isinstance(source, ArchiveSource)
    assert source.url.startswith("https://download.openmmlab.com/mmpose/v1/projects/")
    assert f"{size[1]}x{size[0]}" in source.url
    assert source.member == "end2end.onnx"


def test_every_field_of_an_entry_arrives(make_entry, make_catalogue):
    figure = {"metric": "AP", "value": 75.8, "dataset": "COCO", "source": "https://example.org/p"}
    hub = {"hub": "acme/net", "revision": "abc123", "member": "onnx/net.onnx"}
    entry = make_entry(
        [
            hub,
            {"url": "https://example.org/n"},
            {"url": "https://example.org/n.zip", "member": "a/net.onnx"},
            {"file": "/opt/net.onnx"},
        ],
        task="body_keypoints",
        layout="coco17",
        input={"width": 192, "height": 256},
        parameters=90_000_000,
        accuracy=[figure],
        settings={"codec": "heatmap", "mean": [0.1, 0.2], "flip": True},
    )
    read = read_catalogue([make_catalogue({"big.net-1": entry})]).get("big.net-1")
    assert (read.input_width, read.input_height, read.parameters) == (192, 256, 90_000_000)
    assert read.accuracy[0].value == 75.8
    assert read.settings == {"codec": "heatmap", "mean": [0.1, 0.2], "flip": True}
    assert read.files[0].sources == (
        HubSource("acme/net", "onnx/net.onnx", "abc123"),
        UrlSource("https://example.org/n"),
        ArchiveSource("https://example.org/n.zip", "a/net.onnx"),
        FileSource(Path("/opt/net.onnx")),
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        read.name = "other"  # type: ignore[misc]


def test_sources_of_a_wheel_are_read():
    source = load_catalogue().get("mediapipe-hand-full").files[0].sources[0]
    member = "mediapipe/modules/hand_landmark/hand_landmark_full.tflite"
    assert source == WheelSource("mediapipe==0.10.21", member)


ERRORS: list[tuple[dict[str, Any], str, str]] = [
    # fields of a valid entry replaced; the field that the error names; what it says
    ({"task": "absent"}, "'task'", "got nothing"),
    ({"task": "hands"}, "'task'", "expected one of hand_detector, hand_keypoints"),
    ({"architecture": ""}, "'architecture'", "expected a text"),
    ({"architecture": 3}, "'architecture'", "got 3 (int)"),
    ({"layout": "hand22"}, "'layout'", "expected one of hand21"),
    ({"layout": "coco17"}, "'layout'", "a layout for a body; hand_keypoints needs one for a hand"),
    ({"layout": "absent"}, "'layout'", "got nothing"),
    ({"task": "hand_detector"}, "'layout'", "leave it out"),
    ({"input": "absent"}, "'input'", "expected a mapping of fields, got nothing"),
    ({"input": {"width": 0, "height": 9}}, "'input.width'", "at least 1, got 0"),
    ({"input": {"width": "9", "height": 9}}, "'input.width'", "whole number, got '9' (str)"),
    ({"input": {"width": 9, "height": True}}, "'input.height'", "whole number"),
    (
        {"input": {"width": 9, "height": 9, "depth": 3}},
        "'input.depth'",
        "unknown field; known are width",
    ),
    ({"parameters": 1.5}, "'parameters'", "whole number"),
    ({"licence": "MIT"}, "'licence'", "expected a mapping"),
    ({"licence": {"name": "MIT", "url": "ftp://x/y"}}, "'licence.url'", "http or https address"),
    ({"origin": ""}, "'origin'", "text"),
    ({"accuracy": "absent"}, "'accuracy'", "expected a list"),
    ({"accuracy": [{"metric": "AP"}]}, "'accuracy[0].value'", "expected a number"),
    ({"verified_here": "yes"}, "'verified_here'", "true or false"),
    ({"files": []}, "'files'", "at least one"),
    ({"files": [3]}, "'files[0]'", "expected a mapping"),
    ({"settings": [1]}, "'settings'", "mapping of words"),
    ({"settings": {"a": {"b": 1}}}, "'settings.a'", "numbers or words"),
    ({"colour": "red"}, "'colour'", "unknown field; known are task"),
    ({"file": {"name": "../net.onnx"}}, "'files[0].name'", "without folders"),
    ({"file": {"name": "checksums.json"}}, "'files[0].name'", "reserved for the store"),
    ({"file": {"name": "net.pth"}}, "'files[0].name'", "may be a pickle"),
    ({"file": {"name": "net.BIN"}}, "'files[0].name'", "may be a pickle"),
    ({"file": {"sha256": "abc"}}, "'files[0].sha256'", "64 lower-case hexadecimal digits"),
    ({"file": {"sha256": "absent"}}, "'files[0].sha256'", "got nothing"),
    ({"file": {"size": -1}}, "'files[0].size'", "at least 1"),
    ({"file": {"sha256": "unknown"}, "verified_here": True}, "'verified_here'", "sha256 of every"),
    ({"file": {"source": []}}, "'files[0].source'", "at least one source"),
    ({"file": {"source": "absent"}}, "'files[0].source'", "exactly one of wheel, hub, url, file"),
    ({"source": {"url": "https://a/b", "file": "/c"}}, "'files[0].source'", "exactly one of"),
    ({"source": {"url": "file:///etc/x"}}, "'files[0].source.url'", "http or https address"),
    ({"source": {"wheel": "mediapipe", "member": "a"}}, "source.wheel'", "pinned requirement"),
    ({"source": {"wheel": "a==1", "member": "../b"}}, "source.member'", "path inside the wheel"),
    ({"source": {"wheel": "a==1", "member": "/b"}}, "source.member'", "path inside the wheel"),
    ({"source": {"hub": "net", "revision": "a", "member": "b"}}, "source.hub'", "owner/name"),
    ({"source": {"hub": "a/b", "member": "c"}}, "source.revision'", "got nothing"),
    ({"source": {"file": "models/net.onnx"}}, "source.file'", "absolute path"),
    ({"source": {"url": "https://a/b", "member": "../c"}}, "source.member'", "inside the archive"),
    ({"source": {"url": "https://a/b", "member": ""}}, "source.member'", "expected a text"),
    ({"source": {"url": "ftp://a/b", "member": "c"}}, "source.url'", "http or https address"),
    ({"source": {"url": "https://a/b", "mirror": 1}}, "source.mirror'", "unknown"),
    ({"source": [{"url": "https://a/b"}, 3]}, "'files[0].source[1]'", "exactly one of"),
]


@pytest.mark.parametrize(("change", "field", "problem"), ERRORS)
def test_an_error_names_the_file_the_entry_the_field_and_the_problem(
    make_entry, make_catalogue, change, field, problem
):
    path = make_catalogue({"net": make_entry(**change)})
    with pytest.raises(CatalogueError) as caught:
        read_catalogue([path])
    text = str(caught.value)
    assert text.startswith(f"{path}: model 'net': field '")
    assert field in text
    assert problem in text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models: {}", "field 'format': expected a whole number, got nothing"),
        ("format: 2\nmodels: {}", "field 'format': this version reads format 1, got 2"),
        ("format: 1", "field 'models': expected a mapping"),
        ("format: 1\nmodels: []", "field 'models': expected a mapping"),
        ("format: 1\nmodels: {}\nmodel: {}", "field 'model': unknown"),
        ("format: 1\nmodels: {a: 3}", "model 'a': expected a mapping of fields, got 3"),
        ("format: 1\nmodels: {A b: {}}", "model 'A b': a name consists of lower-case letters"),
        ("format: 1\nformat: 1\nmodels: {}", "the key 'format' is repeated"),
        ("format: 1\nmodels: {a: {}, a: {}}", "the key 'a' is repeated"),
        ("- 1", "expected a mapping of fields"),
        ("", "expected a mapping of fields, got nothing"),
        ("a: [", "is not valid YAML"),
        ("format: !!python/object/apply:os.getcwd []", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused(tmp_path, text, problem):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(CatalogueError) as caught:
        read_catalogue([path])
    assert str(path) in str(caught.value)
    assert problem in str(caught.value)


def test_a_missing_catalogue_is_named(tmp_path):
    with pytest.raises(CatalogueError, match=r"nowhere\.yaml cannot be read: .*No such file"):
        load_catalogue(tmp_path / "nowhere.yaml")


def test_own_entries_come_by_argument_or_by_environment(monkeypatch, make_entry, make_catalogue):
    path = make_catalogue({"mine": make_entry()})
    assert load_catalogue(path).get("mine").licence.name == "MIT"
    assert "mine" not in load_catalogue().names()
    monkeypatch.setenv("VITPOSE_ROS_CATALOGUE", str(path))
    assert {"mine", *HANDS} <= set(load_catalogue().names())


def test_an_own_entry_cannot_take_a_shipped_name(make_entry, make_catalogue):
    path = make_catalogue({HANDS[0]: make_entry()})
    with pytest.raises(
        CatalogueError, match=f"'{HANDS[0]}': another catalogue already has .*rename yours"
    ):
        load_catalogue(path)


@pytest.mark.parametrize(
    ("name", "task", "problem"),
    [
        ("mediapipe-hand", None, "is not in the catalogue; accepted: mediapipe-palm-full, "),
        ("x", "hand_detector", "accepted for the task hand_detector: mediapipe-palm-full, "),
        (HANDS[0], "hand_detector", "is for the task hand_keypoints, not for hand_detector"),
    ],
)
def test_an_unknown_name_is_answered_with_those_accepted(name, task, problem):
    with pytest.raises(UnknownModelError) as caught:
        load_catalogue().get(name, task)
    assert f"the model '{name}'" in str(caught.value)
    assert problem in str(caught.value)
    assert "`vitpose_ros models list`" in str(caught.value)


def test_the_catalogue_is_found_inside_an_installed_package_without_ros(tmp_path):
    package = tmp_path / "vitpose_ros"
    ignore = shutil.ignore_patterns("__pycache__", "msg", "ros", "*.so")
    shutil.copytree(Path(vitpose_ros.__file__).parent, package, ignore=ignore)
    (package / "config").mkdir(exist_ok=True)
    shutil.copyfile(shipped_path(), package / "config" / "models.yaml")
    code = (
        "from vitpose_ros.models.catalogue import load_catalogue, shipped_path;"
        "print(shipped_path(), len(load_catalogue().entries))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    path, count = result.stdout.split()
    assert path == str(package / "config" / "models.yaml")
    assert int(count) >= 4
