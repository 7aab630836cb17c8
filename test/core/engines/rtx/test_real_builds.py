"""The real TensorRT for RTX builds our networks; what it refuses reaches the user as a sentence.

Only loading and running need a GPU. The library is fetched once per workspace (90 MB).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.trt.build import build_engine
from vitpose_ros.engines.trt.key import Portable, Profile, Recipe, network_hash
from vitpose_ros.engines.trt.progress import BuildProgress
from vitpose_ros.engines.trt.shelf import EngineShelf
from vitpose_ros.engines.trt.variants import TENSORRT_RTX, TURING
from vitpose_ros.models.convert.precision import make_mixed

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(300)]

PROFILE = Profile(1, 4, 16)
TINY = Path(__file__).parents[4] / "assets" / "vitpose-tiny-synthetic" / "model.onnx"


@pytest.fixture
def build(rtx, tmp_path):
    """A function that builds a network with the real library."""

    def run(onnx, precision="tf32", capabilities=("8.9",), profile=PROFILE):
        target = Portable(rtx.__version__, capabilities)
        recipe = Recipe(network_hash(onnx), precision, profile)
        return build_engine(EngineShelf(tmp_path / "net"), onnx, target, recipe, None)

    return run


@pytest.fixture
def write(tmp_path):
    """A function that writes a network of some nodes, from `image` to `out`."""
    import onnx
    from onnx import TensorProto, helper

    def make(*nodes, batch="batch"):
        kinds = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("image", [batch, 3, 8, 8]), ("out", None))
        ]
        graph = helper.make_graph(
            [helper.make_node(name, *rest, **options) for name, *rest, options in nodes],
            "network",
            kinds[:1],
            kinds[1:],
        )
        opset = [helper.make_opsetid("", 18)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "x.onnx")
        return tmp_path / "x.onnx"

    return make


@pytest.fixture
def mixed(tmp_path):
    make_mixed(TINY, tmp_path / "mixed.onnx", measure=False)
    return tmp_path / "mixed.onnx"


def test_the_library_names_the_capabilities_that_the_documents_do(rtx):
    assert TENSORRT_RTX.capabilities() == ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")


def test_the_command_line_builds_for_one_gpu_and_lists_what_it_is_for(
    rtx, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("VITPOSE_ROS_MODELS", str(tmp_path / "store"))
    assert main(["models", "pull", "vitpose-tiny-synthetic"]) == 0
    capsys.readouterr()
    assert main(["engine", "build", "--for", "89", "vitpose-tiny-synthetic"]) == 0
    assert "built in" in capsys.readouterr().err
    (folder,) = (tmp_path / "store" / "vitpose-tiny-synthetic" / "engines").glob("[0-9a-f]*")
    assert (folder / "engine.plan").stat().st_size > 5e6
    assert json.loads((folder / "engine.json").read_text())["build_s"] > 0
    main(["engine", "list"])
    assert f"compute 8.9  RTX {rtx.__version__}" in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["tf32", "fp32"])
def test_a_float32_network_is_built_for_all_gpus_at_once(build, precision):
    built = build(TINY, precision, TENSORRT_RTX.chosen(None))
    assert built.manifest.size > 5e6 and not built.problem


def test_a_mixed_network_is_built_for_turing_too(build, mixed):
    assert build(mixed, "mixed", (TURING,)).manifest.size > 3e6


def test_an_rtmpose_is_built_in_float32_and_mixed(build, fakes, tmp_path):
    from torch_networks import rtmpose_like

    path = rtmpose_like(tmp_path / "rtmpose.onnx")
    make_mixed(path, tmp_path / "mixed.onnx", measure=False)
    assert not build(path).problem
    assert not build(tmp_path / "mixed.onnx", "mixed").problem


def test_float32_products_for_turing_are_refused_and_mixed_precision_is_advised(build):
    with pytest.raises(EngineError, match=r"FP32 GEMM is not supported.*--precision mixed"):
        build(TINY, "tf32", (TURING,))


def test_the_real_librarys_steps_reach_the_progress(build, monkeypatch):
    made = []

    class Progress(BuildProgress):
        def phase(self, name, steps, parent):
            made.append((name, steps, parent))
            super().phase(name, steps, parent)

    monkeypatch.setattr("vitpose_ros.engines.trt.build.BuildProgress", Progress)
    build(TINY)
    assert made[0][2] is None and made[0][1] > 1
    assert {parent for _, _, parent in made[1:]} <= {name for name, _, _ in made}


def test_an_interrupted_build_leaves_nothing(build, tmp_path, monkeypatch):
    class Progress(BuildProgress):
        def step(self, name, step):
            self.cancelled = True
            return super().step(name, step)

    monkeypatch.setattr("vitpose_ros.engines.trt.build.BuildProgress", Progress)
    with pytest.raises(EngineError, match="cannot build"):
        build(TINY)
    assert [p.name for p in (tmp_path / "net" / "engines").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (
            [("Frobnicate", ["image"], ["out"], {"name": "first"})],
            r"cannot read '.*x\.onnx': operator Frobnicate \(first\): .*Plugin not found",
        ),
        (
            [
                ("Cast", ["image"], ["half"], {"to": 10}),
                ("Add", ["image", "half"], ["out"], {"name": "sum"}),
            ],
            r"cannot read '.*x\.onnx': operator Add \(sum\): .*types Float and Half",
        ),
        (
            [
                ("Cast", ["image"], ["half"], {"to": 10}),
                ("MatMul", ["image", "half"], ["out"], {"name": "product"}),
            ],
            r"operator MatMul \(product\): .*must have same input types",
        ),
    ],
)
def test_an_unknown_operator_and_a_clash_of_types_are_named_with_the_node(
    build, write, nodes, reason
):
    with pytest.raises(EngineError, match=reason) as said:
        build(write(*nodes))
    assert "TensorRT for RTX 1.7" in str(said.value) and "cudaError" not in str(said.value)


def test_a_file_that_is_no_network_is_named(build, tmp_path):
    (tmp_path / "y.onnx").write_bytes(b"no network")
    with pytest.raises(EngineError, match=r"cannot read '.*y\.onnx': .*Failed to parse"):
        build(tmp_path / "y.onnx")


def test_a_fixed_batch_is_refused(build, write):
    with pytest.raises(EngineError, match=r"has the input image \(1, 3, 8, 8\); only its first"):
        build(write(("Relu", ["image"], ["out"], {}), batch=1))


def test_batch_sizes_out_of_order_are_refused_with_the_librarys_reason(build):
    profile = Profile(1, 4, 16)
    object.__setattr__(profile, "opt_batch", 32)  # what Profile itself would refuse
    with pytest.raises(EngineError, match=r"refuses the batch sizes .*ensure that .*MIN<=OPT<=MAX"):
        build(TINY, profile=profile)
