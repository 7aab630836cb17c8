"""Image messages to BGR: each encoding against an image encoded here by the inverse conversion."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vitpose_ros.ros.images import (
    ENCODINGS,
    TRANSPORTS,
    ImageError,
    check_compressed,
    check_image,
    decode_compressed,
    decode_image,
)

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


def blocks(size: int, seed: int = 5) -> Array:
    """Random colours, constant over blocks of size x size px: what coarse chroma can carry."""
    small = (HEIGHT // size, WIDTH // size, 3)
    colours = np.random.default_rng(seed).integers(30, 226, small, np.uint8)
    return colours.repeat(size, axis=0).repeat(size, axis=1)


# encoding, and how far apart the result may be (levels of 255)
COLOUR = [
    *(("bgr8", 0), ("8UC3", 0), ("rgb8", 0), ("bgra8", 0), ("rgba8", 0)),
    *(("yuv422", 3), ("uyvy", 3), ("yuv422_yuy2", 3), ("yuyv", 3), ("nv12", 3)),
]
GREY = ("mono8", "8UC1")
WIDE = ("mono16", "bgr16", "rgb16")
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
    tested = {name for name, _ in COLOUR} | {*GREY, *WIDE, *BAYER}
    assert tested == set(ENCODINGS)


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
    ("depth", changed(GOOD, encoding="16UC1"), "encoding", ["depth image", "colour topic"]),
    ("no data", changed(GOOD, data=b""), "data", ["0 bytes", "34x20", str(102 * 20)]),
    ("short by one", changed(GOOD, data=GOOD.data[:-1]), "data", ["2039 bytes", "2040"]),
    ("short row", changed(GOOD, step=101), "data", ["101", "102"]),
    ("step of zero", changed(GOOD, step=0), "data", ["step is 0"]),
    ("odd uyvy", changed(GOOD, encoding="yuv422", width=33), "size", ["even", "33x20"]),
    ("odd nv12", changed(GOOD, encoding="nv12", height=19), "size", ["even", "34x19"]),
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


# --- compressed ---------------------------------------------------------------------------------


def smooth() -> Array:
    ramp = np.linspace(20, 230, 160)
    column, row = np.meshgrid(ramp, ramp[:120])
    return np.stack([column, row, 250 - column], axis=2).astype(np.uint8)


def compressed(image: Array, suffix: str, name: str | None = None) -> SimpleNamespace:
    good, data = cv2.imencode(suffix, image)
    assert good
    return SimpleNamespace(format=suffix[1:] if name is None else name, data=data.tobytes())


@pytest.mark.parametrize("name", ["jpeg", "jpg", "bgr8; jpeg compressed bgr8", "JPEG"])
def test_a_jpeg_comes_out_as_it_went_in(name: str) -> None:
    decoded = decode_compressed(compressed(smooth(), ".jpg", name))
    assert np.abs(decoded.astype(int) - smooth()).mean() < 3


def test_a_png_comes_out_exactly() -> None:
    assert np.array_equal(decode_compressed(compressed(smooth(), ".png")), smooth())


def test_a_grey_jpeg_has_three_channels() -> None:
    decoded = decode_compressed(compressed(smooth()[..., 0], ".jpg"))
    assert decoded.shape == (120, 160, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.999, 0.9, 0.5, 0.1, 0.01])
def test_a_truncated_file_is_refused_on_arrival(suffix: str, share: float) -> None:
    whole = compressed(smooth(), suffix)
    size = int(share * len(whole.data)) - 4
    cut = changed(whole, data=whole.data[: max(1, size)])
    with pytest.raises(ImageError) as caught:
        check_compressed(cut)
    assert caught.value.kind == "compressed"
    assert f"{len(cut.data)} bytes" in str(caught.value)


def test_bytes_after_the_end_of_a_jpeg_do_no_harm() -> None:
    whole = compressed(smooth(), ".jpg")
    padded = changed(whole, data=whole.data + bytes(1000))
    assert np.array_equal(decode_compressed(padded), decode_compressed(whole))


def test_a_png_with_altered_pixels_is_refused() -> None:
    whole = compressed(smooth(), ".png")
    damaged = bytearray(whole.data)
    damaged[20:60] = bytes(40)
    with pytest.raises(ImageError, match=r"damaged|decoded"):
        decode_compressed(changed(whole, data=bytes(damaged)))


@pytest.mark.parametrize(
    ("name", "kind", "named"),
    [
        ("h264", "encoding", ["'h264'", "jpeg and png"]),
        ("", "encoding", ["''", "jpeg and png"]),
        ("16UC1; compressedDepth png", "encoding", ["compressedDepth"]),
    ],
)
def test_an_unknown_format_is_refused_with_those_that_are_known(
    name: str, kind: str, named: list[str]
) -> None:
    with pytest.raises(ImageError) as caught:
        decode_compressed(compressed(smooth(), ".jpg", name))
    assert caught.value.kind == kind
    assert all(text in str(caught.value) for text in named)


def test_data_that_is_not_what_its_format_says_is_refused() -> None:
    message = changed(compressed(smooth(), ".jpg"), data=b"GIF89a" + bytes(100))
    with pytest.raises(ImageError, match="begin as neither JPEG nor PNG"):
        check_compressed(message)


def test_an_empty_compressed_image_has_no_size() -> None:
    with pytest.raises(ImageError) as caught:
        check_compressed(SimpleNamespace(format="jpeg", data=b""))
    assert caught.value.kind == "size"


def test_an_orientation_tag_does_not_turn_the_image() -> None:
    plain = compressed(smooth(), ".jpg")
    tiff = (
        b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
        + bytes(4)
    )
    exif = b"Exif\x00\x00" + tiff
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    turned = changed(plain, data=plain.data[:2] + segment + plain.data[2:])
    # OpenCV follows this tag unless told not to: without this line the test could not fail.
    assert cv2.imdecode(np.frombuffer(turned.data, np.uint8), cv2.IMREAD_COLOR).shape[0] == 160
    assert np.array_equal(decode_compressed(turned), decode_compressed(plain))


def test_each_transport_checks_and_decodes_its_own_message() -> None:
    TRANSPORTS["raw"].check(GOOD)
    assert TRANSPORTS["raw"].decode(GOOD).shape == (HEIGHT, WIDTH, 3)
    message = compressed(smooth(), ".jpg")
    TRANSPORTS["compressed"].check(message)
    assert TRANSPORTS["compressed"].decode(message).shape == (120, 160, 3)
    assert TRANSPORTS["compressed"].topic_suffix == "/compressed"
