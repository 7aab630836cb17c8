from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vitpose_ros.models import store as module
from vitpose_ros.models.errors import ModelError, UnknownModelError
from vitpose_ros.models.pull import pull
from vitpose_ros.models.store import ModelStore, State, default_root

UNKNOWN = {"sha256": "unknown", "size": "absent"}
"""A file of which the catalogue knows neither size nor hash."""


@pytest.fixture
def place(make_store, make_entry, content):
    """A store whose model `net` lies there; keywords change the catalogue's file."""

    def make(**file):
        store = make_store({"net": make_entry(file=file)})
        path = store.root / "net" / "net.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return store, path

    return make


@pytest.mark.parametrize(
    ("environment", "root"),
    [
        ({"VITPOSE_ROS_MODELS": "/srv/models", "XDG_DATA_HOME": "/x"}, "/srv/models"),
        ({"VITPOSE_ROS_MODELS": "~/m", "HOME": "/home/ada"}, "/home/ada/m"),
        ({"XDG_DATA_HOME": "/x"}, "/x/vitpose_ros/models"),
        ({"XDG_DATA_HOME": "", "HOME": "/home/ada"}, "/home/ada/.local/share/vitpose_ros/models"),
        # the XDG specification: a relative path is to be ignored
        ({"XDG_DATA_HOME": "x", "HOME": "/home/ada"}, "/home/ada/.local/share/vitpose_ros/models"),
    ],
)
def test_the_store_lies_where_the_environment_says(monkeypatch, environment, root):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_root() == Path(root)
    assert ModelStore().root == Path(root)


def raise_key_error(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")


@pytest.mark.parametrize("environment", [{}, {"XDG_DATA_HOME": "x"}])
def test_without_a_home_the_variable_to_set_is_named(monkeypatch, environment):
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr("pwd.getpwuid", raise_key_error)  # as for a container's unknown user id
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        ModelError, match=r"no home directory .* Set VITPOSE_ROS_MODELS to a folder"
    ):
        ModelStore()


def test_without_a_home_a_given_store_works_and_its_commands_name_it(place, monkeypatch):
    store, path = place()
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr("pwd.getpwuid", raise_key_error)
    assert store.get("net").path == path
    path.unlink()
    with pytest.raises(ModelError, match=rf"models pull net --store {store.root}$"):
        store.get("net")


@pytest.mark.parametrize("variable", ["MODELS", "CATALOGUE", "MIRROR"])
def test_without_a_home_a_tilde_is_explained(monkeypatch, variable, make_store, make_entry):
    given = make_store({"net": make_entry()})
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", raise_key_error)
    monkeypatch.setenv(f"VITPOSE_ROS_{variable}", "~/m")
    with pytest.raises(ModelError, match=r"'~/m' cannot be resolved.*Give an absolute path"):
        pull(given, ["net"]) if variable == "MIRROR" else ModelStore()


def test_a_whole_model_is_given_with_its_entry_and_path(place):
    store, path = place()
    model = store.get("net", task="hand_keypoints")
    assert (model.entry.name, model.path, model.file("net.onnx")) == ("net", path, path)


def test_an_unknown_name_and_a_wrong_task_are_refused(place):
    store, _ = place()
    with pytest.raises(UnknownModelError, match=r"'nets' is not in the catalogue; accepted: net"):
        store.get("nets")
    with pytest.raises(
        UnknownModelError, match=r"for the task hand_keypoints, not for hand_detector"
    ):
        store.get("net", task="hand_detector")


def test_a_missing_model_is_answered_with_the_command_that_brings_it(place, monkeypatch):
    store, path = place()
    path.unlink()
    with pytest.raises(ModelError) as caught:
        store.get("net")
    assert f"{path} is missing" in str(caught.value)
    assert str(caught.value).endswith(f"vitpose_ros models pull net --store {store.root}")
    monkeypatch.setenv("VITPOSE_ROS_MODELS", str(store.root))
    with pytest.raises(ModelError, match=r"vitpose_ros models pull net$"):
        store.get("net")


