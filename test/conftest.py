"""For all tests."""

from __future__ import annotations

import random
import signal
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest


def pytest_configure() -> None:
    """Let Ctrl-C interrupt, which tests send to themselves and to programs that they start.

    A script's `make test &` would have all of them ignore it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _box(data: bytes, *path: bytes) -> list[tuple[int, int]]:
    """Start and end of each MP4 box on the way to the last one of the path."""
    begin, end, found = 0, len(data), []
    for name in path:
        while data[begin + 4 : begin + 8] != name:
            begin += struct.unpack_from(">I", data, begin)[0]
            assert begin < end, f"no box {name!r}"
        end = begin + struct.unpack_from(">I", data, begin)[0]
        found.append((begin, end))
        begin += 8
    return found


_STBL = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def _set_steps(data: bytes, steps_ms: Sequence[int]) -> bytes:
    """The file with these times between its frames: a new table stts, and no edit list."""
    mdhd = _box(data, *_STBL[:3], b"mdhd")[-1][0]
    (scale,) = struct.unpack_from(">I", data, mdhd + 20)
    entries = b"".join(struct.pack(">II", 1, step * scale // 1000) for step in steps_ms)
    assert all(step * scale % 1000 == 0 for step in steps_ms)
    table = struct.pack(">I4sII", 16 + len(entries), b"stts", 0, len(steps_ms)) + entries
    *parents, (begin, end) = _box(data, *_STBL, b"stts")
    out = bytearray(data)
    for parent, parent_end in parents:
        struct.pack_into(">I", out, parent, parent_end - parent + len(table) - (end - begin))
    edts = _box(data, *_STBL[:2], b"edts")[-1][0]
    out[edts + 4 : edts + 8] = b"free"
    assert parents[0][0] > _box(data, b"mdat")[0][0], "growing moov must not move the frames"
    return bytes(out[:begin]) + table + bytes(out[end:])


def _damage(data: bytes, numbers: Iterable[int]) -> bytes:
    """The file with noise in place of these frames."""
    stsz, stco = (_box(data, *_STBL, name)[-1][0] for name in (b"stsz", b"stco"))
    (count,) = struct.unpack_from(">I", data, stsz + 16)
    sizes = struct.unpack_from(f">{count}I", data, stsz + 20)
    (first,) = struct.unpack_from(">I", data, stco + 16)
    out, noise = bytearray(data), random.Random(1)
    for number in numbers:  # one track: its frames lie one behind the other
        begin = first + sum(sizes[:number])
        out[begin : begin + sizes[number]] = noise.randbytes(sizes[number])
    return bytes(out)


def _turn(data: bytes) -> bytes:
    """The file with a display matrix that turns its frames clockwise by a quarter."""
    tkhd = _box(data, *_STBL[:2], b"tkhd")[-1][0]
    out = bytearray(data)
    struct.pack_into(">9i", out, tkhd + 48, 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    return bytes(out)


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    """``make_video(path, steps_ms, damaged=(), turned=False)``: an mp4 of 320x240 with a bright
    band at the left, one frame per step; `damaged` has numbers of frames; turned by 90 degrees.
    """

    def make(
        path: Path, steps_ms: Sequence[int], damaged: Sequence[int] = (), turned: bool = False
    ) -> Path:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 1000.0, (320, 240))
        for number in range(len(steps_ms)):
            image = np.full((240, 320, 3), 40, np.uint8)
            image[:, :40] = 230
            cv2.putText(image, str(number), (150, 130), 0, 2.0, (90, 200, 90), 5)
            writer.write(image)
        writer.release()
        data = _damage(_set_steps(path.read_bytes(), steps_ms), damaged)
        path.write_bytes(_turn(data) if turned else data)
        return path

    return make


def _image_message(store: Any, kind: str, image: np.ndarray, header: Any, encoding: str) -> Any:
    if kind == "compressed":
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].ravel()
        message = store.types["sensor_msgs/msg/CompressedImage"]
        return message(header=header, format="bgr8; jpeg compressed bgr8", data=data)
    return store.types["sensor_msgs/msg/Image"](
        header=header,
        height=image.shape[0],
        width=image.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=image.strides[0],
        data=np.ascontiguousarray(image).view(np.uint8).ravel(),
    )


def _camera_info(store: Any, header: Any, width: int, height: int) -> Any:
    roi = store.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    k = np.array([500.0, 0, width / 2, 0, 500.0, height / 2, 0, 0, 1])
    return store.types["sensor_msgs/msg/CameraInfo"](
        header=header,
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k,
        r=np.eye(3).ravel(),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


LOG_DELAY_NS = 7_000_000
"""By how much a bag of `make_bag` received an image later than it was taken."""


@pytest.fixture(scope="session")
def make_bag() -> Callable[..., Path]:
    """``make_bag(path, topics, storage="mcap", infos=True)``: a bag as rosbag2 writes it. `topics`
    maps the name of an image topic to (kind, encoding, [(stamp_ns, image), ...]).
    """
    rosbag2 = pytest.importorskip("rosbags.rosbag2")
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)

    def make(
        path: Path,
        topics: dict[str, tuple[str, str, Sequence[tuple[int, np.ndarray]]]],
        storage: str = "mcap",
        infos: bool = True,
    ) -> Path:
        plugin = rosbag2.StoragePlugin[storage.upper()]
        messages: list[tuple[int, str, str, bytes]] = []
        for topic, (kind, encoding, images) in topics.items():
            log_ns = 0
            for stamp_ns, image in images:
                stamp = store.types["builtin_interfaces/msg/Time"](
                    stamp_ns // 10**9, stamp_ns % 10**9
                )
                header = store.types["std_msgs/msg/Header"](stamp, "camera_optical_frame")
                type_name = "sensor_msgs/msg/Image"
                if kind == "compressed":
                    type_name = "sensor_msgs/msg/CompressedImage"
                log_ns = max(log_ns + 2, stamp_ns + LOG_DELAY_NS)
                if infos:
                    info = _camera_info(store, header, image.shape[1], image.shape[0])
                    name = f"{topic.removesuffix('/compressed').rpartition('/')[0]}/camera_info"
                    data = store.serialize_cdr(info, "sensor_msgs/msg/CameraInfo")
                    messages.append((log_ns - 1, name, "sensor_msgs/msg/CameraInfo", bytes(data)))
                message = _image_message(store, kind, image, header, encoding)
                data = store.serialize_cdr(message, type_name)
                messages.append((log_ns, topic, type_name, bytes(data)))
        connections: dict[str, Any] = {}
        with rosbag2.Writer(path, version=8, storage_plugin=plugin) as writer:
            for log_ns, topic, type_name, data in sorted(messages):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, type_name, typestore=store)
                writer.write(connections[topic], log_ns, data)
        return path

    return make
