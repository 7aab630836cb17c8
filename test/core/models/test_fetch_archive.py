"""Files inside zip archives behind an address, as OpenMMLab publishes networks."""

from __future__ import annotations

import io
import zipfile

import pytest

from vitpose_ros.models import budget
from vitpose_ros.models import fetch_url as fetch_url_module
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.progress import Progress
from vitpose_ros.models.pull import pull
from vitpose_ros.models.store import State

FOLDER = "20230831/rtmpose_onnx/rtmpose-m_body7/"
UNKNOWN = {"sha256": "unknown", "size": "absent"}


class Told(Progress):
    def __init__(self):
        self.starts, self.steps = [], []

    def start(self, label, total):
        self.starts.append((label, total))

    def advance(self, done):
        self.steps.append(done)


def packed(members, compression=zipfile.ZIP_DEFLATED):
    """A zip archive of (name, content)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.fixture
def good(content):
    """An archive laid out like OpenMMLab's."""
    return packed(
        [
            (f"{FOLDER}deploy.json", b"{}"),
            (f"{FOLDER}end2end.onnx", content),
            (f"{FOLDER}detail.json", b"{}"),
        ]
    )


@pytest.fixture
def make(site, make_store, make_entry):
    """A function: a store whose model `net` is a member of the archive /net.zip."""

    def store_of(data, member="end2end.onnx", **file):
        site.files["/net.zip"] = data
        source = {"url": f"{site.url}/net.zip", "member": member}
        return make_store({"net": make_entry(source, file=file)})

    return store_of


def left(store):
    return sorted(path.name for path in (store.root / "net").iterdir())


@pytest.mark.parametrize("member", ["end2end.onnx", f"{FOLDER}end2end.onnx"])
def test_a_member_arrives_by_its_path_or_by_the_end_of_it_and_leaves_no_archive(
    member, make, good, content, site
):
    store, told = make(good, member), Told()
    (model,) = pull(store, ["net"], progress=told)
    assert model.path.read_bytes() == content
    assert left(store) == ["checksums.json", "net.onnx"]
    assert store.list()[0].state is State.VERIFIED
    assert told.starts == [
        ("net.zip", len(good)),
        ("end2end.onnx from the archive net.zip", len(content)),
    ]
    assert {len(good), len(content)} <= set(told.steps)


def test_without_a_hash_in_the_catalogue_that_of_the_member_is_recorded(make, good, content):
    store = make(good, **UNKNOWN)
    pull(store, ["net"])
    assert store.list()[0].state is State.RECORDED
    assert left(store) == ["checksums.json", "net.onnx"]


def test_a_download_that_broke_is_continued_by_the_next_pull(make, site, content, monkeypatch):
    data = packed([("end2end.onnx", content)], zipfile.ZIP_STORED)
    store = make(data)
    monkeypatch.setattr(fetch_url_module, "ATTEMPTS", 1)
    site.cuts = [100_000]
    with pytest.raises(ModelError, match="run the same command again to resume"):
        pull(store, ["net"])
    (model,) = pull(store, ["net"])
    assert model.path.read_bytes() == content
    assert site.gets() == [None, "bytes=100000-"]
    assert left(store) == ["checksums.json", "net.onnx"]


