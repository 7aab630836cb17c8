"""Images in, skeletons out: the real node with the real networks on real topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from vitpose_ros.evaluate import match_hands
from vitpose_ros.ingest.images.encodings import ENCODINGS
from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import SkeletonArray
from vitpose_ros.ros.messages import image_message, instance_from_message
from vitpose_ros.synthetic.scene import Rendering, Scene
from vitpose_ros.types import JointState

pytestmark = pytest.mark.usefixtures("models")


def assert_finds(skeletons: SkeletonArray, rendering: Rendering, within_palms: float = 0.1) -> None:
    """Both hands, on the right sides, with the median joint this near to the truth."""
    found = [instance_from_message(skeleton) for skeleton in skeletons.skeletons]
    matches = match_hands(
        [hand.uv for hand in rendering.hands], [one.keypoints.uv for one in found]
    )
    assert len(matches) == len(found) == 2
    for true, index, errors in matches:
        assert np.median(errors) < within_palms
        assert found[index].side == rendering.hands[true].side


def test_every_encoding_gives_the_hands_and_the_images_own_header(
    graph: Any, camera: Any, rendering: Rendering, encode: Callable[..., Any]
) -> None:
    graph.start_pose_node()
    for encoding in ENCODINGS:
        rows = encode(rendering.image, encoding)
        message = Image(
            header=camera.header(),
            width=640,
            height=480,
            encoding=encoding,
            step=rows.shape[1],
            data=rows.tobytes(),
        )
        skeletons = camera.process(message)
        assert skeletons.header == message.header, encoding
        assert (skeletons.image_width, skeletons.image_height) == (640, 480)
        assert_finds(skeletons, rendering, within_palms=0.15)
    stamps = {m.header.stamp.nanosec for m in camera.skeletons.messages}
    assert any(stamp % 1000 for stamp in stamps), "stamps of whole microseconds prove too little"


def test_padded_rows_and_big_endian_images_are_read_as_they_say(
    graph: Any, camera: Any, rendering: Rendering, encode: Callable[..., Any]
) -> None:
    graph.start_pose_node()
    for encoding, big in (("bgr8", False), ("rgb16", True), ("bayer_gbrg16", True)):
        rows = encode(rendering.image, encoding, big)
        padded = np.hstack([rows, np.full((480, 52), 0xEE, np.uint8)])
        message = image_message(camera.header(), padded, encoding)
        message.width, message.is_bigendian = 640, int(big)
        assert_finds(camera.process(message), rendering, within_palms=0.15)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_compressed_image_gives_the_hands_and_its_own_header(
    graph: Any, make_camera: Callable[..., Any], rendering: Rendering, suffix: str
) -> None:
    camera = make_camera(CompressedImage, "image/compressed")
    graph.start_pose_node(image_transport="compressed")
    data = cv2.imencode(suffix, rendering.image)[1].tobytes()
    kind = {".jpg": "bgr8; jpeg compressed bgr8", ".png": "png"}[suffix]
    message = CompressedImage(header=camera.header(), format=kind, data=data)
    skeletons = camera.process(message)
    assert skeletons.header == message.header
    assert (skeletons.image_width, skeletons.image_height) == (640, 480)
    assert_finds(skeletons, rendering)


def test_a_padded_jpeg_and_a_bayer_image_in_a_jpeg_give_the_hands(
    graph: Any, make_camera: Callable[..., Any], rendering: Rendering, encode: Callable[..., Any]
) -> None:
    camera = make_camera(CompressedImage, "image/compressed")
    graph.start_pose_node(image_transport="compressed")
    padded = cv2.imencode(".jpg", rendering.image)[1].tobytes() + bytes(300_000)
    mosaic = encode(rendering.image, "bayer_rggb8")
    bayer = cv2.imencode(".jpg", mosaic, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    for data, kind in (
        (padded, "bgr8; jpeg compressed bgr8"),
        (bayer, "bayer_rggb8; jpeg compressed bgr8"),
    ):
        message = CompressedImage(header=camera.header(), format=kind, data=data)
        assert_finds(camera.process(message), rendering, within_palms=0.15)


@pytest.mark.parametrize("encoding", ["mono16", "bayer_rggb16"])
def test_12_bits_in_16_give_the_hands_and_are_named_once(
    graph: Any, camera: Any, rendering: Rendering, encode: Callable[..., Any], encoding: str
) -> None:
    graph.start_pose_node()
    rows = encode(rendering.image, encoding).view("<u2") >> 4
    for _ in range(3):
        message = image_message(camera.header(), rows.view(np.uint8), encoding)
        message.width = 640
        assert_finds(camera.process(message), rendering, within_palms=0.15)
    said = [text for text in graph.logged() if "16-bit images use" in text]
    assert len(said) == 1
    assert "use 12 bits" in said[0]


def test_a_resolution_that_changes_mid_stream_starts_tracking_anew_and_goes_on(
    graph: Any, camera: Any
) -> None:
    graph.start_pose_node()
    ids: set[int] = set()
    for size in ((640, 480), (320, 240), (1280, 720)):
        rendering = Scene("still", seed=1, width=size[0], height=size[1]).render(0.0)
        messages = [camera.process(camera.image(rendering.image)) for _ in range(3)]
        assert [m.reset for m in messages] == [True, False, False]
        for skeletons in messages:
            assert (skeletons.image_width, skeletons.image_height) == size
            assert_finds(skeletons, rendering)
        followed = [{s.track_id for s in m.skeletons} for m in messages]
        assert followed[0] == followed[1] == followed[2]
        assert not followed[0] & ids, "an id was given again"
        ids |= followed[0]


def test_what_is_published_of_a_hand_is_complete_and_says_what_is_not_known(
    graph: Any, camera: Any, rendering: Rendering
) -> None:
    graph.start_pose_node()
    first = camera.process(camera.image(rendering.image))
    assert list(first.models) == ["mediapipe-palm-full", "mediapipe-hand-full"]
    assert first.smoothing == "balanced"
    assert first.prediction_horizon == 0
    assert first.processing_time > 0
    skeletons = camera.process(camera.image(rendering.image))
    assert list(skeletons.models) == ["mediapipe-hand-full"], "the detector rests while tracking"
    for skeleton in skeletons.skeletons:
        assert (skeleton.layout, skeleton.model) == ("hand21", "mediapipe-hand-full")
        assert 0.5 <= skeleton.score <= 1
        assert 0.5 <= skeleton.side_score <= 1
        assert skeleton.track_age == pytest.approx(1 / 30, rel=1e-3)
        assert set(skeleton.state) <= {JointState.MEASURED, JointState.OCCLUDED}
        assert np.isfinite(np.array([skeleton.u, skeleton.v, skeleton.shape_x])).all()
        assert np.isnan(np.array([skeleton.x, skeleton.y, skeleton.z])).all()
        assert list(skeleton.raw_state) == list(skeleton.state)
        assert np.isfinite(np.array([skeleton.raw_u, skeleton.raw_v, skeleton.raw_shape_x])).all()
        assert not any(skeleton.corrected)


def test_what_is_done_over_time_reaches_the_pipeline_when_the_node_starts(
    graph: Any, camera: Any, rendering: Rendering
) -> None:
    graph.start_pose_node(smoothing="none", hold_time=0.2, prediction_horizon=0.05)
    skeletons = camera.process(camera.image(rendering.image))
    assert skeletons.smoothing == "none"
    assert skeletons.prediction_horizon == pytest.approx(0.05)
    assert {state for s in skeletons.skeletons for state in s.state} == {JointState.PREDICTED}


def test_a_grey_camera_is_named_once_and_in_diagnostics(
    graph: Any, camera: Any, fakes: list[Any]
) -> None:
    graph.start_pose_node()
    colours = np.random.default_rng(4).integers(0, 255, (48, 64, 3), np.uint8)
    for _ in range(30):
        camera.process(camera.image(colours))
    graph.wait_for_status(lambda v: v["image colour"] == "colour", "colour")
    for _ in range(40):
        camera.process(camera.image(colours[..., :1].repeat(3, axis=2)))
    graph.wait_for_status(lambda v: v["image colour"] == "grey", "grey")
    said = [text for text in graph.logged() if "images are grey" in text]
    assert len(said) == 1
    assert said[0].startswith(f"{graph.namespace}/image: ")


def test_exchanged_colours_are_named_once_and_in_diagnostics(
    graph: Any, camera: Any, fakes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitpose_ros.ros.processor.hand_if_exchanged", lambda networks, image: True)
    graph.start_pose_node()
    colours = np.random.default_rng(4).integers(0, 255, (48, 64, 3), np.uint8)
    for _ in range(30):
        camera.process(camera.image(colours))
    for _ in range(12):
        camera.stamp_ns += 400_000_000
        camera.process(camera.image(colours))
    graph.wait_for_status(lambda v: "exchanged" in v["image colour"], "exchanged colours")
    said = [text for text in graph.logged() if "red and blue are exchanged" in text]
    assert len(said) == 1
    assert said[0].startswith(f"{graph.namespace}/image: ")


def test_an_image_without_hands_gives_an_empty_array_not_silence(graph: Any, camera: Any) -> None:
    graph.start_pose_node()
    wall = np.full((480, 640, 3), 128, np.uint8)
    assert len(camera.process(camera.image(wall)).skeletons) == 0


def test_a_bag_that_starts_again_resets_tracking_and_gives_new_ids(
    graph: Any, camera: Any, rendering: Rendering
) -> None:
    graph.start_pose_node()
    before = [camera.process(camera.image(rendering.image)) for _ in range(2)]
    assert not before[-1].reset
    camera.stamp_ns -= 10 * 10**9
    after = [camera.process(camera.image(rendering.image)) for _ in range(2)]
    assert [m.reset for m in after] == [True, False]
    old, new = ({s.track_id for s in m.skeletons} for m in (before[-1], after[-1]))
    assert len(old) == len(new) == 2
    assert not old & new
    assert "time went back" in graph.wait_for_log("time went back")


def test_another_store_of_models_can_be_named(
    graph: Any, camera: Any, models: ModelStore, tmp_path: Any
) -> None:
    for name in ("mediapipe-palm-full", "mediapipe-hand-full"):
        (tmp_path / name).symlink_to(models.root / name)
    graph.start_pose_node(models_dir=str(tmp_path))
    camera.process()
