from __future__ import annotations

import builtins
import struct
import subprocess
import sys

import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine


def _field(number: int, value: bytes | str | int) -> bytes:
    """One field of a protocol buffer; lengths and numbers below 128 only."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    data = value.encode() if isinstance(value, str) else value
    size = (
        struct.pack("B", len(data))
        if len(data) < 128
        else bytes([len(data) & 127 | 128, len(data) >> 7])
    )
    return bytes([number << 3 | 2]) + size + data


def _value(name: str, batch: int | None) -> bytes:
    first = _field(2, "N") if batch is None else _field(1, batch)
    shape = _field(1, first) + _field(1, _field(1, 3))
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))


def write_onnx(path, batch: int | None):
    """An ONNX network y = -x of shape (batch, 3); batch None for any."""
    node = _field(1, "x") + _field(2, "y") + _field(4, "Neg")
    graph = (
        _field(1, node)
        + _field(2, "g")
        + _field(11, _value("x", batch))
        + _field(12, _value("y", batch))
    )
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return path


def write_products(path, first, last):
    """An ONNX network y = x @ first @ last of any batch, each factor of shape (3, 3)."""

    def matrix(name, values):
        dims = _field(1, 3) + _field(1, 3)
        return _field(5, dims + _field(2, 1) + _field(8, name) + _field(9, values.tobytes()))

    def product(left, right, out):
        return _field(1, _field(1, left) + _field(1, right) + _field(2, out) + _field(4, "MatMul"))

    graph = (
        product("x", "first", "h")
        + product("h", "last", "y")
        + _field(2, "g")
        + matrix("first", first)
        + matrix("last", last)
        + _field(11, _value("x", None))
        + _field(12, _value("y", None))
    )
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return path


def write_mixing(path):
    """An ONNX network y = x @ x^T @ x of any batch: what a sample gives depends on the others."""

    def node(kind, out, *inputs):
        named = b"".join(_field(1, name) for name in inputs)
        return _field(1, named + _field(2, out) + _field(4, kind))

    graph = (
        node("Transpose", "t", "x")
        + node("MatMul", "h", "x", "t")
        + node("MatMul", "y", "h", "x")
        + _field(2, "g")
        + _field(11, _value("x", None))
        + _field(12, _value("y", None))
    )
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return path


@pytest.mark.parametrize("batch", [None, 1], ids=["any batch", "one sample"])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_network_takes_any_batch_whatever_it_was_exported_for(tmp_path, batch, count):
    engine = OpenVinoEngine(write_onnx(tmp_path / "net.onnx", batch))
    assert engine.inputs[0].shape == (None, 3)
    assert engine.outputs[0].shape == (None, 3)
    x = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    assert np.array_equal(engine.run({"x": x})["y"], -x)


def test_samples_are_run_one_by_one_unless_the_file_is_to_be_checked(tmp_path):
    path = write_mixing(tmp_path / "net.onnx")
    x = np.ones((2, 3), np.float32)
    assert (OpenVinoEngine(path).run({"x": x})["y"] == 3).all()
    assert (OpenVinoEngine(path, as_exported=True).run({"x": x})["y"] == 6).all()


def test_a_large_network_runs_its_samples_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr("vitpose_ros.engines.openvino._SMALL_BYTES", 0)
    engine = OpenVinoEngine(write_onnx(tmp_path / "net.onnx", None), threads=2)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert np.array_equal(engine.run({"x": x})["y"], -x)


def test_one_thread_suffices(tmp_path):
    engine = OpenVinoEngine(write_onnx(tmp_path / "net.onnx", 1), threads=1)
    assert engine.run({"x": np.ones((3, 3), np.float32)})["y"].sum() == -9


def test_outputs_belong_to_the_caller(tmp_path):
    engine = OpenVinoEngine(write_onnx(tmp_path / "net.onnx", None))
    first = engine.run({"x": np.ones((1, 3), np.float32)})["y"]
    engine.run({"x": np.zeros((1, 3), np.float32)})
    assert (first == -1).all()


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ({}, "takes the inputs x; got none"),
        ({"z": np.zeros((1, 3), np.float32)}, "takes the inputs x; got z"),
        ({"x": np.zeros((1, 4), np.float32)}, r"float32 x \(N, 3\); got float32 \(1, 4\)"),
        ({"x": np.zeros((1, 3))}, r"got float64 \(1, 3\)"),
        ({"x": np.zeros((0, 3), np.float32)}, r"got float32 \(0, 3\)"),
        ({"x": np.zeros((3, 2), np.float32).T}, "C-contiguous"),
        ({"x": [[0.0, 0.0, 0.0]]}, "got <class 'list'>"),
    ],
)
def test_wrong_tensors_are_refused_with_what_is_expected(tmp_path, tensors, text):
    engine = OpenVinoEngine(write_onnx(tmp_path / "net.onnx", None))
    with pytest.raises(EngineError, match=text):
        engine.run(tensors)


def test_a_missing_file_names_the_path_and_the_command(tmp_path):
    with pytest.raises(EngineError, match=r"gone\.onnx' does not exist.*vitpose_ros models pull"):
        OpenVinoEngine(tmp_path / "gone.onnx")


@pytest.mark.parametrize("name", ["net.onnx", "net.tflite"])
@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 100, b"version https://git-lfs.example/spec/v1\n"]
)
def test_a_file_that_is_no_network_is_refused_with_the_command(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EngineError, match="vitpose_ros models pull"):
        OpenVinoEngine(path)


def test_a_truncated_network_is_refused(tmp_path, model_path):
    whole = model_path("mediapipe-hand-full").read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        EngineError, match=r"cannot read '.*cut\.tflite'.*delete it and pull it again"
    ):
        OpenVinoEngine(path)


def test_other_formats_are_refused_by_name(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(b"x")
    with pytest.raises(EngineError, match=r"expected \.onnx, \.tflite, \.pb"):
        OpenVinoEngine(path)


@pytest.mark.parametrize("threads", [-1, 1.5, True, "2"])
def test_threads_are_a_whole_number(tmp_path, threads):
    with pytest.raises(EngineError, match="threads: expected a whole number"):
        OpenVinoEngine(write_onnx(tmp_path / "net.onnx", None), threads=threads)


def test_without_openvino_the_pip_package_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **more):
        if name == "openvino":
            raise ImportError("No module named 'openvino'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(EngineError, match="pip install openvino"):
        OpenVinoEngine(write_onnx(tmp_path / "net.onnx", None))


def test_a_batch_gives_what_its_samples_give_alone(engine_of):
    engine = engine_of("mediapipe-hand-full")
    x = np.random.default_rng(0).random((3, 224, 224, 3)).astype(np.float32)
    together = engine.run({engine.inputs[0].name: x})
    for index in range(3):
        alone = engine.run({engine.inputs[0].name: x[index : index + 1]})
        for name, values in alone.items():
            assert together[name][index] == pytest.approx(values[0], abs=1e-3)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_lower_precision_is_used_or_refused_but_never_replaced(tmp_path, precision):
    first, last = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
    path = write_products(tmp_path / "net.onnx", first, last)
    x = np.array([[1.001, 2.0, 3.0]], np.float32)
    try:
        engine = OpenVinoEngine(path, precision=precision)
    except EngineError as error:
        refusal = str(error)
    else:
        refusal = None
        y = engine.run({"x": x})["y"]
        assert engine.name == f"openvino CPU {precision}"
        assert y.dtype == np.float32 and y == pytest.approx(x @ first @ last, rel=5e-2)
        assert not np.array_equal(y, OpenVinoEngine(path).run({"x": x})["y"])
    assert refusal is None or f"this CPU does not compute in {precision}" in refusal


def test_a_cpu_without_bf16_is_not_asked_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr("vitpose_ros.engines.openvino.has_bf16", lambda core: False)
    path = write_products(tmp_path / "net.onnx", *np.ones((2, 3, 3), np.float32))
    with pytest.raises(EngineError, match=r"has no bf16 instructions; .*'net\.onnx' in f32"):
        OpenVinoEngine(path, precision="bf16")


def test_a_network_that_bf16_would_not_help_is_refused_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr("vitpose_ros.engines.openvino.has_bf16", lambda core: True)
    path = write_onnx(tmp_path / "net.onnx", None)
    with pytest.raises(EngineError, match=r"'net\.onnx' has no large matrix products"):
        OpenVinoEngine(path, precision="bf16")


def test_float32_is_the_default_and_is_exact(tmp_path):
    engine = OpenVinoEngine(write_onnx(tmp_path / "net.onnx", None))
    x = np.array([[1.001, 2.0003, 3.0]], np.float32)
    assert engine.precision == "fp32" and engine.name == "openvino CPU"
    assert np.array_equal(engine.run({"x": x})["y"], -x)


def test_an_unknown_precision_is_refused(tmp_path):
    with pytest.raises(EngineError, match="expected one of fp32, fp16, bf16, got 'int4'"):
        OpenVinoEngine(write_onnx(tmp_path / "net.onnx", None), precision="int4")


@pytest.mark.parametrize("version", ["2024.2.0-15519-5c0f38f83f6-releases/2024/2", "2023.3.0"])
def test_a_release_that_reads_sparse_weights_wrongly_is_refused(tmp_path, monkeypatch, version):
    monkeypatch.setattr("openvino.__version__", version)
    with pytest.raises(EngineError, match=r"misreads some networks.*'openvino>=2024\.3'"):
        OpenVinoEngine(write_onnx(tmp_path / "net.onnx", 1))


@pytest.mark.parametrize("version", ["2024.3.0-16041", "2025.0.0", "2100.1", "custom"])
def test_a_later_release_is_taken(tmp_path, monkeypatch, version):
    monkeypatch.setattr("openvino.__version__", version)
    OpenVinoEngine(write_onnx(tmp_path / "net.onnx", 1))


DROPPED_ELSEWHERE = """
import gc, os, signal, sys, threading, time
from pathlib import Path
from vitpose_ros.engines.openvino import OpenVinoEngine

held = [OpenVinoEngine(Path(sys.argv[1]), threads=1)]
thread = threading.Thread(target=lambda: (held.clear(), gc.collect()))
thread.start()
thread.join()
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_is_safe_after_another_thread_dropped_the_engine(tmp_path):
    path = write_onnx(tmp_path / "net.onnx", 1)
    command = [sys.executable, "-c", DROPPED_ELSEWHERE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
