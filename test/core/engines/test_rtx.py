"""TensorRT for RTX on a simulated GPU: portable engines, kept kernels, the gate at the first load.

Building with the real library is in rtx/; loading and running cannot be tried without a GPU.
"""

from __future__ import annotations

import errno
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.tensorrt import TensorRtEngine
from vitpose_ros.engines.trt import library
from vitpose_ros.engines.trt.build import build_engine
from vitpose_ros.engines.trt.key import Here, Portable, Recipe, machine_here, network_hash
from vitpose_ros.engines.trt.manifest import why_not
from vitpose_ros.engines.trt.variants import TENSORRT_RTX
from vitpose_ros.keypoints import gate_crops
from vitpose_ros.keypoints.engine_gate import pass_once
from vitpose_ros.models.store import ModelStore


@pytest.fixture
def desktop(fakes, monkeypatch):
    """This machine has an RTX 4090, torch and TensorRT for RTX, but not TensorRT."""
    torch, rtx = fakes.torch.make(), fakes.rtx.make()
    torch.cuda.get_device_name = lambda device: "RTX 4090"
    torch.cuda.get_device_capability = lambda device: (8, 9)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", rtx)
    return SimpleNamespace(torch=torch, rtx=rtx)


@pytest.fixture
def portable(desktop, shelf, network):
    """An engine of the small network for two generations of GPUs."""
    target = Portable(desktop.rtx.__version__, ("8.6", "8.9"))
    return build_engine(shelf, network, target, Recipe(network_hash(network), "fp32"), None)


def calls(desktop, name):
    return [call for call in desktop.rtx.calls if call[0] == name]


def forbidden(path, *arguments, **options):
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def crops(batch):
    return np.random.default_rng(0).normal(size=(batch, 3, 64, 48)).astype(np.float32)


# --- building ----------------------------------------------------------------------------------


def test_a_build_sets_its_targets_and_needs_neither_torch_nor_timings(
    desktop, shelf, network, monkeypatch
):
    monkeypatch.setitem(sys.modules, "torch", None)
    target = Portable(desktop.rtx.__version__, ("8.6", "12.0"))
    built = build_engine(shelf, network, target, Recipe(network_hash(network), "tf32"), None)
    set_to = [call[1] for call in calls(desktop, "set_compute_capability")]
    assert set_to == ["SM86", "SM120"]
    assert not calls(desktop, "create_timing_cache")
    assert calls(desktop, "set_flag") == [("set_flag", "REQUIRE_USER_ALLOCATION")]
    assert built.manifest.machine == target and built.manifest.gate == {}


def test_the_manifest_names_version_and_capabilities_but_no_gpu(portable):
    content = json.loads((portable.folder / "engine.json").read_text())
    assert content["machine"] == {
        "tensorrt": "1.7.1.116",
        "compute_capabilities": ["8.6", "8.9"],
        "library": "tensorrt-rtx",
    }


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        (None, ("8.0", "8.6", "8.9", "12.0", "12.1")),  # Turing only on request
        ("89", ("8.9",)),
        ("8.9,75", ("7.5", "8.9")),
        ("120, 8.6", ("8.6", "12.0")),
    ],
)
def test_capabilities_are_chosen_by_either_way_to_write_them(desktop, text, chosen):
    assert TENSORRT_RTX.chosen(text) == chosen


@pytest.mark.parametrize("text", ["90", "8.7", "", "8", "ada", "89,,"])
def test_a_capability_that_does_not_exist_is_refused_with_those_that_do(desktop, text):
    known = r"expected some of 7\.5, 8\.0, 8\.6, 8\.9, 12\.0, 12\.1, got '"
    with pytest.raises(EngineError, match=known):
        TENSORRT_RTX.chosen(text)


# --- loading and running ------------------------------------------------------------------------


def test_a_portable_engine_runs_and_its_graphs_are_captured(desktop, portable, network):
    from vitpose_ros.engines.openvino import OpenVinoEngine

    engine, given = TensorRtEngine(portable.folder), {"image": crops(2)}
    for _ in range(3):
        out = engine.run(given)["heatmaps"]
    assert out == pytest.approx(OpenVinoEngine(network).run(given)["heatmaps"], abs=1e-6)
    assert engine.name == "tensorrt-rtx RTX 4090 fp32"
    assert desktop.torch.gpu.replays == 2


