"""What is grey and what is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vitpose_ros.detect.grey import TINTS, looks_grey, tint
from vitpose_ros.synthetic.scene import Scene


@pytest.fixture(scope="module")
def coloured() -> np.ndarray:
    return Scene("still", seed=1).render(0.0).image


def greyed(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


@pytest.mark.parametrize("quality", [20, 60, 95])
def test_a_grey_image_stays_grey_through_jpeg_and_yuv(coloured: np.ndarray, quality: int) -> None:
    grey = greyed(coloured)
    jpeg = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    yuv = cv2.cvtColor(grey, cv2.COLOR_BGR2YUV_I420)
    for image in (
        grey,
        cv2.imdecode(jpeg, cv2.IMREAD_COLOR),
        cv2.cvtColor(yuv, cv2.COLOR_YUV2BGR_I420),
    ):
        assert looks_grey(image)


@pytest.mark.parametrize("brightness", [1.0, 0.2])
def test_a_colour_image_is_not_grey_even_when_it_is_dim(
    coloured: np.ndarray, brightness: float
) -> None:
    assert not looks_grey((coloured * brightness).astype(np.uint8))


@pytest.mark.parametrize(
    "name",
    ["people_demo.jpg", "000000000785.jpg", "onehand10k_9.jpg", "onehand10k_784.jpg"]
    + [f"real/ego_{scene}_0.jpg" for scene in ("aea", "adt", "gen2")],
)
def test_no_photograph_is_grey_until_its_colour_is_taken(real_image, name: str) -> None:
    image = real_image(name)
    assert not looks_grey(image)
    assert not looks_grey((image * 0.2).astype(np.uint8))
    assert looks_grey(greyed(image))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2160, 3840)])
def test_any_size_can_be_asked(size: tuple[int, int]) -> None:
    assert looks_grey(np.full((*size, 3), 90, np.uint8))


@pytest.mark.parametrize("shades", TINTS)
def test_a_tint_is_reddish_keeps_the_order_of_shades_and_leaves_black_black(
    shades: np.ndarray,
) -> None:
    ramp = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[None, :, None], 3, axis=2)
    tint(ramp, shades)
    red, green, _ = ramp[0].T
    assert (ramp[0, 0] == 0).all()
    assert (np.diff(ramp[0], axis=0) >= 0).all()
    assert (red[20:200] > green[20:200]).all()
    assert 0 <= ramp.min() <= ramp.max() <= 1
