"""Bad input: a sentence with the remedy, the exit code, and nothing under a final name."""

from __future__ import annotations

import errno
import shutil
import sys

import cv2
import numpy as np
import pyarrow.parquet
import pytest

from vitpose_ros.offline import job

TOPIC = "/camera/image_raw"


def no_image_topic(folder, make_bag, hands):
    # Only camera_info is left in the description's topics.
    return make_bag(folder / "take", {}, infos=False)


def two_topics(folder, make_bag, hands):
    topics = {TOPIC: ("raw", "bgr8", hands[:2]), "/wrist/image_raw": ("raw", "bgr8", hands[:2])}
    return make_bag(folder / "take", topics)


def unknown_encoding(folder, make_bag, hands):
    return make_bag(folder / "take", {TOPIC: ("raw", "bgr7", hands[:2])})


def depth_alone(folder, make_bag, hands):
    depth = [(stamp, np.ones((48, 64), np.uint16)) for stamp, _ in hands[:2]]
    return make_bag(folder / "take", {"/camera/aligned/image": ("raw", "16UC1", depth)})


def stamps_all_zero(folder, make_bag, hands):
    return make_bag(folder / "take", {TOPIC: ("raw", "bgr8", [(0, hands[0][1])] * 2)})


def no_mcap(folder, make_bag, hands):
    path = folder / "take.mcap"
    path.write_bytes(b"\x89MCAP0\r\n" + bytes(40))
    return path


def foreign_mcap(folder, make_bag, hands):
    bag = make_bag(folder / "take_bag", {TOPIC: ("raw", "bgr8", hands[:1])})
    data = next(bag.glob("*.mcap")).read_bytes()
    (folder / "take.mcap").write_bytes(data.replace(b"ros2", b"ros1", 1))
    return folder / "take.mcap"


def no_sqlite(folder, make_bag, hands):
    path = folder / "take.db3"
    path.write_bytes(b"SQLite format 3\0" + bytes(40))
    return path


def video_without_frames(folder, make_bag, hands):
    path = folder / "take.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    return path


def images_without_times(folder, make_bag, hands):
    (folder / "take").mkdir()
    for number, (_, image) in enumerate(hands[:2]):
        cv2.imwrite(str(folder / "take" / f"{number}.png"), image)
    return folder / "take"


