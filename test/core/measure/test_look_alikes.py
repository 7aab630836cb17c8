"""Things that only look like hands, in real first-person photographs."""

from __future__ import annotations

import pytest

from vitpose_ros.bench.real.clips import follow
from vitpose_ros.bench.real.photographs import ROWS, WindowScene
from vitpose_ros.factory import load_pipeline
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Settings
from vitpose_ros.smooth.settings import preset


def test_salad_servers_over_a_bowl_are_not_followed_as_hands(model_path, test_data):
    for name in ("palm-full", "hand-full"):
        model_path(f"mediapipe-{name}")
    row = next(row for row in ROWS["report"] if row.name == "ego_adt")
    if not (test_data / "real" / "ego_adt_0.jpg").is_file():
        pytest.skip(f"no {test_data / 'real' / 'ego_adt_0.jpg'}")
    window = WindowScene(test_data / "real", row, lambda image: [], seed=0)
    pipeline = load_pipeline(ModelStore(), settings=Settings(smoothing=preset("none")))
    score = follow(pipeline, [(i, window.render(i)) for i in range(70, 92)])
    assert score.false_hands == 0
