"""Every kind of ViTPose that this package converts is built by the real TensorRT for RTX: parsed,
strongly typed, for batches of 1 to 16, in float32 and mixed precision. Weights are random.
"""

from __future__ import annotations

import pytest

from vitpose_ros.engines.trt.build import build_engine
from vitpose_ros.engines.trt.key import Portable, Recipe, network_hash
from vitpose_ros.engines.trt.shelf import EngineShelf
from vitpose_ros.models.convert.precision import make_mixed
from vitpose_ros.models.convert.run import convert_checkpoint

pytestmark = [pytest.mark.convert, pytest.mark.network, pytest.mark.slow]

B = {"width": 768, "part": 192}
PLUS = {"experts": ("coco", "aic", "mpii", "ap10k", "apt36k", "wholebody")}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("settings", "layout", "expert"),
    [
        pytest.param({"layers": 12}, "coco17", None, id="S-classic"),
        pytest.param({**B, "layers": 12}, "coco17", None, id="B-classic"),
        pytest.param({**B, "simple": True}, "coco17", None, id="B-simple"),
        pytest.param({**B, **PLUS}, None, "ap10k", id="B-plus-ap10k"),
        pytest.param(PLUS, None, "wholebody", id="S-plus-133-joints"),
    ],
)
def test_a_converted_vitpose_is_built_in_both_precisions(
    rtx, authors, tmp_path, settings, layout, expert
):
    path = authors(**settings).save(tmp_path / "net.pth")
    size, net = (192, 256), tmp_path / "net"
    convert_checkpoint(path, "net", net, layout=layout, expert=expert, input_size=size)
    make_mixed(net / "model.onnx", net / "model.mixed.onnx", measure=False)
    sizes = {}
    for precision, name in (("tf32", "model.onnx"), ("mixed", "model.mixed.onnx")):
        recipe = Recipe(network_hash(net / name), precision)
        target = Portable(rtx.__version__, ("8.9",))
        built = build_engine(EngineShelf(net), net / name, target, recipe, None)
        assert not built.problem
        sizes[precision] = built.manifest.size
    assert sizes["mixed"] < 0.7 * sizes["tf32"]  # the weights are float16
