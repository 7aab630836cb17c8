"""What to install for this platform and interpreter when something is missing."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.tensorrt import TensorRtEngine
from vitpose_ros.engines.trt import library


@pytest.fixture
def jetson(tmp_path, monkeypatch):
    path = tmp_path / "nv_tegra_release"
    path.write_text("# R36")
    monkeypatch.setattr(library, "JETSON", path)


@pytest.fixture
def desktop(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "JETSON", tmp_path / "absent")
    monkeypatch.setattr(library.platform, "machine", lambda: "x86_64")


def lack(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)  # importing it raises ImportError


def test_nothing_lacks_where_both_are_there(gpu):
    assert library.missing() == []
    assert library.require() is gpu.torch


def test_without_tensorrt_a_desktop_is_told_the_wheels_and_the_interpreter(
    gpu, desktop, monkeypatch
):
    lack(monkeypatch, "tensorrt")
    (found,) = library.missing()
    assert f"{sys.executable} cannot import TensorRT" in found
    assert f"{sys.executable} -m pip install tensorrt-cu13 (driver 580 or later)" in found
    assert "tensorrt-cu12 (driver 535 or later)" in found


def test_without_tensorrt_a_jetson_is_told_jetpacks_packages(gpu, jetson, monkeypatch):
    lack(monkeypatch, "tensorrt")
    (found,) = library.missing()
    assert "sudo apt install tensorrt python3-libnvinfer" in found
    assert "--system-site-packages" in found and "pip install" not in found


def test_without_torch_each_platform_is_told_its_own(gpu, jetson, monkeypatch):
    lack(monkeypatch, "torch")
    (found,) = library.missing()
    assert "NVIDIA's own torch wheel for this JetPack" in found and sys.executable in found
    monkeypatch.setattr(library, "JETSON", library.JETSON.with_name("absent"))
    (found,) = library.missing()
    assert f"{sys.executable} -m pip install torch" in found


def test_both_that_lack_are_told_at_once_and_loading_says_it(built, monkeypatch):
    lack(monkeypatch, "torch")
    lack(monkeypatch, "tensorrt")
    assert len(library.missing()) == 2
    with pytest.raises(EngineError, match=r"cannot import .*torch.* cannot import TensorRT"):
        TensorRtEngine(built.folder)


def test_a_torch_without_cuda_or_without_a_gpu_is_told_apart(gpu, desktop):
    gpu.torch.version = SimpleNamespace(cuda=None)
    (found,) = library.missing()
    assert "is built without CUDA" in found
    gpu.torch.version = SimpleNamespace(cuda="13.0")
    gpu.torch.cuda.is_available = lambda: False
    (found,) = library.missing()
    assert "built for CUDA 13.0 but finds no GPU. Check with nvidia-smi" in found


@pytest.mark.parametrize(("version", "good"), [("8.6.1", 0), ("10.0.1", 0), ("10.3.0", 1),
                                               ("11.4.0.106", 1)])  # fmt: skip
def test_tensorrt_before_10_3_is_refused(gpu, version, good):
    gpu.trt.__version__ = version
    assert (library.missing() == []) == bool(good)
    if not good:
        assert f"TensorRT {version} of" in library.missing()[0]
        assert "10.3 or later (JetPack 6.1) is required" in library.missing()[0]


def test_the_last_errors_of_tensorrt_are_kept_on_one_line():
    errors = library.Errors()
    assert str(errors) == "TensorRT gave no reason"
    for i in range(8):
        errors.add(f"error\n  {i}")
    assert str(errors) == "error 3 | error 4 | error 5 | error 6 | error 7"
