"""Building on a simulated TensorRT: order, gate, cache, interruption, refusals, no half engines."""

from __future__ import annotations

import _thread
import errno
import io
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.tensorrt import TensorRtEngine
from vitpose_ros.engines.trt.build import _expected_s, build_engine
from vitpose_ros.engines.trt.caches import cache_path, read_cache, write_cache
from vitpose_ros.engines.trt.key import Machine, Profile, Recipe, machine_here, network_hash
from vitpose_ros.engines.trt.progress import BuildProgress
from vitpose_ros.models.errors import ModelError


@pytest.fixture
def build(gpu, shelf, network):
    """A function that builds the small network."""

    def run(precision="fp32", judge=lambda folder: {}, recipe=None, **options):
        recipe = recipe or Recipe(network_hash(network), precision)
        return build_engine(shelf, network, machine_here(), recipe, judge, **options)

    return run


def left(shelf):
    """What lies on the shelf, hidden things included."""
    return sorted(p.name for p in shelf.folder.iterdir()) if shelf.folder.is_dir() else []


def test_the_recorded_calls_of_a_build_are_in_order(gpu, build, network):
    options = {"level": 5, "workspace_mib": 64}
    build(recipe=Recipe(network_hash(network), "fp32", Profile(1, 2, 8), options))
    assert gpu.trt.calls == [
        ("create_network", 2),  # strongly typed
        ("parse_from_file", "model.onnx"),
        ("set_memory_pool_limit", "WORKSPACE", 64 * 2**20),
        ("clear_flag", "TF32"),
        ("set_shape", "image", (1, 3, 64, 48), (2, 3, 64, 48), (8, 3, 64, 48)),
        ("create_timing_cache", b""),
        ("build_serialized_network",),
    ]


@pytest.mark.parametrize("precision", ["mixed", "tf32"])
def test_only_fp32_forbids_tensorfloat(gpu, build, precision):
    build(precision)
    assert "clear_flag" not in [call[0] for call in gpu.trt.calls]


def test_a_typed_flag_that_a_later_tensorrt_lacks_is_left_out(gpu, build, monkeypatch):
    from enum import Enum

    monkeypatch.setattr(gpu.trt, "NetworkDefinitionCreationFlag", Enum("Flags", {"OTHER": 3}))
    with pytest.raises(AttributeError):  # the simulated TensorRT 10 asks for it, later ones do not
        build()
    assert gpu.trt.calls[0] == ("create_network", 0)


def test_an_engine_that_was_built_is_loaded_and_run(build):
    import numpy as np

    engine = TensorRtEngine(build().folder)
    out = engine.run({"image": np.zeros((3, 3, 64, 48), np.float32)})
    assert out["heatmaps"].shape == (3, 17, 16, 12)


def test_what_is_there_is_not_built_again_unless_forced(gpu, build):
    first, lines = build(), []
    gpu.trt.calls.clear()
    assert build(tell=lines.append).folder == first.folder
    assert gpu.trt.calls == [] and "exists already; --force builds it again" in lines[0]
    build(force=True)
    assert gpu.trt.calls


def test_a_damaged_one_is_built_again_without_being_asked(gpu, build):
    first = build()
    (first.folder / "engine.plan").write_bytes(b"short")
    assert TensorRtEngine(build().folder)


def test_several_engines_of_a_model_lie_side_by_side(build, shelf, network):
    build("fp32")
    build("tf32")
    build(recipe=Recipe(network_hash(network), "fp32", Profile(1, 1, 1)))
    assert len(shelf.list()) == 3


def test_a_refused_engine_is_gone_and_an_older_good_one_stays(build, shelf):
    def refuse(folder):
        assert TensorRtEngine(folder)  # it can be run there
        raise EngineError("joints differ by 12 px")

    with pytest.raises(EngineError, match="12 px"):
        build("mixed", refuse)
    assert [name for name in left(shelf) if "timing" not in name] == [".lock"]
    good = build("mixed")
    with pytest.raises(EngineError, match="12 px"):
        build("mixed", refuse, force=True)
    assert [stored.key for stored in shelf.list()] == [good.key]
    assert TensorRtEngine(good.folder)


def test_nobody_sees_an_engine_before_the_gate_is_through(build, shelf):
    seen = []
    build(judge=lambda folder: seen.append(shelf.list()) or {})
    assert seen == [[]]
    assert len(shelf.list()) == 1


def test_what_a_killed_build_left_is_swept_by_the_next(build, shelf):
    (shelf.folder / ".build-killed" / "engine").mkdir(parents=True)
    (shelf.folder / ".build-killed" / "engine" / "engine.plan").write_bytes(b"half")
    assert shelf.list() == []
    build()
    assert ".build-killed" not in left(shelf)


def test_timings_are_kept_and_given_to_the_next_build(gpu, build, shelf):
    build()
    path = cache_path(shelf.folder, "timing", machine_here())
    assert read_cache(path) == b"timings of this GPU"
    gpu.trt.calls.clear()
    build("tf32")
    assert ("create_timing_cache", b"timings of this GPU") in gpu.trt.calls


