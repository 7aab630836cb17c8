"""Which bits of 16 a camera uses: decided once, corrected only by several images that agree."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.ingest.images.bit_depth import BitDepth


def image(brightest: int) -> np.ndarray:
    """A ramp from 0 to the brightest value."""
    return np.linspace(0, brightest, 64).reshape(8, 8).astype(np.uint16)


@pytest.mark.parametrize(
    ("brightest", "bits"),
    [
        (256, 10),
        (600, 10),
        (1023, 10),
        (1024, 12),
        (4095, 12),
        (4096, 14),
        (16383, 14),
        (16384, 16),
    ],
)
def test_the_brightest_pixel_of_the_first_image_decides(brightest: int, bits: int) -> None:
    said: list[str] = []
    depth = BitDepth(said.append)
    scaled = depth.to_8_bit(image(brightest))
    assert depth.bits == bits
    expected = image(brightest).astype(float) / 2 ** (bits - 8)
    assert np.abs(scaled - expected).max() <= 1
    assert len(said) == (bits < 16)


def test_a_dark_first_image_decides_nothing() -> None:
    said: list[str] = []
    depth = BitDepth(said.append)
    assert depth.to_8_bit(image(255)).max() == 0
    assert (depth.bits, said) == (0, [])
    depth.to_8_bit(image(4095))
    assert depth.bits == 12


def test_the_depth_does_not_flicker_with_the_scene() -> None:
    depth = BitDepth(lambda text: None)
    for brightest in (4095, 900, 30, 0, 4000, 200):
        depth.to_8_bit(image(brightest))
        assert depth.bits == 12


def test_one_damaged_image_changes_nothing_and_saturates() -> None:
    depth = BitDepth(lambda text: None)
    depth.to_8_bit(image(4000))
    for brightest in (65535, 4000, 65535, 65535, 65535, 65535, 4000):
        scaled = depth.to_8_bit(image(brightest))
        assert scaled.max() >= 249
    assert depth.bits == 12


def test_several_images_in_a_row_that_need_more_bits_are_believed() -> None:
    said: list[str] = []
    depth = BitDepth(said.append)
    depth.to_8_bit(image(800))
    for _ in range(5):
        depth.to_8_bit(image(16000))
    assert depth.bits == 14
    assert len(said) == 2
    assert "14 bits, not 10" in said[1]


def test_a_camera_of_16_bits_is_not_worth_a_word() -> None:
    said: list[str] = []
    depth = BitDepth(said.append)
    assert depth.to_8_bit(np.full((4, 4), 0xABCD, np.uint16)).max() == 0xAB
    assert depth.to_8_bit(np.full((4, 4), 0x0123, np.uint16)).max() == 0x01
    assert not said
