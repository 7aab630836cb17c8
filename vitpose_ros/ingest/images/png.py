"""PNG: its size and its integrity, from its chunks.

Structure of a file: PNG specification, third edition, section 5.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from vitpose_ros.ingest.images.errors import ImageError

START = b"\x89PNG\r\n\x1a\n"

_GREY = 0  # colour type
_BITS = {_GREY: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_KEPT = (b"IHDR", b"PLTE", b"IDAT", b"IEND")


@dataclass(frozen=True)
class PngHeader:
    """What a PNG's first chunk says.

    Attributes
    ----------
    width, height : px.
    bits : per channel.
    grey : one channel and no transparency.
    """

    width: int
    height: int
    bits: int
    grey: bool


def read_header(data: bytes) -> PngHeader:
    """Walk over the chunks, from the first to the end chunk, without a look at what is in them.

    Raises
    ------
    ImageError : the first chunk is not a valid header, or the end chunk is missing.
    """
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise ImageError("compressed", f"the PNG of {len(data)} bytes has no header chunk")
    for _ in _chunks(data):
        pass
    bits, colour_type, *rest = data[24:29]
    if bits not in _BITS.get(colour_type, ()) or rest[:2] != [0, 0] or rest[2] > 1:
        raise ImageError(
            "compressed",
            f"the PNG is damaged: it claims {bits} bits of colour type {colour_type}, compression "
            f"{rest[0]}, filter {rest[1]}, interlacing {rest[2]}, which do not exist together",
        )
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return PngHeader(width, height, bits, colour_type == _GREY)


def checked(data: bytes) -> bytes:
    """The chunks that make up the pixels, each held against its checksum.

    libpng prints its complaints about the other chunks (colour profiles, text) to stderr.

    Raises
    ------
    ImageError : the end chunk is missing, or a checksum is wrong.
    """
    parts = [START]
    for kind, start, end in _chunks(data):
        if kind in _KEPT:
            body = memoryview(data)[start + 4 : end - 4]
            if zlib.crc32(body) != int.from_bytes(data[end - 4 : end], "big"):
                raise ImageError(
                    "compressed",
                    f"the PNG of {len(data)} bytes is damaged: the checksum of its "
                    f"{kind.decode()} chunk is wrong",
                )
            parts.append(data[start:end])
    return b"".join(parts)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's type and where it starts and ends, the end chunk last."""
    start = len(START)
    while start + 12 <= len(data):
        kind = data[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            break
        yield kind, start, end
        if kind == b"IEND":
            return
        start = end
    raise ImageError("compressed", f"the PNG is cut off: {len(data)} bytes without an end chunk")
