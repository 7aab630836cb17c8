"""Newest only: one place for the next item, and one thread that takes from it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Worker(Generic[Item]):
    """Hands the newest item to `work`, on a thread of its own; an item that is still waiting gives
    way to a newer one.

    A queue would let results grow old: a robot that follows images of half a second ago is worse
    than one that misses some.

    Parameters
    ----------
    work : called with one item at a time. It must not raise: it knows best what an error means.
    name : the thread's name.
    """

    def __init__(self, work: Callable[[Item], None], name: str) -> None:
        self._work = work
        self._condition = threading.Condition()
        self._next: Item | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> bool:
        """Offer the newest item; True when it took the place of one that nobody had taken yet."""
        with self._condition:
            displaced = self._next is not None
            self._next = item
            self._condition.notify()
        return displaced

    def stop(self, timeout_s: float = 10.0) -> bool:
        """End the thread after the item in work, dropping a waiting one; False when it did not end
        in time.
        """
        with self._condition:
            self._stopped = True
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopped or self._next is not None)
                if self._stopped:
                    return
                item, self._next = self._next, None
            assert item is not None
            self._work(item)