def test_no_name_inside_an_archive_becomes_a_path(make, content, tmp_path):
    store = make(packed([("../../../end2end.onnx", content), ("/etc/other.onnx", b"x")]))
    before = {path for path in tmp_path.rglob("*") if "store" not in path.parts}
    (model,) = pull(store, ["net"])
    assert model.path == store.root / "net" / "net.onnx"
    assert model.path.read_bytes() == content
    assert {path for path in tmp_path.rglob("*") if "store" not in path.parts} == before
    assert sorted(path.name for path in store.root.iterdir()) == [".lock", "net"]


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ([("other.onnx", b"x")], r"the archive net\.zip has no member 'end2end\.onnx'"),
        ([("not_end2end.onnx", b"x")], r"has no member 'end2end\.onnx'"),
        ([("end2end.onnx/", b"")], r"has no member 'end2end\.onnx'"),
        (
            [("a/end2end.onnx", b"x"), ("b/end2end.onnx", b"y")],
            r"2 members 'end2end\.onnx' \('a/end2end\.onnx', 'b/end2end\.onnx'\); name the path",
        ),
        ([("end2end.onnx", b"xy")], r"'end2end\.onnx' of .* has 2 bytes, expected are 3072"),
    ],
)
def test_an_archive_without_the_one_member_is_refused(members, complaint, make, site):
    store = make(packed(members))
    with pytest.raises(ModelError, match=complaint):
        pull(store, ["net"])
    assert left(store) == []
    assert store.list()[0].state is State.ABSENT


def test_of_two_members_of_one_path_none_is_taken(make, content):
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = packed([("end2end.onnx", content), ("end2end.onnx", content[::-1])])
    with pytest.raises(ModelError, match="has 2 members"):
        pull(make(data), ["net"])


def test_a_member_that_would_fill_the_disk_is_refused_before_it_is_unpacked(
    make, content, monkeypatch
):
    monkeypatch.setattr(budget, "LARGEST", 100_000)
    told = Told()
    bomb = packed([("end2end.onnx", bytes(200_000))])
    assert len(bomb) < 1000
    store = make(bomb, **UNKNOWN)
    with pytest.raises(
        ModelError, match=r"'end2end\.onnx' of the archive net\.zip is larger than 100000 bytes"
    ):
        pull(store, ["net"], progress=told)
    assert max(told.steps) < 1000
    assert left(store) == []


def test_a_member_is_never_larger_than_the_archive_says(make):
    data = bytearray(packed([("end2end.onnx", bytes(200_000))]))
    for place in (data.index(b"PK\x03\x04") + 22, data.index(b"PK\x01\x02") + 24):
        data[place : place + 4] = (1000).to_bytes(4, "little")  # the size in both headers
    store = make(bytes(data), **UNKNOWN)
    with pytest.raises(ModelError, match=r"the archive net\.zip is damaged \(Bad CRC"):
        pull(store, ["net"])
    assert left(store) == []


@pytest.mark.parametrize("damage", ["no zip", "cut", "bytes inside", "compression", "encrypted"])
def test_a_damaged_archive_is_said_to_be_damaged_and_not_kept(damage, good, make, site, content):
    data = bytearray(good)
    if damage == "no zip":
        data = bytearray(b"no archive")
    elif damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "bytes inside":
        data[400:420] = bytes(20)
    else:
        entry = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
        data[entry + (8 if damage == "encrypted" else 10)] = 1
    store = make(bytes(data))
    with pytest.raises(ModelError, match=r"the archive net\.zip( is damaged| is encrypted)"):
        pull(store, ["net"])
    assert left(store) == []
    site.files["/net.zip"] = good  # what is whole later is downloaded anew
    assert pull(store, ["net"])[0].path.read_bytes() == content


def test_a_web_page_in_place_of_an_archive_is_named(make):
    store = make(b"\n<html><title>Sign in</title></html>")
    with pytest.raises(ModelError, match=r"the archive net\.zip is a web page"):
        pull(store, ["net"])
    assert left(store) == []


def test_a_pickle_in_an_archive_is_refused(make):
    import pickle

    store = make(packed([("end2end.onnx", pickle.dumps({"weight": [1, 2]}))]), **UNKNOWN)
    with pytest.raises(ModelError, match="is a pickle, and loading a pickle can run any code"):
        pull(store, ["net"])


def test_an_archive_that_is_not_there_is_said_at_once(make, site, good):
    store = make(good)
    site.files.clear()
    with pytest.raises(ModelError, match=r"/net\.zip answers 404 Not Found; check the address"):
        pull(store, ["net"])
