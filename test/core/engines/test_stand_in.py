"""The stand-ins for torch and TensorRT refuse what the real ones forbid."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def context(gpu, built):
    """An execution context that is ready for its first run, and what it needs for one."""
    from vitpose_ros.engines.tensorrt import TensorRtEngine

    return TensorRtEngine(built.folder)._context()


@pytest.fixture
def ready(gpu, context):
    """Buffers and a function that gives the context shapes and addresses."""
    place = gpu.torch.device("cuda", 0)
    image = gpu.torch.empty((2, 3, 64, 48), np.float32, place)
    maps = gpu.torch.empty((2, 17, 16, 12), np.float32, place)
    stream = gpu.torch.cuda.Stream()

    def prepare():
        assert context.set_input_shape("image", (2, 3, 64, 48))
        context.set_tensor_address("image", image.data_ptr())
        context.set_tensor_address("heatmaps", maps.data_ptr())

    prepare.image, prepare.maps, prepare.stream = image, maps, stream
    return prepare


def capture(gpu, ready):
    return gpu.torch.cuda.graph(
        gpu.torch.cuda.CUDAGraph(), stream=ready.stream, capture_error_mode="thread_local"
    )


def test_an_address_before_the_shapes_is_refused(gpu, context, ready):
    with pytest.raises(gpu.OrderError, match="before shapes"):
        context.set_tensor_address("image", ready.image.data_ptr())


def test_a_run_before_all_addresses_is_refused(gpu, context, ready):
    context.set_input_shape("image", (2, 3, 64, 48))
    context.set_tensor_address("image", ready.image.data_ptr())
    with pytest.raises(gpu.OrderError, match="not every tensor has an address"):
        context.execute_async_v3(ready.stream.cuda_stream)


def test_a_new_shape_forgets_the_addresses(gpu, context, ready):
    ready()
    context.set_input_shape("image", (1, 3, 64, 48))
    with pytest.raises(gpu.OrderError, match="not every tensor has an address"):
        context.execute_async_v3(ready.stream.cuda_stream)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda torch: torch.empty((2, 3, 64, 48), np.float16, torch.device("cuda", 0)), "float32"),
        (lambda torch: torch.empty((1, 3, 64, 48), np.float32, torch.device("cuda", 0)), "shape"),
    ],
)
def test_memory_of_another_type_or_size_is_refused(gpu, context, make, reason):
    context.set_input_shape("image", (2, 3, 64, 48))
    tensor = make(gpu.torch)
    with pytest.raises(gpu.OrderError, match=reason):
        context.set_tensor_address("image", tensor.data_ptr())


def test_memory_that_is_not_contiguous_or_not_on_the_gpu_is_refused(gpu, context, ready):
    context.set_input_shape("image", (2, 3, 64, 48))
    ready.image.array = ready.image.array[..., ::-1]
    with pytest.raises(gpu.OrderError, match="not contiguous"):
        context.set_tensor_address("image", ready.image.data_ptr())
    with pytest.raises(gpu.OrderError, match="not in the GPU's memory"):
        context.set_tensor_address("image", 4711)


def test_the_default_stream_is_refused(gpu, context, ready):
    ready()
    with pytest.raises(gpu.OrderError, match="default stream"):
        context.execute_async_v3(0)


def test_a_capture_without_a_plain_run_before_it_is_refused(gpu, context, ready):
    ready()
    with pytest.raises(gpu.OrderError, match="without a plain run"), capture(gpu, ready):
        context.execute_async_v3(ready.stream.cuda_stream)


def test_a_capture_of_other_shapes_than_were_run_is_refused(gpu, context, ready):
    ready()
    context.execute_async_v3(ready.stream.cuda_stream)
    context.set_input_shape("image", (1, 3, 64, 48))
    ready()
    with pytest.raises(gpu.OrderError, match="without a plain run"), capture(gpu, ready):
        context.execute_async_v3(ready.stream.cuda_stream)


def test_waiting_or_allocating_inside_a_capture_is_refused(gpu, context, ready):
    for wrong in (
        lambda: gpu.torch.cuda.synchronize(),
        lambda: ready.stream.synchronize(),
        lambda: ready.maps.cpu(),
        lambda: gpu.torch.empty((1,), np.float32, gpu.torch.device("cuda", 0)),
    ):
        with pytest.raises(RuntimeError, match="not permitted"), capture(gpu, ready):
            wrong()


def test_a_replay_after_the_contexts_shapes_changed_is_refused(gpu, context, ready):
    ready()
    context.execute_async_v3(ready.stream.cuda_stream)
    graph = gpu.torch.cuda.CUDAGraph()
    with gpu.torch.cuda.graph(graph, stream=ready.stream, capture_error_mode="thread_local"):
        context.execute_async_v3(ready.stream.cuda_stream)
    context.set_input_shape("image", (1, 3, 64, 48))
    with gpu.torch.cuda.stream(ready.stream):
        graph.replay()
    with pytest.raises(gpu.OrderError, match="replayed after"):
        gpu.torch.cuda.synchronize()


def test_a_damaged_engine_that_reaches_tensorrt_is_an_error_of_the_caller(gpu):
    from vitpose_ros.engines.trt.library import Errors, make_logger

    runtime = gpu.trt.Runtime(make_logger(Errors()))
    with pytest.raises(gpu.OrderError, match="damaged"):
        runtime.deserialize_cuda_engine(b"half a plan")


def test_a_weakly_typed_network_is_refused(gpu, network):
    from vitpose_ros.engines.trt.library import Errors, make_logger

    logger = make_logger(Errors())
    builder = gpu.trt.Builder(logger)
    net = builder.create_network(0)
    gpu.trt.OnnxParser(net, logger).parse_from_file(str(network))
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("image", (1, 3, 64, 48), (1, 3, 64, 48), (2, 3, 64, 48))
    config.add_optimization_profile(profile)
    with pytest.raises(gpu.OrderError, match="choose precisions"):
        builder.build_serialized_network(net, config)


def test_a_stream_runs_nothing_before_somebody_waits_and_only_what_was_waited_for(gpu):
    first, second = gpu.torch.cuda.Stream(), gpu.torch.cuda.Stream()
    done = []
    first.put(lambda: done.append("a"))
    event = first.record_event()
    first.put(lambda: done.append("b"))
    second.wait_event(event)
    second.put(lambda: done.append("c"))
    assert done == []
    second.synchronize()
    assert done == ["a", "c"]
