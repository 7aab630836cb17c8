"""ViTPose+'s experts for animals, from a checkpoint to a skeleton."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vitpose_ros.detect.factory import load_person_detector
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.keypoints.bodies import TopDownBodies
from vitpose_ros.keypoints.factory import TopDownOptions, create_top_down
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.warp import crop_region, crop_to_image, map_points
from vitpose_ros.measure import Networks
from vitpose_ros.models.catalogue import EXPERTS
from vitpose_ros.models.convert.run import convert_checkpoint
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.settings import HandSettings, PersonSettings
from vitpose_ros.types import Frame

sys.path.insert(0, str(Path(__file__).parents[3]))
import added_networks as own

pytestmark = pytest.mark.convert

CATALOGUE = """
format: 1
models:
  dogs:
    task: person_detector
    architecture: yolox
    input: {width: 64, height: 64}
    licence: {name: MIT, url: https://example.org/licence}
    origin: https://example.org/dogs
    accuracy: []
    verified_here: false
    files: [{name: net.onnx, sha256: unknown, source: {file: /nowhere/net.onnx}}]
"""


@pytest.mark.parametrize("expert", ["ap10k", "apt36k"])
def test_an_animal_is_read_by_the_expert_for_animals(
    expert, authors, tmp_path, monkeypatch
):
    store, layout = tmp_path / "store", f"{expert}17"
    made = authors(experts=tuple(EXPERTS))
    manifest = convert_checkpoint(
        made.save(tmp_path / "plus.pth"), "beast", store / "beast", expert=expert
    )
    assert (manifest.layout, manifest.settings) == (layout, {"codec": "dark"})
    (store / "dogs").mkdir()
    own.constants(
        store / "dogs" / "net.onnx", (1, 3, 64, 64), own.detector("yolox", 80, found=16)
    )
    (tmp_path / "models.yaml").write_text(CATALOGUE, encoding="utf-8")
    monkeypatch.setenv("VITPOSE_ROS_CATALOGUE", os.fspath(tmp_path / "models.yaml"))
    models, exact = ModelStore(store), TopDownOptions("openvino", precision="fp32")
    networks = Networks(
        hand_reader=SimpleNamespace(name="none", engine="none"),
        person_detector=load_person_detector(models, "dogs", kind="animal"),
        body_reader=TopDownBodies(create_top_down(models, "beast", "body_keypoints", 0, exact)),
    )
    seen, run = [], OpenVinoEngine.run

    def watched(engine, tensors):
        seen.append((engine.path.parent.name, tensors))
        return run(engine, tensors)

    monkeypatch.setattr(OpenVinoEngine, "run", watched)
    image = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    alone = Settings(HandSettings(static=True), PersonSettings(body_threshold=0.0))
    (animal,) = Pipeline(networks, alone, "third_person")(Frame(image, 1)).instances
    assert (animal.layout.kind, animal.layout.name, animal.model) == ("animal", layout, "beast")

    (crop,) = [tensors["image"] for name, tensors in seen if name == "beast"]
    decoded = HeatmapCodec(kind="dark").decode((made.heatmaps(crop, expert),))
    (region,) = networks.person_detector(image, 0.5)
    matrices = crop_to_image([crop_region(region, (192, 256))], (192, 256), udp=False)
    known = np.isfinite(animal.keypoints.uv).all(axis=1)
    assert known.any()
    np.testing.assert_allclose(
        animal.keypoints.uv[known], map_points(matrices, decoded.xy)[0, known], atol=0.01
    )
