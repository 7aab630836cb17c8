"""examples/hands_in_an_image.py finds hands, and says what is wrong with its files."""

from __future__ import annotations

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

from vitpose_ros.synthetic.scene import Scene

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "hands_in_an_image.py"


@pytest.fixture
def example():
    return runpy.run_path(str(EXAMPLE))["main"]


@pytest.fixture
def networks(model_path):
    """Skips where the networks are missing."""
    return [model_path("mediapipe-palm-full"), model_path("mediapipe-hand-full")]


def test_two_rendered_hands_are_found_and_drawn(example, networks, tmp_path, capsys):
    image = Scene("still", seed=1).render(0.0).image
    cv2.imwrite(str(tmp_path / "photo.png"), image)
    example(str(tmp_path / "photo.png"), str(tmp_path / "drawn.png"))
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines[:2]) == ["left", "right"]
    assert lines[2] == f"2 hands drawn into {tmp_path / 'drawn.png'}"
    drawn = cv2.imread(str(tmp_path / "drawn.png"))
    assert (drawn != image).any(axis=2).mean() > 0.001


def test_a_photo_that_cannot_be_read_is_named(example, tmp_path):
    (tmp_path / "photo.jpg").write_text("<html>")
    with pytest.raises(SystemExit, match=r"OpenCV cannot read an image from '.*photo\.jpg'"):
        example(str(tmp_path / "photo.jpg"), str(tmp_path / "drawn.png"))


def test_a_drawing_that_cannot_be_written_is_named(example, networks, tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(SystemExit, match=r"cannot write '.*drawn\.png': does the folder exist"):
        example(str(tmp_path / "photo.png"), str(tmp_path / "nowhere" / "drawn.png"))
