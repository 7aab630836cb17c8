from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from vitpose_ros.models.catalogue import load_catalogue, read_catalogue
from vitpose_ros.models.errors import ModelError, SourceError
from vitpose_ros.models.fetch_wheel import Wheels
from vitpose_ros.models.progress import Progress
from vitpose_ros.models.pull import pull
from vitpose_ros.models.sources import WheelSource
from vitpose_ros.models.store import ModelStore, State


class Labels(Progress):
    def __init__(self):
        self.labels = []

    def start(self, label, total):
        self.labels.append(label)


@pytest.fixture(params=["py3-none-any", "cp311-cp311-manylinux_2_28_x86_64"])
def wheel(request, tmp_path, monkeypatch, content):
    """A wheel that pip finds in a folder instead of on an index, through pip's own variables."""
    links = tmp_path / "links"
    links.mkdir()
    path = links / f"tinymodels-1.0-{request.param}.whl"
    info = "tinymodels-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tinymodels/a.onnx", content)
        archive.writestr("tinymodels/b.onnx", content)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinymodels\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {request.param}\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return path


def source(member: str, version: str = "1.0") -> dict[str, str]:
    return {"wheel": f"tinymodels=={version}", "member": f"tinymodels/{member}"}


def test_two_models_of_one_wheel_take_one_download_and_leave_no_wheel(
    wheel, make_entry, make_store, content
):
    store = make_store({"a": make_entry(source("a.onnx")), "b": make_entry(source("b.onnx"))})
    labels = Labels()
    models = pull(store, ["a", "b"], progress=labels)
    assert [model.path.read_bytes() == content for model in models] == [True, True]
    assert labels.labels == ["pip download tinymodels==1.0"]
    assert sorted(path.name for path in store.root.iterdir()) == [".lock", "a", "b"]


def test_relative_paths_of_the_store_and_of_pip_are_those_of_the_current_folder(
    wheel, make_entry, make_catalogue, content, tmp_path, monkeypatch
):
    catalogue = read_catalogue([make_catalogue({"a": make_entry(source("a.onnx"))})])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_FIND_LINKS", "links")
    pull(ModelStore(Path("store"), catalogue), ["a"])
    assert (tmp_path / "store" / "a" / "net.onnx").read_bytes() == content


def test_a_missing_member_is_named(wheel, make_entry, make_store):
    store = make_store({"a": make_entry(source("c.onnx"))})
    with pytest.raises(
        ModelError, match=r"wheel tinymodels-1\.0.* has no member 'tinymodels/c\.onnx'"
    ):
        pull(store, ["a"])
    assert store.list()[0].state is State.ABSENT


def test_a_version_that_pip_does_not_find_is_told_in_its_words(wheel, make_entry, make_store):
    store = make_store({"a": make_entry(source("a.onnx", version="2.0"))})
    with pytest.raises(ModelError) as caught:
        pull(store, ["a"])
    assert "pip could not download tinymodels==2.0: " in str(caught.value)
    assert "No matching distribution found for tinymodels==2.0" in str(caught.value)


def test_a_damaged_wheel_is_said_to_be_damaged(wheel, make_entry, make_store, content):
    data = bytearray(wheel.read_bytes())
    data[200:220] = bytes(20)  # inside the first member
    wheel.write_bytes(data)
    store = make_store({"a": make_entry(source("a.onnx"))})
    with pytest.raises(ModelError, match=r"tinymodels-1\.0.* is damaged"):
        pull(store, ["a"])
    assert store.list()[0].state is State.ABSENT


def test_an_interpreter_without_pip_is_answered_with_how_to_get_it(tmp_path):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{python}: No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    wheels = Wheels(tmp_path / "wheels", python=str(python))
    with pytest.raises(
        SourceError, match=r"pip, which .* does not have; install it with: .*python3-pip"
    ):
        wheels.fetch(WheelSource("a==1", "b"), tmp_path / "b", Progress())


def test_an_interpreter_that_cannot_start_is_named(tmp_path):
    wheels = Wheels(tmp_path / "wheels", python=str(tmp_path / "nopython"))
    with pytest.raises(SourceError, match=r"nopython' cannot be started"):
        wheels.fetch(WheelSource("a==1", "b"), tmp_path / "b", Progress())


@pytest.mark.network
@pytest.mark.timeout(300)
def test_mediapipes_networks_come_out_of_its_wheel_as_the_catalogue_says(tmp_path):
    store = ModelStore(tmp_path / "store")
    names = load_catalogue().names()
    try:
        models = pull(store, [name for name in names if name.startswith("mediapipe-")])
    except ModelError as error:
        if "pip could not download" in str(error):
            pytest.skip(f"the Python package index is out of reach: {error}")
        raise
    assert len(models) >= 4
    assert all(model.path.read_bytes()[4:8] == b"TFL3" for model in models)
    assert {
        status.state for status in store.list() if status.entry.name.startswith("mediapipe-")
    } == {State.VERIFIED}