def test_a_run_that_cannot_be_captured_goes_on_without_a_graph_and_says_so(
    desktop, portable, caplog
):
    desktop.rtx.settings["capturable"] = False
    engine = TensorRtEngine(portable.folder)
    for _ in range(3):
        engine.run({"image": crops(2)})
    assert desktop.torch.gpu.replays == 0
    assert caplog.text.count("cannot become a CUDA graph and runs plainly") == 1


def test_compiled_kernels_are_kept_beside_the_engine_and_used_at_the_next_start(desktop, portable):
    TensorRtEngine(portable.folder).warm_up((1, 2))
    assert [call[1] for call in calls(desktop, "compile")] == ["1", "2"]
    (kept,) = portable.folder.glob("kernels-*.cache")
    desktop.rtx.calls.clear()
    before = kept.stat().st_mtime_ns
    TensorRtEngine(portable.folder).warm_up((1, 2))
    assert not calls(desktop, "compile")
    assert kept.stat().st_mtime_ns == before  # nothing changed


def test_kernels_of_another_driver_are_compiled_again_and_replaced(desktop, portable):
    TensorRtEngine(portable.folder).warm_up((1,))
    for _ in range(2):
        desktop.rtx.settings["environment"] = "driver 590"
        desktop.rtx.calls.clear()
        TensorRtEngine(portable.folder).warm_up((1,))
    assert not calls(desktop, "compile")


def test_a_damaged_file_of_kernels_never_reaches_the_library(desktop, portable, caplog):
    TensorRtEngine(portable.folder).warm_up((1,))
    (kept,) = portable.folder.glob("kernels-*.cache")
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    desktop.rtx.calls.clear()
    TensorRtEngine(portable.folder).warm_up((1,))
    assert not calls(desktop, "deserialize_cache") and "is damaged" in caplog.text


def test_a_folder_that_cannot_be_written_costs_time_only_and_is_named(
    desktop, portable, monkeypatch, caplog
):
    engine = TensorRtEngine(portable.folder)
    monkeypatch.setattr(Path, "write_bytes", forbidden)
    engine.warm_up((1,))
    assert "cannot be kept in" in caplog.text and "Let this user write that folder" in caplog.text
    assert engine.run({"image": crops(1)})["heatmaps"].shape == (1, 17, 16, 12)


def test_another_version_or_gpu_is_refused_before_the_library_sees_the_engine(desktop, portable):
    desktop.rtx.__version__ = "1.8.0"
    with pytest.raises(EngineError, match=r"by TensorRT for RTX 1\.7\.1\.116; here is") as said:
        TensorRtEngine(portable.folder)
    assert "engine build net --precision fp32 --for 8.6,8.9 --force" in str(said.value)
    desktop.rtx.__version__ = "1.7.1.116"
    desktop.torch.cuda.get_device_capability = lambda device: (12, 0)
    with pytest.raises(EngineError, match=r"built for compute capability 8\.6, 8\.9; RTX") as said:
        TensorRtEngine(portable.folder)
    assert "--for 12.0 --force" in str(said.value)
    assert not calls(desktop, "deserialize_cuda_engine")


