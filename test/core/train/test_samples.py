"""From labelled images to crops: joints move exactly as the pixels do."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from vitpose_ros.keypoints.pixels import IMAGENET_MEAN, IMAGENET_STD
from vitpose_ros.layouts import LAYOUTS
from vitpose_ros.train import samples as samples_module
from vitpose_ros.train.crops import CropMaker, label_weight, make_codec, mirrored
from vitpose_ros.train.errors import TrainError
from vitpose_ros.train.images import read_images
from vitpose_ros.train.labels import read_labels
from vitpose_ros.train.samples import Samples, cut_samples

CODECS = [make_codec(size) for size in ((128, 128), (192, 256), (288, 384))]


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: str(codec.input_size))
def test_targets_decode_to_the_joints_that_they_were_made_from(codec):
    rng = np.random.default_rng(0)
    margin = 8 * codec.px_per_map_px  # the decoder's blur reaches that far
    xy = rng.uniform(margin, np.array(codec.input_size) - 1 - margin, (20, 17, 2))
    found = codec.decode(codec.encode(xy))
    assert np.abs(found.xy - xy).max() < 0.01
    # The maximum of the map is up to half a pixel from the joint.
    assert found.score.min() > np.exp(-0.25 / codec.sigma**2) - 1e-6


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_mirrored_crop_has_left_joints_where_right_ones_were(name):
    layout, rng = LAYOUTS[name], np.random.default_rng(1)
    image = rng.integers(0, 255, (64, 48, 3), np.uint8)
    xy, std_px = rng.uniform(4, 40, (len(layout), 2)), rng.uniform(0, 3, len(layout))
    turned, found, std = mirrored(image, xy, std_px, layout.flip_permutation())
    for joint, label in enumerate(layout.joints):
        other = layout.index(_other(label, layout)) if layout.flip_pairs else joint
        assert found[other].tolist() == [47 - xy[joint, 0], xy[joint, 1]]
        assert std[other] == std_px[joint]
    again, back, _ = mirrored(turned, found, std, layout.flip_permutation())
    assert np.array_equal(again, image) and np.allclose(back, xy)


def _other(joint, layout):
    for one, two in (("left", "right"), ("right", "left")):
        if one in joint and joint.replace(one, two) in layout.joints:
            return joint.replace(one, two)
    k = layout.index(joint)
    pair = next((pair for pair in layout.flip_pairs if k in pair), (k, k))
    return layout.joints[pair[0] if pair[1] == k else pair[1]]


def test_uncertain_joints_count_less_and_those_outside_the_crop_nothing():
    codec = make_codec((128, 128))
    width_px = codec.sigma * codec.px_per_map_px[0]
    xy = np.array([(5.0, 5.0), (5.0, 5.0), (127.4, 0.0), (127.6, 0.0), (-0.6, 9.0), (np.nan, 1.0)])
    weight = label_weight(xy, np.array([0, width_px, 0, 0, 0, 0]), codec)
    assert weight.tolist() == [1, 0.5, 1, 0, 0, 0]


def spots(layout, size, at):
    """Samples with a bright spot at some joints."""
    width, height = samples_module.sample_size(size)
    uv = np.full((1, len(layout), 2), np.nan, np.float32)
    uv[0, : len(at)] = np.array(at) * (width - 1, height - 1)
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    image = np.zeros((1, height, width, 3), np.uint8)
    for x, y in uv[0, : len(at)]:
        spot = 255 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / 8)
        image[0] = np.maximum(image[0], spot[..., None])
    return Samples(image, uv, np.zeros(uv.shape[:2], np.float32), np.ones(1, np.float32), size)


@pytest.mark.parametrize(("name", "size"), [("hand21", (128, 128)), ("coco17", (192, 256))])
def test_crops_move_the_joints_exactly_as_the_pixels(name, size, monkeypatch):
    monkeypatch.setattr(CropMaker, "_disturbed", lambda self, image, rng: image)
    layout, rng = LAYOUTS[name], np.random.default_rng(0)
    at = [(0.5, 0.42), (0.42, 0.52), (0.57, 0.55), (0.46, 0.6)]
    maker = CropMaker(spots(layout, size, at), layout)
    checked = 0
    for _ in range(12):
        batch = maker.training(np.zeros(1, np.int64), rng)
        for (x, y), weight in zip(batch.xy[0], batch.weight[0], strict=True):
            brightness = batch.pixels[0, 1] * IMAGENET_STD[1] + IMAGENET_MEAN[1]
            x0, y0 = (0, 0) if not weight else (round(x) - 5, round(y) - 5)
            if not weight or min(x0, y0) < 0 or x0 > size[0] - 11 or y0 > size[1] - 11:
                continue
            part = brightness[y0 : y0 + 11, x0 : x0 + 11].astype(np.float64)
            moment = (part[None] * np.mgrid[0:11, 0:11]).sum(axis=(1, 2)) / part.sum()
            assert moment[::-1] == pytest.approx((x - x0, y - y0), abs=0.15)
            checked += 1
    assert checked > 30


@pytest.fixture
def cut(made, tmp_path):
    """``cut(empty, **made)``: labels and samples, once per call."""

    def run(empty=0.0, size=(64, 64), folder="samples", images=None, **how):
        labels = read_labels([made(**how).path])
        return labels, cut_samples(tmp_path / folder, labels, images, size, empty, 0)

    return run


def test_a_hand_points_up_in_its_sample(cut):
    _, samples = cut()
    along = samples.uv[:, 9] - samples.uv[:, 0]
    assert (along[:, 1] < 0).all() and np.abs(along[:, 0] / along[:, 1]).max() < 0.2
    assert np.isfinite(samples.uv).all() and not samples.empty.any()


def test_samples_are_cut_once_and_again_when_labels_or_settings_change(
    cut, made, tmp_path, monkeypatch
):
    _, first = cut()
    monkeypatch.setattr(samples_module, "read_images", None)  # would fail
    _, again = cut()
    assert np.array_equal(first.images, again.images)
    monkeypatch.undo()
    _, other = cut(size=(96, 96))
    assert other.images.shape[1:3] == (154, 154)


def test_samples_without_an_object_show_none(cut):
    labels, samples = cut(empty=1.0, count=12)
    assert samples.empty[:12].sum() == 0 and samples.empty[12:].all() and len(samples) > 12
    assert np.isnan(samples.uv[12:]).all()
    maker = CropMaker(samples, labels.layout)
    batch = maker.training(np.arange(len(samples)), np.random.default_rng(0))
    (maps,) = maker.codec.encode(batch.xy)
    assert (batch.weight[12:] == 1).all() and not maps[12:].any() and maps[:12].max() > 0.5


def test_the_same_seed_gives_the_same_batch(cut):
    labels, samples = cut()
    maker = CropMaker(samples, labels.layout)
    rows = np.arange(len(samples))
    first, second, other = (maker.training(rows, np.random.default_rng(s)) for s in (7, 7, 8))
    assert np.array_equal(first.pixels, second.pixels) and np.array_equal(first.xy, second.xy)
    assert not np.array_equal(first.xy, other.xy)


def test_images_that_are_missing_are_counted_and_the_folders_named(made):
    data = made()
    for i in (2, 4):
        (data.folder / f"00{i}.png").unlink()
    with pytest.raises(TrainError, match=r"2 of 6 images .* the first is '002.png'.*--images"):
        list(read_images(read_labels([data.path]), None))


def test_images_are_found_below_the_folder_of_the_recordings(made, tmp_path):
    data = made("annotated/monday/cup")
    (tmp_path / "recordings" / "monday").mkdir(parents=True)
    data.path.rename(tmp_path / "coco.json")
    data.folder.rename(tmp_path / "recordings" / "monday" / "cup")
    data.folder.mkdir()
    (tmp_path / "coco.json").rename(data.path)
    labels = read_labels([tmp_path / "annotated"])
    assert len(list(read_images(labels, tmp_path / "recordings"))) == 6


def test_an_image_of_another_size_than_its_labels_is_refused(made):
    data = made()
    cv2.imwrite(str(data.folder / "003.png"), np.zeros((60, 80, 3), np.uint8))
    with pytest.raises(TrainError, match=r"'003.png' has 80x60 px, but .* for 160x120"):
        list(read_images(read_labels([data.path]), None))
    (data.folder / "003.png").write_bytes(b"no image")
    with pytest.raises(TrainError, match=r"003\.png cannot be decoded"):
        list(read_images(read_labels([data.path]), None))


def test_nothing_is_left_of_samples_that_could_not_be_cut(cut, made, tmp_path):
    with pytest.raises(TrainError):
        cut(images=tmp_path / "elsewhere")
    assert not (tmp_path / "samples").exists() and not (tmp_path / ".samples.part").exists()


def test_a_disk_that_is_too_small_is_said_before_anything_is_cut(cut, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(samples_module.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(TrainError, match=r"the samples need .* GB .* are free"):
        cut()


def test_frames_of_a_video_are_found_by_their_numbers(made, tmp_path):
    av = pytest.importorskip("av")
    data = made(count=4)
    with av.open(str(tmp_path / "clip.mp4"), "w") as out:
        stream = out.add_stream("h264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for i in range(4):
            picture = np.full((120, 160, 3), 60 * i, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode())
    for i, image in enumerate(data.content["images"]):
        image["file_name"] = f"clip.mp4#{i}"
    del data.content["images"][1], data.content["annotations"][1]
    data.write()
    found = dict(read_images(read_labels([data.path]), tmp_path))
    assert [round(float(found[i].mean()) / 60) for i in sorted(found)] == [0, 2, 3]
    with pytest.raises(TrainError, match=r"the video that .* is missing"):
        list(read_images(read_labels([data.path]), tmp_path / "data"))


def test_images_of_a_recording_are_found_where_annotate_says(made, tmp_path):
    data = made("annotated/cup")
    (tmp_path / "recordings").mkdir()
    data.folder.rename(tmp_path / "recordings" / "cup")
    data.folder.mkdir()
    (tmp_path / "recordings" / "cup" / "coco.json").rename(data.path)
    about = {"input": {"name": "cup", "path": str(tmp_path / "recordings" / "cup")}}
    (data.folder / "annotation.json").write_text(json.dumps(about))
    labels = read_labels([tmp_path / "annotated"])
    assert len(list(read_images(labels, None))) == 6
    (data.folder / "annotation.json").write_text("{")
    with pytest.raises(TrainError, match=r"annotation\.json cannot be read"):
        list(read_images(labels, None))
