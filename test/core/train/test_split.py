"""What a network is judged by is never next to what it has learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vitpose_ros.layouts import LAYOUTS
from vitpose_ros.train.errors import TrainError
from vitpose_ros.train.labels import Label, LabelFile, LabelledImage, Labels, read_labels
from vitpose_ros.train.split import GAP_NS, SHARE, split

S = 1_000_000_000


def names(labels):
    return {(image.file, image.name) for image in labels.images}


def divided(labels, seed=0):
    parts = split(labels, seed)
    assert not names(parts.train) & names(parts.validation)
    assert len(parts.train.labels) + len(parts.validation.labels) <= len(labels.labels)
    return parts


@pytest.mark.parametrize("seed", range(4))
def test_several_recordings_are_divided_whole(made, tmp_path, seed):
    for i in range(6):
        made(f"data/{i}", count=2 + i, seed=i, stamp_ns=lambda n: n * S)
    labels = read_labels([tmp_path / "data"])
    parts = divided(labels, seed)
    assert parts.by == "recordings"
    files = [{image.file for image in part.images} for part in (parts.train, parts.validation)]
    assert not files[0] & files[1] and files[0] | files[1] == set(range(6))
    assert 1 <= len(parts.validation.labels) <= len(labels.labels) / 2


@pytest.mark.parametrize("seed", range(4))
def test_of_two_recordings_the_smaller_one_is_held_out(made, tmp_path, seed):
    made("data/long", count=12), made("data/short", count=5)
    parts = divided(read_labels([tmp_path / "data"]), seed)
    assert len(parts.validation.labels) == 5


def test_of_many_recordings_about_as_many_labels_are_held_out_as_of_few():
    images = tuple(LabelledImage(i // 3, f"{i}.png", (9, 9), 0, ()) for i in range(3600))
    files = tuple(LabelFile(Path(str(i)), Path(), "") for i in range(1200))
    joints = np.zeros((21, 2))
    labels = tuple(Label(i, joints, joints[:, 0], (0, 0, 9, 9), 81.0) for i in range(3600))
    parts = divided(Labels(LAYOUTS["hand21"], files, images, labels, False))
    assert len(parts.validation.labels) == pytest.approx(SHARE * 3600, abs=3)


def test_the_same_seed_divides_in_the_same_way_and_another_one_does_not(made):
    labels = read_labels([made(count=40).path])
    held = [names(divided(labels, seed).validation) for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]
    assert len(held[0]) == pytest.approx(SHARE * 40, abs=1)


def test_images_in_folders_are_divided_by_folder(made):
    data = made(count=12)
    for i, image in enumerate(data.content["images"]):
        image["file_name"] = f"clip{i // 4}/{image['file_name']}"
    data.write()
    parts = divided(read_labels([data.path]))
    assert parts.by == "folders of images"
    assert len({name.split("/")[0] for _, name in names(parts.validation)}) == 1


def tracked(data, tracks):
    for annotation, track in zip(data.content["annotations"], tracks, strict=True):
        annotation["track_id"] = track
    data.write()
    return read_labels([data.path])


def test_one_recording_is_divided_by_tracks_that_are_not_seen_together(made):
    data = made(count=12, stamp_ns=lambda n: n * 3 * S)
    labels = tracked(data, [1, 2, 1, 2, 3, 3, 3, 4, 4, 5, 5, 5])
    for seed in range(8):
        parts = divided(labels, seed)
        assert parts.by == "tracks"
        learned, held = (
            {label.track_id for label in part.labels} for part in (parts.train, parts.validation)
        )
        assert not learned & held
        assert (1 in held) == (2 in held)  # they are seen at the same time


def test_one_track_is_divided_in_time_with_a_gap(made):
    data = made(count=40, stamp_ns=lambda n: n * S // 5)
    parts = divided(tracked(data, [1] * 40))
    assert parts.by == "time"
    times = [[image.stamp_ns for image in part.images] for part in (parts.train, parts.validation)]
    assert min(times[1]) - max(times[0]) > GAP_NS
    assert len(parts.validation.labels) == SHARE * 40


def test_a_recording_that_is_too_short_to_divide_asks_for_other_labels(made):
    data = made(count=5, stamp_ns=lambda n: n * S // 30)
    with pytest.raises(TrainError, match="give other labels with --val"):
        split(tracked(data, [1] * 5), 0)
    with pytest.raises(TrainError, match="--val"):
        split(read_labels([made("one", count=1).path]), 0)
