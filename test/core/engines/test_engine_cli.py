"""`vitpose_ros engine`, from a model in the store to a compared engine, on a simulated GPU."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.keypoints import gate_crops


@pytest.fixture
def store(model_root, monkeypatch):
    """A store with the small network as the model `small`, and few rendered images."""
    monkeypatch.setattr(gate_crops, "_SCENES", gate_crops._SCENES[:1])
    return model_root


@pytest.fixture
def run(capsys):
    """A function: exit code, stdout and stderr of one command."""

    def call(*words):
        try:
            code = main(["engine", *words])
        except SystemExit as error:
            code = error.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


@pytest.fixture
def mixed(store, monkeypatch):
    """The model has a mixed network too: a copy, as far as a simulated TensorRT is concerned."""
    from vitpose_ros.keypoints import engine_gate

    path = store / "small" / "model.mixed.onnx"
    path.write_bytes((store / "small" / "model.onnx").read_bytes() + b"")
    monkeypatch.setattr(engine_gate, "read_mixed", lambda folder, sha256: (path, None))
    return path


def engines(store):
    return sorted(path for path in (store / "small" / "engines").glob("[0-9a-f]*"))


def test_build_says_what_it_does_compares_and_gives_the_figures(gpu, store, run):
    code, out, err = run("build", "small")
    assert code == 0, err
    assert "small: building tf32 for Orin with TensorRT 10.3.0, batches 1 to 16" in err
    assert "small: comparing it with float32" in err
    (folder,) = engines(store)
    assert out.startswith(f"small: {folder}, differs from float32: outputs by up to ")
    gate = json.loads((folder / "engine.json").read_text())["gate"]
    assert gate["reference"] == "openvino CPU" and gate["images"] == "rendered"
    assert gate["crops"] == 7 and gate["output"] < 1e-5
    assert gpu.torch.gpu.replays == 2  # one crop, and six: the graphs that a robot uses


def test_quiet_says_nothing(gpu, store, run):
    assert run("build", "small", "--quiet") == (0, "", "")


def test_a_wrong_engine_is_refused_with_the_numbers_and_what_to_do(gpu, store, mixed, run):
    gpu.trt.settings["distort"] = lambda maps: maps + np.float32(0.5)
    code, _, err = run("build", "small")
    assert code == 1
    assert re.search(
        r"vitpose_ros: 'small' on tensorrt Orin mixed differs from float32: outputs by 0\.\d+ "
        r"\(limit 0\.02\), joints by .* px \(limit 0\.1\), the farthest by .*\. "
        r"Build it in float32 instead: vitpose_ros engine build small --precision tf32 "
        r"\(or fp32\)\. The engine was deleted",
        err,
    )
    assert engines(store) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_engine_that_overflows_is_refused(gpu, store, run, value):
    def overflow(maps):
        maps = maps.copy()
        maps[0, 0, 0, 0] = value
        return maps

    gpu.trt.settings["distort"] = overflow
    code, _, err = run("build", "small", "--precision", "fp32")
    assert code == 1 and "outputs by inf" in err and "engine to torch or openvino" in err
    assert engines(store) == []


def test_an_engine_that_is_wrong_in_batches_only_is_refused(gpu, store, run):
    gpu.trt.settings["distort"] = lambda maps: maps if len(maps) == 1 else np.roll(maps, 1, axis=0)
    code, _, err = run("build", "small")
    assert code == 1 and "differs from float32" in err


def test_mixed_is_the_default_where_the_model_has_it(gpu, store, mixed, run):
    assert run("build", "small")[0] == 0
    (folder,) = engines(store)
    assert json.loads((folder / "engine.json").read_text())["recipe"]["precision"] == "mixed"


def test_mixed_without_a_mixed_network_names_the_command_that_makes_it(gpu, store, run):
    code, _, err = run("build", "small", "--precision", "mixed")
    assert code == 1 and "vitpose_ros models convert small" in err and "model.mixed.onnx" in err


def test_options_reach_the_engine(gpu, store, run):
    words = ("--max-batch", "2", "--opt-batch", "1", "--level", "5", "--workspace", "64")
    assert run("build", "small", *words)[0] == 0
    (folder,) = engines(store)
    recipe = json.loads((folder / "engine.json").read_text())["recipe"]
    assert recipe["profile"] == {"min_batch": 1, "opt_batch": 1, "max_batch": 2}
    assert recipe["options"] == {"level": 5, "workspace_mib": 64}
    assert ("set_memory_pool_limit", "WORKSPACE", 64 * 2**20) in gpu.trt.calls


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--max-batch", "0"), "1 <= min <= opt <= max"),
        (("--opt-batch", "9", "--max-batch", "4"), "got 1, 9 and 4"),
        (("--level", "7"), "level: expected 0 to 5, got 7"),
        (("--images", "/nowhere"), "'/nowhere' has no readable image"),
    ],
)
def test_an_option_that_makes_no_sense_is_a_sentence(gpu, store, run, words, reason):
    code, _, err = run("build", "small", *words)
    assert code == 1 and reason in err and "Error:" not in err
    assert engines(store) == []


def test_real_images_are_used_where_given(gpu, store, run, tmp_path):
    import cv2

    folder = tmp_path / "crops"
    folder.mkdir()
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 255, (80, 60, 3), np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), noise)
    (folder / "broken.png").write_bytes(b"no image")
    assert run("build", "small", "--images", str(folder))[0] == 0
    gate = json.loads((engines(store)[0] / "engine.json").read_text())["gate"]
    assert (gate["crops"], gate["images"]) == (9, str(folder))


def test_list_shows_each_engine_and_whether_it_fits(gpu, store, run):
    run("build", "small", "--quiet")
    code, out, _ = run("list")
    (key,) = [path.name for path in engines(store)]
    assert code == 0
    assert re.search(rf"small +{key} +tf32 +1-16 +Orin +10\.3\.0 +[\d.]+ kB .* fits\n", out)
    gpu.trt.__version__ = "10.7.0"
    _, out, _ = run("list", "small")
    assert "does not fit" in out
    assert f"small {key}: it was built for TensorRT 10.3.0; here is TensorRT 10.7.0." in out


def test_list_without_an_engine_says_how_to_build_one(store, run):
    code, out, _ = run("list")
    assert code == 0
    assert "no engines; build one with: vitpose_ros engine build MODEL" in out


def test_list_as_json_carries_manifest_state_and_reasons(gpu, store, run):
    run("build", "small", "--quiet")
    gpu.trt.__version__ = "10.7.0"
    (engine,) = json.loads(run("list", "--json")[1])
    assert (engine["model"], engine["state"]) == ("small", "does not fit")
    assert engine["manifest"]["machine"]["gpu"] == "Orin" and len(engine["reasons"]) == 1


def test_list_works_without_tensorrt_and_says_what_it_cannot_know(gpu, store, run, monkeypatch):
    run("build", "small", "--quiet")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    code, out, _ = run("list")
    assert code == 0 and " unknown" in out
    assert (
        "cannot tell which of them this machine can use: TensorRT engines get their GPU memory"
        in out
    )


@pytest.mark.parametrize(
    "words", [("build", "small"), ("check",), ("remove", "small", "--unusable")]
)
def test_without_tensorrt_each_other_action_says_what_is_missing(
    gpu, store, run, monkeypatch, words
):
    run("build", "small", "--quiet")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    code, out, err = run(*words)
    assert code == 1 and out == ""
    assert "cannot import TensorRT" in err and sys.executable in err


def test_check_compares_again_and_finds_what_went_wrong_since(gpu, store, run):
    run("build", "small", "--quiet")
    code, out, _ = run("check")
    assert code == 0 and re.search(r"small [0-9a-f]{16}: differs from float32: outputs by", out)
    gpu.trt.settings["distort"] = lambda maps: maps * np.float32(2)
    code, _, err = run("check", "small")
    assert code == 1 and "differs from float32: outputs by" in err
    (folder,) = engines(store)
    assert f"keep it from being used, run: vitpose_ros engine remove small {folder.name}" in err


def test_check_says_what_is_damaged_or_foreign(gpu, store, run):
    run("build", "small", "--quiet")
    (engines(store)[0] / "engine.plan").write_bytes(b"short")
    code, _, err = run("check")
    assert code == 1 and "engine.plan is truncated" in err
    run("build", "small", "--quiet")
    gpu.trt.__version__ = "10.7.0"
    code, _, err = run("check", "small")
    assert code == 1 and "it was built for TensorRT 10.3.0" in err


def test_check_without_any_engine_names_the_command(gpu, store, run):
    code, _, err = run("check", "small")
    assert code == 1 and "there is no engine for small in" in err
    assert "vitpose_ros engine build small" in err


def test_remove_takes_keys_all_or_what_cannot_be_used(gpu, store, run):
    for precision in ("fp32", "tf32"):
        run("build", "small", "--precision", precision, "--quiet")
    first, second = engines(store)
    assert run("remove", "small", first.name[:6]) == (0, f"removed {first}\n", "")
    assert (
        run("remove", "small", "--unusable")[1]
        == "nothing to remove: the model 'small' has no such engine\n"
    )
    gpu.trt.__version__ = "10.7.0"
    assert run("remove", "small", "--unusable")[1] == f"removed {second}\n"
    gpu.trt.__version__ = "10.3.0"
    run("build", "small", "--quiet")
    assert run("remove", "small", "--all")[0] == 0
    assert [path.name for path in (store / "small" / "engines").iterdir()] == [".lock"]


@pytest.mark.parametrize("words", [(), ("abc", "--all"), ("--all", "--unusable")])
def test_remove_wants_to_be_told_exactly_one_thing(store, run, words):
    code, _, err = run("remove", "small", *words)
    assert code == 2 and "give the keys of the engines, or one of --all and --unusable" in err


def test_a_model_that_tensorrt_does_not_run_is_refused(gpu, run, model_path):
    model_path("mediapipe-hand-full")
    code, _, err = run("build", "mediapipe-hand-full")
    assert code == 1 and "is a .tflite file, which TensorRT and torch cannot read" in err


@pytest.mark.convert
def test_the_mixed_network_of_a_conversion_is_what_a_mixed_engine_is_built_from(store):
    pytest.importorskip("torch", reason="needs torch: make test-convert")
    from vitpose_ros.keypoints.engine_gate import network_hashes, network_of
    from vitpose_ros.models.convert.precision import add_mixed
    from vitpose_ros.models.store import ModelStore

    model = ModelStore(store).get("small")
    before = network_hashes(model)
    assert set(before) == {"fp32", "tf32"}
    made = add_mixed(model.path)
    model = ModelStore(store).get("small")
    assert network_of(model, "mixed") == store / "small" / "model.mixed.onnx"
    assert network_hashes(model) == {**before, "mixed": made.sha256}
    (store / "small" / "model.mixed.onnx").write_bytes(b"altered")
    assert network_hashes(model) == before


def test_an_unknown_model_is_a_usage_error(gpu, store, run):
    code, _, err = run("build", "nobody")
    assert code == 2 and "nobody" in err


@pytest.mark.parametrize("words", [(), ("build", "-h"), ("list", "-h"), ("check", "-h")])
def test_every_help_documents_the_exit_codes(run, words):
    code, out, _ = run(*words)
    assert code == 0 and re.search(r"exit codes:\n  0 .*\n  1 .*engine.*\n  2 ", out)
