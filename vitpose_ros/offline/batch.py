"""Many items: one after the other in this process, or on supervised worker processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

from vitpose_ros.offline.items import Item
from vitpose_ros.offline.job import FAILED, WORK, Annotator, Job, Outcome
from vitpose_ros.offline.only_run import only_run

ATTEMPTS = 2
"""How often an item is begun whose worker dies: the machine may have been short of memory."""


class Watcher(Protocol):
    """Is told how a run goes on."""

    def say(self, text: str) -> None:
        """A sentence for the user."""
        ...

    def progress(self, item: Item, done: int, expected: int | None) -> None:
        """Images of an item that are done, of about so many."""
        ...

    def ended(self, item: Item, outcome: Outcome) -> None:
        """What became of an item."""
        ...


@contextlib.contextmanager
def output_folder(out: Path) -> Iterator[None]:
    """Keep the output folder for one run, without what interrupted runs left behind.

    Raises
    ------
    UsageError : it cannot be written, or another run uses it.
    """
    work = out / WORK
    with only_run(work, "annotate", out):
        for left in work.glob("item-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
        shutil.rmtree(work, ignore_errors=True)


def run_here(items: Sequence[Item], job: Job, watcher: Watcher) -> list[Outcome]:
    """Annotate all items in this process. It ends early where no other item would fare better."""
    annotator = Annotator(job, watcher.say)
    outcomes = []
    for item in items:
        outcome = annotator(item, _telling(watcher, item))
        watcher.ended(item, outcome)
        outcomes.append(outcome)
        if outcome.fatal:
            break
    return outcomes


def _telling(watcher: Watcher, item: Item) -> Callable[[int, int | None], None]:
    return lambda done, expected: watcher.progress(item, done, expected)


class _Worker:
    """A process that annotates one item after the other."""

    def __init__(self, job: Job) -> None:
        # Not forked: the engine's threads would not be in the copy.
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(job, other), daemon=True)
        self.process.start()
        other.close()
        self.item: Item | None = None

    def give(self, item: Item) -> None:
        """Begin an item."""
        self.item = item
        with contextlib.suppress(BrokenPipeError):  # it has ended: noticed when it is read
            self.pipe.send(item)

    def end(self) -> None:
        """Let it end."""
        self.pipe.close()
        self.process.join(timeout=5.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def run_workers(
    items: Sequence[Item], job: Job, watcher: Watcher, count: int
) -> list[Outcome]:
    """Annotate all items on `count` processes.

    A worker that dies with an item (out of memory, a fault in a decoder) is replaced, and the item
    is begun once more; then it has failed, and the others go on.
    """
    if job.parameters.threads == 0:
        threads = max(1, len(os.sched_getaffinity(0)) // count)
        job = replace(job, parameters=replace(job.parameters, threads=threads))
    waiting = list(items)
    attempts = dict.fromkeys((item.name for item in items), 0)
    outcomes: list[Outcome] = []
    workers = [_Worker(job) for _ in range(min(count, len(waiting)))]

    def next_item(worker: _Worker) -> None:
        if waiting:
            item = waiting.pop(0)
            attempts[item.name] += 1
            worker.give(item)
        else:
            worker.end()
            workers.remove(worker)

    def finished(item: Item, outcome: Outcome) -> None:
        watcher.ended(item, outcome)
        outcomes.append(outcome)
        if outcome.fatal:
            waiting.clear()

    try:
        for worker in list(workers):
            next_item(worker)
        while workers:
            ready = wait([worker.pipe for worker in workers])
            for worker in [one for one in workers if one.pipe in ready]:
                assert worker.item is not None
                item = worker.item
                try:
                    kind, *values = worker.pipe.recv()
                except (EOFError, ConnectionError):
                    worker.end()
                    workers.remove(worker)
                    code = worker.process.exitcode
                    if attempts[item.name] < ATTEMPTS:
                        watcher.say(f"{item.name}: its worker ended ({_ending(code)}): once more")
                        waiting.insert(0, item)
                    else:
                        note = f"its worker ended {ATTEMPTS} times ({_ending(code)})"
                        finished(item, Outcome(item.name, FAILED, notes=(note,)))
                    if waiting:
                        workers.append(_Worker(job))
                        next_item(workers[-1])
                    continue
                if kind == "progress":
                    watcher.progress(item, *values)
                elif kind == "say":
                    watcher.say(*values)
                elif kind == "cannot start":
                    waiting.clear()
                    finished(item, Outcome(item.name, FAILED, notes=(values[0],), fatal=True))
                    worker.end()
                    workers.remove(worker)
                else:
                    finished(item, values[0])
                    next_item(worker)
    finally:
        for worker in workers:
            worker.process.terminate()
            worker.end()
    return outcomes


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        hint = ", as when memory runs out" if code == -9 else ""
        return f"signal {-code}{hint}"
    return f"exit code {code}"


def _work(job: Job, pipe: Connection) -> None:
    """The worker's process."""
    said: set[str] = set()

    def send(*message: Any) -> None:
        try:
            pipe.send(message)
        except OSError:  # the run has ended
            sys.exit(0)

    def say(text: str) -> None:
        if text not in said:
            said.add(text)
            send("say", text)

    try:
        annotator = Annotator(job, say)
    except Exception as error:  # noqa: BLE001 - told by the run
        pipe.recv()
        send("cannot start", f"{error}")
        return
    while True:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            return
        outcome = annotator(item, lambda done, expected: send("progress", done, expected))
        send("ended", outcome)
