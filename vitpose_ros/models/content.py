"""Checks a model file's content where no sha256 is known: is it what its name says?"""

from __future__ import annotations

import json
import os
import pickletools
import struct
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import BinaryIO

_PICKLE_SUFFIXES = (".pth", ".pt", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib")

_LARGEST_HEADER = 100_000_000
"""The limit of the safetensors library for a header, bytes."""

_MODEL_FIELDS = range(1, 64)
"""Field numbers accepted in an ONNX ModelProto; it uses those up to 26."""
_GRAPH_FIELDS = range(1, 6)
"""Field numbers of a TensorFlow GraphDef."""

_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<?xml")


def refuse_pickle_name(name: str) -> str | None:
    """Why a file of this name is refused, or None."""
    if Path(name).suffix.lower() not in _PICKLE_SUFFIXES:
        return None
    return (
        f"'{name}' may be a pickle, and loading a pickle can run any code; "
        "use an ONNX, TFLite or safetensors file"
    )


def delivery_problem(path: Path) -> str | None:
    """Why a download is not a model file of any format, as the end of a sentence, or None."""
    with path.open("rb") as stream:
        head = stream.read(512)
    if not head:
        return "is empty"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGES):
        return (
            "is a web page (HTML or XML), such as a sign-in or error page: the address does not "
            "lead to the file itself"
        )
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file it stands for"
    return None


def content_problem(path: Path, name: str, pickle: bool) -> str | None:
    """What is wrong with a file's content, as the end of a sentence, or None.

    Parameters
    ----------
    path : the file.
    name : its name in the catalogue, whose suffix tells the format.
    pickle : whether a pickle is accepted.
    """
    problem = delivery_problem(path)
    if problem is None and not pickle and _is_pickle(path):
        problem = "is a pickle, and loading a pickle can run any code"
    suffix = Path(name).suffix.lower()
    if problem is None and suffix in _FORMATS:
        label, is_format = _FORMATS[suffix]
        with path.open("rb") as stream:
            if not is_format(stream, path.stat().st_size):
                problem = f"is not {label}"
    return problem


def _is_pickle(path: Path) -> bool:
    """Whether the content is a pickle (protocol 2 or later) or an archive that holds one, as
    torch.save writes.
    """
    with path.open("rb") as stream:
        head = stream.read(256)
    if head[:1] == b"\x80":
        try:
            opcodes = pickletools.genops(head)
            return all(next(opcodes, None) is not None for _ in range(3))
        except ValueError:
            return False
    if head[:2] == b"PK" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith((".pkl", ".pickle")) for name in archive.namelist())
    return False


def _is_onnx(stream: BinaryIO, size: int) -> bool:
    """Whether the file is an ONNX ModelProto with ir_version and graph."""
    return {(1, 0), (7, 2)} <= _fields(stream, size, _MODEL_FIELDS)


def _is_graph_def(stream: BinaryIO, size: int) -> bool:
    """Whether the file is a TensorFlow GraphDef with nodes."""
    return (1, 2) in _fields(stream, size, _GRAPH_FIELDS)


def _fields(stream: BinaryIO, size: int, known: Collection[int]) -> set[tuple[int, int]]:
    """The (number, kind) of a protobuf message's fields; empty if it is none, or has others.

    Reads the fields' headers only. A truncated file gives none: its last field would end behind
    its end.
    """
    found: set[tuple[int, int]] = set()
    while stream.tell() < size:
        tag = varint(stream)
        number, kind = (tag or 0) >> 3, (tag or 0) & 7
        if number not in known or kind not in (0, 2):
            return set()
        value = varint(stream)
        if value is None:
            return set()
        if kind == 2:
            stream.seek(value, os.SEEK_CUR)
        found.add((number, kind))
    return found if stream.tell() == size else set()


def varint(stream: BinaryIO) -> int | None:
    """A protobuf integer; None when there is none."""
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None


def _is_tflite(stream: BinaryIO, size: int) -> bool:
    return stream.read(8)[4:] == b"TFL3"


def _is_safetensors(stream: BinaryIO, size: int) -> bool:
    """Whether the header is JSON and its last tensor ends where the file does."""
    head = stream.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
    if length > min(size - 8, _LARGEST_HEADER):
        return False
    try:
        header = json.loads(stream.read(length))
        ends = [part["data_offsets"][1] for key, part in header.items() if key != "__metadata__"]
        return bool(8 + length + max(ends, default=0) == size)
    except (ValueError, AttributeError, KeyError, IndexError, TypeError):
        return False


def _is_json(stream: BinaryIO, size: int) -> bool:
    try:
        json.loads(stream.read())
    except ValueError:
        return False
    return True


def _is_checkpoint(stream: BinaryIO, size: int) -> bool:
    """Whether torch may have written it: a zip archive, or a pickle of protocol 2 or later."""
    head = stream.read(2)
    return head in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") or zipfile.is_zipfile(
        stream
    )


_FORMATS: Mapping[str, tuple[str, Callable[[BinaryIO, int], bool]]] = {
    ".onnx": ("a complete ONNX model", _is_onnx),
    ".tflite": ("a TFLite model", _is_tflite),
    ".pb": ("a complete TensorFlow graph", _is_graph_def),
    ".safetensors": ("a complete safetensors file", _is_safetensors),
    ".json": ("JSON", _is_json),
    ".pth": ("a PyTorch checkpoint", _is_checkpoint),
}
