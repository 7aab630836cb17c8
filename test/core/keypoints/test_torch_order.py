"""The order of the GPU path's work on simulated streams: no unordered access to memory.

The streams are simulated on the CPU (see simulated_streams.py); nothing here needs a GPU.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vitpose_ros.engines.torch import TorchEngine
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.layouts import HAND21
from vitpose_ros.types import Crop, Region

pytestmark = pytest.mark.torch

TINY = Path(__file__).parents[3] / "assets" / "vitpose-tiny-synthetic" / "model.onnx"
CODEC = HeatmapCodec((128, 128), (32, 32))
REGIONS = [Region(320, 240, 200, 200, 0.4), Region(100, 90, 150, 150), Region(400, 300, 90, 90)]
OPTIONS = {"padding": 1.0}


def frames(count):
    """Crops of two images each."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (2, 480, 640, 3), np.uint8) for _ in range(count)]
    return [[Crop(pair[i % 2], region) for i, region in enumerate(REGIONS)] for pair in images]


@pytest.fixture
def simulated(torch, monkeypatch):
    """The GPU path of the tiny network on simulated streams."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import simulated_streams

    # Of random images the scores are low, and all joints are to be compared.
    monkeypatch.setattr("vitpose_ros.keypoints.topdown.PRESENT_THRESHOLD", 0.0)
    watch = simulated_streams.Watch()
    # record_stream is CUDA's own: the watch keeps all memory anyway.
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: None)

    def make(graphs=True, max_batch=16, **options):
        engine = TorchEngine(TINY, "cpu")
        engine._torch, made = simulated_streams.simulate(watch, torch)
        engine._use_gpu(graphs)

        def make_graph(chosen, make=engine._make_graph):
            make(chosen)
            chosen.graph.outputs = chosen.outputs
            chosen.graph.again = lambda: engine._compute(chosen.inputs)

        monkeypatch.setattr(engine, "_make_graph", make_graph)
        topdown = TopDown(
            engine, CODEC, HAND21, "tiny", on_device=True, max_batch=max_batch, **OPTIONS, **options
        )
        return SimpleNamespace(topdown=topdown, engine=engine, graphs=made)

    return SimpleNamespace(make=make, watch=watch, torch=torch)


@pytest.mark.parametrize("flip_test", [False, True], ids=["direct", "flip test"])
@pytest.mark.parametrize("graphs", [True, False], ids=["graphs", "plain"])
@pytest.mark.parametrize("max_batch", [16, 2], ids=["one batch", "parts"])
def test_runs_in_a_row_never_touch_each_others_memory(flip_test, graphs, max_batch, simulated):
    reference = TopDown(
        TorchEngine(TINY, "cpu"), CODEC, HAND21, "tiny",
        on_device=True, flip_test=flip_test, **OPTIONS,
    )  # fmt: skip
    expected = [reference(crops) for crops in frames(5)]
    with simulated.watch:
        gpu = simulated.make(graphs, max_batch, flip_test=flip_test)
        found = [gpu.topdown(crops) for crops in frames(5)]
    assert simulated.watch.races == []
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a.uv == pytest.approx(b.uv, abs=1e-3, nan_ok=True)
    if graphs:  # captured once for each batch size and replayed from then on
        assert len(gpu.graphs) == (1 if max_batch == 16 else 2)
        assert sum(graph.replays for graph in gpu.graphs) == (5 if max_batch == 16 else 10) * (
            2 if flip_test else 1
        )


def test_numpy_runs_and_runs_on_the_callers_own_tensors_are_ordered_too(simulated):
    crops = np.random.default_rng(0).standard_normal((2, 3, 128, 128)).astype(np.float32)
    expected = TorchEngine(TINY, "cpu").run({"image": crops})["heatmaps"]
    with simulated.watch as watch:
        engine = simulated.make().engine
        engine.warm_up([2])
        own = simulated.torch.from_numpy(crops) * 1
        outputs = engine.run_device({"image": own})["heatmaps"]
        later = outputs * 1
        own.zero_()
    assert watch.races == []
    assert later.numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("broken", ["the network does not wait", "the caller does not wait"])
def test_the_watch_sees_each_order_that_is_left_out(broken, simulated, monkeypatch):
    with simulated.watch as watch:
        gpu = simulated.make()
        stream = gpu.engine._stream if broken == "the network does not wait" else watch.default
        monkeypatch.setattr(stream, "wait_stream", lambda other: None)
        for crops in frames(2):
            gpu.topdown(crops)
    assert watch.races
