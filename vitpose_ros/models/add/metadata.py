"""What an ONNX file says about itself, in its metadata.

Read are the keys of ONNX's own list (model_license, Image.BitmapPixelFormat,
Image.NominalPixelRange), those that Ultralytics writes (imgsz, names, kpt_shape, license), and
plain ones (mean, std, layout, ...).
"""

from __future__ import annotations

import ast
import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from vitpose_ros.keypoints.pixels import IMAGENET_MEAN, IMAGENET_STD, PIXELS
from vitpose_ros.layouts import LAYOUTS
from vitpose_ros.models.content import varint

_METADATA = 14  # of a ModelProto: pairs of key (1) and value (2)
_LARGEST_VALUE = 1 << 20

_RANGES = {"nominalrange_0_255": "", "normalized_0_1": "01", "normalized_1_1": "-signed"}
_SIZE_KEYS = ("imgsz", "input_size", "image_size")
_LICENCE_KEYS = ("model_license", "license", "licence")


@dataclass(frozen=True)
class Metadata:
    """What a file says; None or empty where it says nothing.

    Attributes
    ----------
    size : (width, height) of the input, px.
    classes : names of the classes, by number.
    joints : their number.
    layout : by name.
    settings : of the pixels; see `keypoints.pixels.read_pixels`.
    licence : of the weights.
    """

    size: tuple[int, int] | None = None
    classes: dict[int, str] = field(default_factory=dict)
    joints: int | None = None
    layout: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    licence: str = ""


def read_metadata(path: Path) -> Metadata:
    """The metadata of an ONNX file; empty for other files, and for what cannot be understood."""
    if path.suffix.lower() != ".onnx":
        return Metadata()
    with path.open("rb") as stream:
        return understand(_pairs(stream, path.stat().st_size))


def understand(pairs: dict[str, str]) -> Metadata:
    """What pairs of keys and values say."""
    values = {key.lower(): _parsed(value) for key, value in pairs.items()}
    names, shape = values.get("names"), values.get("kpt_shape")
    layout = values.get("layout", values.get("keypoints"))
    licence = next((str(values[key]) for key in _LICENCE_KEYS if key in values), "")
    classes = dict(enumerate(names)) if isinstance(names, list) else names
    return Metadata(
        size=_size(next((values[key] for key in _SIZE_KEYS if key in values), None)),
        classes={int(k): str(v) for k, v in classes.items() if str(k).isdecimal()}
        if isinstance(classes, dict)
        else {},
        joints=shape[0] if isinstance(shape, list) and shape and _whole(shape[0]) else None,
        layout=layout if isinstance(layout, str) and layout in LAYOUTS else None,
        settings=_pixels(values),
        licence=re.split(r" \(| \[", licence)[0].strip(),
    )


def _pixels(values: dict[str, Any]) -> dict[str, Any]:
    order = str(values.get("image.bitmappixelformat", values.get("channel_order", ""))).lower()
    order = next((one for one in ("bgr", "rgb") if order.startswith(one)), "")
    span = str(values.get("image.nominalpixelrange", "")).lower()
    mean, std = _three(values.get("mean")), _three(values.get("std"))
    if mean is None or std is None:
        name = order + _RANGES.get(span, "?")
        return {"pixels": name} if order and name in PIXELS else {}
    if max(mean) <= 1.0 and max(std) <= 1.0:  # of values 0 .. 1
        mean, std = [255 * v for v in mean], [255 * v for v in std]
    for one, name in (("rgb", "imagenet"), ("bgr", "imagenet-bgr")):
        turned = 1 if one == "rgb" else -1
        near = zip([*mean, *std], [*IMAGENET_MEAN[::turned], *IMAGENET_STD[::turned]], strict=True)
        if order in ("", one) and all(abs(a - b) < 0.5 for a, b in near):
            return {"pixels": name}
    exact = {"mean": [round(v, 4) for v in mean], "std": [round(v, 4) for v in std]}
    return {"pixels": order, **exact} if order and min(std) > 0 else {}


def _three(value: Any) -> list[float] | None:
    numbers = isinstance(value, (list, tuple)) and all(isinstance(v, (int, float)) for v in value)
    return [float(v) for v in value] if numbers and len(value) == 3 else None


def _size(value: Any) -> tuple[int, int] | None:
    """From (height, width), or a number for a square."""
    sides = [value, value] if _whole(value) else value
    if not isinstance(sides, (list, tuple)) or len(sides) != 2 or not all(map(_whole, sides)):
        return None
    return int(sides[1]), int(sides[0])


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _parsed(text: str) -> Any:
    """A value of numbers, lists and mappings, else the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _pairs(stream: BinaryIO, size: int) -> dict[str, str]:
    """The metadata of an ONNX file; the graph is skipped, however large."""
    pairs: dict[str, str] = {}
    for number, content in _fields(stream, size, _METADATA):
        if number == _METADATA:
            parts = dict(_fields(io.BytesIO(content), len(content)))
            pairs[_text(parts.get(1))] = _text(parts.get(2))
    return pairs


def _fields(stream: BinaryIO, size: int, wanted: int | None = None) -> list[tuple[int, bytes]]:
    """The byte fields of a protobuf message, or those of one number; what follows a damaged field
    is left out.
    """
    found: list[tuple[int, bytes]] = []
    while stream.tell() < size:
        tag = varint(stream)
        value = None if tag is None or tag & 7 not in (0, 2) else varint(stream)
        if tag is None or value is None:
            break
        if tag & 7 == 2:
            if wanted in (None, tag >> 3) and value <= _LARGEST_VALUE:
                found.append((tag >> 3, stream.read(value)))
            else:
                stream.seek(value, io.SEEK_CUR)
    return found


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace")
