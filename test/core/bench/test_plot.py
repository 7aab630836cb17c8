from __future__ import annotations

import sys

import cv2
import pytest

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.bench.methods import methods
from vitpose_ros.bench.plot import Shown, Trade, plot
from vitpose_ros.bench.smoothing import image_curves, measure


@pytest.fixture
def drawn(make_recording):
    """A function: draw the picture of a made-up recording there."""

    def draw(path):
        recording = make_recording()
        ways = methods(recording.rate_hz)
        scenes = [Shown(scene.hands, image_curves(scene), "truth") for scene in recording.scenes()]
        points = [
            (row.name, row.lag_ms, row.accel_ratio, row.of_package)
            for row in measure(recording, ways)
        ]
        plot(scenes, ways, [Trade("played", points)], path)

    return draw


def test_the_picture_shows_curves_and_points_in_the_colours_of_the_legend(drawn, tmp_path):
    pytest.importorskip("matplotlib")
    drawn(tmp_path / "new" / "p.png")
    image = cv2.imread(str(tmp_path / "new" / "p.png"))
    assert min(image.shape[:2]) > 800
    for red, green, blue in ((0, 114, 178), (0, 158, 115), (213, 94, 0), (0, 0, 0)):
        assert (image == (blue, green, red)).all(axis=2).sum() > 100


def test_a_place_that_cannot_be_written_is_said(drawn, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="the picture cannot be written to"):
        drawn(tmp_path / "file" / "p.png")


def test_without_matplotlib_the_way_to_it_is_told(drawn, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BenchError, match="pip install 'matplotlib"):
        drawn(tmp_path / "p.png")
