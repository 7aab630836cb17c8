"""Crops against those of transformers, which follow the official recipe."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vitpose_ros.keypoints.pixels import IMAGENET_STD
from vitpose_ros.keypoints.warp import box_region, crop_region, crop_to_image, cut_crops, map_points

pytestmark = pytest.mark.convert

SIZE = (192, 256)


def test_inside_the_image_crops_are_within_a_grey_level_of_transformers(real_image):
    """Around the image a ring of one pixel is left out: there the two fade to black differently."""
    transformers = pytest.importorskip("transformers", reason="make test-convert")
    pytest.importorskip("PIL", reason="needs Pillow: python3 -m pip install pillow")
    image = real_image("people_demo.jpg")
    height, width = image.shape[:2]
    rng = np.random.default_rng(0)
    boxes = rng.uniform([-20, -20, 40, 60], [width - 200, height - 250, 300, 400], (12, 4)).tolist()
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    processor = transformers.VitPoseImageProcessorPil()
    theirs = np.asarray(processor(images=rgb, boxes=[boxes], return_tensors="np").pixel_values)
    matrices = crop_to_image([crop_region(box_region(b), SIZE) for b in boxes], SIZE, udp=True)
    ours = np.empty((len(boxes), 3, *SIZE[::-1]), np.float32)
    cut_crops(image, matrices, ours)
    grey = np.abs(ours - theirs) * np.array(IMAGENET_STD)[:, None, None]
    pixels = np.stack(np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1])), axis=-1).reshape(-1, 2)
    places = map_points(matrices, np.repeat(pixels[None], len(boxes), axis=0))
    inside = ((places >= 0) & (places <= (width - 1, height - 1))).all(axis=2)
    assert inside.mean() > 0.7
    difference = grey.transpose(0, 2, 3, 1).reshape(len(boxes), -1, 3)[inside]
    assert difference.max() < 1.01
    assert np.median(difference) < 0.01
