"""The worker: newest item only, in order, on a thread of its own; stopped, failed, restarted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Queue

import pytest

from vitpose_ros.ros.worker import Worker

TIMEOUT_S = 10.0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.001)


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
    assert worker.stop(TIMEOUT_S)
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
    assert worker.stop(TIMEOUT_S)
    assert bench.done == [1, 5]


def test_stop_drops_the_waiting_item() -> None:
    bench = Bench()
    worker = Worker(bench.work, "worker")
    worker.put(1)
    assert bench.begun.get(timeout=TIMEOUT_S) == 1
    worker.put(2)
    stopping = threading.Thread(target=worker.stop, args=(TIMEOUT_S,))
    stopping.start()
    wait_for(lambda: worker._stopped)
    bench.go_on.release(2)
    stopping.join(TIMEOUT_S)
    assert not worker.running
    assert bench.done == [1]


def test_a_stop_that_times_out_is_withdrawn_and_the_thread_carries_on() -> None:
    bench = Bench()
    worker = Worker(bench.work, "worker")
    worker.put(1)
    assert bench.begun.get(timeout=TIMEOUT_S) == 1
    assert worker.stop(timeout_s=0.01) is False
    assert worker.running
    worker.put(2)
    bench.go_on.release()
    assert bench.begun.get(timeout=TIMEOUT_S) == 2
    bench.go_on.release()
    assert worker.stop(TIMEOUT_S) is True
    assert bench.done == [1, 2]


def test_a_running_thread_is_not_started_twice() -> None:
    worker = Worker(Bench().work, "worker")
    with pytest.raises(RuntimeError, match="'worker' is running already"):
        worker.start()
    assert worker.stop(TIMEOUT_S)
    worker.start()
    assert worker.stop(TIMEOUT_S)


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(3)])
def test_an_exception_ends_the_thread_and_is_kept_until_it_is_started_again(
    error: BaseException,
) -> None:
    done: Queue[int] = Queue()

    def work(item: int) -> None:
        if item == 1:
            raise error
        done.put(item)

    worker = Worker(work, "worker")
    assert (worker.failures, worker.last_failure) == (0, None)
    worker.put(1)
    wait_for(lambda: not worker.running)
    assert (worker.failures, worker.last_failure) == (1, error)
    assert worker.busy_s == 0.0
    assert worker.stop(TIMEOUT_S) is True
    worker.start()
    worker.put(2)
    assert done.get(timeout=TIMEOUT_S) == 2
    assert worker.stop(TIMEOUT_S)


def test_the_time_in_work_counts_from_the_items_start() -> None:
    bench = Bench()
    worker = Worker(bench.work, "worker")
    assert worker.busy_s == 0.0
    worker.put(1)
    assert bench.begun.get(timeout=TIMEOUT_S) == 1
    wait_for(lambda: worker.busy_s > 0.02)
    bench.go_on.release()
    wait_for(lambda: worker.busy_s == 0.0)
    assert worker.stop(TIMEOUT_S)
