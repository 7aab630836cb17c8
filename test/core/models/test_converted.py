"""Converted models in the store: pulled, converted, altered, mirrored, and the user's own."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from dataclasses import replace

import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.models.catalogue import read_catalogue
from vitpose_ros.models.errors import CatalogueError, ModelError
from vitpose_ros.models.manifest import (
    HashedFile,
    Manifest,
    Output,
    read_manifest,
    write_manifest,
)
from vitpose_ros.models.progress import LogProgress
from vitpose_ros.models.pull import pull
from vitpose_ros.models.store import ModelStore, State

PTH = {
    "task": "body_keypoints",
    "architecture": "vitpose",
    "layout": "coco17",
    "input": {"width": 192, "height": 256},
    "convert": {"format": "vitpose_pth", "expert": "coco"},
    "file": {"name": "net.pth"},
}
NETWORK = b"ONNX" + bytes(1000)


def manifest_of(name, source, network=NETWORK, **fields):
    """The manifest of a network that was made from `source`."""
    made = Manifest(
        name=name,
        task="body_keypoints",
        architecture="vitpose",
        layout="coco17",
        joints=17,
        input_name="image",
        input_width=192,
        input_height=256,
        outputs=(Output("heatmaps", (17, 64, 48)),),
        parameters=100,
        licence="MIT",
        licence_url="https://example.org/licence",
        origin="",
        files=(HashedFile("model.onnx", len(network), hashlib.sha256(network).hexdigest()),),
        sources=(HashedFile("net.pth", len(source), hashlib.sha256(source).hexdigest()),),
        date="2026-01-01T00:00:00+00:00",
        network={"expert": "coco"},
    )
    return replace(made, **fields)


def install(store, manifest, network=NETWORK):
    """Put a network where a conversion puts it."""
    folder = store.root / manifest.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(network)
    write_manifest(folder, manifest)
    return folder


@pytest.fixture
def store(site, make_store, make_entry, content):
    """A store whose model `net` is a checkpoint on the local server."""
    site.files["/net.pth"] = content
    return make_store({"net": make_entry({"url": f"{site.url}/net.pth"}, **PTH)})


def test_a_checkpoint_is_pulled_and_the_next_command_is_told(store, content):
    told = io.StringIO()
    (model,) = pull(store, ["net"], progress=LogProgress(told))
    assert [path.name for path in model.paths] == ["net.pth"]
    assert model.paths[0].read_bytes() == content
    assert f"vitpose_ros models convert net --store {store.root}" in told.getvalue()
    assert store.list()[0].state is State.PULLED


def test_a_pickle_is_taken_where_it_is_converted_without_running_it(
    site, make_store, make_entry, tmp_path
):
    import pickle

    site.files["/net.pth"] = pickle.dumps({"weight": [1, 2]})
    file = {"name": "net.pth", "sha256": "unknown", "size": "absent"}
    store = make_store({"net": make_entry({"url": f"{site.url}/net.pth"}, **PTH | {"file": file})})
    pull(store, ["net"])
    assert store.list()[0].state is State.PULLED


def test_a_checkpoint_that_is_not_converted_is_not_given_out(store):
    with pytest.raises(ModelError, match=r"Get it with: .* pull net .*; then: .* convert net"):
        store.get("net")
    pull(store, ["net"])
    with pytest.raises(
        ModelError, match=r"pulled but not converted\. Convert it with: vitpose_ros models convert"
    ):
        store.get("net")


def test_a_converted_model_gives_its_network_and_its_manifest(store, content):
    pull(store, ["net"])
    folder = install(store, manifest_of("net", content))
    model = store.get("net", "body_keypoints")
    assert model.path == folder / "model.onnx"
    assert model.manifest == read_manifest(folder)
    assert store.list()[0].state is State.CONVERTED
    assert store.verify("net").state is State.CONVERTED


def test_weights_beside_the_network_do_not_make_it_two_models(store, content):
    weights = b"weights"
    files = (
        *manifest_of("net", content).files,
        HashedFile("model.onnx.data", len(weights), hashlib.sha256(weights).hexdigest()),
    )
    folder = install(store, manifest_of("net", content, files=files))
    with pytest.raises(ModelError, match=r"model\.onnx\.data is missing\. Convert it again with"):
        store.get("net")
    (folder / "model.onnx.data").write_bytes(weights)
    assert store.get("net").path == folder / "model.onnx"


def test_a_network_needs_no_checkpoint_beside_it(store, content):
    install(store, manifest_of("net", content))
    assert store.get("net").path.read_bytes() == NETWORK


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"layout": "aic14", "joints": 14, "outputs": (Output("heatmaps", (14, 64, 48)),)},
            "describes another network than the catalogue entry",
        ),
        ({"layout": "ap10k17"}, "describes another network than the catalogue entry"),
        ({"input_width": 256}, "describes another network than the catalogue entry"),
        ({"network": {"expert": "aic"}}, "describes another network than the catalogue entry"),
        ({"name": "nat"}, "describes another network than the catalogue entry"),
        ({"sources": ()}, "was converted from another net.pth"),
        ({"joints": 18}, "it has 18 joints, but 'coco17' has another number"),
        ({"outputs": ()}, "its outputs .* are not for 17 joints"),
        ({"outputs": (Output("heatmaps", (16, 64, 48)),)}, "its outputs .* are not for 17 joints"),
        ({"layout": "coco18"}, "its layout 'coco18' is unknown"),
        ({"files": (HashedFile("../net", 1, "0"),)}, "its files are"),
        ({"files": ()}, "its files are"),
    ],
)
def test_a_manifest_of_something_else_is_refused(change, complaint, store, content):
    folder = store.root / "net"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(NETWORK)
    write_manifest(folder, replace(manifest_of("net", content), **change))
    with pytest.raises(ModelError, match=f"{complaint}.*Convert it again with: vitpose_ros"):
        store.get("net")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"format": 3}', '{"format": 2}', '{"format": 1}', '{"format": 1, "name": "net"}'],
)
def test_a_manifest_that_cannot_be_understood_is_named(text, store):
    folder = store.root / "net"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(text)
    with pytest.raises(ModelError, match=r"the manifest .*/net/model\.json .*Convert it again"):
        store.get("net")


def test_an_altered_network_is_found(store, content):
    folder = install(store, manifest_of("net", content))
    store.get("net")
    (folder / "model.onnx").write_bytes(NETWORK[:-1] + b"x")
    with pytest.raises(ModelError, match=r"altered: its sha256 is .*Convert it again with"):
        store.get("net")
    assert store.list()[0].state is State.DAMAGED


def test_verify_looks_at_the_checkpoint_as_well(store, content):
    pull(store, ["net"])
    folder = install(store, manifest_of("net", content))
    (folder / "net.pth").write_bytes(content[:-1] + b"x")
    assert store.list()[0].state is State.CONVERTED  # a start needs the network only
    status = store.verify("net")
    assert status.state is State.DAMAGED
    assert "net.pth is altered" in status.problem


def test_an_expert_found_in_the_file_need_not_be_in_the_catalogue(make_store, make_entry, content):
    settings = PTH | {"convert": {"format": "vitpose_pth"}}
    store = make_store({"net": make_entry(**settings)})
    install(store, manifest_of("net", content))
    assert store.get("net")


def test_a_checkpoint_pulled_anew_makes_the_old_network_stale(
    site, make_store, make_entry, content
):
    content = pickle.dumps(content)
    site.files["/net.pth"] = content
    file = {"name": "net.pth", "sha256": "unknown", "size": "absent"}
    store = make_store({"net": make_entry({"url": f"{site.url}/net.pth"}, **PTH | {"file": file})})
    pull(store, ["net"])
    install(store, manifest_of("net", content))
    assert store.get("net")
    site.files["/net.pth"] = content + b"more"
    (store.root / "net" / "checksums.json").unlink()
    (model,) = pull(store, ["net"], force=True)
    assert model.paths[0].read_bytes() == content + b"more"
    with pytest.raises(ModelError, match=r"from another net\.pth.*Convert it again with"):
        store.get("net")


def test_a_mirror_gives_its_converted_network_instead_of_the_checkpoint(
    store, make_store, make_entry, content, site
):
    install(store, manifest_of("net", content))
    robot = make_store({"net": make_entry({"url": f"{site.url}/net.pth"}, **PTH)}, root="robot")
    (model,) = pull(robot, ["net"], mirror=store.root)
    assert model.path == robot.root / "net" / "model.onnx"
    assert not (robot.root / "net" / "net.pth").exists()
    assert site.asked == []
    pull(robot, ["net"], mirror=store.root)  # and again: it is there


def test_an_altered_network_in_a_mirror_is_refused(store, make_store, make_entry, content, site):
    install(store, manifest_of("net", content), NETWORK[::-1])
    robot = make_store({"net": make_entry({"url": f"{site.url}/net.pth"}, **PTH)}, root="robot")
    with pytest.raises(ModelError, match=r"model\.onnx from mirror .* has the sha256"):
        pull(robot, ["net"], mirror=store.root)
    assert robot.list()[0].state is State.ABSENT


def test_a_mirror_with_the_checkpoint_only_gives_that(store, make_store, make_entry, content, site):
    pull(store, ["net"])
    robot = make_store({"net": make_entry({"url": "http://127.0.0.1:9/"}, **PTH)}, root="robot")
    pull(robot, ["net"], mirror=store.root)
    assert robot.list()[0].state is State.PULLED


def test_a_network_of_the_users_own_is_a_model_like_any_other(store, content):
    install(store, manifest_of("mine", content))
    again = ModelStore(store.root, store.catalogue)
    model = again.get("mine", "body_keypoints")
    assert (model.path.read_bytes(), model.entry.licence.name) == (NETWORK, "MIT")
    assert again.catalogue.names() == ["net", "mine"]
    assert again.list()[1].state is State.CONVERTED


def test_a_folder_whose_manifest_has_another_name_is_left_out_and_told(store, content, caplog):
    install(store, manifest_of("mine", content)).rename(store.root / "yours")
    assert ModelStore(store.root, store.catalogue).catalogue.names() == ["net"]
    assert "its manifest has another name" in caplog.text


def test_a_name_of_the_catalogue_is_never_taken_by_a_network_of_ones_own(store, content):
    install(store, manifest_of("net", content, sources=()))
    with pytest.raises(ModelError, match="was converted from another"):
        ModelStore(store.root, store.catalogue).get("net")


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"convert": {"format": "keras"}}, "'convert.format'", "one of huggingface, vitpose_pth"),
        ({"convert": {"format": "vitpose_pth", "expert": "x"}}, "'convert.expert'", "one of coco"),
        ({"convert": {"format": "vitpose_pth", "expert": "aic"}}, "'convert.expert'", "aic14"),
        ({"convert": {"format": "vitpose_pth", "k": 1}}, "'convert.k'", "unknown"),
        ({"convert": {"format": "huggingface"}}, "'files[0].name'", "may be a pickle"),
        ({"convert": None}, "'files[0].name'", "may be a pickle"),
        ({"file": {"name": "net.pkl"}}, "'files[0].name'", "may be a pickle"),
        ({"file": {"name": "model.onnx"}}, "'files[0].name'", "reserved for the store"),
        ({"file": {"name": "model.json"}}, "'files[0].name'", "reserved for the store"),
        (
            {"file": {"name": "net.safetensors"}, "convert": {"format": "huggingface"}},
            "'files'",
            "needs config.json and model.safetensors",
        ),
    ],
)
def test_an_error_in_a_conversion_names_the_field(
    change, field, problem, make_entry, make_catalogue
):
    with pytest.raises(CatalogueError) as caught:
        read_catalogue([make_catalogue({"net": make_entry(**PTH | change)})])
    assert field in str(caught.value)
    assert problem in str(caught.value)


@pytest.fixture
def cli(store, make_entry, make_catalogue, site, monkeypatch, capsys):
    """Run the tool on that store; exit code, stdout, stderr."""
    path = make_catalogue({"net": make_entry({"url": f"{site.url}/net.pth"}, **PTH)})
    monkeypatch.setenv("VITPOSE_ROS_CATALOGUE", str(path))
    monkeypatch.setenv("VITPOSE_ROS_MODELS", str(store.root))

    def run(*words):
        try:
            code = main(words)
        except SystemExit as error:
            code = error.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def test_the_tool_shows_what_is_pulled_and_what_is_converted(cli, store, content):
    cli("models", "pull", "net")
    code, out, _ = cli("models", "list")
    assert code == 0
    assert "pulled but not converted. Convert it with: vitpose_ros models convert net\n" in out
    assert cli("models", "verify", "net")[0] == 1
    install(store, manifest_of("net", content))
    code, out, _ = cli("models", "verify", "net")
    assert (code, out) == (0, "net: converted\n")
    _, out, _ = cli("models", "list", "--json")
    (model,) = [model for model in json.loads(out) if model["name"] == "net"]
    assert (model["state"], model["convert"]) == (
        "converted",
        {"format": "vitpose_pth", "expert": "coco"},
    )


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("nothing",), 2, "'nothing' is neither a model in the catalogue nor a file or folder"),
        (("{tmp}",), 1, "give either --name NAME"),
        (("{tmp}", "--name", "a", "--output", "b"), 1, "give either --name NAME"),
        (("{tmp}", "--name", "net"), 1, "the catalogue already has a model 'net'"),
        (("{tmp}", "--name", "My Net"), 1, "the name 'My Net' is not valid"),
        (("{tmp}", "--name", "mine"), 1, "has no config.json; a Hugging Face checkpoint"),
        (("{tmp}/a.txt", "--name", "mine"), 1, "is not a checkpoint: accepted are a folder"),
        (("{tmp}/a.onnx", "--name", "mine"), 1, "vitpose_ros models add"),
        (("{tmp}", "--name", "mine", "--input", "192x256"), 1, "omit --input; its config"),
        (("{tmp}", "--name", "mine", "--input", "192"), 2, "expected WIDTHxHEIGHT"),
        (("net", "--layout", "coco17"), 1, "omit --layout: the catalogue determines it"),
        (("net",), 1, "the model 'net' is not in the store"),
        (("mediapipe-hand-full",), 1, "needs no conversion: its file is a network already"),
    ],
)
def test_what_cannot_be_converted_is_told(words, code, complaint, cli, tmp_path):
    folder = tmp_path / "given"
    folder.mkdir()
    for name in ("a.txt", "a.onnx"):
        (folder / name).write_text("nothing")
    got, _, err = cli("models", "convert", *(word.format(tmp=folder) for word in words))
    assert (got, complaint in err) == (code, True), err


def test_without_torch_the_error_names_the_command(cli, store, tmp_path, monkeypatch):
    import sys

    cli("models", "pull", "net")
    monkeypatch.setitem(sys.modules, "torch", None)
    code, _, err = cli("models", "convert", "net")
    assert code == 1
    assert "needs the Python package torch (" in err
    assert "python3 -m pip install torch transformers safetensors onnx onnxscript" in err
