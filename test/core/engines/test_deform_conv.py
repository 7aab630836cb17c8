"""Deformable convolutions in ONNX files: OpenVINO's equal to ONNX's own reference."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from vitpose_ros.engines.openvino import OpenVinoEngine

onnx = pytest.importorskip("onnx", reason="the tests' own networks need it: pip install onnx")


def write(path, attributes, extra, offset_groups=1, groups=1):
    """A file with one deformable convolution: `image` and offsets drawn from it."""
    helper, array = onnx.helper, onnx.numpy_helper.from_array
    rng = np.random.default_rng(3)
    side = (9 + 2 - (2 * attributes["dilations"][0] + 1)) // attributes["strides"][0] + 1
    shape = (1, 18 * offset_groups, side, side)
    weights = {
        "weight": rng.normal(size=(4, 4 // groups, 3, 3)),
        "offset": rng.normal(size=shape) * 2,  # some far outside
        "bias": rng.normal(size=4),
        "mask": rng.uniform(size=(1, 9 * offset_groups, side, side)),
    }
    node = helper.make_node(
        "DeformConv", ["image", "weight", "offset", *extra], ["out"], pads=[1, 1, 1, 1],
        group=groups, offset_group=offset_groups, **attributes,
    )  # fmt: skip
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node], "net",
        [helper.make_tensor_value_info("image", kind, [1, 4, 9, 9])],
        [helper.make_tensor_value_info("out", kind, [1, 4, side, side])],
        [array(v.astype(np.float32), n) for n, v in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


PLAIN = {"strides": [1, 1], "dilations": [1, 1]}


@pytest.mark.parametrize(
    ("attributes", "extra", "offset_groups", "groups"),
    [
        (PLAIN, [], 1, 1),
        (PLAIN, ["bias"], 1, 1),
        (PLAIN, ["bias", "mask"], 1, 1),
        (PLAIN, ["", "mask"], 2, 1),
        (PLAIN, [], 2, 2),
        ({"strides": [2, 2], "dilations": [2, 2]}, ["bias"], 1, 1),
    ],
)
def test_a_deformable_convolution_equals_onnx_reference(
    tmp_path, attributes, extra, offset_groups, groups
):
    from onnx.reference import ReferenceEvaluator

    path = write(tmp_path / "net.onnx", attributes, extra, offset_groups, groups)
    image = np.random.default_rng(5).normal(size=(1, 4, 9, 9)).astype(np.float32)
    (truth,) = ReferenceEvaluator(str(path)).run(None, {"image": image})
    out = OpenVinoEngine(path, threads=1).run({"image": image})["out"]
    np.testing.assert_allclose(out, truth, atol=1e-4)


def test_a_process_that_read_one_ends_well(tmp_path):
    path = write(tmp_path / "net.onnx", PLAIN, [])
    code = (
        "import sys; from pathlib import Path; from vitpose_ros.engines.openvino import "
        "OpenVinoEngine; engine = OpenVinoEngine(Path(sys.argv[1]), threads=1); print('read')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr
