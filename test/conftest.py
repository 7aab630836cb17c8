"""For all tests."""

from __future__ import annotations

import importlib
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


BoxRow = tuple[float, float, float, float, int, float]
"""x0, y0, x1, y1 in px of the input, class, and score."""


def _box_outputs(
    form: str, rows: Sequence[BoxRow], classes: int, side: int
) -> dict[str, np.ndarray]:
    """The outputs of a family of detectors for an input of side x side px, with these answers."""
    corners = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    of_row, score = [row[4] for row in rows], np.array([row[5] for row in rows], np.float32)
    middle, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    logit = np.log(score / (1 - score))
    if form == "mmdeploy":
        dets = np.concatenate([corners, score[:, None]], axis=1)
        return {"dets": dets[None], "labels": np.array(of_row, np.int64)[None]}
    if form == "detr":
        logits = np.full((len(rows), classes), -9.0, np.float32)
        logits[np.arange(len(rows)), of_row] = logit
        boxes = np.concatenate([middle, size], axis=1) / side
        return {"pred_boxes": boxes[None].astype(np.float32), "logits": logits[None]}
    outputs, cells = {}, []
    for stride in (8, 16, 32):
        count = side // stride
        y, x = np.mgrid[:count, :count] * float(stride)
        if form == "rtmdet":
            grid = np.full((count, count, classes + 4), 4.0, np.float32)
            grid[..., :classes] = -9.0
            if stride == 16:
                for n, (x0, y0, x1, y1, which, _) in enumerate(rows):
                    column, row = (middle[n] // stride).astype(int)
                    px, py = column * stride, row * stride
                    grid[row, column, classes:] = (px - x0, py - y0, x1 - px, y1 - py)
                    grid[row, column, which] = logit[n]
            outputs[f"stride{stride}"] = grid[None]
        grid = np.zeros((count, count, 5 + classes), np.float32)
        grid[..., 0], grid[..., 1], grid[..., 2:4] = x, y, stride
        if stride == 16:
            for n, which in enumerate(of_row):
                column, row = (middle[n] // stride).astype(int)
                grid[row, column, :5] = (*middle[n], *size[n], 1.0)
                grid[row, column, 5 + which] = score[n]
        cells.append(grid.reshape(-1, 5 + classes))
    return {"output": np.concatenate(cells)[None]} if form == "yolox" else outputs


@pytest.fixture(scope="session")
def box_network() -> Callable[..., Path]:
    """``box_network(path, form, rows, classes, side=320)``: an ONNX file of a detector that gives
    the same boxes for every image; form is "yolox", "rtmdet", "detr" or "mmdeploy".
    """
    try:
        onnx = importlib.import_module("onnx")
    except ImportError:
        pytest.skip("the tests' own networks need onnx: pip install onnx")

    def make(path: Path, form: str, rows: Sequence[BoxRow], classes: int, side: int = 320) -> Path:
        helper = onnx.helper
        kinds = {np.dtype("f4"): onnx.TensorProto.FLOAT, np.dtype("i8"): onnx.TensorProto.INT64}
        nodes = [
            helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "none"], ["nothing"]),
            helper.make_node("Cast", ["nothing"], ["nothing_whole"], to=onnx.TensorProto.INT64),
        ]
        weights, outputs = [onnx.numpy_helper.from_array(np.zeros((), "f4"), "none")], []
        for name, values in _box_outputs(form, rows, classes, side).items():
            zero = "nothing" if values.dtype == np.float32 else "nothing_whole"
            nodes.append(helper.make_node("Add", [zero, f"{name}_values"], [name]))
            weights.append(onnx.numpy_helper.from_array(values, f"{name}_values"))
            kind = kinds[values.dtype]
            outputs.append(helper.make_tensor_value_info(name, kind, values.shape))
        shape = [1, 3, side, side]
        images = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, shape)
        graph = helper.make_graph(nodes, "boxes", [images], outputs, weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, str(path))
        return path

    return make
