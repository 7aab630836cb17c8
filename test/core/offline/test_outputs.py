"""What is written, from what kinds of input."""

from __future__ import annotations

import json
import math
import shutil

import cv2
import numpy as np
import pyarrow.parquet
import pytest
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader

from vitpose_ros.train.images import read_images
from vitpose_ros.train.labels import read_labels

TOPIC = "/camera/image_raw"


def rows(out, name="take"):
    return pyarrow.parquet.read_table(out / name / "skeletons.parquet").to_pylist()


def skeletons(path):
    with AnyReader([path]) as reader:
        return [
            (log_ns, reader.deserialize(data, connection.msgtype))
            for connection, log_ns, data in reader.messages()
            if connection.topic == "/skeletons"
        ]


def stamp_of(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize(("kind", "encoding"), [("raw", "rgb8"), ("compressed", "")])
def test_every_image_of_a_bag_gets_a_message_with_its_own_stamp_and_frame(
    annotate, make_bag, hands, tmp_path, storage, kind, encoding
):
    topic = f"{TOPIC}/compressed" if kind == "compressed" else TOPIC
    images = [(s, i[..., ::-1].copy() if encoding else i) for s, i in hands]
    bag = make_bag(tmp_path / "take", {topic: (kind, encoding, images)}, storage)
    code, said, out = annotate(bag)
    assert code == 0, said
    found = skeletons(out / "take" / "skeletons")
    assert [stamp_of(message) for _, message in found] == [stamp for stamp, _ in hands]
    assert {message.header.frame_id for _, message in found} == {"camera_optical_frame"}
    assert all(log_ns > stamp_of(message) for log_ns, message in found)  # as the input's images
    assert sum(len(message.skeletons) for _, message in found) > len(hands)
    assert {math.isnan(message.processing_time) for _, message in found} == {True}


def test_bag_and_table_have_the_same_numbers(annotate, make_bag, hands, tmp_path):
    _, _, out = annotate(make_bag(tmp_path / "take", {TOPIC: ("raw", "bgr8", hands)}))
    in_bag = [
        (stamp_of(message), one)
        for _, message in skeletons(out / "take" / "skeletons")
        for one in message.skeletons
    ]
    in_table = rows(out)
    assert len(in_bag) == len(in_table) > 0
    names = [n for n in in_bag[0][1].__dataclass_fields__ if n != "__msgtype__" and n.islower()]
    for (stamp_ns, one), row in zip(in_bag, in_table, strict=True):
        assert row["stamp_ns"] == stamp_ns
        for name in names:
            value = getattr(one, name)
            if isinstance(value, str):
                assert row[name] == value
            else:
                np.testing.assert_array_equal(np.float32(row[name]), np.float32(value), name)


def test_a_table_without_skeletons_has_its_columns_and_names_layouts_and_settings(
    annotate, make_bag, hands, tmp_path
):
    nothing = [(stamp, np.full_like(image, 90)) for stamp, image in hands[:3]]
    code, _, out = annotate(make_bag(tmp_path / "take", {TOPIC: ("raw", "bgr8", nothing)}))
    assert code == 0
    table = pyarrow.parquet.read_table(out / "take" / "skeletons.parquet")
    assert table.num_rows == 0
    assert {"stamp_ns", "track_id", "uv_std", "z"} <= set(table.schema.names)
    about = json.loads(table.schema.metadata[b"vitpose_ros"])
    assert about["images"] == 3 and about["settings"]["parameters"]["max_hands"] == 2
    assert about["layouts"][0]["name"] == "hand21" and len(about["layouts"][0]["joints"]) == 21


def test_the_input_s_messages_are_copied_byte_by_byte_on_request(
    annotate, make_bag, hands, tmp_path
):
    bag = make_bag(tmp_path / "take", {TOPIC: ("raw", "bgr8", hands[:4])}, "sqlite3")
    _, _, out = annotate(bag, "--with-input")

    def all_of(path, *but):
        with Reader(path) as reader:
            return [
                (c.topic, c.msgtype, log_ns, bytes(data))
                for c, log_ns, data in reader.messages()
                if c.topic not in but
            ]

    copied = all_of(out / "take" / "skeletons", "/skeletons", "/skeleton_layouts")
    assert sorted(copied) == sorted(all_of(bag))
    times = [log_ns for _, _, log_ns, _ in all_of(out / "take" / "skeletons")]
    assert times == sorted(times)
    assert len(skeletons(out / "take" / "skeletons")) == 4


def test_coco_has_one_annotation_per_skeleton_and_no_unknown_numbers(
    annotate, make_bag, hands, tmp_path
):
    bag = make_bag(tmp_path / "take", {TOPIC: ("raw", "bgr8", hands[:4])})
    _, _, out = annotate(bag, "--write", "coco,parquet")
    text = (out / "take" / "coco.json").read_text()
    assert "NaN" not in text
    coco = json.loads(text)
    table = rows(out)
    assert len(coco["images"]) == 4 and len(coco["annotations"]) == len(table) > 0
    assert [image["stamp_ns"] for image in coco["images"]] == [stamp for stamp, _ in hands[:4]]
    category = coco["categories"][0]
    assert len(category["keypoints"]) == 21 and min(min(b) for b in category["skeleton"]) == 1
    for one, row in zip(coco["annotations"], table, strict=True):
        u, v, state = np.array(one["keypoints"]).reshape(-1, 3).T
        np.testing.assert_allclose(u, row["u"], atol=1e-3)
        np.testing.assert_allclose(v, row["v"], atol=1e-3)
        assert set(state.tolist()) <= {1.0, 2.0} and one["num_keypoints"] == 21
        assert (one["track_id"], one["image_id"]) == (row["track_id"], row["image"] + 1)
        known = [value if value == value else None for value in row["uv_std"]]
        assert one["keypoint_std_px"] == pytest.approx(known, abs=1e-3)
        assert len(one["keypoint_scores"]) == 21


def test_training_finds_the_labels_and_the_images_of_a_bag(annotate, make_bag, hands, tmp_path):
    bag = make_bag(tmp_path / "take", {TOPIC: ("raw", "bgr8", hands[:4])})
    _, _, out = annotate(bag, "--write", "coco")
    labels = read_labels([out])
    assert labels.found and labels.layout.name == "hand21" and len(labels.labels) > 0
    for folder in (None, tmp_path):
        found = dict(read_images(labels, folder))
        assert sorted(found) == list(range(len(labels.images)))
        for index, image in found.items():
            (of_bag,) = (i for stamp, i in hands if stamp == labels.images[index].stamp_ns)
            assert np.array_equal(image, of_bag)


def test_times_of_a_video_are_those_of_its_packets(annotate, make_video, tmp_path):
    steps = [40, 40, 120, 40, 200, 40]
    video = make_video(tmp_path / "take.mp4", steps)
    code, said, out = annotate(video)
    assert code == 0, said
    stamps = [stamp_of(m) for _, m in skeletons(out / "take" / "skeletons")]
    assert np.allclose(np.diff(stamps), np.multiply(steps[:-1], 10**6), atol=10**5)


def test_rotation_that_a_video_asks_for_is_applied(annotate, make_video, tmp_path):
    _, _, out = annotate(make_video(tmp_path / "take.mp4", [40] * 3, turned=True))
    sizes = {(m.image_width, m.image_height) for _, m in skeletons(out / "take" / "skeletons")}
    assert sizes == {(240, 320)}


def test_names_of_images_tell_their_times(annotate, hands, tmp_path):
    folder = tmp_path / "take"
    folder.mkdir()
    for stamp, image in hands[:3]:
        cv2.imwrite(str(folder / f"frame_{stamp}.png"), image)
    cv2.imwrite(str(folder / "frame_1700000001.250000.png"), hands[3][1])
    code, said, out = annotate(folder)
    assert code == 0, said
    stamps = [stamp_of(message) for _, message in skeletons(out / "take" / "skeletons")]
    assert stamps == [*(stamp for stamp, _ in hands[:3]), 1_700_000_001_250_000_000]


def test_images_without_times_are_a_sequence_or_stand_alone_as_the_user_says(
    annotate, hands, tmp_path
):
    folder = tmp_path / "take"
    folder.mkdir()
    for number, (_, image) in enumerate(hands[:3]):
        cv2.imwrite(str(folder / f"{number}.png"), image)
    (folder / "broken.png").write_bytes(b"no image")
    code, said, out = annotate(folder, "--rate", "20")
    assert code == 0 and "'broken.png' cannot be decoded" in said
    found = rows(out)
    assert {row["stamp_ns"] for row in found} == {0, 50_000_000, 100_000_000}
    assert {row["track_id"] for row in found} != {-1}
    shutil.rmtree(out)
    assert annotate(folder, "--static")[0] == 0
    alone = rows(out)
    assert {(row["track_id"], row["smoothing"]) for row in alone} == {(-1, "none")}


def test_the_overlay_shows_every_image_at_its_time(annotate, make_bag, hands, tmp_path):
    av = pytest.importorskip("av")
    bag = make_bag(tmp_path / "take", {TOPIC: ("raw", "bgr8", hands)})
    _, _, out = annotate(bag, "--write", "overlay")
    with av.open(str(out / "take" / "overlay.mp4")) as container:
        frames = list(container.decode(video=0))
    times_s = [frame.time for frame in frames]
    expected = [(stamp - hands[0][0]) * 1e-9 for stamp, _ in hands]
    assert np.allclose(times_s, expected, atol=1.5e-3)
    picture = frames[-1].to_ndarray(format="bgr24").astype(int)
    assert np.abs(picture - hands[-1][1]).max() > 100  # something is drawn on it


def test_what_is_left_of_a_recording_that_was_cut_off_is_annotated(
    annotate, make_bag, hands, tmp_path
):
    bag = make_bag(tmp_path / "whole", {TOPIC: ("raw", "bgr8", hands)})
    data = next(bag.glob("*.mcap")).read_bytes()
    cut = tmp_path / "take.mcap"
    cut.write_bytes(data[: len(data) * 2 // 3])
    code, said, out = annotate(cut)
    assert code == 0 and "cut off or damaged" in said and "are lost" in said
    stamps = [stamp_of(message) for _, message in skeletons(out / "take" / "skeletons")]
    assert stamps == [stamp for stamp, _ in hands[: len(stamps)]]
    assert 5 <= len(stamps) < 12
    assert "are lost" in json.loads((out / "take" / "annotation.json").read_text())["notes"][0]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_without_its_description_is_read_from_its_files(
    annotate, make_bag, hands, tmp_path, storage
):
    bag = make_bag(tmp_path / "take", {TOPIC: ("raw", "bgr8", hands[:3])}, storage)
    (bag / "metadata.yaml").unlink()
    file = next(bag.iterdir())
    file.rename(bag / f"take_0{file.suffix}")  # as rosbag2 names it
    code, said, _ = annotate(bag)
    assert code == 0 and "3 images" in said and "no metadata.yaml" in said


def test_one_of_two_image_topics_is_named(annotate, make_bag, hands, tmp_path):
    small = [(stamp, cv2.resize(image, (160, 120))) for stamp, image in hands[:4]]
    topics = {TOPIC: ("raw", "bgr8", hands[:2]), "/wrist/image_raw": ("raw", "bgr8", small)}
    code, said, _ = annotate(make_bag(tmp_path / "take", topics), "--topic", "/wrist/image_raw")
    assert code == 0 and "4 images" in said


def test_a_folder_is_searched_and_keeps_its_structure(annotate, make_bag, hands, tmp_path):
    top = tmp_path / "in"
    for name in ("monday/a", "tuesday/a"):
        make_bag(top / name, {TOPIC: ("raw", "bgr8", hands[:1])})
    code, _, out = annotate(top)
    assert code == 0
    assert sorted(p.parent.relative_to(out).as_posix() for p in out.rglob("annotation.json")) == [
        "monday/a",
        "tuesday/a",
    ]


def test_registered_depth_of_the_bag_gives_metres(annotate, make_bag, hands, tmp_path):
    depth = [(stamp, np.full(image.shape[:2], 600, np.uint16)) for stamp, image in hands[:6]]
    topics = {
        "/camera/color/image_raw": ("raw", "bgr8", hands[:6]),
        "/camera/aligned/image_raw": ("raw", "16UC1", depth),
    }
    bag = make_bag(tmp_path / "take", topics)
    code, said, out = annotate(bag, "-p", "depth_topic:=/camera/aligned/image_raw")
    assert code == 0 and "depth is not used" not in said
    metres = np.array([row["z"] for row in rows(out)])
    assert len({row["stamp_ns"] for row in rows(out)}) == 6
    assert np.isfinite(metres).mean() > 0.5 and 0.55 < np.nanmedian(metres) < 0.7
    code, said, _ = annotate(bag, "-p", "depth_topic:=/camera/depth/image_raw", "--overwrite")
    assert code == 1 and "has no depth topic '/camera/depth/image_raw'" in said


def test_depth_that_is_not_aligned_is_not_used_and_the_reason_is_told(
    annotate, make_bag, hands, tmp_path
):
    depth = [(stamp, np.full((120, 160), 600, np.uint16)) for stamp, _ in hands[:3]]
    topics = {
        "/camera/color/image_raw": ("raw", "bgr8", hands[:3]),
        "/camera/depth/image_raw": ("raw", "16UC1", depth),
    }
    bag = make_bag(tmp_path / "take", topics)
    code, said, out = annotate(bag, "-p", "depth_topic:=/camera/depth/image_raw")
    assert code == 0 and "not aligned to colour" in said
    assert np.isnan([row["z"] for row in rows(out)]).all()


def test_marked_episodes_of_a_bag_are_in_the_manifest(annotate, make_bag, hands, tmp_path):
    from rosbags.rosbag2 import StoragePlugin, Writer

    from vitpose_ros.episodes import END, START
    from vitpose_ros.offline.bag_types import IMAGE, LOG, typestore

    store = typestore()
    stamps = [stamp for stamp, _ in hands]
    source = make_bag(tmp_path / "images", {TOPIC: ("raw", "bgr8", hands[:6])}, infos=False)
    path = tmp_path / "take"
    with Reader(source) as reader, Writer(
        path, version=8, storage_plugin=StoragePlugin.MCAP
    ) as writer:
        images = writer.add_connection(TOPIC, IMAGE, typestore=store)
        marks = writer.add_connection("/episode_marks", LOG, typestore=store)
        for _, log_ns, data in reader.messages():
            writer.write(images, log_ns, data)
        for stamp, name in ((stamps[1], START), (stamps[4], END)):
            time = store.types["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9)
            mark = store.types[LOG](time, 20, name, "episode 1", "", "", 0)
            writer.write(marks, stamp, store.serialize_cdr(mark, LOG))
    code, said, out = annotate(path)
    assert code == 0, said
    manifest = json.loads((out / "take" / "annotation.json").read_text())
    assert manifest["episodes"] == [[stamps[1], stamps[4]]]


def test_the_manifest_tells_where_the_recording_was_and_the_tables_do_not(
    annotate, make_bag, hands, tmp_path
):
    bag = make_bag(tmp_path / "take", {TOPIC: ("raw", "bgr8", hands[:2])})
    code, _, out = annotate(bag)
    assert code == 0
    manifest = json.loads((out / "take" / "annotation.json").read_text())
    assert manifest["input"]["path"] == str(bag)
    assert str(tmp_path).encode() not in (out / "take" / "skeletons.parquet").read_bytes()
