"""sensor_msgs/CompressedImage to BGR: whole files give their pixels, cut-off ones are refused."""

from __future__ import annotations

import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vitpose_ros.ingest.images import MAX_MEGAPIXELS, ImageError
from vitpose_ros.ingest.images.compressed import CompressedImages

Array = npt.NDArray[np.uint8]
END = b"\xff\xd9"


def changed(message: SimpleNamespace, **fields: object) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(message), **fields})


def reader(max_megapixels: float = MAX_MEGAPIXELS) -> CompressedImages:
    return CompressedImages(max_megapixels, lambda text: None)


def decode_compressed(message: SimpleNamespace) -> Array:
    return reader().decode(message)


def check_compressed(message: SimpleNamespace) -> None:
    reader().check(message)


def refusal(message: SimpleNamespace) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode_compressed(message)
    return caught.value


# --- files ----------------------------------------------------------------------------------------


def smooth() -> Array:
    ramp = np.linspace(20, 230, 160)
    column, row = np.meshgrid(ramp, ramp[:120])
    return np.stack([column, row, 250 - column], axis=2).astype(np.uint8)


def detailed() -> Array:
    """An image whose JPEG is long enough to damage anywhere."""
    noise = np.random.default_rng(3).normal(0, 12, (120, 160, 3))
    return np.clip(smooth() + cv2.GaussianBlur(noise, (0, 0), 1) * 4, 0, 255).astype(np.uint8)


def compressed(
    image: Array, suffix: str, name: str | None = None, *options: int
) -> SimpleNamespace:
    good, data = cv2.imencode(suffix, image, options)
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


# what a driver's buffer holds after the end marker
AFTER_THE_END = {
    "4 KiB of zeros": bytes(4096),
    "hundreds of kB of zeros": bytes(700_000),
    "0xFF": b"\xff" * 5000,
    "the rest of an older image": compressed(detailed(), ".jpg").data[1000:],
    "a second image": compressed(detailed(), ".jpg").data,
}


@pytest.mark.parametrize("rest", AFTER_THE_END.values(), ids=AFTER_THE_END)
def test_bytes_after_the_end_of_a_jpeg_do_no_harm(rest: bytes) -> None:
    whole = compressed(smooth(), ".jpg")
    padded = changed(whole, data=whole.data + rest)
    check_compressed(padded)
    assert np.array_equal(decode_compressed(padded), decode_compressed(whole))


@pytest.mark.parametrize("padding", [4096, 300_000])
@pytest.mark.parametrize("share", [0.99, 0.5, 0.1])
def test_a_truncated_jpeg_in_a_padded_buffer_is_refused(share: float, padding: int) -> None:
    whole = compressed(detailed(), ".jpg")
    cut = whole.data[: int(share * len(whole.data))]
    assert "cut off" in str(refusal(changed(whole, data=cut + bytes(padding))))


def test_the_end_marker_of_a_thumbnail_is_not_the_end() -> None:
    whole = compressed(detailed(), ".jpg")
    thumbnail = b"Exif\0\0" + compressed(smooth()[::4, ::4], ".jpg").data
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    with_thumbnail = changed(whole, data=whole.data[:2] + segment + whole.data[2:])
    assert np.array_equal(decode_compressed(with_thumbnail), decode_compressed(whole))
    cut = changed(whole, data=with_thumbnail.data[:-500])
    assert "cut off" in str(refusal(cut))


# --- encoders of the world ------------------------------------------------------------------------

