"""Skeletons read back from bags and tables."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vitpose_ros.layouts import COCO17, HAND21, Layout
from vitpose_ros.offline import write_tables
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.offline.read_skeletons import read_skeletons
from vitpose_ros.offline.write_bag import write_bag
from vitpose_ros.offline.write_tables import write_parquet
from vitpose_ros.types import JointState, Keypoints, Side


def joints(layout=HAND21, seed=0):
    return np.random.default_rng(seed).uniform(50, 400, (len(layout), 2))


@pytest.fixture
def played(annotation, skeleton):
    """A body and a hand, nothing, and a lost hand without some of its joints, after a restart."""
    some = joints(seed=2)
    some[3:7] = np.nan
    xyz = np.random.default_rng(3).uniform(-0.2, 0.8, (21, 3))
    images = [
        [skeleton(joints(COCO17, 1), COCO17, track_id=4), skeleton(joints(), xyz=xyz, shape=xyz)],
        [],
        [skeleton(some, state=JointState.PREDICTED, side=Side.LEFT, track_id=9, lost=True)],
        [],
    ]
    return annotation(images, (HAND21, COCO17), resets=[3])


def assert_same(one, other):
    for field in fields(one):
        mine, its = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, Keypoints):
            assert_same(mine, its)
        elif isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, its, field.name)
            assert mine.dtype == its.dtype
        elif isinstance(mine, float):
            assert mine == pytest.approx(its, abs=1e-6, nan_ok=True), field.name
        else:
            assert mine == its, field.name


@pytest.mark.parametrize("kind", ["bag", "table"])
def test_what_was_written_is_read_back(played, tmp_path, kind):
    if kind == "bag":
        path, topic = tmp_path / "skeletons", "/skeletons"
        write_bag(path, played)
    else:
        path, topic = tmp_path / "skeletons.parquet", ""
        write_parquet(path, played, {"settings": {"version": "7"}})
    recorded = read_skeletons(path)
    assert (recorded.path, recorded.topic, recorded.notes) == (path, topic, ())
    assert {layout.name for layout in recorded.layouts} == {"hand21", "coco17"}
    assert len(recorded.images) == len(played.images)
    for image, before in zip(recorded.images, played.images, strict=True):
        assert (image.stamp_ns, image.size, image.reset) == (
            before.stamp_ns,
            before.size,
            before.reset,
        )
        assert (image.frame_id, image.image_frame_id) == ("camera", "camera")
        assert (image.smoothing, image.horizon_s) == ("none", 0.0)
        assert len(image.instances) == len(before.instances)
        for one, other in zip(image.instances, before.instances, strict=True):
            assert one.layout is other.layout
            # The message says of a raw joint what it says of the smoothed one.
            assert_same(replace(one, raw=one.keypoints), replace(other, raw=other.keypoints))
    assert recorded.images[2].instances[0].is_lost
    assert recorded.about.get("settings") == ({"version": "7"} if kind == "table" else None)


def test_a_folder_of_annotate_gives_its_bag_and_its_manifest(played, tmp_path):
    (tmp_path / "annotation.json").write_text(json.dumps({"episodes": [[1, 2]]}))
    write_parquet(tmp_path / "skeletons.parquet", played, {})
    assert read_skeletons(tmp_path).topic == ""
    write_bag(tmp_path / "skeletons", played)
    for path in (tmp_path, tmp_path / "skeletons"):
        recorded = read_skeletons(path)
        assert (recorded.topic, recorded.about) == ("/skeletons", {"episodes": [[1, 2]]})


def test_annotate_s_bag_and_table_are_read_alike(annotate, make_bag, hands, tmp_path):
    empty = [(hands[-1][0] + 33_000_000, np.full_like(hands[0][1], 90))]
    bag = make_bag(tmp_path / "take", {"/camera/image_raw": ("raw", "bgr8", hands[:3] + empty)})
    code, said, out = annotate(bag, "-p", "hold_time:=0.0")
    assert code == 0, said
    of_bag = read_skeletons(out / "take")
    of_table = read_skeletons(out / "take" / "skeletons.parquet")
    assert len(of_bag.images) == len(of_table.images) == 4
    assert sum(len(image.instances) for image in of_bag.images) >= 3
    assert of_bag.about["settings"] == of_table.about["settings"]
    for one, other in zip(of_bag.images, of_table.images, strict=True):
        for mine, its in zip(one.instances, other.instances, strict=True):
            assert_same(mine, its)
        assert replace(one, instances=()) == replace(other, instances=())


def test_a_bare_mcap_that_was_cut_off_gives_what_is_left(annotation, skeleton, tmp_path):
    many = annotation([[skeleton(joints(seed=n))] for n in range(3000)])
    write_bag(tmp_path / "bag", many)
    data = next((tmp_path / "bag").glob("*.mcap")).read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(data[: len(data) // 2])
    recorded = read_skeletons(cut)
    assert 0 < len(recorded.images) < 3000
    assert "are lost" in recorded.notes[0]


def test_a_layout_of_another_package_is_described_by_the_bag(annotation, skeleton, tmp_path):
    pair = Layout("pair", "hand", ("tip", "base"), ((0, 1),), (), (0.1, float("nan")))
    write_bag(tmp_path / "bag", annotation([[skeleton(joints(pair), pair)]], (pair,)))
    (layout,) = read_skeletons(tmp_path / "bag").layouts
    assert (layout.joints, layout.edges, layout.kind) == (pair.joints, pair.edges, "hand")
    assert layout.sigmas[0] == pytest.approx(0.1) and np.isnan(layout.sigmas[1])


def copied(source, target, topics, digest=None):
    """A bag with the messages of another, under each of these prefixes."""
    from rosbags.rosbag2 import Reader, StoragePlugin, Writer

    with (
        Reader(source) as reader,
        Writer(target, version=8, storage_plugin=StoragePlugin.MCAP) as writer,
    ):
        made = {
            (prefix, one.id): writer.add_connection(
                prefix + one.topic,
                one.msgtype,
                msgdef=one.msgdef.data,
                rihs01=digest or one.digest,
            )
            for prefix in topics
            for one in reader.connections
        }
        for connection, log_ns, data in reader.messages():
            for prefix in topics:
                writer.write(made[prefix, connection.id], log_ns, data)


def test_one_of_two_topics_is_named(played, tmp_path):
    write_bag(tmp_path / "one", played)
    copied(tmp_path / "one", tmp_path / "two", ("", "/true"))
    with pytest.raises(OfflineError, match=r"2 topics of skeletons: name one.*two:/skeletons"):
        read_skeletons(tmp_path / "two")
    recorded = read_skeletons(tmp_path / "two", "/true/skeletons")
    assert (recorded.topic, len(recorded.images)) == ("/true/skeletons", 4)
    with pytest.raises(OfflineError, match="has no vitpose_ros/msg/SkeletonArray on '/skeleton'"):
        read_skeletons(tmp_path / "two", "/skeleton")
    (tmp_path / "item").mkdir()
    (tmp_path / "item" / "annotation.json").write_text("{}")
    (tmp_path / "two").rename(tmp_path / "item" / "skeletons")
    assert read_skeletons(tmp_path / "item").topic == "/skeletons"  # those that annotate added


def test_messages_of_another_version_are_not_misread(played, tmp_path):
    write_bag(tmp_path / "one", played)
    copied(tmp_path / "one", tmp_path / "two", ("",), "RIHS01_" + 64 * "0")
    with pytest.raises(OfflineError, match="another version of vitpose_ros: annotate the record"):
        read_skeletons(tmp_path / "two")


def test_a_table_whose_empty_images_are_unknown_says_how_many(played, tmp_path, monkeypatch):
    monkeypatch.setattr(write_tables, "EMPTY_COLUMNS", ())  # as tables were written before
    path = tmp_path / "skeletons.parquet"
    write_parquet(path, played, {})
    recorded = read_skeletons(path)
    assert len(recorded.images) == 2
    assert "2 images without skeletons are missing" in recorded.notes[0]


def test_what_has_no_skeletons_is_refused_with_a_remedy(make_bag, hands, tmp_path):
    def said(path, topic=""):
        with pytest.raises(OfflineError) as error:
            read_skeletons(path, topic)
        return str(error.value)

    assert "does not exist" in said(tmp_path / "nothing")
    images = make_bag(tmp_path / "images", {"/camera/image_raw": ("raw", "bgr8", hands[:1])})
    assert "run `vitpose_ros annotate` on it first" in said(images)
    (tmp_path / "notes.txt").write_text("notes")
    assert "is of no known kind" in said(tmp_path / "notes.txt")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    assert "cannot be read as a Parquet table" in said(tmp_path / "bad.parquet")
    pq.write_table(pa.table({"stamp_ns": [1]}), tmp_path / "other.parquet")
    assert "is no table of skeletons" in said(tmp_path / "other.parquet")
    assert "has no topics" in said(tmp_path / "other.parquet", "/skeletons")
    (tmp_path / "item").mkdir()
    (tmp_path / "item" / "annotation.json").write_text("{}")
    assert "annotate with --write bag or parquet" in said(tmp_path / "item")
