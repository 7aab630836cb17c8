"""Malformed image messages, by kind: each must be refused by `pose_node`.

Damage that results in another valid file is not included, such as a changed bit of a raw image or a
single altered byte in the scan data of a JPEG: no reader can detect it.
"""

from __future__ import annotations

import array
import random
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image

Change = Callable[[Any, random.Random], None]
"""Changes a good message into a malformed one."""

END = b"\xff\xd9"


def fields(**values: Any) -> Change:
    """Set fields of the message."""

    def change(message: Any, rng: random.Random) -> None:
        for name, value in values.items():
            setattr(message, name, value)

    return change


def stamp(offset_ns: int | None) -> Change:
    """Move the stamp; None for a stamp of zero."""

    def change(message: Any, rng: random.Random) -> None:
        then = message.header.stamp
        total = 0 if offset_ns is None else then.sec * 10**9 + then.nanosec + offset_ns
        message.header.stamp = Time(sec=total // 10**9, nanosec=total % 10**9)

    return change


def shorter(share: float, less: int = 0) -> Change:
    """Cut the data off."""

    def change(message: Any, rng: random.Random) -> None:
        message.data = message.data[: int(share * len(message.data)) - less]

    return change


MOST = 2**32 - 1
STAMPS: dict[str, Change] = {
    "stamp of zero": stamp(None),
    "stamp that goes back by 0.9 s": stamp(-900_000_000),
    "negative stamp": lambda message, rng: setattr(message.header, "stamp", Time(sec=-1)),
}

RAW: dict[str, Change] = {
    "no width": fields(width=0),
    "no height": fields(height=0),
    "no size and no data": fields(width=0, height=0, step=0, data=array.array("B")),
    "greatest width": fields(width=MOST),
    "greatest height": fields(height=MOST),
    "greatest size": fields(width=MOST, height=MOST, step=MOST),
    "729 megapixels": fields(width=27000, height=27000, step=81000),
    "no data": fields(data=array.array("B")),
    "one byte": fields(data=array.array("B", [7])),
    "one byte too few": shorter(1.0, less=1),
    "half of the data": shorter(0.5),
    "step of zero": fields(step=0),
    "step one too short": fields(step=3 * 640 - 1),
    "greatest step": fields(step=MOST),
    "unknown encoding": fields(encoding="h264"),
    "no encoding": fields(encoding=""),
    "encoding with control characters": fields(encoding="bgr8\n\x1b[31m[ERROR]"),
    "encoding of 10 kB": fields(encoding="x" * 10_000),
    "encoding of another script": fields(encoding="bgr\uff18"),
    "encoding in capitals": fields(encoding="BGR8"),
    "depth in millimetres": fields(encoding="16UC1"),
    "depth in metres": fields(encoding="32FC1"),
    "more channels than data": fields(encoding="rgba8"),
    "more bytes per channel than data": fields(encoding="bgr16"),
    "nv12 of odd height": fields(encoding="nv12", height=479),
    "yuv422 of odd width": fields(encoding="yuv422", width=639),
    "bayer of odd sides": fields(encoding="bayer_rggb8", width=639, height=479),
    "nv24 without its chroma": fields(encoding="nv24", height=960, step=640),
    **STAMPS,
}


def rewritten(change: Callable[[bytes, random.Random], bytes], kind: str = "jpeg") -> Change:
    """Replace the data by changed bytes."""

    def apply(message: Any, rng: random.Random) -> None:
        message.format = kind
        message.data = array.array("B", change(bytes(message.data), rng))

    return apply


def _scan(data: bytes) -> int:
    """Return the offset of a JPEG's scan data."""
    at = data.index(b"\xff\xda")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _within(data: bytes, rng: random.Random, room: int) -> int:
    """Return an offset in the scan data with room behind it."""
    return rng.randrange(_scan(data), len(data) - room - 2)


def cut(share: float, tail: bytes = b"") -> Change:
    """Keep the beginning of a file."""
    return rewritten(lambda data, rng: data[: max(1, int(share * len(data)))] + tail)


def lost(count: int) -> Change:
    """Leave bytes out of the scan data, as if packets were lost."""

    def change(data: bytes, rng: random.Random) -> bytes:
        at = _within(data, rng, count)
        return data[:at] + data[at + count :]

    return rewritten(change)


def zeroed(count: int) -> Change:
    """Replace scan data by zeros."""

    def change(data: bytes, rng: random.Random) -> bytes:
        at = _within(data, rng, count)
        return data[:at] + bytes(count) + data[at + count :]

    return rewritten(change)


def _sized(data: bytes, width: int, height: int) -> bytes:
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[at + 4 :]


def _png_header(png: bytes, width: int, height: int, bits: int = 8) -> bytes:
    body = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits])
    body += png[25:29]
    return png[:12] + body + zlib.crc32(body).to_bytes(4, "big") + png[33:]