SUBSAMPLING = {"411": 0x411111, "420": 0x221111, "422": 0x211111, "440": 0x121111, "444": 0x111111}
ENCODERS: dict[str, tuple[int, ...]] = {
    "quality 30": (cv2.IMWRITE_JPEG_QUALITY, 30),
    "quality 100": (cv2.IMWRITE_JPEG_QUALITY, 100),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "optimised": (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "restart markers": (cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
}
if hasattr(cv2, "IMWRITE_JPEG_SAMPLING_FACTOR"):  # OpenCV 4.7
    for _name, _factor in SUBSAMPLING.items():
        ENCODERS[_name] = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _factor)


@pytest.mark.parametrize("options", ENCODERS.values(), ids=ENCODERS)
def test_every_kind_of_jpeg_gives_the_pixels_that_opencv_gives(options: tuple[int, ...]) -> None:
    message = compressed(detailed(), ".jpg", None, *options)
    check_compressed(message)
    expected = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(decode_compressed(message).astype(int) - expected).max() <= 2


def test_grey_jpegs_of_other_encoders_are_taken_too() -> None:
    message = compressed(detailed()[..., 1], ".jpg", "mono8; jpeg compressed ")
    decoded = decode_compressed(message)
    assert decoded.shape == (120, 160, 3)
    assert (decoded == decoded[..., :1]).all()


def without_huffman_tables(data: bytes) -> bytes:
    """As UVC webcams send: the tables are those of the standard and are left out."""
    kept, position = data[:2], 2
    while data[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] != 0xC4:
            kept += data[position:end]
        position = end
    return kept + data[position:]


def test_a_webcams_mjpeg_without_huffman_tables_is_read() -> None:
    whole = compressed(detailed(), ".jpg")
    bare = changed(whole, data=without_huffman_tables(whole.data))
    assert len(bare.data) < len(whole.data) - 400
    assert np.array_equal(decode_compressed(bare), decode_compressed(whole))


# Real webcams (Logitech C270, C310, C910) leave up to ten bytes before restart markers, and some
# network cameras fill up to a constant size, in images that are whole.
@pytest.mark.parametrize(
    ("stray", "marker"),
    [
        *((b"\x5a", b"\xff\xd1"), (bytes(range(10)), b"\xff\xd3"), (b"\x12\x34", END)),
        *((bytes(651), END), (b"\xaa" * 5000, END)),
    ],
    ids=["1 before a restart", "10 before a restart", "2 at the end", "651 zeros", "5000 equal"],
)
def test_stray_bytes_between_whole_data_are_tolerated(stray: bytes, marker: bytes) -> None:
    whole = compressed(detailed(), ".jpg", None, cv2.IMWRITE_JPEG_RST_INTERVAL, 4)
    at = whole.data.rfind(marker)
    padded = changed(whole, data=whole.data[:at] + stray + whole.data[at:])
    assert np.array_equal(decode_compressed(padded), decode_compressed(whole))


# --- 16 bits and Bayer ----------------------------------------------------------------------------


def mosaic(bgr: Array, pattern: str) -> Array:
    out = np.empty(bgr.shape[:2], bgr.dtype)
    for place, letter in enumerate(pattern):
        row, column = divmod(place, 2)
        out[row::2, column::2] = bgr[row::2, column::2, "bgr".index(letter)]
    return out


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(
    "name",
    [
        "bayer_{}8; jpeg compressed bgr8",
        "bayer_{}8; jpeg compressed ",
        "bayer_{}8; png compressed ",
    ],
)
def test_a_compressed_bayer_image_comes_out_in_colour(name: str, pattern: str) -> None:
    flat = np.full((48, 64, 3), (40, 90, 160), np.uint8)
    suffix = ".jpg" if "jpeg" in name else ".png"
    quality = (cv2.IMWRITE_JPEG_QUALITY, 100) if suffix == ".jpg" else ()
    message = compressed(mosaic(flat, pattern), suffix, name.format(pattern), *quality)
    inside = decode_compressed(message)[2:-2, 2:-2].astype(int)
    assert np.abs(inside - flat[2:-2, 2:-2]).max() <= 3


def test_a_bayer_image_that_was_demosaiced_before_it_was_compressed_stays_as_it_is() -> None:
    message = compressed(smooth(), ".png", "bayer_rggb8; png compressed bgr8")
    assert np.array_equal(decode_compressed(message), smooth())


def test_a_bayer_image_of_odd_sides_is_refused() -> None:
    message = compressed(smooth()[:119, :, 0], ".png", "bayer_rggb8; png compressed ")
    assert "even sides, this one is 160x119" in str(refusal(message))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("name", ["mono16; png compressed ", "rgb16; png compressed bgr16"])
def test_a_png_of_16_bits_is_scaled_by_the_bits_in_use(name: str, bits: int) -> None:
    wide = smooth().astype(np.uint16) << (bits - 8)
    wide = wide[..., 1] if name.startswith("mono") else wide
    decoded = decode_compressed(compressed(wide, ".png", name))
    expected = smooth()[..., 1:2] if name.startswith("mono") else smooth()
    assert np.abs(decoded.astype(int) - expected).max() <= 1


def test_what_else_a_png_carries_is_not_read() -> None:
    whole = compressed(smooth(), ".png")
    profile = b"iCCPnonsense\0\0nonsense"
    chunk = (len(profile) - 4).to_bytes(4, "big") + profile + zlib.crc32(profile).to_bytes(4, "big")
    more = changed(whole, data=whole.data[:33] + chunk + whole.data[33:])
    assert np.array_equal(decode_compressed(more), smooth())


@pytest.mark.parametrize(
    ("name", "kind", "named"),
    [
        ("h264", "encoding", ["'h264'", "jpeg and png"]),
        ("", "encoding", ["''", "jpeg and png"]),
        ("16UC1; compressedDepth png", "encoding", ["compressedDepth"]),
        ("16UC1; png compressed ", "encoding", ["depth image", "colour topic"]),
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
