"""The stand-in for torch offers only what torch offers."""

from __future__ import annotations

import inspect

import pytest

pytestmark = pytest.mark.convert


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="needs torch: make test-convert")


def public(thing):
    return {name for name in vars(thing) if not name.startswith("_")}


def test_every_function_class_and_method_of_the_stand_in_exists_in_torch(torch, fakes):
    fake = fakes.torch.make()
    own = {"gpu"}  # the stand-in's own state
    lacking = {name for name in public(fake) - own if not hasattr(torch, name)}
    lacking |= {f"cuda.{name}" for name in public(fake.cuda) if not hasattr(torch.cuda, name)}
    own = {"put", "run", "cuda_stream"}  # the last one needs a build with CUDA
    for name in public(fake.cuda.Stream) - own:
        if not hasattr(torch.cuda.Stream, name):
            lacking.add(f"Stream.{name}")
    lacking |= {
        f"Tensor.{name}" for name in public(fake.Tensor) if not hasattr(torch.Tensor, name)
    }
    lacking |= {n for n in public(fake.cuda.CUDAGraph) if not hasattr(torch.cuda.CUDAGraph, n)}
    assert lacking == set()


def test_keywords_that_the_engine_gives_are_torchs(torch):
    graph = inspect.signature(torch.cuda.graph.__init__).parameters
    assert {"stream", "capture_error_mode"} <= set(graph)
    assert "device" in inspect.signature(torch.cuda.current_stream).parameters
    assert "device" in inspect.signature(torch.cuda.Stream.__new__).parameters
    source = inspect.getsource(torch.cuda.graph)
    assert "thread_local" in source or "thread_local" in (torch.cuda.graph.__doc__ or "")