@pytest.mark.parametrize(
    ("make", "reason", "remedy"),
    [
        (no_image_topic, "has no image topic", "Accepted are sensor_msgs/msg/Image"),
        (two_topics, "2 image topics, /camera/image_raw, /wrist/image_raw", "--topic"),
        (unknown_encoding, "encoding 'bgr7' is not known", "accepted are bgr8"),
        (depth_alone, "has no image topic", "its image topics are /camera/aligned/image"),
        (stamps_all_zero, "the stamp is zero", "stamp each image"),
        (no_mcap, "no message in it is whole", ""),
        (foreign_mcap, "Profile is not ros2", "cannot be read"),
        (no_sqlite, "cannot be read", ".recover"),
        (video_without_frames, "cannot open", "ffmpeg"),
        (images_without_times, "no time is known for '0.png'", "--rate HZ"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_input_that_cannot_be_used_fails_with_a_remedy(
    annotate, make_bag, hands, tmp_path, make, reason, remedy
):
    code, said, out = annotate(make(tmp_path, make_bag, hands))
    assert code == 1
    assert "take: FAILED" in said and reason in said and remedy in said
    assert "Traceback" not in said and "--debug" not in said
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.mcap"], "does not exist"),
        (["{notes}"], "is of no known kind"),
        (["{empty}"], "has no bag, video or image"),
        (["{bag}", "{bag}"], "would both be written"),
        (["{bag}", "--write", "bag,csv"], "unknown are csv"),
        (["{bag}", "--write", "parquet", "--with-input"], "--with-input"),
        (["{bag}", "-p", "max_hands=3"], "expected NAME:=VALUE"),
        (["{bag}", "-p", "max_hand:=3"], "no parameter 'max_hand'"),
        (["{bag}", "-p", "max_hands:=30"], "from 1 to 16, got 30"),
        (["{bag}", "-p", "target_frame:=map"], "annotate does not read TF"),
        (["{bag}", "-p", "other_cameras:=/wrist/image_raw"], "annotate reads one camera"),
        (["{bag}", "--params", "{notes}"], "is no parameter file"),
        (["{bag}", "--workers", "0"], "expected 1 to 256"),
        (["{bag}", "--rate", "-1"], "positive number"),
    ],
    ids=str,
)
def test_a_command_that_cannot_be_meant_is_refused_before_anything_is_begun(
    annotate, make_bag, hands, tmp_path, words, said
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("notes")
    places = {
        "bag": make_bag(tmp_path / "take", {TOPIC: ("raw", "bgr8", hands[:1])}),
        "notes": tmp_path / "notes.txt",
        "empty": tmp_path / "empty",
    }
    code, text, out = annotate(*(word.format(**places) for word in words))
    assert code == 2 and said in text
    assert not out.exists()


def test_a_broken_item_is_reported_and_the_others_go_on(annotate, make_bag, hands, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"nothing")
    make_bag(folder / "b", {TOPIC: ("raw", "bgr8", hands[:3])})
    code, said, out = annotate(folder)
    assert code == 1
    assert "a: FAILED" in said and "b: 3 images" in said and "1 of 2 annotated" in said
    assert [path.name for path in out.iterdir()] == ["b"]


def test_a_full_disk_ends_the_run_with_one_sentence(
    annotate, make_bag, hands, tmp_path, monkeypatch
):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(job, "write_parquet", full)
    for name in ("a", "b"):
        make_bag(tmp_path / "in" / name, {TOPIC: ("raw", "bgr8", hands[:1])})
    code, said, out = annotate(tmp_path / "in")
    assert code == 1
    assert said.count("the disk is full") == 1 and "1 not begun" in said
    assert not list(out.iterdir())


def test_a_damaged_image_costs_one_image(annotate, make_bag, hands, tmp_path):
    odd = [*hands[:3], (hands[3][0], hands[3][1][:, :0]), *hands[4:6]]
    bag = make_bag(tmp_path / "take", {TOPIC: ("raw", "bgr8", odd)}, infos=False)
    code, said, _ = annotate(bag)
    assert code == 0
    assert "5 images" in said and "images not used: 1" in said and "has no pixels" in said


def test_stamps_that_go_back_are_refused_as_live_and_a_second_lap_restarts(
    annotate, make_bag, hands, tmp_path
):
    late = [*hands[:4], hands[2], *hands[4:6]]
    _, said, _ = annotate(make_bag(tmp_path / "late", {TOPIC: ("raw", "bgr8", late)}))
    assert "6 images" in said and "goes back by" in said
    later = [(stamp + 5 * 10**9, image) for stamp, image in hands[:3]]
    twice = [*later, *hands[:3]]  # by the time of recording, as after `ros2 bag play --loop`
    code, said, _ = annotate(make_bag(tmp_path / "twice", {TOPIC: ("raw", "bgr8", twice)}))
    assert code == 0 and "6 images" in said
    table = pyarrow.parquet.read_table(tmp_path / "out" / "twice" / "skeletons.parquet")
    assert {row["image"] for row in table.to_pylist() if row["reset"]} == {0, 3}


def test_several_sizes_are_annotated_but_make_no_video(annotate, make_bag, hands, tmp_path):
    small = [(stamp, cv2.resize(image, (160, 120))) for stamp, image in hands[3:6]]
    bag = make_bag(tmp_path / "take", {TOPIC: ("raw", "bgr8", [*hands[:3], *small])})
    assert "6 images" in annotate(bag)[1]
    shutil.rmtree(tmp_path / "out")
    code, said, out = annotate(bag, "--write", "overlay")
    assert code == 1 and "several sizes (160x120, 320x240)" in said
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    ("module", "words"),
    [("rosbags.rosbag2", []), ("pyarrow.parquet", []), ("av", ["--write", "overlay"])],
    ids=["rosbags", "pyarrow", "av"],
)
def test_a_library_that_is_missing_is_named_with_the_command_that_installs_it(
    annotate, make_bag, hands, tmp_path, monkeypatch, module, words
):
    bag = make_bag(tmp_path / "take", {TOPIC: ("raw", "bgr8", hands[:1])})
    monkeypatch.setitem(sys.modules, module, None)
    code, said, out = annotate(bag, *words)
    assert code == 1 and "pip install" in said and module.partition(".")[0] in said
    assert not list(out.iterdir())
