from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import zipfile

import pytest

from vitpose_ros.models import pull as module
from vitpose_ros.models.errors import ModelError, UnknownModelError
from vitpose_ros.models.progress import LogProgress, Progress
from vitpose_ros.models.pull import pull
from vitpose_ros.models.store import State

UNKNOWN = {"sha256": "unknown", "size": "absent"}


@pytest.fixture
def store(site, make_store, make_entry, content):
    """A store whose model `net` comes from the local server."""
    site.files["/net.onnx"] = content
    return make_store({"net": make_entry({"url": f"{site.url}/net.onnx"})})


@pytest.fixture
def unknown(site, make_store, make_entry, content):
    """The same, but the catalogue knows no hash."""
    site.files["/net.onnx"] = content
    return make_store({"net": make_entry({"url": f"{site.url}/net.onnx"}, file=UNKNOWN)})


def names(store, model="net"):
    return sorted(path.name for path in (store.root / model).iterdir())


def test_a_pull_stores_the_file_shows_the_licence_and_says_where_it_came_from(store, site, content):
    told = io.StringIO()
    (model,) = pull(store, ["net"], progress=LogProgress(told))
    assert model.path.read_bytes() == content
    assert names(store) == ["checksums.json", "net.onnx"]
    assert "net: licence MIT, https://example.org/licence" in told.getvalue()
    assert f"from {site.url}/net.onnx; sha256 as in the catalogue" in told.getvalue()
    assert store.list()[0].state is State.VERIFIED


def test_a_model_that_is_there_is_not_downloaded_again_unless_forced(store, site):
    pull(store, ["net", "net"])
    pull(store, ["net"])
    assert len(site.gets()) == 1
    pull(store, ["net"], force=True)
    assert len(site.gets()) == 2


def test_an_unknown_name_stops_the_pull_before_anything_is_downloaded(store, site):
    with pytest.raises(UnknownModelError, match=r"'nat'"):
        pull(store, ["net", "nat"])
    assert site.asked == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            lambda data: b"N" + data[1:],
            "has the sha256 [0-9a-f]{64}, expected is [0-9a-f]{64}. Nothing was stored",
        ),
        (lambda data: data[:-1], "has 307203 bytes, expected are 307204. Nothing was stored"),
        (lambda data: data + b"x", "is larger than 307204 bytes, its size in the catalogue"),
        (lambda data: b"", "is empty. Nothing was stored"),
        (lambda data: b"<!DOCTYPE html><p>Sign in", r"is a web page \(HTML or XML\)"),
    ],
)
def test_a_file_that_is_not_the_catalogues_is_not_stored(store, site, content, given, problem):
    site.files["/net.onnx"] = given(content)
    with pytest.raises(ModelError, match=problem):
        pull(store, ["net"])
    assert names(store) == []
    site.files["/net.onnx"] = content
    assert pull(store, ["net"])[0].path.read_bytes() == content


def test_a_forced_pull_that_fails_leaves_the_old_file(store, site, content):
    pull(store, ["net"])
    site.files["/net.onnx"] = content[::-1]
    with pytest.raises(ModelError, match=r"Nothing was stored"):
        pull(store, ["net"], force=True)
    assert store.get("net").path.read_bytes() == content


