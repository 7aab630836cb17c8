"""For all tests."""

from __future__ import annotations

import random
import signal
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

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
