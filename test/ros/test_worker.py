"""The worker: newest item only, in order, on a thread of its own, and it ends when told to."""

from __future__ import annotations

import threading
from queue import Queue

from vitpose_ros.ros.worker import Worker

TIMEOUT_S = 10.0


class Bench:
    """Work that takes as long as the test wants."""

    def __init__(self) -> None:
        self.begun: Queue[int] = Queue()
        self.done: list[int] = []
        self.go_on = threading.Semaphore(0)
        self.threads: set[str] = set()

    def work(self, item: int) -> None:
        self.threads.add(threading.current_thread().name)
        self.begun.put(item)
        assert self.go_on.acquire(timeout=TIMEOUT_S), "the test never let this item go on"
        self.done.append(item)


def test_an_item_is_worked_on_by_the_workers_own_thread() -> None:
    bench = Bench()
    worker = Worker(bench.work, "a_worker")
    bench.go_on.release()
    assert worker.put(1) is False
    assert bench.begun.get(timeout=TIMEOUT_S) == 1
    assert worker.stop()
    assert bench.threads == {"a_worker"}


def test_while_one_is_in_work_only_the_newest_waits_and_each_displaced_one_is_told() -> None:
    bench = Bench()
    worker = Worker(bench.work, "worker")
    worker.put(1)
    assert bench.begun.get(timeout=TIMEOUT_S) == 1
    assert [worker.put(item) for item in (2, 3, 4, 5)] == [False, True, True, True]
    bench.go_on.release()
    assert bench.begun.get(timeout=TIMEOUT_S) == 5
    bench.go_on.release()
    assert worker.stop()
    assert bench.done == [1, 5]


def test_stop_says_whether_the_item_in_work_ended_in_time_and_drops_the_waiting_one() -> None:
    bench = Bench()
    worker = Worker(bench.work, "worker")
    worker.put(1)
    assert bench.begun.get(timeout=TIMEOUT_S) == 1
    worker.put(2)
    assert worker.stop(timeout_s=0.01) is False, "it is still in work"
    bench.go_on.release(2)
    assert worker.stop() is True
    assert bench.done == [1]
