"""Which joints of an annotation file are learned from, and what is said about the others."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.layouts import LAYOUTS
from vitpose_ros.train.errors import TrainError
from vitpose_ros.train.labels import read_labels


def test_joints_that_people_labelled_count_whether_they_are_hidden_or_not(made):
    data = made(count=1)
    data.content["annotations"][0]["keypoints"][2] = 1  # the wrist is hidden, but labelled
    data.content["annotations"][0]["keypoints"][5] = 0
    data.write()
    (label,) = read_labels([data.path]).labels
    assert np.flatnonzero(np.isnan(label.uv).any(axis=1)).tolist() == [1]


def test_of_joints_that_a_network_found_only_the_measured_ones_with_a_high_score_count(made):
    data = made(count=1)
    one = data.content["annotations"][0]
    one["keypoints"][2] = 1  # the wrist was inferred
    scores = [0.9] * 21
    scores[4], scores[5] = 0.3, None  # low, and not known
    std = [2.0] * 20 + [None]
    one |= {"score": 0.8, "keypoint_scores": scores, "keypoint_std_px": std, "track_id": 7}
    data.write()
    labels = read_labels([data.path])
    (label,) = labels.labels
    assert labels.found and label.track_id == 7
    assert np.flatnonzero(np.isnan(label.uv).any(axis=1)).tolist() == [0, 4]
    assert label.std_px.tolist() == [2.0] * 20 + [0.0]


def change(name, value):
    return lambda annotation: annotation.update({name: value})


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (change("iscrowd", 1), "crowds"),
        (change("keypoints", []), "without keypoints"),
        (change("keypoints", [0, 0, 0] * 21), "without a visible joint"),
        (change("score", 0.2), "with a low score"),
        (change("bbox", [3, 3, 2, 40]), "too small"),
    ],
)
def test_objects_that_are_not_used_are_counted_by_reason(made, changed, reason):
    data = made(count=2)
    changed(data.content["annotations"][0])
    data.write()
    labels = read_labels([data.path])
    assert len(labels.labels) == 1 and labels.dropped == {reason: 1}
    changed(data.content["annotations"][1])
    data.write()
    with pytest.raises(TrainError, match=rf"no object with labelled joints .*2 {reason}"):
        read_labels([data.path])


def test_a_folder_is_searched_for_the_files_of_annotate(made, tmp_path):
    made("data/monday/cup"), made("data/tuesday")
    labels = read_labels([tmp_path / "data"])
    assert [str(file.below) for file in labels.files] == ["monday/cup", "tuesday"]
    assert len(labels.labels) == 12


def test_the_whole_body_is_put_together_from_its_parts(made):
    data = made(layout="coco17", count=1)
    one = data.content["annotations"][0]
    parts = (("foot_kpts", 6), ("face_kpts", 68), ("lefthand_kpts", 21), ("righthand_kpts", 21))
    for name, count in parts:
        one[name] = [float(count), 1.0, 2.0] * count
    data.write()
    labels = read_labels([data.path])
    assert labels.layout.name == "coco_wholebody133"
    assert labels.labels[0].uv[[17, 23, 91, 112], 0].tolist() == [6, 68, 21, 21]
    assert read_labels([data.path], "coco17").layout.name == "coco17"


def other_joints(data):
    data.content["categories"][0]["keypoints"] = [f"dot_{i}" for i in range(21)]


def new_layout(data):
    data.content["categories"][0]["keypoints"] = ["head", "tail", "left_wing"]


def swapped(data):
    names = data.content["categories"][0]["keypoints"]
    names[3], names[4] = names[4], names[3]


def truncated(data):
    del data.content["annotations"][0]["keypoints"][-3:]


def boxes_only(data):
    del data.content["categories"][0]["keypoints"]


def no_image(data):
    data.content["images"].pop()


def no_name(data):
    del data.content["images"][0]["file_name"]


def few_scores(data):
    data.content["annotations"][0] |= {"score": 0.9, "keypoint_scores": [0.9] * 20}


@pytest.mark.parametrize(
    ("changed", "layout", "message"),
    [
        (other_joints, None, "are those of no layout. If they are in the order of hand21"),
        (new_layout, None, "are those of no layout. A network for them needs a new layout"),
        (swapped, "hand21", "joint 3 .* is 'thumb_tip', but .* is 'thumb_ip'"),
        (truncated, None, "has 60 numbers; the 21 joints of the layout 'hand21' need 63"),
        (boxes_only, None, "no annotated category has keypoints"),
        (no_image, None, "there is no image 5 in this file"),
        (no_name, None, "an image lacks 'file_name'"),
        (few_scores, None, "keypoint_scores has 20 numbers for 21 joints"),
        (lambda data: None, "hand22", "'hand22' is unknown"),
        (lambda data: data.content.pop("images"), None, "not a file of COCO keypoints"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(made, changed, layout, message):
    data = made()
    changed(data)
    data.write()
    with pytest.raises(TrainError, match=message):
        read_labels([data.path], layout)


def test_joints_with_other_names_are_read_in_the_order_of_the_layout_that_is_named(made):
    data = made()
    other_joints(data)
    data.write()
    assert read_labels([data.path], "hand21").layout is LAYOUTS["hand21"]


def test_a_file_with_two_layouts_asks_for_one(made):
    data = made()
    body = {"id": 2, "name": "coco17", "keypoints": list(LAYOUTS["coco17"].joints)}
    data.content["categories"].append(body)
    data.content["annotations"].append(
        {"id": 99, "image_id": 0, "category_id": 2, "keypoints": [30.0, 40.0, 2] * 17}
    )
    data.write()
    with pytest.raises(TrainError, match="layouts hand21, coco17; choose one"):
        read_labels([data.path])
    assert len(read_labels([data.path], "hand21").labels) == 6


@pytest.mark.parametrize(
    ("content", "message"), [("{", "cannot be read as JSON"), ("[]", "not a file of COCO")]
)
def test_a_file_that_is_no_annotation_is_named(tmp_path, content, message):
    path = tmp_path / "labels.json"
    path.write_text(content)
    with pytest.raises(TrainError, match=message):
        read_labels([path])


def test_a_folder_without_annotations_says_how_to_make_them(tmp_path):
    with pytest.raises(TrainError, match="vitpose_ros annotate"):
        read_labels([tmp_path])
    with pytest.raises(TrainError, match="does not exist"):
        read_labels([tmp_path / "nothing"])