def test_looking_for_a_model_makes_no_folder(make_store, make_entry):
    store = make_store({"net": make_entry()})
    with pytest.raises(ModelError):
        store.get("net")
    store.list()
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: data[:-1], "is truncated: it has 307203 bytes, expected are 307204"),
        (lambda data: b"", "is truncated: it has 0 bytes"),
        (lambda data: data + b"x", "is altered: it has 307205 bytes, expected are 307204"),
        (lambda data: b"N" + data[1:], "is altered: its sha256 is [0-9a-f]{64}, expected is"),
    ],
)
def test_a_damaged_file_is_refused_with_what_was_found_and_expected(
    place, content, change, problem
):
    store, path = place()
    path.write_bytes(change(content))
    with pytest.raises(ModelError, match=f"net.onnx {problem}.*models pull --force net"):
        store.get("net")
    assert store.list()[0].state is State.DAMAGED


def test_without_a_hash_in_the_catalogue_the_first_use_records_it_and_later_ones_check(
    place, content
):
    store, path = place(**UNKNOWN)
    assert store.get("net").path == path
    assert store.list()[0].state is State.RECORDED
    path.write_bytes(b"N" + content[1:])
    with pytest.raises(ModelError, match=r"its sha256 is"):
        store.get("net")
    path.write_bytes(content[:-1])
    with pytest.raises(ModelError, match=r"is truncated"):
        store.get("net")
    path.write_bytes(content)
    assert store.get("net").path == path


def test_a_store_that_cannot_be_written_still_serves(place, monkeypatch, caplog):
    store, path = place(**UNKNOWN)
    monkeypatch.setattr(module, "write_record", raise_permission)
    assert store.get("net").path == path
    assert store.list()[0].state is State.UNCHECKED
    assert "will be hashed at every start" in caplog.text


def raise_permission(*arguments):
    raise PermissionError("read-only")


def test_a_record_that_cannot_be_understood_is_made_anew(place):
    store, path = place()
    record = path.parent / "checksums.json"
    for text in ("", "{", "[]", '{"net.onnx": {"sha256": 1}}', '{"net.onnx": 3}'):
        record.write_text(text)
        assert store.get("net").path == path
        assert set(json.loads(record.read_text())["net.onnx"]) == {
            "sha256", "size", "mtime_ns", "source",
        }  # fmt: skip


@pytest.fixture
def hashed(monkeypatch):
    """Paths that were hashed; every file is a large one."""
    done, real = [], module.sha256_of
    monkeypatch.setattr(module, "QUICK_LIMIT", 10)
    monkeypatch.setattr(module, "sha256_of", lambda path: done.append(path) or real(path))
    return done


def test_a_large_file_is_hashed_once_and_again_when_its_size_or_time_changes(place, hashed):
    store, path = place()
    store.get("net")
    store.get("net")
    assert hashed == [path]
    os.utime(path, ns=(1, 1))
    store.get("net")
    store.get("net")
    assert hashed == [path, path]


def test_verify_sees_what_the_quick_check_cannot_and_is_remembered(place, hashed, content):
    store, path = place()
    store.get("net")
    stat = path.stat()
    path.write_bytes(b"N" + content[1:])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert store.get("net").path == path  # the price of a quick start, told in docs/models.md
    assert store.verify("net").state is State.DAMAGED
    with pytest.raises(ModelError, match=r"is altered"):
        store.get("net")


def test_a_model_of_several_files_needs_all_of_them(make_store, make_entry, content):
    entry = make_entry()
    entry["files"].append(entry["files"][0] | {"name": "net.onnx.data"})
    store = make_store({"net": entry})
    folder = store.root / "net"
    folder.mkdir(parents=True)
    (folder / "net.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"net\.onnx\.data is missing"):
        store.get("net")
    assert store.list()[0].state is State.DAMAGED
    (folder / "net.onnx.data").write_bytes(content)
    model = store.get("net")
    assert model.file("net.onnx.data") == folder / "net.onnx.data"
    with pytest.raises(ModelError, match=r"several files \(net\.onnx, net\.onnx\.data\)"):
        _ = model.path
    with pytest.raises(ModelError, match=r"has no file 'x'; it has net\.onnx"):
        model.file("x")


def test_list_has_every_model(make_store, make_entry):
    palm = make_entry(task="hand_detector", layout="absent")
    store = make_store({"palm": palm, "hand": make_entry()})
    assert [status.entry.name for status in store.list()] == ["palm", "hand"]
    assert {status.state for status in store.list()} == {State.ABSENT}