def test_timings_that_tensorrt_refuses_give_way_to_an_empty_cache(gpu, build, shelf):
    build()
    gpu.trt.settings["cache_header"] = b"another GPU"
    gpu.trt.calls.clear()
    build("tf32")
    given = [call[1] for call in gpu.trt.calls if call[0] == "create_timing_cache"]
    assert given == [b"timings of this GPU", b""]


@pytest.mark.parametrize("damage", [lambda b: b[:-3], lambda b: b"", lambda b: b[:70] + b"?" * 20])
def test_damaged_timings_never_reach_tensorrt(gpu, build, shelf, damage, caplog):
    build()
    path = cache_path(shelf.folder, "timing", machine_here())
    path.write_bytes(damage(path.read_bytes()))
    gpu.trt.calls.clear()
    build("tf32")
    assert ("create_timing_cache", b"") in gpu.trt.calls
    assert "is damaged and will be replaced" in caplog.text
    assert read_cache(path) == b"timings of this GPU"


def test_each_machine_has_timings_of_its_own(tmp_path):
    one = Machine("10.3.0", "Orin", "8.7", "12.6", "linux-aarch64")
    write_cache(cache_path(tmp_path, "timing", one), b"a")
    assert read_cache(cache_path(tmp_path, "timing", replace(one, tensorrt="10.7.0"))) == b""
    assert read_cache(cache_path(tmp_path, "timing", one)) == b"a"


def test_progress_is_shown_while_tensorrt_is_silent(gpu, build, monkeypatch):
    stream, pause = io.StringIO(), threading.Event()
    impatient = partial(BuildProgress, interval_s=0.0)
    monkeypatch.setattr("vitpose_ros.engines.trt.build.BuildProgress", impatient)

    def wait(step):  # TensorRT works on its third step until the line was shown
        while step == 2 and "Tactics (50 % of its steps)" not in stream.getvalue():
            pause.wait(0.01)

    gpu.trt.settings["on_step"] = wait
    build(stream=stream)
    assert "net fp32: " in stream.getvalue()
    assert "; Building Engine: step 1 of 2 > Tactics (50 % of its steps)" in stream.getvalue()


def test_ctrl_c_stops_the_build_at_its_next_step_and_leaves_nothing(
    gpu, build, shelf, monkeypatch
):
    made, pause = [], threading.Event()

    def make(*arguments):
        made.append(BuildProgress(*arguments))
        return made[0]

    def interrupt(step):
        if step == 1:
            _thread.interrupt_main()
            deadline = time.monotonic() + 20
            while not made[0].cancelled and time.monotonic() < deadline:
                pause.wait(0.01)

    monkeypatch.setattr("vitpose_ros.engines.trt.build.BuildProgress", make)
    gpu.trt.settings["on_step"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        build()
    assert ("build_serialized_network",) not in gpu.trt.calls
    assert not [thread for thread in threading.enumerate() if thread.name == "tensorrt-build"]
    assert left(shelf) == [".lock"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"build": "out of memory"}, r"TensorRT 10\.3\.0 cannot build .*: out of memory"),
        ({"no_driver": True}, r"TensorRT 10\.3\.0 cannot start a build: TensorRT gave no reason"),
    ],
)
def test_a_build_that_fails_says_tensorrts_reason_and_leaves_nothing(
    gpu, build, shelf, settings, reason
):
    gpu.trt.settings.update(settings)
    with pytest.raises(EngineError, match=reason):
        build()
    assert left(shelf) == [".lock"]


def test_a_file_that_tensorrt_cannot_read_is_named_with_the_parsers_reason(gpu, build, network):
    network.write_bytes(b"no network")
    with pytest.raises(EngineError, match=r"cannot read '.*model.onnx': Failed to parse the ONNX"):
        build()


def test_a_network_with_a_fixed_batch_is_refused(gpu, build, network):
    import onnx

    model = onnx.load(str(network))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, str(network))
    with pytest.raises(EngineError, match=r"has the input image \(1, 3, 64, 48\); only its first"):
        build()


def test_a_full_disk_and_a_forbidden_folder_are_sentences(gpu, build, shelf, monkeypatch):
    write = Path.write_bytes

    def full(self, content):
        if self.name == "engine.plan":
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ModelError, match=r"the disk is full at .*engine.plan; free some space"):
        build()
    assert not shelf.list() and not [name for name in left(shelf) if name.startswith(".build")]

    def forbidden(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(ModelError, match=r"no permission to write .*engines; change its owner"):
        build()


def test_the_last_builds_time_is_the_next_ones_estimate(gpu, build, shelf, network):
    first = build()
    recipe = Recipe("f" * 64, "fp32")  # another network of the model
    assert _expected_s(shelf, machine_here(), recipe) == first.manifest.build_s
    assert _expected_s(shelf, machine_here(), Recipe("f" * 64, "mixed")) is None
    assert _expected_s(shelf, machine_here(), Recipe("f" * 64, "fp32", Profile(1, 1, 1))) is None
