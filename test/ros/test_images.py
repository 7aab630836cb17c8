"""sensor_msgs/Image to BGR: each encoding against an image encoded here by the inverse conversion,
and against what cv_bridge documents for it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from vitpose_ros.ingest.images import MAX_MEGAPIXELS, ImageError
from vitpose_ros.ingest.images.encodings import ENCODINGS
from vitpose_ros.ingest.images.raw import RawImages

Array = npt.NDArray[np.uint8]
Encode = Callable[..., Array]
BLUE, GREEN, RED, BROWN = (255, 0, 0), (0, 255, 0), (0, 0, 255), (40, 90, 160)
WIDTH, HEIGHT = 34, 20


def raw(
    encoding: str,
    width: int,
    height: int,
    rows: Array,
    *,
    padding: int = 0,
    big: bool = False,
    last_padded: bool = True,
) -> SimpleNamespace:
    """A sensor_msgs/Image of (rows, bytes) data; its padding is 0xEE, which would show if read."""
    rows = rows.reshape(rows.shape[0], -1)
    padded = np.full((rows.shape[0], rows.shape[1] + padding), 0xEE, np.uint8)
    padded[:, : rows.shape[1]] = rows
    data = padded.tobytes()
    if padding and not last_padded:
        data = data[:-padding]
    return SimpleNamespace(
        encoding=encoding,
        width=width,
        height=height,
        step=rows.shape[1] + padding,
        is_bigendian=int(big),
        data=data,
    )


def reader(max_megapixels: float = MAX_MEGAPIXELS) -> RawImages:
    return RawImages(max_megapixels, lambda text: None)


def decode_image(message: SimpleNamespace) -> Array:
    return reader().decode(message)


def check_image(message: SimpleNamespace) -> None:
    reader().check(message)


def blocks(size: int, seed: int = 5) -> Array:
    """Random colours, constant over blocks of size x size px: what coarse chroma can carry."""
    small = (HEIGHT // size, WIDTH // size, 3)
    colours = np.random.default_rng(seed).integers(30, 226, small, np.uint8)
    return colours.repeat(size, axis=0).repeat(size, axis=1)


# encoding, and how far apart the result may be (levels of 255)
COLOUR = [
    *(("bgr8", 0), ("8UC3", 0), ("rgb8", 0), ("bgra8", 0), ("rgba8", 0), ("8UC4", 0)),
    *(("yuv422", 3), ("uyvy", 3), ("yuv422_yuy2", 3), ("yuyv", 3), ("nv12", 3), ("nv21", 3)),
]
GREY = ("mono8", "8UC1")
WIDE = ("mono16", "bgr16", "rgb16", "bgra16", "rgba16")
BAYER = [name for name in ENCODINGS if name.startswith("bayer")]


def grey(bgr: Array) -> Array:
    """What the encoders make of an image for a camera without colour."""
    return bgr[..., 1:2].repeat(3, axis=2)


@pytest.mark.parametrize("padding", [0, 13])
@pytest.mark.parametrize(("encoding", "tolerance"), COLOUR)
def test_a_colour_image_comes_out_as_it_went_in(
    encode: Encode, encoding: str, tolerance: int, padding: int
) -> None:
    image = blocks(2)
    decoded = decode_image(raw(encoding, WIDTH, HEIGHT, encode(image, encoding), padding=padding))
    assert decoded.shape == image.shape
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - image).max() <= tolerance


@pytest.mark.parametrize("padding", [0, 13])
def test_nv24_has_chroma_for_each_pixel_in_rows_of_twice_the_step(
    encode: Encode, padding: int
) -> None:
    image = blocks(1)
    rows = encode(image, "nv24")
    chroma = raw("nv24", WIDTH, HEIGHT, rows[HEIGHT:].reshape(HEIGHT, -1), padding=2 * padding)
    message = raw("nv24", WIDTH, HEIGHT, rows[:HEIGHT], padding=padding)
    message.data += chroma.data
    assert np.abs(decode_image(message).astype(int) - image).max() <= 3
    if padding:  # of the last row
        message.data = message.data[: -2 * padding]
        decode_image(message)
    with pytest.raises(ImageError, match="bytes of data"):
        decode_image(changed(message, data=message.data[:-1]))


@pytest.mark.parametrize("encoding", GREY)
def test_a_grey_image_has_equal_channels(encode: Encode, encoding: str) -> None:
    image = blocks(1)
    decoded = decode_image(raw(encoding, WIDTH, HEIGHT, encode(image, encoding), padding=2))
    assert np.array_equal(decoded, grey(image))


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("big", [False, True], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize("encoding", WIDE)
def test_of_sixteen_bits_the_high_byte_is_taken_in_either_byte_order(
    encode: Encode, encoding: str, big: bool, padding: int
) -> None:
    image = blocks(1)
    rows = encode(image, encoding, big)
    message = raw(encoding, WIDTH, HEIGHT, rows, padding=padding, big=big)
    expected = grey(image) if encoding == "mono16" else image
    assert np.array_equal(decode_image(message), expected)


@pytest.mark.parametrize("big", [False, True], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize("colour", [RED, GREEN, BLUE, BROWN], ids=["red", "green", "blue", "brown"])
@pytest.mark.parametrize("encoding", BAYER)
def test_a_flat_patch_behind_a_bayer_filter_has_its_colour(
    encode: Encode, encoding: str, colour: tuple[int, int, int], big: bool
) -> None:
    flat = np.full((HEIGHT, WIDTH, 3), colour, np.uint8)
    rows = encode(flat, encoding, big)
    message = raw(encoding, WIDTH, HEIGHT, rows, padding=4, big=big)
    assert np.array_equal(decode_image(message), flat)


def test_every_accepted_encoding_is_tested_here() -> None:
    tested = {name for name, _ in COLOUR} | {*GREY, *WIDE, *BAYER, "nv24"}
    assert tested == set(ENCODINGS)


# encoding; what cv_bridge's documentation says of it; the bytes of two pixels in one row (for
# planar YUV and Bayer two rows: all luma or both rows of the pattern); BGR of the first pixel.
# YUV 76, 85, 255 is pure red in ITU-R BT.601 with full range, here 81, 90, 240 (limited range).
RED_Y, RED_U, RED_V = 81, 90, 240
CV_BRIDGE = [
    ("mono8", "8-bit grey", [70, 80], (70, 70, 70)),
    ("mono16", "16-bit grey, scaled to 8 bits", [0xCD, 0xAB, 0, 0], (0xAB, 0xAB, 0xAB)),
    ("bgr8", "blue, green, red", [10, 20, 30] * 2, (10, 20, 30)),
    ("rgb8", "red, green, blue", [30, 20, 10] * 2, (10, 20, 30)),
    ("bgra8", "blue, green, red, alpha", [10, 20, 30, 7] * 2, (10, 20, 30)),
    ("rgba8", "red, green, blue, alpha", [30, 20, 10, 7] * 2, (10, 20, 30)),
    ("bgr16", "16-bit, scaled to 8 bits", [0, 100, 0, 150, 0, 200] * 2, (100, 150, 200)),
    ("rgb16", "16-bit, scaled to 8 bits", [0, 200, 0, 150, 0, 100] * 2, (100, 150, 200)),
    ("bgra16", "16-bit, scaled to 8 bits", [0, 100, 0, 150, 0, 200, 9, 9] * 2, (100, 150, 200)),
    ("rgba16", "16-bit, scaled to 8 bits", [0, 200, 0, 150, 0, 100, 9, 9] * 2, (100, 150, 200)),
    ("8UC1", "one channel without a meaning: as mono8", [70, 80], (70, 70, 70)),
    ("8UC3", "three channels without a meaning: as bgr8", [10, 20, 30] * 2, (10, 20, 30)),
    ("8UC4", "four channels without a meaning: as bgra8", [10, 20, 30, 7] * 2, (10, 20, 30)),
    ("yuv422", "UYVY", [RED_U, RED_Y, RED_V, RED_Y], (0, 0, 255)),
    ("uyvy", "UYVY", [RED_U, RED_Y, RED_V, RED_Y], (0, 0, 255)),
    ("yuv422_yuy2", "YUYV", [RED_Y, RED_U, RED_Y, RED_V], (0, 0, 255)),
    ("yuyv", "YUYV", [RED_Y, RED_U, RED_Y, RED_V], (0, 0, 255)),
    ("nv12", "4:2:0, chroma U, V", [RED_Y] * 4 + [RED_U, RED_V], (0, 0, 255)),
    ("nv21", "4:2:0, chroma V, U", [RED_Y] * 4 + [RED_V, RED_U], (0, 0, 255)),
    ("nv24", "4:4:4, chroma U, V", [RED_Y] * 4 + [RED_U, RED_V] * 4, (0, 0, 255)),
]
# The name gives the colours of the first row from the left, then those of the second.
BAYER_COLOURS = {"r": 30, "g": 20, "b": 10}
CV_BRIDGE += [
    (
        f"bayer_{pattern}8",
        "first row, second row",
        [BAYER_COLOURS[c] for c in pattern],
        (10, 20, 30),
    )
    for pattern in ("rggb", "bggr", "gbrg", "grbg")
]
CV_BRIDGE += [
    (f"{name[:-1]}16", meaning, [b for value in pixels for b in (0, 8 * value)], (80, 160, 240))
    for name, meaning, pixels, _ in CV_BRIDGE[-4:]
]


@pytest.mark.parametrize(
    ("encoding", "meaning", "pixels", "bgr"), CV_BRIDGE, ids=[row[0] for row in CV_BRIDGE]
)
def test_each_encoding_is_converted_as_cv_bridge_documents(
    encoding: str, meaning: str, pixels: list[int], bgr: tuple[int, int, int]
) -> None:
    tall = encoding.startswith(("bayer", "nv"))
    size = 8  # of both sides: demosaicing needs neighbours
    if encoding.startswith("bayer"):
        block = np.array(pixels, np.uint8).reshape(2, -1)
        rows = np.tile(block, (size // 2, size // 2))
    elif tall:
        luma, chroma = pixels[:4], pixels[4:]
        rows_of_chroma = size * size // 4 * len(chroma) // size
        rows = np.concatenate(
            [
                np.full((size, size), luma[0], np.uint8),
                np.resize(np.array(chroma, np.uint8), (rows_of_chroma, size)),
            ]
        )
    else:
        rows = np.tile(np.array(pixels, np.uint8), (size, size // 2))
    decoded = decode_image(raw(encoding, size, size, rows))
    assert decoded.shape == (size, size, 3), meaning
    assert np.abs(decoded[4, 4].astype(int) - bgr).max() <= 1, (meaning, decoded[4, 4])


def test_every_accepted_encoding_is_held_against_cv_bridge() -> None:
    assert [row[0] for row in CV_BRIDGE] == sorted(
        ENCODINGS, key=[row[0] for row in CV_BRIDGE].index
    )


@pytest.mark.parametrize("encoding", [*WIDE, *(name for name in BAYER if name.endswith("16"))])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_10_12_and_14_bits_in_16_are_as_bright_as_8_bits(
    encode: Encode, encoding: str, bits: int
) -> None:
    """As in `encode`, with the values in the low bits."""
    flat = np.full((HEIGHT, WIDTH, 3), (200, 240, 120), np.uint8)
    wide = encode(flat, encoding).view("<u2") >> (16 - bits)
    said: list[str] = []
    images = RawImages(MAX_MEGAPIXELS, said.append)
    message = raw(encoding, WIDTH, HEIGHT, wide.view(np.uint8))
    expected = grey(flat) if encoding == "mono16" else flat
    for _ in range(3):
        assert np.abs(images.decode(message).astype(int) - expected).max() <= 1
    assert len(said) == 1
    assert f"use {bits} bits" in said[0]


def test_an_image_above_the_limit_is_refused_without_a_look_at_its_data() -> None:
    images = reader(max_megapixels=0.001)
    with pytest.raises(ImageError, match=r"34x40.*accepted are up to 0.001.*max_megapixels") as no:
        images.check(changed(GOOD, width=34, height=40, data=b""))
    assert no.value.kind == "size"
    images.check(GOOD)  # 680 pixels


def test_the_last_row_needs_no_padding() -> None:
    image = blocks(1)
    message = raw("rgb8", WIDTH, HEIGHT, image[..., ::-1], padding=10, last_padded=False)
    assert np.array_equal(decode_image(message), image)


def test_an_unpadded_bgr8_image_is_not_copied() -> None:
    message = raw("bgr8", WIDTH, HEIGHT, blocks(1))
    assert np.shares_memory(decode_image(message), np.frombuffer(message.data, np.uint8))


def changed(message: SimpleNamespace, **fields: object) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(message), **fields})


GOOD = raw("bgr8", WIDTH, HEIGHT, blocks(1))
# what is wrong, the message, the kind it is counted under, what its sentence names
BAD = [
    ("no width", changed(GOOD, width=0), "size", ["0x20"]),
    ("no height", changed(GOOD, height=0), "size", ["34x0"]),
    ("unknown", changed(GOOD, encoding="h264"), "encoding", ["'h264'", "bgr8", "nv12"]),
    ("empty name", changed(GOOD, encoding=""), "encoding", ["''", "bgr8"]),
    (
        "a name that is damaged",
        changed(GOOD, encoding="rgb8\n[ERROR] " + "x" * 10_000),
        "encoding",
        ["'rgb8\\n[ERROR] xxx", "'..."],
    ),
    ("depth", changed(GOOD, encoding="16UC1"), "encoding", ["depth image", "colour topic"]),
    ("no data", changed(GOOD, data=b""), "data", ["0 bytes", "34x20", str(102 * 20)]),
    ("short by one", changed(GOOD, data=GOOD.data[:-1]), "data", ["2039 bytes", "2040"]),
    ("short row", changed(GOOD, step=101), "data", ["101", "102"]),
    ("step of zero", changed(GOOD, step=0), "data", ["step is 0"]),
    ("odd uyvy", changed(GOOD, encoding="yuv422", width=33), "size", ["even", "33x20"]),
    ("odd nv12", changed(GOOD, encoding="nv12", height=19), "size", ["even", "34x19"]),
    ("odd nv21", changed(GOOD, encoding="nv21", width=33), "size", ["even", "33x20"]),
    ("odd bayer", changed(GOOD, encoding="bayer_rggb8", height=19), "size", ["even", "34x19"]),
    (
        "nv12 without chroma",
        changed(GOOD, encoding="nv12", step=WIDTH, data=bytes(WIDTH * HEIGHT)),
        "data",
        ["680 bytes", "1020"],
    ),
]


@pytest.mark.parametrize("read", [check_image, decode_image])
@pytest.mark.parametrize(
    ("message", "kind", "named"), [row[1:] for row in BAD], ids=[row[0] for row in BAD]
)
def test_an_unusable_image_is_refused_with_what_was_found(
    message: SimpleNamespace,
    kind: str,
    named: list[str],
    read: Callable[[SimpleNamespace], object],
) -> None:
    with pytest.raises(ImageError) as caught:
        read(message)
    assert caught.value.kind == kind
    assert all(text in str(caught.value) for text in named), str(caught.value)
