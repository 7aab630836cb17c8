"""ONNX files that others made."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vitpose_ros.models.convert.run import convert_checkpoint
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.manifest import Output


@pytest.fixture
def ready(tmp_path):
    """Write a small ONNX file: K heatmaps that are averages of the image's 4x4 blocks."""
    onnx = pytest.importorskip("onnx", reason="the tests' own networks need it: pip install onnx")
    from onnx import TensorProto, helper

    def make(joints=133, image=("N", 3, 256, 192), stride=4, outputs=1, value=0.1, external=False):
        kernel = np.full((joints, 3, stride, stride), value, np.float32)
        weight = helper.make_tensor("w", TensorProto.FLOAT, kernel.shape, kernel.tobytes(), True)
        nodes = [
            helper.make_node("Conv", ["input_0", "w"], [f"output_{i}"], strides=[stride, stride])
            for i in range(outputs)
        ]
        graph = helper.make_graph(
            nodes,
            "ready",
            [helper.make_tensor_value_info("input_0", TensorProto.FLOAT, image)],
            [
                helper.make_tensor_value_info(f"output_{i}", TensorProto.FLOAT, None)
                for i in range(outputs)
            ],
            [weight],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
        model.ir_version = 8
        path = tmp_path / "ready.onnx"
        onnx.save(model, path, save_as_external_data=external, location="w.bin", size_threshold=0)
        return path

    return make


def test_a_ready_network_of_the_named_layout_is_taken_as_it_is(ready, tmp_path):
    path = ready()
    manifest = convert_checkpoint(path, "wb", tmp_path / "wb", layout="coco_wholebody133")
    assert (tmp_path / "wb" / "model.onnx").read_bytes() == path.read_bytes()
    assert manifest.architecture == "vitpose"
    assert manifest.input_name == "input_0"
    assert (manifest.input_width, manifest.input_height) == (192, 256)
    assert manifest.outputs == (Output("output_0", (133, 64, 48)),)
    assert manifest.joints == 133
    written = json.loads((tmp_path / "wb" / "model.json").read_text())
    assert written["check"] == {}
    assert "not compared with a checkpoint" in written["notes"][0]


def test_a_network_of_one_sample_is_taken_too(ready, tmp_path):
    path = ready(joints=21, image=(1, 3, 256, 192))
    assert convert_checkpoint(path, "h", tmp_path / "h", layout="hand21").task == "hand_keypoints"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"joints": 17}, "has 17 joints, but the layout 'coco_wholebody133' has 133"),
        ({"image": ("N", 1, 256, 192)}, "cannot be used|is neither a ViTPose"),
        ({"image": ("N", 3, "H", "W")}, r"is neither .*it has the input input_0 \(N, 3, N, N\)"),
        ({"stride": 8}, r"is neither .*for a batch of 2, outputs \(2, 133, 32, 24\)"),
        ({"outputs": 2}, r"is neither .*outputs \(2, 133, 64, 48\) and \(2, 133"),
        ({"outputs": 3}, "is neither .*outputs output_0 .*, output_1 .*, output_2 "),
        ({"value": np.nan}, "gives values that are not finite"),
        ({"external": True}, "weights in a separate file"),
    ],
)
def test_a_ready_file_that_is_no_such_network_is_refused(settings, complaint, ready, tmp_path):
    path = ready(**settings)
    with pytest.raises(ModelError, match=complaint):
        convert_checkpoint(path, "wb", tmp_path / "wb", layout="coco_wholebody133")
    assert not list((tmp_path / "wb").glob("model*"))


def test_a_file_that_is_no_onnx_is_refused(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match=r"net\.onnx cannot be used: OpenVINO cannot read"):
        convert_checkpoint(tmp_path / "net.onnx", "wb", tmp_path / "wb", layout="coco17")