def zipped_pickle() -> bytes:
    """What torch.save writes: an archive with a pickle in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": 1}))
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [zipped_pickle(), *(pickle.dumps({"weight": [1, 2]}, protocol) for protocol in (2, 3, 4, 5))],
    ids=["zip", "protocol2", "protocol3", "protocol4", "protocol5"],
)
def test_a_pickle_under_another_name_is_refused(unknown, site, data):
    site.files["/net.onnx"] = data
    with pytest.raises(ModelError, match=r"is a pickle, and loading a pickle can run any code"):
        pull(unknown, ["net"])
    assert names(unknown) == []


def test_without_a_hash_in_the_catalogue_the_first_pull_records_it(unknown, content):
    told = io.StringIO()
    pull(unknown, ["net"], progress=LogProgress(told))
    sha256 = hashlib.sha256(content).hexdigest()
    assert f"the catalogue has no sha256; recorded {sha256}" in told.getvalue()
    record = json.loads((unknown.root / "net" / "checksums.json").read_text())["net.onnx"]
    assert (record["sha256"], record["size"]) == (sha256, len(content))


@pytest.mark.parametrize("force", [False, True])
def test_a_source_that_changed_since_the_first_pull_is_refused_until_its_record_is_deleted(
    unknown, site, content, force
):
    path = pull(unknown, ["net"])[0].path
    path.unlink()
    site.files["/net.onnx"] = content[:-1] + b"?"
    with pytest.raises(ModelError, match=r"was recorded earlier.*delete .*checksums.json and pull"):
        pull(unknown, ["net"], force=force)
    assert not path.exists()
    (path.parent / "checksums.json").unlink()
    assert pull(unknown, ["net"])[0].path.read_bytes() == content[:-1] + b"?"


def test_a_mirror_that_differs_from_the_record_is_refused(unknown, content, tmp_path):
    path = pull(unknown, ["net"])[0].path
    path.unlink()
    (tmp_path / "stick" / "net").mkdir(parents=True)
    (tmp_path / "stick" / "net" / "net.onnx").write_bytes(content[:-1] + b"?")
    with pytest.raises(ModelError, match=r"from mirror .*was recorded earlier"):
        pull(unknown, ["net"], mirror=tmp_path / "stick")
    assert not path.exists()


def test_a_damaged_model_is_replaced_only_when_forced(store, content):
    path = pull(store, ["net"])[0].path
    path.write_bytes(b"N" + content[1:])
    with pytest.raises(ModelError, match=r"models pull --force net"):
        pull(store, ["net"])
    assert path.read_bytes() == b"N" + content[1:]
    pull(store, ["net"], force=True)
    assert path.read_bytes() == content


def test_the_next_source_is_tried_and_all_reasons_are_told(site, make_store, make_entry, tmp_path):
    sources = [{"url": f"{site.url}/gone"}, {"file": str(tmp_path / "nowhere.onnx")}]
    store = make_store({"net": make_entry(sources)})
    with pytest.raises(ModelError, match=r"/gone answers 404.*there is no file .*nowhere\.onnx"):
        pull(store, ["net"])


def test_a_file_of_this_machine_is_copied(make_store, make_entry, content, tmp_path):
    (tmp_path / "my.onnx").write_bytes(content)
    store = make_store({"net": make_entry({"file": str(tmp_path / "my.onnx")})})
    assert pull(store, ["net"])[0].path.read_bytes() == content
    assert (tmp_path / "my.onnx").read_bytes() == content


# --- mirrors -----------------------------------------------------------------------------------


@pytest.fixture
def mirror(store, tmp_path):
    """A copy of a store that holds `net`; the store itself is empty again."""
    pull(store, ["net"])
    folder = tmp_path / "stick"
    shutil.copytree(store.root, folder)
    shutil.rmtree(store.root)
    return folder


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_copied_store_is_a_mirror_that_is_looked_at_first(
    store, site, mirror, by, monkeypatch, content
):
    site.asked.clear()
    if by == "environment":
        monkeypatch.setenv("VITPOSE_ROS_MIRROR", str(mirror))
    pull(store, ["net"], mirror=mirror if by == "argument" else None)
    assert store.get("net").path.read_bytes() == content
    assert site.asked == []


def test_what_the_mirror_lacks_comes_from_the_source(store, site, tmp_path, content):
    (tmp_path / "empty").mkdir()
    told = io.StringIO()
    pull(store, ["net"], mirror=tmp_path / "empty", progress=LogProgress(told))
    assert "net.onnx is not in the mirror" in told.getvalue()
    assert len(site.gets()) == 1


def test_an_air_gapped_robot_is_told_what_its_mirror_lacks(store, site, tmp_path):
    (tmp_path / "empty").mkdir()
    site.files.clear()
    with pytest.raises(ModelError, match=r"The mirror .*empty has no net/net\.onnx\. .*404"):
        pull(store, ["net"], mirror=tmp_path / "empty")


def test_a_mirror_that_is_no_folder_is_named(store, tmp_path):
    with pytest.raises(ModelError, match=r"the mirror .*/nowhere is not a folder; check --mirror"):
        pull(store, ["net"], mirror=tmp_path / "nowhere")


def test_an_altered_mirror_is_refused_by_the_catalogues_hash(store, mirror, content):
    (mirror / "net" / "net.onnx").write_bytes(b"N" + content[1:])
    with pytest.raises(ModelError, match=r"net\.onnx from mirror .*stick has the sha256"):
        pull(store, ["net"], mirror=mirror)


def test_an_altered_mirror_is_refused_by_its_own_record_when_the_catalogue_knows_none(
    unknown, tmp_path, content
):
    pull(unknown, ["net"])
    mirror = tmp_path / "stick"
    shutil.copytree(unknown.root, mirror)
    shutil.rmtree(unknown.root)
    (mirror / "net" / "net.onnx").write_bytes(b"N" + content[1:])
    with pytest.raises(ModelError, match=r"net\.onnx from mirror .* has the sha256"):
        pull(unknown, ["net"], mirror=mirror)


# --- interruptions -----------------------------------------------------------------------------


class Interrupting(Progress):
    def advance(self, done):
        if done > 100_000:
            raise KeyboardInterrupt


def test_an_interrupted_download_leaves_no_model_and_is_resumed(store, site, content):
    with pytest.raises(KeyboardInterrupt):
        pull(store, ["net"], progress=Interrupting())
    assert store.list()[0].state is State.ABSENT
    assert names(store) == [".net.onnx.part.download", ".net.onnx.part.download.json"]
    assert pull(store, ["net"])[0].path.read_bytes() == content
    assert names(store) == ["checksums.json", "net.onnx"]
    assert site.gets()[1].startswith("bytes=")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_while_putting_in_place_leaves_the_old_file(store, content, monkeypatch, step):
    path = pull(store, ["net"])[0].path
    path.write_bytes(b"old")

    def fail(*arguments):
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(f"vitpose_ros.models.files.os.{step}", fail)
        with pytest.raises((ModelError, OSError), match=r"Input/output error"):
            pull(store, ["net"], force=True)
    assert path.read_bytes() == b"old"
    assert not [name for name in names(store) if name.endswith(".part")]


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.ENOSPC, "the disk is full at .*; free some space, or choose another folder"),
        (errno.EROFS, "is read-only; choose another folder .* with --store or VITPOSE_ROS_MODELS"),
        (errno.EACCES, "no permission to write .*; change its owner or mode, or choose another"),
        (errno.EIO, "cannot read or write .*: Input/output error; choose another folder"),
    ],
)
def test_what_the_disk_refuses_is_said_in_a_sentence(
    make_store, make_entry, content, tmp_path, monkeypatch, number, problem
):
    (tmp_path / "my.onnx").write_bytes(content)
    store = make_store({"net": make_entry({"file": str(tmp_path / "my.onnx")})})

    def refuse(source, target, advance):
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(module, "copy_stream", refuse)
    with pytest.raises(ModelError, match=problem):
        pull(store, ["net"])
    assert names(store) == []


def test_a_store_that_cannot_be_a_folder_is_a_sentence(make_store, make_entry, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"cannot read or write .*file/store"):
        pull(make_store({"net": make_entry()}, root="file/store"), ["net"])


# --- processes ---------------------------------------------------------------------------------


@pytest.fixture
def command(store, tmp_path):
    """Start `vitpose_ros models pull net` in a process of its own."""
    started = []

    def start():
        words = ["models", "pull", "net", "--store", str(store.root)]
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "vitpose_ros.cli",
                *words,
                "--catalogue",
                str(tmp_path / "own.yaml"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(30)
        process.stderr.close()


def test_a_killed_pull_leaves_no_model_no_lock_and_is_resumed(store, site, command, content):
    site.gate = threading.Event()
    process = command()
    assert site.half.wait(30)
    part = store.root / "net" / ".net.onnx.part.download"
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    site.gate.set()
    assert store.list()[0].state is State.ABSENT
    assert pull(store, ["net"])[0].path.read_bytes() == content
    assert site.gets()[-1].startswith("bytes=")


def test_of_two_pulls_at_once_one_downloads_and_the_other_waits(store, site, command, content):
    site.gate = threading.Event()
    first = command()
    assert site.half.wait(30)
    second = command()
    assert "another process is writing to" in second.stderr.readline()
    site.gate.set()
    assert (first.wait(30), second.wait(30)) == (0, 0)
    assert "net: already in the store" in second.stderr.read()
    assert site.gets() == [None]
    assert store.get("net").path.read_bytes() == content