def compressed_kinds(image: npt.NDArray[np.uint8]) -> dict[str, Change]:
    """Return kinds of malformed CompressedImage; `image` (H, W, 3) is the content of their PNGs."""
    png = cv2.imencode(".png", image)[1].tobytes()
    progressive = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    last = progressive.rindex(b"\xff\xda")
    scans = progressive[:last] + progressive[last:-2] * 200 + END
    middle = len(png) // 2
    altered = png[:middle] + bytes(b ^ 0x55 for b in png[middle : middle + 8]) + png[middle + 8 :]

    def constant(data: bytes, kind: str = "jpeg") -> Change:
        return rewritten(lambda _, rng: data, kind)

    return {
        "no data": constant(b""),
        "one byte": constant(b"\xff"),
        "start marker alone": constant(b"\xff\xd8"),
        "start and end alone": constant(b"\xff\xd8" + END),
        "unknown format": fields(format="h264"),
        "no format": fields(format=""),
        "compressed depth": fields(format="16UC1; compressedDepth png"),
        "depth as PNG": constant(png, "16UC1; png compressed "),
        "GIF": constant(b"GIF89a" + bytes(2000)),
        "BMP": constant(cv2.imencode(".bmp", image)[1].tobytes()),
        "WebP": constant(b"RIFF\x00\x10\x00\x00WEBPVP8 " + bytes(2000)),
        "zeros": constant(bytes(10_000)),
        "random bytes": rewritten(lambda data, rng: rng.randbytes(10_000)),
        "start marker and random bytes": rewritten(
            lambda data, rng: b"\xff\xd8" + rng.randbytes(10_000)
        ),
        "JPEG, 1 %": cut(0.01),
        "JPEG, half": cut(0.5),
        "JPEG, 99 %": cut(0.99),
        "half a JPEG in a buffer of zeros": cut(0.5, bytes(200_000)),
        "half a JPEG with an end marker": cut(0.5, END),
        "JPEG without 1400 bytes": lost(1400),
        "JPEG without 5000 bytes": lost(5000),
        "JPEG with 20 kB of zeros": zeroed(20_000),
        "JPEG without scan data": rewritten(lambda data, rng: data[: _scan(data)] + END),
        "JPEG without frame header": rewritten(
            lambda data, rng: data.replace(b"\xff\xc0", b"\xff\xe5", 1)
        ),
        "JPEG without quantisation tables": rewritten(
            lambda data, rng: data.replace(b"\xff\xdb", b"\xff\xe5")
        ),
        "JPEG of 4290 megapixels": rewritten(lambda data, rng: _sized(data, 65500, 65500)),
        "JPEG without height": rewritten(lambda data, rng: _sized(data, 640, 0)),
        "progressive JPEG, half, with an end marker": constant(progressive[: last // 2] + END),
        "progressive JPEG of 200 scans": constant(scans),
        "PNG, half": constant(png[:middle], "png"),
        "PNG with altered data": constant(altered, "png"),
        "PNG of 729 megapixels": constant(_png_header(png, 27000, 27000), "png"),
        "PNG of no size": constant(_png_header(png, 0, 0), "png"),
        "PNG of 3 bits": constant(_png_header(png, 640, 480, bits=3), "png"),
        "PNG without header": constant(png[:8] + png[33:], "png"),
        "PNG signature alone": constant(png[:8], "png"),
        "PNG with a chunk of 4 GB": constant(png[:33] + b"\xff" * 4 + png[37:], "png"),
        **STAMPS,
    }


def raw_message(image: npt.NDArray[np.uint8]) -> Image:
    """Return a good bgr8 message, without a stamp."""
    height, width = image.shape[:2]
    data = array.array("B")
    data.frombytes(image.tobytes())
    return Image(width=width, height=height, encoding="bgr8", step=3 * width, data=data)


def compressed_message(image: npt.NDArray[np.uint8]) -> CompressedImage:
    """Return a good JPEG message, without a stamp."""
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    return CompressedImage(format="bgr8; jpeg compressed bgr8", data=array.array("B", data))
