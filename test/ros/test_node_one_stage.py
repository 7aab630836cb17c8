"""One-stage models of the user's own: the real node with a network of each format."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import Skeleton

sys.path.insert(0, str(Path(__file__).parents[1]))
import onestage_networks as nets

pytest.importorskip("onnx", reason="the tests' own networks need it: pip install onnx")

CATALOGUE = """
format: 1
models:
  mine:
    task: body_keypoints
    architecture: onestage
    layout: coco17
    input: {width: 64, height: 64}
    licence: {name: MIT, url: https://example.org/licence}
    origin: https://example.org/mine
    accuracy: []
    verified_here: false
    files: [{name: net.onnx, sha256: unknown, source: {file: /nowhere/net.onnx}}]
"""
GRID = np.stack([np.arange(17) % 3 - 1.0, np.arange(17) / 16 - 0.5], axis=1)
PERSON = nets.Answer(GRID * (8, 36) + (32, 32), np.full(17, 0.7), 0.8)


@pytest.fixture
def own_store(
    models: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """A function: the folder of a store with a one-stage network of a format."""

    def make(form: str) -> str:
        store = tmp_path / "store"
        (store / "mine").mkdir(parents=True)
        if form in nets.FORMS:
            nets.write(store / "mine" / "net.onnx", form, [PERSON])
        else:
            nets.write(store / "mine" / "net.onnx", "rtmo", [PERSON], size=32)
        for name in ("mediapipe-palm-full", "mediapipe-hand-full"):
            shutil.copytree(models.root / name, store / name)
        catalogue = tmp_path / "models.yaml"
        catalogue.write_text(CATALOGUE, encoding="utf-8")
        monkeypatch.setenv("VITPOSE_ROS_CATALOGUE", os.fspath(catalogue))
        return os.fspath(store)

    return make


@pytest.mark.parametrize("form", nets.FORMS)
def test_the_node_publishes_the_person_of_a_one_stage_network(
    graph: Any, camera: Any, own_store: Callable[[str], str], form: str
) -> None:
    graph.start_pose_node(
        models_dir=own_store(form), body_model="mine", view="third_person", smoothing="none"
    )
    graph.wait_for_log("bodies in one stage")
    for _ in range(2):
        message = camera.process(camera.image(np.full((128, 128, 3), 90, np.uint8)))
        (body,) = (one for one in message.skeletons if one.kind == Skeleton.KIND_BODY)
        np.testing.assert_allclose(body.u, PERSON.uv[:, 0] * 2, atol=0.05)
        np.testing.assert_allclose(body.v, PERSON.uv[:, 1] * 2, atol=0.05)
        assert body.model == "mine"
        assert body.score == pytest.approx(0.8, abs=1e-4)
        known = np.isfinite(body.uv_std)
        assert known.all() if form.startswith("rf-detr") else not known.any()
        assert np.isnan(body.joint_score).all() == (form == "detrpose")


def test_a_network_of_no_known_format_is_refused_with_what_is_accepted(
    graph: Any, own_store: Callable[[str], str]
) -> None:
    folder = own_store("another size")
    graph.start_pose_node(models_dir=folder, body_model="mine", view="third_person")
    text = graph.wait_for_log("configure refused")
    assert "'mine' cannot be used as a one-stage model" in text
    assert "64x64 px. Accepted are RTMO" in text
    assert "Traceback" not in text
