"""A stand-in for the part of torch that the TensorRT engine uses, with a GPU of numpy arrays.

Streams are lazy: work on one runs only when something waits for it, together with what it waits
for itself. So a missing wait between streams always shows as outdated values.
"""

from __future__ import annotations

import contextlib
import itertools
import weakref
from types import ModuleType, SimpleNamespace

import numpy as np

_addresses = itertools.count(0x7F0000000000, 1 << 20)
memory = weakref.WeakValueDictionary()
"""The tensors in the GPU's memory by their addresses."""


class device:  # noqa: N801
    def __init__(self, kind, index=None):
        self.type, self.index = kind, index

    def __eq__(self, other):
        return (self.type, self.index) == (other.type, other.index)

    def __hash__(self):
        return hash((self.type, self.index))

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"


CPU = device("cpu")


class Tensor:
    def __init__(self, array, where=CPU):
        self.array, self.device = array, where
        self.pinned = False
        if where.type == "cuda":
            self.address = next(_addresses)
            memory[self.address] = self

    @property
    def dtype(self):
        return self.array.dtype

    @property
    def shape(self):
        return self.array.shape

    def numel(self):
        return self.array.size

    def data_ptr(self):
        return self.address

    def is_contiguous(self):
        return self.array.flags.c_contiguous

    def pin_memory(self):
        copy = Tensor(self.array.copy())
        copy.pinned = True
        return copy

    def copy_(self, source, non_blocking=False):
        assert source.pinned, "a copy from memory that is not pinned waits for the GPU"
        assert source.array.dtype == self.array.dtype and source.shape == self.shape
        _gpu.current.put(lambda: self.array.__setitem__(..., source.array))

    def record_stream(self, stream):
        stream.kept.append(self)  # else its memory may go to somebody else before the run

    def cpu(self):
        result = Tensor(np.empty_like(self.array))
        _gpu.current.put(lambda: result.array.__setitem__(..., self.array))
        _gpu.must_not_capture("copying to the CPU")
        _gpu.current.run()
        return result

    def numpy(self):
        return self.array


class Event:
    def __init__(self, stream):
        self.stream, self.until = stream, len(stream.done) + len(stream.pending)


class Stream:
    _handles = itertools.count(0x1000)

    def __init__(self, device=None, default=False):
        self.cuda_stream = 0 if default else next(self._handles)
        self.pending, self.done, self.kept = [], [], []
        _streams[self.cuda_stream] = self

    def put(self, work):
        """Work to be done in order; or a part of the graph that is being captured."""
        if _gpu.capturing is not None:
            assert self is _gpu.capture_stream, "another stream is used inside a capture"
            _gpu.capturing.work.append(work)
        else:
            self.pending.append(work)

    def run(self, until=None):
        while self.pending and (until is None or len(self.done) < until):
            work = self.pending.pop(0)
            self.done.append(work)
            work()

    def record_event(self):
        return Event(self)

    def wait_event(self, event):
        self.put(lambda: event.stream.run(event.until))

    def wait_stream(self, other):
        self.wait_event(other.record_event())

    def synchronize(self):
        _gpu.must_not_capture("synchronising")
        self.run()


_streams = {}


class Gpu:
    """The state of the one GPU."""

    def __init__(self):
        self.reset()

    def reset(self):
        _streams.clear()
        self.current = self.default = Stream(default=True)
        self.capturing = self.capture_stream = None
        self.capture_fails = False
        self.replays = 0

    def must_not_capture(self, what):
        if self.capturing is not None:
            raise RuntimeError(f"{what} is not permitted while a stream is capturing")


class CUDAGraph:
    def __init__(self):
        self.work = []

    def replay(self):
        assert self.work, "an empty graph is replayed"
        _gpu.replays += 1
        for work in self.work:
            _gpu.current.put(work)


@contextlib.contextmanager
def _on_stream(chosen):
    before, _gpu.current = _gpu.current, chosen
    try:
        yield
    finally:
        _gpu.current = before


@contextlib.contextmanager
def _graph(graph, stream, capture_error_mode="global"):
    assert stream.cuda_stream != 0, "the default stream cannot be captured"
    assert capture_error_mode == "thread_local", "other threads' uploads would break the capture"
    _synchronize()
    if _gpu.capture_fails:
        raise RuntimeError("operation not permitted when stream is capturing")
    _gpu.capturing, _gpu.capture_stream = graph, stream
    try:
        with _on_stream(stream):
            yield
    finally:
        _gpu.capturing = None


def _synchronize(device=None):
    _gpu.must_not_capture("synchronising")
    for stream in list(_streams.values()):
        stream.run()


def _empty(shape, dtype, device):
    _gpu.must_not_capture("allocating")
    array = np.full(shape, 77, dtype)  # whatever lay there before
    return Tensor(array, device)


def stream_of(handle):
    return _streams[handle]


_gpu = Gpu()


def make():
    """A fresh `torch` module."""
    _gpu.reset()
    module = ModuleType("torch")
    module.__version__ = "2.8.0"
    module.version = SimpleNamespace(cuda="12.6")
    module.float32, module.uint8 = np.dtype(np.float32), np.dtype(np.uint8)
    module.device, module.Tensor, module.empty = device, Tensor, _empty
    module.from_numpy = Tensor
    module.gpu = _gpu
    module.cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 1,
        get_device_name=lambda index: "Orin",
        get_device_capability=lambda index: (8, 7),
        device=lambda chosen: contextlib.nullcontext(),
        current_stream=lambda device=None: _gpu.current,
        stream=_on_stream,
        Stream=Stream,
        CUDAGraph=CUDAGraph,
        graph=_graph,
        synchronize=_synchronize,
    )
    return module
