"""The examples that need no ROS do what they say, and say what is wrong with their files."""

from __future__ import annotations

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

from vitpose_ros.synthetic.scene import Scene

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def example():
    return runpy.run_path(str(EXAMPLES / "hands_in_an_image.py"))["main"]


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


def test_the_frames_of_the_documentation_are_drawn(tmp_path):
    draw = runpy.run_path(str(EXAMPLES / "hand_frames.py"))["main"]
    draw(str(tmp_path))
    shipped = {path.name for path in (EXAMPLES.parent / "docs").glob("*.jpg")} - {"demo.jpg"}
    for path in sorted(tmp_path.iterdir()):
        assert path.name in shipped
        new, old = cv2.imread(str(path)), cv2.imread(str(EXAMPLES.parent / "docs" / path.name))
        assert np.abs(new.astype(int) - old).mean() < 2, f"docs/{path.name} is out of date"
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(SystemExit, match="does the folder exist"):
        draw(str(tmp_path / "nowhere"))
