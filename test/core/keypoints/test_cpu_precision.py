from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.keypoints import cpu_precision
from vitpose_ros.keypoints.agreement import sample_crops
from vitpose_ros.keypoints.cpu_precision import select_cpu_engine
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.layouts import COCO17, HAND21

CODEC = HeatmapCodec()
CROPS = sample_crops(CODEC.input_size, count=2)


class Computed:
    """In the place of OpenVinoEngine: a CPU with some precisions, and a network whose maps are off
    by some fraction in them.
    """

    has: ClassVar[tuple[str, ...]] = ("fp32", "fp16", "bf16")
    off: ClassVar[dict[str, float]] = {}

    inputs = (TensorSpec("image", (None, 3, 256, 192)),)
    outputs = (TensorSpec("heatmaps", (None, 17, 64, 48)),)

    def __init__(self, path, threads=0, precision="fp32"):
        if precision not in self.has:
            raise EngineError(f"this CPU has no {precision} instructions")
        self.name = f"cpu {precision}"
        self.precision = precision
        self.threads = threads

    def run(self, tensors):
        maps = np.zeros((len(tensors["image"]), 17, 64, 48), np.float32)
        maps[..., 30, 20] = 1 + self.off.get(self.precision, 0)
        return {"heatmaps": maps}


@pytest.fixture
def cpu(monkeypatch):
    """A function: what the CPU has, and by how much the network is off in it."""

    def make(has, off, fp16_ms=10.0):
        monkeypatch.setattr(cpu_precision, "OpenVinoEngine", Computed)
        monkeypatch.setattr(cpu_precision, "gate_crops", lambda *_: CROPS)
        took_ms = {"fp32": 40.0, "fp16": fp16_ms}
        monkeypatch.setattr(cpu_precision, "run_ms", lambda engine, _: took_ms[engine.precision])
        monkeypatch.setattr(Computed, "has", has)
        monkeypatch.setattr(Computed, "off", off)

    return make


def selected(precision, threads=0):
    return select_cpu_engine(Path("there"), CODEC, COCO17, "vitpose-b", precision, threads)


@pytest.mark.parametrize(
    ("precision", "has", "off", "used"),
    [
        ("fp32", ("fp32", "fp16"), {}, "fp32"),
        ("fp16", ("fp32", "fp16"), {}, "fp16"),
        ("bf16", ("fp32", "bf16"), {"bf16": 0.01}, "bf16"),
        ("auto", ("fp32", "fp16", "bf16"), {}, "fp16"),
        ("auto", ("fp32", "bf16"), {}, "fp32"),  # it never is bf16
        ("auto", ("fp32", "fp16"), {"fp16": 0.5}, "fp32"),  # as where a layer norm overflows
        ("auto", ("fp32", "fp16"), {"fp16": np.nan}, "fp32"),
    ],
)
def test_the_engine_has_the_precision_that_was_asked_for_and_says_so(
    cpu, precision, has, off, used
):
    cpu(has, off)
    engine, refused = selected(precision, threads=3)
    assert (engine.name, engine.precision, engine.threads) == (f"cpu {used}", used, 3)
    assert bool(refused) == (precision == "auto" and used == "fp32")


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ("fp16", "'vitpose-b' on cpu fp16 differs from float32: .* Set precision to fp32 or auto"),
        ("bf16", "this CPU has no bf16 instructions. Set precision to fp32 or auto"),
    ],
)
def test_a_requested_precision_that_does_not_work_is_refused(cpu, precision, said):
    cpu(("fp32", "fp16"), {"fp16": 0.5})
    with pytest.raises(EngineError, match=said):
        selected(precision)


@pytest.mark.parametrize(
    ("has", "why"),
    [
        (("fp32",), "fp16 not used: this CPU has no fp16 instructions"),
        (("fp32", "fp16"), "fp16 not used: 'vitpose-b' on cpu fp16 differs from float32: outputs"),
    ],
)
def test_auto_says_why_it_did_not_take_fp16(cpu, has, why):
    cpu(has, {"fp16": 0.5})
    engine, refused = selected("auto")
    assert engine.precision == "fp32" and refused.startswith(why)
    assert "Set precision" not in refused


def test_auto_does_not_take_fp16_where_it_is_not_faster(cpu):
    cpu(("fp32", "fp16"), {}, fp16_ms=60.0)
    engine, refused = selected("auto")
    assert engine.precision == "fp32"
    assert refused == (
        "fp16 not used: it is not faster on this CPU (60.0 ms per crop, float32 40.0 ms)"
    )
    assert selected("fp16")[0].precision == "fp16"


def test_the_gate_looks_at_the_crops_that_are_made_for_it(cpu, monkeypatch):
    cpu(("fp32", "fp16"), {})
    asked = []
    monkeypatch.setattr(
        cpu_precision, "gate_crops", lambda codec, layout: asked.append((codec, layout)) or CROPS
    )
    selected("fp32")
    assert asked == []  # nothing is rendered for nothing
    selected("fp16")
    assert asked == [(CODEC, COCO17)]


def test_a_trained_network_is_refused_in_bf16_which_auto_never_takes(model_path):
    """The reason why `auto` does without bf16: its joints on rendered hands, at the real gate."""
    path, codec = model_path("vitpose-tiny-synthetic"), HeatmapCodec((128, 128), (32, 32))
    with pytest.raises(
        EngineError, match=r"differs from float32: .* joints by|this CPU has no bf16 instructions"
    ):
        select_cpu_engine(path, codec, HAND21, "tiny", "bf16", threads=1)
    engine, _ = select_cpu_engine(path, codec, HAND21, "tiny", "auto", threads=1)
    assert engine.precision != "bf16"
