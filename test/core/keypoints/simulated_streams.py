"""Streams simulated on torch's CPU device, and a watch for unordered work.

Each operation of torch counts as work on the stream that is current. A stream knows how far it and
the others have come, by vector clocks: what an event has seen becomes known to who waits for it. An
operation that reads memory whose last writer its stream does not know to be over, or writes memory
that somebody may still read, is a race, although the numbers come out right here.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from types import SimpleNamespace

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Event:
    def __init__(self, known, host=None):
        self.known, self.host = dict(known), host

    def synchronize(self):
        _merge(self.host.known, self.known)


class Stream:
    def __init__(self, name, watch):
        self.name, self.watch, self.known = name, watch, defaultdict(int)

    def record_event(self):
        return Event(self.known, self.watch.host)

    def wait_event(self, event):
        _merge(self.known, event.known)

    def wait_stream(self, other):
        self.wait_event(other.record_event())

    def work(self):
        """Begin a piece of work; what it is called."""
        self.known[self.name] += 1
        return self.name, self.known[self.name]

    def knows(self, work):
        return work is None or self.known[work[0]] >= work[1]


def _merge(known, other):
    for name, count in other.items():
        known[name] = max(known[name], count)


class Watch(TorchDispatchMode):
    """Watches operations; `races` is what it saw."""

    def __init__(self):
        super().__init__()
        self.host = Stream("host", self)
        self.default = Stream("default", self)
        self.current = self.default
        self.races = []
        self._written, self._read = {}, defaultdict(list)
        self._kept = []  # no memory is given twice while it is watched

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        written = set()
        given = list(args) + list((kwargs or {}).values())
        for argument, schema in zip(args, func._schema.arguments, strict=False):
            if schema.alias_info is not None and schema.alias_info.is_write:
                written |= {_place(t) for t in tree_leaves(argument) if _is_tensor(t)}
        for name, value in (kwargs or {}).items():
            info = next((a.alias_info for a in func._schema.arguments if a.name == name), None)
            if info is not None and info.is_write and _is_tensor(value):
                written.add(_place(value))
        inputs = {_place(t) for t in tree_leaves(given) if _is_tensor(t)}
        results = [t for t in tree_leaves(out) if _is_tensor(t)]
        self._kept += [t.untyped_storage() for t in results]
        if results and not written and all(_place(t) in inputs for t in results):
            return out  # a view: nothing is read yet
        written |= {_place(t) for t in results} - inputs
        self._access(func, inputs - written, written)
        return out

    def _access(self, func, read, written):
        stream = self.current
        work = stream.work()
        for place in read:
            if not stream.knows(self._written.get(place)):
                self.races.append(f"{func} on {stream.name} reads what is still written")
            self._read[place].append(work)
        for place in written:
            others = [self._written.get(place), *self._read[place]]
            if not all(stream.knows(other) for other in others):
                self.races.append(f"{func} on {stream.name} writes what others still use")
            self._written[place], self._read[place] = work, []

    @contextlib.contextmanager
    def on(self, stream):
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before


def _is_tensor(value):
    return hasattr(value, "untyped_storage")


def _place(tensor):
    return tensor.untyped_storage().data_ptr()


def simulate(watch, torch):
    """A `torch` whose cuda is simulated: for the engine's own streams and graphs."""
    graphs = []

    class Graph:
        replays = 0

        def replay(self):
            self.replays += 1
            outputs = self.again()
            for name, value in self.outputs.items():
                value.copy_(outputs[name])

    @contextlib.contextmanager
    def capture(graph, pool, stream, capture_error_mode):
        assert capture_error_mode == "thread_local"
        assert watch.current is stream
        graphs.append(graph)
        yield

    names = iter(f"engine {i}" for i in range(9))
    cuda = SimpleNamespace(
        Stream=lambda device: Stream(next(names), watch),
        current_stream=lambda device=None: watch.current,
        stream=watch.on,
        CUDAGraph=Graph,
        graph=capture,
        graph_pool_handle=lambda: (0, 0),
        synchronize=lambda device=None: _merge(watch.host.known, watch.current.known),
        get_device_name=lambda device: "simulated GPU",
    )

    class Simulated:
        def __getattr__(self, name):
            return cuda if name == "cuda" else getattr(torch, name)

    return Simulated(), graphs
