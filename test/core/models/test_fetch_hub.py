from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vitpose_ros.models.catalogue import read_catalogue
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.pull import pull
from vitpose_ros.models.store import ModelStore, State

SOURCE = {"hub": "acme/net", "revision": "v1", "member": "onnx/net.onnx"}
PATH = "/acme/net/resolve/v1/onnx/net.onnx"


@pytest.fixture
def hub(site, quick_hub, monkeypatch):
    """The local server as the hub."""
    pytest.importorskip(
        "huggingface_hub", reason="needs huggingface_hub: python3 -m pip install huggingface_hub"
    )
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    return site


def test_a_file_of_the_hub_arrives_at_its_revision(hub, make_entry, make_store, content):
    hub.files[PATH] = content
    store = make_store({"net": make_entry(SOURCE)})
    (model,) = pull(store, ["net"])
    assert model.path.read_bytes() == content
    assert sorted(path.name for path in model.path.parent.iterdir()) == [
        "checksums.json",
        "net.onnx",
    ]


def test_a_relative_store_is_in_the_current_folder(
    hub, make_entry, make_catalogue, content, tmp_path, monkeypatch
):
    hub.files[PATH] = content
    catalogue = read_catalogue([make_catalogue({"net": make_entry(SOURCE)})])
    monkeypatch.chdir(tmp_path)
    pull(ModelStore(Path("store"), catalogue), ["net"])
    assert (tmp_path / "store" / "net" / "net.onnx").read_bytes() == content


def test_a_connection_to_the_hub_that_breaks_never_leaves_half_a_file(
    hub, make_entry, make_store, content
):
    hub.files[PATH] = content
    hub.cuts = [100_000]
    store = make_store({"net": make_entry(SOURCE)})
    try:
        (model,) = pull(store, ["net"])
    except ModelError:  # old versions of the library leave the second attempt to the caller
        assert store.list()[0].state is State.ABSENT
        (model,) = pull(store, ["net"])
    assert model.path.read_bytes() == content


def test_a_file_that_the_hub_lacks_is_named(hub, make_entry, make_store):
    store = make_store({"net": make_entry(SOURCE)})
    with pytest.raises(
        ModelError, match=r"hub did not deliver acme/net/onnx/net\.onnx at revision v1"
    ):
        pull(store, ["net"])
    assert store.list()[0].state is State.ABSENT


def test_a_hub_out_of_reach_is_said(hub, make_entry, make_store, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    store = make_store({"net": make_entry(SOURCE)})
    with pytest.raises(ModelError, match=r"hub did not deliver acme/net/onnx/net\.onnx"):
        pull(store, ["net"])
    assert store.list()[0].state is State.ABSENT


def test_without_the_hubs_package_its_name_and_command_are_told(
    make_entry, make_store, monkeypatch
):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    store = make_store({"net": make_entry(SOURCE)})
    with pytest.raises(ModelError, match="pip install huggingface_hub"):
        pull(store, ["net"])


def test_the_next_source_is_tried_when_the_hub_fails(
    site, make_entry, make_store, content, monkeypatch
):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    site.files["/net.onnx"] = content
    store = make_store({"net": make_entry([SOURCE, {"url": f"{site.url}/net.onnx"}])})
    assert pull(store, ["net"])[0].path.read_bytes() == content
