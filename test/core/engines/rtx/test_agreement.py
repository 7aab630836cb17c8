"""The stand-in answers as the real library does, wherever both can: parsing, profiles, building."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vitpose_ros.engines.trt.library import Errors, make_logger
from vitpose_ros.engines.trt.variants import TENSORRT_RTX
from vitpose_ros.models.convert.precision import make_mixed

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(300)]

TINY = Path(__file__).parents[4] / "assets" / "vitpose-tiny-synthetic" / "model.onnx"
IMAGE = (3, 128, 128)
GOOD = {"image": [(1, *IMAGE), (4, *IMAGE), (16, *IMAGE)]}


def save(path, *nodes):
    """A network of some nodes from `image`, (batch, 3, 128, 128), to `out`."""
    import onnx
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *IMAGE])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    made = [helper.make_node(*node, **options) for *node, options in nodes]
    graph = helper.make_graph(made, "network", [image], [out])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def unknown(folder):
    return save(folder / "x.onnx", ("Frobnicate", ["image"], ["out"], {"name": "first"}))


def clash(folder, operator="Add"):
    half = ("Cast", ["image"], ["half"], {"to": 10})
    return save(folder / "x.onnx", half, (operator, ["image", "half"], ["out"], {"name": "sum"}))


def damaged(folder):
    (folder / "x.onnx").write_bytes(b"no network")
    return folder / "x.onnx"


def mixed(folder):
    make_mixed(TINY, folder / "mixed.onnx", measure=False)
    return folder / "mixed.onnx"


FILES = {
    "float32": lambda folder: TINY,
    "mixed": mixed,
    "an unknown operator": unknown,
    "a sum of two types": clash,
    "a product of two types": lambda folder: clash(folder, "MatMul"),
    "a damaged file": damaged,
    "a missing file": lambda folder: folder / "none.onnx",
}
PROFILES = {
    "good": GOOD,
    "out of order": {"image": [(4, *IMAGE), (2, *IMAGE), (16, *IMAGE)]},
    "another size": {"image": [(n, 3, 64, 128) for n in (1, 4, 16)]},
    "another input": {"mask": GOOD["image"]},
    "empty": {},
    "none": None,
}
CASES = [(file, "good") for file in FILES] + [("float32", p) for p in PROFILES if p != "good"]


def outcome(trt, path, shapes):
    """What a library does with a file and a profile: each answer that our code looks at."""
    errors = Errors()
    logger = make_logger(errors, TENSORRT_RTX)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    read = parser.parse_from_file(str(path))
    said = [parser.get_error(i) for i in range(parser.num_errors)]
    found = {"read": read, "errors": [(e.node_operator(), e.node_name()) for e in said]}
    found["words"] = [word for word in WORDS if any(word in e.desc() for e in said)]
    if not read:
        return found
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    found["inputs"] = [(one.name, tuple(one.shape)) for one in inputs]
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    config.num_compute_capabilities = 1
    found["past the end"] = config.set_compute_capability(trt.ComputeCapability.SM89, 1)
    found["target"] = config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    if shapes is not None:
        profile = builder.create_optimization_profile()
        for name, three in shapes.items():
            profile.set_shape(name, *three)
        found["profile"] = config.add_optimization_profile(profile)
    errors.lines.clear()
    found["built"] = builder.build_serialized_network(network, config) is not None
    found["reason"] = [word for word in WORDS if word in str(errors)]
    return found


WORDS = (
    "Plugin not found",
    "Failed to parse the ONNX model",
    "Input file cannot be found",
    "must have same input types",
    "no optimization profile has been defined",
    "is missing dimensions in profile 0",
    "Dimension mismatch for tensor image and profile 0",
)


@pytest.mark.parametrize(("file", "profile"), CASES)
def test_the_stand_in_and_the_real_library_agree(rtx, fakes, tmp_path, monkeypatch, file, profile):
    path = FILES[file](tmp_path)
    real = outcome(rtx, path, PROFILES[profile])
    fake = fakes.rtx.make()
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", fake)
    assert outcome(fake, path, PROFILES[profile]) == real


def test_an_empty_network_is_refused_by_both(rtx, fakes, monkeypatch):
    def build(trt):
        errors = Errors()
        builder = trt.Builder(make_logger(errors, TENSORRT_RTX))
        config = builder.create_builder_config()
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        plan = builder.build_serialized_network(builder.create_network(1), config)
        return plan, "Network must have at least one output" in str(errors)

    assert build(rtx) == (None, True)
    fake = fakes.rtx.make()
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", fake)
    assert build(fake) == (None, True)
