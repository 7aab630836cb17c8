"""A thread that always works on the newest item."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Worker(Generic[Item]):
    """Passes items to `work` on a thread of its own. A new item replaces one that still waits.

    A queue would let results age: a robot that acts on images half a second old is worse off than
    one that skips some.

    Parameters
    ----------
    work : called with one item at a time. An exception it raises ends the thread.
    name : the thread's name.

    Attributes
    ----------
    failures : how often the thread has ended on its own.
    last_failure : the exception that ended it last; None before the first.
    """

    def __init__(self, work: Callable[[Item], None], name: str) -> None:
        self._work = work
        self._name = name
        self._condition = threading.Condition()
        self._next: Item | None = None
        self._began_s: float | None = None
        self._stopped = False
        self._running = False
        self.failures = 0
        self.last_failure: BaseException | None = None
        self.start()

    def start(self) -> None:
        """Start the thread, the first time or after it failed.

        Raises
        ------
        RuntimeError : the thread is running.
        """
        with self._condition:
            if self._running:
                raise RuntimeError(f"the thread '{self._name}' is running already")
            self._running, self._stopped = True, False
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the thread works, or waits for work."""
        with self._condition:
            return self._running

    @property
    def busy_s(self) -> float:
        """How long the current item has been processed, s; 0.0 while the thread is idle."""
        with self._condition:
            return time.monotonic() - self._began_s if self._began_s is not None else 0.0

    def put(self, item: Item) -> bool:
        """Offer the newest item; True when it replaced one that was still waiting."""
        with self._condition:
            displaced = self._next is not None
            self._next = item
            self._condition.notify()
        return displaced

    def stop(self, timeout_s: float) -> bool:
        """End the thread after the current item and drop a waiting one.

        Returns False when the item did not finish within `timeout_s`. The request to stop is then
        withdrawn: the thread carries on when the item finishes.
        """
        with self._condition:
            self._stopped = True
            self._condition.notify()
            self._condition.wait_for(lambda: not self._running, timeout_s)
            self._stopped = False
            return not self._running

    def _run(self) -> None:
        try:
            while (item := self._take()) is not None:
                self._work(item)
        except BaseException as error:  # noqa: BLE001 - the worker's owner reports it
            with self._condition:
                self.failures, self.last_failure = self.failures + 1, error
        finally:
            with self._condition:
                self._running, self._began_s = False, None
                self._condition.notify_all()

    def _take(self) -> Item | None:
        """Wait for the next item; None when the thread has to end."""
        with self._condition:
            self._began_s = None
            self._condition.wait_for(lambda: self._stopped or self._next is not None)
            if self._stopped:
                return None
            item, self._next = self._next, None
            self._began_s = time.monotonic()
            return item
