"""Notes of an exporter, wherever an ONNX file can carry them."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.models.convert.strip import strip

onnx = pytest.importorskip("onnx", reason="the tests' own networks need it: pip install onnx")
reference = pytest.importorskip("onnx.reference")

PATH = "/home/somebody/lib/net.py"


def noted(part):
    """The part, with a path in each field for notes."""
    part.doc_string = PATH
    if "metadata_props" in part.DESCRIPTOR.fields_by_name:
        note = part.metadata_props.add()
        note.key, note.value = "stack_trace", PATH
    return part


def network():
    """y = x + 1 where the sum of x is positive, else x: notes in every part of it."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT

    def branch(name, *nodes):
        value = helper.make_tensor_value_info(name, kind, None)
        return noted(helper.make_graph([*map(noted, nodes)], name, [], [noted(value)]))

    one = noted(onnx.numpy_helper.from_array(np.float32(1), "one"))
    constant = noted(onnx.numpy_helper.from_array(np.float32(0)))
    then = branch("sum", helper.make_node("Add", ["x", "one"], ["sum"]))
    otherwise = branch("same", helper.make_node("Identity", ["x"], ["same"]))
    nodes = [
        helper.make_node("Constant", [], ["zero"], value=constant),
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], then_branch=then, else_branch=otherwise),
    ]
    graph = helper.make_graph(
        [*map(noted, nodes)],
        "net",
        [noted(helper.make_tensor_value_info("x", kind, [3]))],
        [noted(helper.make_tensor_value_info("y", kind, [3]))],
        [one],
        value_info=[noted(helper.make_tensor_value_info("total", kind, []))],
    )
    model = helper.make_model(noted(graph), opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    return noted(model)


def test_no_note_stays_in_any_part_and_the_network_is_the_same(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(network(), path)
    assert path.read_bytes().count(PATH.encode()) >= 20
    size = path.stat().st_size
    strip(path)
    written = path.read_bytes()
    assert b"somebody" not in written
    assert b"stack_trace" not in written
    assert len(written) < size / 2
    run = reference.ReferenceEvaluator(str(path)).run
    for x in ([1, 2, 3], [-1, -2, -3]):
        x = np.array(x, np.float32)
        assert run(None, {"x": x})[0] == pytest.approx(x + (x.sum() > 0))


def test_weights_beside_the_network_stay_as_they_are(tmp_path):
    path = tmp_path / "net.onnx"
    model = network()
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    before = (tmp_path / "net.data").read_bytes()
    strip(path)
    assert (tmp_path / "net.data").read_bytes() == before
    (weight,) = onnx.load(str(path)).graph.initializer
    assert onnx.numpy_helper.to_array(weight) == 1


def test_a_second_time_changes_nothing(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(network(), path)
    strip(path)
    once = path.read_bytes()
    strip(path)
    assert path.read_bytes() == once