def test_an_engine_of_one_library_is_not_for_the_other(desktop, portable, fakes, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", fakes.tensorrt.make())
    here = Here(machine_here(), {"fp32": portable.manifest.recipe.onnx_sha256})
    assert "it is of TensorRT for RTX; here is TensorRT." in why_not(portable.manifest, here)


def test_a_driver_that_is_too_old_is_named_with_the_remedy(desktop, portable):
    desktop.rtx.settings["refuse"] = (
        "Cuda Runtime (cudaError 35: CUDA driver version is insufficient for CUDA runtime version)"
    )
    with pytest.raises(EngineError, match="driver is missing, or too old for this library's CUDA"):
        TensorRtEngine(portable.folder)


# --- installation ------------------------------------------------------------------------------


def test_the_wheel_of_the_other_library_is_named(desktop, gpu, monkeypatch):
    monkeypatch.setattr(library, "JETSON", Path("/nowhere"))
    monkeypatch.setattr(library.platform, "machine", lambda: "x86_64")
    (found,) = library.missing(TENSORRT_RTX)  # `gpu` has TensorRT, not that for RTX
    assert "cannot import TensorRT for RTX" in found and "pip install tensorrt-rtx-cu13" in found
    assert "TensorRT is installed, which is another library" in found


def test_a_jetson_is_told_that_it_has_no_tensorrt_for_rtx(gpu, tmp_path, monkeypatch):
    (tmp_path / "release").write_text("# R36")
    monkeypatch.setattr(library, "JETSON", tmp_path / "release")
    (found,) = library.missing(TENSORRT_RTX)
    assert "it exists for x86-64 only: use TensorRT here" in found and "pip" not in found


# --- the gate at the first load, and the command line -------------------------------------------


@pytest.fixture
def store(desktop, model_root, monkeypatch):
    monkeypatch.setattr(gate_crops, "_SCENES", gate_crops._SCENES[:1])
    return ModelStore(model_root)


@pytest.fixture
def run(capsys):
    def call(*words):
        try:
            code = main(["engine", *words])
        except SystemExit as error:
            code = error.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


def only_engine(store):
    (folder,) = (store.root / "small" / "engines").glob("[0-9a-f]*")
    return folder


def test_the_first_load_compares_with_float32_and_the_next_ones_remember(desktop, store, run):
    assert run("build", "--for", "89", "small")[0] == 0
    folder, here = only_engine(store), machine_here(0, TENSORRT_RTX)
    pass_once(store.get("small"), folder, here)
    (kept,) = folder.glob("gate-*.json")
    content = json.loads(kept.read_text())
    assert content["machine"]["gpu"] == "RTX 4090" and content["output"] < 1e-5
    desktop.rtx.calls.clear()
    pass_once(store.get("small"), folder, here)
    assert not calls(desktop, "deserialize_cuda_engine")


def test_a_result_that_cannot_be_kept_costs_time_only_and_is_named(
    desktop, store, run, monkeypatch, caplog
):
    run("build", "--for", "89", "small")
    monkeypatch.setattr(Path, "write_text", forbidden)
    pass_once(store.get("small"), only_engine(store), machine_here(0, TENSORRT_RTX))
    assert "with float32 cannot be kept in" in caplog.text and "every start repeats" in caplog.text


def test_each_gpu_is_compared_for_itself(desktop, store, run):
    run("build", "--for", "86,89", "small")
    folder = only_engine(store)
    pass_once(store.get("small"), folder, machine_here(0, TENSORRT_RTX))
    desktop.torch.cuda.get_device_name = lambda device: "RTX 4060"
    pass_once(store.get("small"), folder, machine_here(0, TENSORRT_RTX))
    assert len(list(folder.glob("gate-*.json"))) == 2


def test_a_result_that_cannot_be_read_or_is_of_an_older_engine_does_not_count(desktop, store, run):
    run("build", "--for", "89", "small")
    folder, here = only_engine(store), machine_here(0, TENSORRT_RTX)
    pass_once(store.get("small"), folder, here)
    (kept,) = folder.glob("gate-*.json")
    good = json.loads(kept.read_text())
    for content in ("", "[]", "{}", json.dumps({**good, "sha256": "0" * 64})):
        kept.write_text(content)
        pass_once(store.get("small"), folder, here)
        assert json.loads(kept.read_text()) == good


def test_an_engine_that_differed_stays_refused_until_it_is_checked_again(desktop, store, run):
    run("build", "--for", "89", "small")
    folder, here = only_engine(store), machine_here(0, TENSORRT_RTX)
    desktop.rtx.settings["distort"] = lambda maps: maps + np.float32(0.5)
    remedy = r"engine build --engine tensorrt-rtx small --precision fp32"
    with pytest.raises(EngineError, match=rf"differs from float32.*{remedy}"):
        pass_once(store.get("small"), folder, here)
    del desktop.rtx.settings["distort"]
    with pytest.raises(EngineError, match=r"measured before; `vitpose_ros engine check small`"):
        pass_once(store.get("small"), folder, here)
    assert run("check")[0] == 0
    pass_once(store.get("small"), folder, here)


def test_list_shows_what_a_portable_engine_is_for_and_whether_it_fits(desktop, store, run):
    code, out, err = run("build", "--for", "86,89", "small")
    assert code == 0 and "the first start on a GPU compares it with float32" in out
    assert "building tf32 for compute 8.6, 8.9 with TensorRT for RTX 1.7.1.116" in err
    assert re.search(r" compute 8\.6, 8\.9 +RTX 1\.7\.1\.116 .* fits\n", run("list")[1])
    desktop.torch.cuda.get_device_capability = lambda device: (12, 0)
    out = run("list")[1]
    assert "does not fit" in out and "RTX 4090 has 12.0" in out
    assert run("remove", "small", "--unusable")[1].startswith("removed ")


def test_capabilities_with_tensorrt_itself_are_a_usage_error(desktop, store, run):
    code, _, err = run("build", "--engine", "tensorrt", "--for", "89", "small")
    assert code == 2 and "--for is for --engine tensorrt-rtx" in err
