"""Files whose sha256 is unknown: what passes for the format of their name."""

from __future__ import annotations

import json
import pickle

import pytest
from onnx import TensorProto, helper

from vitpose_ros.models.content import content_problem
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.pull import pull


def onnx_model() -> bytes:
    """A real ONNX model of one node."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", "x", "y")], "g", value[:1], value[1:])
    return helper.make_model(graph, producer_name="test").SerializeToString()


def safetensors(end: int, size: int = 64) -> bytes:
    """A safetensors file of `size` bytes of tensors, whose header says that they end at `end`."""
    header = json.dumps(
        {"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "data_offsets": [0, end]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"
TFLITE = b"\x1c\x00\x00\x00TFL3\x14\x00"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
LEGACY = pickle.dumps({"weight": 1}, 2)

# A GraphDef with one node named "input" of the operation "Placeholder".
GRAPH = b"\x0a\x14\x0a\x05input\x12\x0bPlaceholder"

CASES = [
    # name, content, part of the problem (None: accepted)
    ("net.onnx", onnx_model(), None),
    ("net.onnx", onnx_model()[:-1], "is not a complete ONNX model"),
    ("net.onnx", onnx_model() + b"\x00", "is not a complete ONNX model"),
    ("net.onnx", b"\x08\x08\x12\x07pytorch", "is not a complete ONNX model"),  # without a graph
    ("net.onnx", b"\x80\x04\x95", "is not a complete ONNX model"),
    ("net.onnx", TFLITE, "is not a complete ONNX model"),
    ("net.onnx", b'{"error": "not found"}', "is not a complete ONNX model"),
    ("net.onnx", PAGE, "is a web page (HTML or XML)"),
    ("net.onnx", b"\xef\xbb\xbf \r\n" + PAGE.lower(), "is a web page (HTML or XML)"),
    ("net.onnx", b'<?xml version="1.0"?><Error/>', "is a web page (HTML or XML)"),
    ("net.onnx", POINTER, "is a Git LFS pointer"),
    ("net.onnx", b"", "is empty"),
    ("net.onnx", LEGACY, "is a pickle"),
    ("net.tflite", TFLITE, None),
    ("net.tflite", onnx_model(), "is not a TFLite model"),
    ("net.tflite", b"TFL3", "is not a TFLite model"),
    ("net.pb", GRAPH, None),
    ("net.pb", GRAPH[:-1], "is not a complete TensorFlow graph"),
    ("net.pb", onnx_model(), "is not a complete TensorFlow graph"),
    ("net.safetensors", safetensors(64), None),
    ("net.safetensors", safetensors(65), "is not a complete safetensors file"),
    ("net.safetensors", safetensors(64, 63), "is not a complete safetensors file"),
    ("net.safetensors", b"\xff" * 8 + b"{}", "is not a complete safetensors file"),
    ("net.safetensors", b"\x02" + bytes(7) + b"[]", "is not a complete safetensors file"),
    ("net.safetensors", b"{}", "is not a complete safetensors file"),
    ("config.json", b'{"a": 1}', None),
    ("config.json", b'{"a": ', "is not JSON"),
    ("net.pth", LEGACY, None),
    ("net.pth", onnx_model(), "is not a PyTorch checkpoint"),
    ("net.pth", PAGE, "is a web page"),
    ("net.onnx.data", bytes(16), None),
    ("net.onnx.data", PAGE, "is a web page"),
]


@pytest.mark.parametrize(("name", "content", "problem"), CASES)
def test_content_that_does_not_fit_the_name_is_described(tmp_path, name, content, problem):
    path = tmp_path / "file"
    path.write_bytes(content)
    found = content_problem(path, name, pickle=name.endswith(".pth"))
    assert found is None if problem is None else found is not None and problem in found


def test_a_web_page_is_never_stored_as_a_model_and_its_hash_is_not_recorded(
    site, make_store, make_entry
):
    site.files["/net.onnx"] = PAGE
    file = {"sha256": "unknown", "size": "absent"}
    store = make_store({"net": make_entry({"url": f"{site.url}/net.onnx"}, file=file)})
    with pytest.raises(ModelError, match=r"net\.onnx from .* is a web page .* Nothing was stored"):
        pull(store, ["net"])
    assert list((store.root / "net").iterdir()) == []


def test_a_web_page_that_someone_put_into_the_store_is_not_used(make_store, make_entry):
    store = make_store({"net": make_entry(file={"sha256": "unknown", "size": "absent"})})
    (store.root / "net").mkdir(parents=True)
    (store.root / "net" / "net.onnx").write_bytes(PAGE)
    with pytest.raises(ModelError, match=r"net\.onnx is a web page"):
        store.get("net")
