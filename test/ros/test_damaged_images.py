"""Damaged and oversized files in sensor_msgs/CompressedImage are refused, in silence."""

from __future__ import annotations

import subprocess
import sys
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vitpose_ros.ingest.images import MAX_MEGAPIXELS, ImageError
from vitpose_ros.ingest.images.compressed import CompressedImages
from vitpose_ros.ingest.images.jpeg import MAX_SCANS

END = b"\xff\xd9"


def reader() -> CompressedImages:
    return CompressedImages(MAX_MEGAPIXELS, lambda text: None)


def refusal(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        reader().decode(SimpleNamespace(format="jpeg", data=data))
    return caught.value


def detailed() -> npt.NDArray[np.uint8]:
    """An image whose files are long enough to damage anywhere."""
    rng = np.random.default_rng(3)
    noise = cv2.GaussianBlur(rng.normal(0, 12, (120, 160, 3)), (0, 0), 1) * 4
    ramp = np.linspace(20, 230, 160)[None, :, None]
    return np.clip(ramp + noise, 0, 255).astype(np.uint8)


def encoded(image: npt.NDArray[np.uint8], suffix: str, *options: int) -> bytes:
    good, data = cv2.imencode(suffix, image, options)
    assert good
    return data.tobytes()


def scan(data: bytes) -> int:
    """Where the entropy-coded data begin."""
    at = data.index(b"\xff\xda")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def lose(data: bytes, share: float, count: int) -> bytes:
    at = scan(data) + int(share * (len(data) - scan(data)))
    return data[:at] + data[at + count :]


def overwrite(data: bytes, share: float, value: bytes) -> bytes:
    at = scan(data) + int(share * (len(data) - scan(data)))
    return data[:at] + value + data[at + len(value) :]


_WHOLE = encoded(detailed(), ".jpg")
_RESTARTS = encoded(detailed(), ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 4)
_PROGRESSIVE = encoded(detailed(), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
_OTHER = encoded(255 - detailed()[::-1], ".jpg", cv2.IMWRITE_JPEG_QUALITY, 99)
DAMAGED = {
    "ends early": lose(_WHOLE, 0.5, 10**6) + END,
    "a packet is lost": lose(_WHOLE, 0.3, 1400),
    "a packet is lost, restarts": lose(_RESTARTS, 0.3, 1400),
    "a packet is lost, progressive": lose(_PROGRESSIVE, 0.3, 1400),
    "zeros": overwrite(_WHOLE, 0.3, bytes(1400)),
    "zeros, restarts": overwrite(_RESTARTS, 0.3, bytes(1400)),
    "another image's middle": overwrite(_WHOLE, 0.3, _OTHER[3000:4400]),
    "another image's end": lose(_WHOLE, 0.4, 10**6) + _OTHER[-1000:],
    "no scan data": _WHOLE[: scan(_WHOLE)] + END,
    "no scan": _WHOLE[: _WHOLE.index(b"\xff\xda")] + END,
    "no frame header": _WHOLE.replace(b"\xff\xc0", b"\xff\xe5"),
    "no quantisation": _WHOLE.replace(b"\xff\xdb", b"\xff\xe5"),
    "start and end alone": b"\xff\xd8" + END,
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_jpeg_that_has_its_end_marker_is_refused(data: bytes) -> None:
    error = refusal(data)
    assert error.kind in ("compressed", "size")
    assert any(word in str(error) for word in ("damaged", "cut off", "no pixels")), str(error)


def damaged_png() -> bytes:
    damaged = bytearray(encoded(detailed(), ".png"))
    damaged[60:70] = bytes(10)
    return bytes(damaged)


def png_of(bits: int, colour_type: int) -> bytes:
    """A PNG whose header claims another kind of pixels, with its checksum."""
    data = bytearray(encoded(detailed(), ".png"))
    data[24:26] = bytes((bits, colour_type))
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(("bits", "colour_type"), [(3, 2), (16, 3), (8, 9), (0, 0), (4, 6)])
def test_a_png_of_pixels_that_do_not_exist_is_refused(bits: int, colour_type: int) -> None:
    assert f"{bits} bits of colour type {colour_type}" in str(refusal(png_of(bits, colour_type)))


def test_a_png_with_altered_pixels_is_refused() -> None:
    assert "checksum of its IDAT chunk is wrong" in str(refusal(damaged_png()))


def test_the_libraries_print_nothing_about_damage() -> None:
    """In a process of its own: libjpeg and libpng write to the file descriptor itself."""
    data = [
        *DAMAGED.values(),
        encoded(detailed(), ".png")[:-30],
        damaged_png(),
        png_of(3, 2),
        png_of(8, 9),
    ]
    script = (
        "import sys; from types import SimpleNamespace\n"
        "from vitpose_ros.ingest.images import READERS, ImageError\n"
        "images = READERS['compressed'](50.0, print)\n"
        f"for data in {data!r}:\n"
        "    try: images.decode(SimpleNamespace(format='jpeg', data=data))\n"
        "    except ImageError: sys.stdout.write('refused ')\n"
    )
    done = subprocess.run(
        [sys.executable, "-"], input=script, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["refused"] * len(data)
    assert done.stderr == ""


def test_endless_scans_are_refused() -> None:
    at = _PROGRESSIVE.rindex(b"\xff\xda")
    data = _PROGRESSIVE[:at] + _PROGRESSIVE[at:-2] * (MAX_SCANS + 1) + END
    assert "scans" in str(refusal(data))


def huge(suffix: str, width: int, height: int) -> bytes:
    """A file of a few bytes whose header promises an image of that size."""
    if suffix == ".jpg":
        size = (120).to_bytes(2, "big") + (160).to_bytes(2, "big")
        return _WHOLE.replace(size, height.to_bytes(2, "big") + width.to_bytes(2, "big"), 1)
    data = bytearray(encoded(detailed(), ".png"))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(
    suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = reader()
    monkeypatch.setattr(images, "_decode_jpeg", None)
    monkeypatch.setattr(images, "_decode_png", None)
    bomb = SimpleNamespace(format=suffix[1:], data=huge(suffix, 27_000, 27_000))
    for read in (images.check, images.decode):
        with pytest.raises(ImageError, match=r"27000x27000, 729 megapixels; .*up to 50 .*") as no:
            read(bomb)
        assert no.value.kind == "size"
    images.check(SimpleNamespace(format=suffix[1:], data=huge(suffix, 8000, 6000)))
