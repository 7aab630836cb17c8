"""The TensorRT engine on a simulated GPU: order of calls, streams, buffers, graphs, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.engines.tensorrt import GRAPH_BATCH, TensorRtEngine


def crops(batch, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, 3, 64, 48)).astype(np.float32)


@pytest.fixture
def engine(gpu, built):
    gpu.trt.calls.clear()
    return TensorRtEngine(built.folder)


@pytest.fixture
def reference(network):
    return OpenVinoEngine(network, threads=1)


def put(gpu, array, dtype=None):
    """An array in the GPU's memory, of the caller's own."""
    tensor = gpu.torch.empty(array.shape, array.dtype, gpu.torch.device("cuda", 0))
    tensor.array[:] = array
    return tensor


def test_it_says_its_tensors_and_limits_as_the_engine_file_has_them(engine):
    assert [str(spec) for spec in engine.inputs] == ["image (N, 3, 64, 48)"]
    assert [str(spec) for spec in engine.outputs] == ["heatmaps (N, 17, 16, 12)"]
    assert engine.max_batch == 16
    assert engine.name == "tensorrt Orin fp32"


def test_the_recorded_calls_are_shapes_then_addresses_then_a_run_then_the_capture(gpu, engine):
    engine.run({"image": crops(2)})
    calls = [call[0] for call in gpu.trt.calls]
    assert calls == [
        "deserialize_cuda_engine",
        "create_execution_context",
        "create_execution_context",
        "set_input_shape",
        "set_tensor_address",
        "set_tensor_address",
        "execute",
        "capture",
    ]


def test_every_batch_size_and_every_later_run_gives_the_networks_numbers(engine, reference):
    for seed, batch in enumerate([1, 3, 1, 3, 3, 1, 16, 1, 2, 3]):
        given = crops(batch, seed)
        out = engine.run({"image": given})["heatmaps"]
        assert out == pytest.approx(reference.run({"image": given})["heatmaps"], abs=1e-6)


def test_a_graph_is_captured_once_for_each_batch_size_and_then_replayed(gpu, engine):
    for batch in (2, 1, 2, 1, 2):
        engine.run({"image": crops(batch)})
    calls = [call[0] for call in gpu.trt.calls]
    assert (calls.count("execute"), calls.count("capture")) == (2, 2)
    assert calls.count("create_execution_context") == 3  # one plain, one for each graph
    assert gpu.torch.gpu.replays == 3


def test_large_batches_and_engines_without_graphs_run_plainly(gpu, shelf, network, built):
    from vitpose_ros.engines.trt.build import build_engine
    from vitpose_ros.engines.trt.key import Profile, Recipe, machine_here, network_hash

    recipe = Recipe(network_hash(network), "fp32", Profile(1, 4, 32))
    large = build_engine(shelf, network, machine_here(), recipe, lambda folder: {})
    gpu.trt.calls.clear()
    engine = TensorRtEngine(large.folder)
    for _ in range(3):
        engine.run({"image": crops(GRAPH_BATCH + 1)})
    plain = TensorRtEngine(built.folder, graphs=False)
    plain.run({"image": crops(2)})
    assert not [call for call in gpu.trt.calls if call[0] == "capture"]


def test_a_graph_that_cannot_be_captured_is_said_and_the_engine_goes_on(
    gpu, engine, reference, caplog
):
    gpu.torch.gpu.capture_fails = True
    for seed in range(3):
        out = engine.run({"image": crops(2, seed)})["heatmaps"]
        expected = reference.run({"image": crops(2, seed)})["heatmaps"]
        assert out == pytest.approx(expected, abs=1e-6)
    assert caplog.text.count("runs without CUDA graphs, which is slower") == 1


def test_outputs_of_run_belong_to_the_caller(engine):
    first = engine.run({"image": crops(1)})["heatmaps"]
    before = first.copy()
    for seed in range(1, 4):
        engine.run({"image": crops(1, seed)})
    assert np.array_equal(first, before)


def test_tensors_on_the_gpu_are_run_in_place_and_the_result_stays_there(gpu, engine, reference):
    for seed in range(4):
        given = crops(2, seed)
        buffers = engine.buffers(2)
        buffers["image"].copy_(gpu.torch.from_numpy(given).pin_memory(), non_blocking=True)
        output = engine.run_device(buffers)["heatmaps"]
        assert output.device == engine.device
        expected = reference.run({"image": given})["heatmaps"]
        assert output.cpu().numpy() == pytest.approx(expected, abs=1e-6)
    assert engine.buffers(2)["image"] is buffers["image"]


def test_a_callers_own_tensors_run_without_a_copy_and_without_a_graph(gpu, engine, reference):
    gpu.trt.calls.clear()
    for seed in range(3):
        mine = put(gpu, crops(2, seed))
        out = engine.run_device({"image": mine})["heatmaps"]
        expected = reference.run({"image": crops(2, seed)})["heatmaps"]
        assert out.cpu().numpy() == pytest.approx(expected, abs=1e-6)
    assert [call[0] for call in gpu.trt.calls].count("execute") == 3
    assert "capture" not in [call[0] for call in gpu.trt.calls]


def test_graphs_and_a_callers_own_tensors_do_not_disturb_each_other(gpu, engine, reference):
    for seed in range(6):
        given = crops(2, seed)
        if seed % 2:
            out = engine.run_device({"image": put(gpu, given)})["heatmaps"].cpu().numpy()
        else:
            out = engine.run({"image": given})["heatmaps"]
        assert out == pytest.approx(reference.run({"image": given})["heatmaps"], abs=1e-6)


def test_the_run_waits_for_the_callers_stream_and_the_caller_for_the_run(gpu, engine, reference):
    stream = gpu.torch.cuda.Stream()
    with gpu.torch.cuda.stream(stream):
        buffers = engine.buffers(1)
        buffers["image"].copy_(gpu.torch.from_numpy(crops(1)).pin_memory(), non_blocking=True)
        out = engine.run_device(buffers)["heatmaps"]
        assert stream.pending, "nothing has been waited for on the CPU"
        result = out.cpu().numpy()
    assert result == pytest.approx(reference.run({"image": crops(1)})["heatmaps"], abs=1e-6)


@pytest.mark.parametrize("own", [True, False], ids=["the engine's buffers", "other tensors"])
def test_runs_in_a_row_never_overwrite_what_an_earlier_one_reads(gpu, engine, reference, own):
    """Nothing is waited for on the CPU until the end: the outputs are copied on the stream."""
    engine.warm_up([1])
    stream, kept = gpu.torch.cuda.Stream(), []
    with gpu.torch.cuda.stream(stream):
        for seed in range(3):
            given = crops(1, seed)
            tensors = engine.buffers(1) if own else {"image": put(gpu, given * 0)}
            tensors["image"].copy_(gpu.torch.from_numpy(given).pin_memory(), non_blocking=True)
            output = engine.run_device(tensors)["heatmaps"]
            kept.append(np.empty_like(output.array))
            stream.put(lambda to=kept[-1], of=output: to.__setitem__(..., of.array))
        assert stream.pending
    stream.synchronize()
    for seed, output in enumerate(kept):
        expected = reference.run({"image": crops(1, seed)})["heatmaps"]
        assert output == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", "the GPU has too little free memory"),
        ("CUDA error: unknown error", "failed: CUDA error: unknown error"),
    ],
)
@pytest.mark.parametrize("when", ["loading", "running"])
def test_an_error_of_cuda_is_an_engine_error(gpu, built, monkeypatch, text, advice, when):
    def refuse(*_, **__):
        raise RuntimeError(text)

    engine = TensorRtEngine(built.folder)
    monkeypatch.setattr(gpu.torch, "empty", refuse)
    with pytest.raises(EngineError, match=f"^{when} the TensorRT engine .*{advice}"):
        TensorRtEngine(built.folder) if when == "loading" else engine.run({"image": crops(1)})


def test_an_engine_that_does_not_fit_into_memory_is_not_to_be_rebuilt(gpu, built):
    gpu.trt.settings["refuse"] = "Error Code 2: OutOfMemory (Requested size was 812 bytes.)"
    with pytest.raises(EngineError, match="too little free memory") as said:
        TensorRtEngine(built.folder)
    assert "Build it again" not in str(said.value)


def test_a_gpu_that_does_not_exist_is_refused(built):
    with pytest.raises(EngineError, match="there is no GPU 3; torch finds 1, counted from 0"):
        TensorRtEngine(built.folder, device=3)


def test_warming_up_leaves_nothing_to_capture(gpu, engine):
    engine.warm_up([1, 2])
    gpu.trt.calls.clear()
    for batch in (1, 2, 1, 2):
        engine.run({"image": crops(batch)})
    assert gpu.trt.calls == []


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({}, "takes the inputs image; got none"),
        ({"picture": crops(1)}, "takes the inputs image; got picture"),
        ({"image": crops(1).astype(np.float64)}, r"takes C-contiguous float32 .* got float64"),
        ({"image": crops(2)[..., ::-1]}, "takes C-contiguous float32"),
        ({"image": [1.0]}, "takes C-contiguous float32 .* got <class 'list'>"),
        ({"image": crops(1)[:, :2].copy()}, r"takes image \(N, 3, 64, 48\); got the shape"),
        ({"image": crops(1)[0]}, r"takes image \(N, 3, 64, 48\)"),
        ({"image": crops(0)}, r"takes batches of 1 to 16, got 0"),
        ({"image": crops(17)}, r"got 17; build .*engine build net --max-batch 17"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_with_what_is_expected(engine, tensors, reason):
    with pytest.raises(EngineError, match=reason):
        engine.run(tensors)


def test_a_tensor_of_another_type_place_or_order_is_refused(gpu, engine):
    on_cpu = gpu.torch.from_numpy(crops(1))
    half = put(gpu, crops(1).astype(np.float16))
    strided = put(gpu, crops(1))
    strided.array = strided.array[..., ::-1]
    for tensor, given in (
        (crops(1), "got ndarray"),
        (on_cpu, r"float32 \(1, 3, 64, 48\) on cpu"),
        (half, "got float16"),
        (strided, "on cuda:0, not contiguous"),
    ):
        with pytest.raises(EngineError, match=given):
            engine.run_device({"image": tensor})


def test_a_failure_on_the_gpu_is_an_error_with_tensorrts_reason(gpu, engine):
    gpu.trt.settings["execute_fails"] = True
    with pytest.raises(EngineError, match=r"on the GPU failed: an illegal memory access"):
        engine.run({"image": crops(1)})


def test_an_engine_whose_tensors_are_not_float32_is_refused(gpu, built):
    gpu.trt.settings["dtype"] = "HALF"
    with pytest.raises(EngineError, match=r"expected float32 on the GPU. Convert the model"):
        TensorRtEngine(built.folder)
