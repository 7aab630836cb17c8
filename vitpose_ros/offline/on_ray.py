"""Many items on the machines of a Ray cluster.

Ray core, not Ray Data, which retries an item that kills its worker for ever. An item is one path,
decoded, annotated and written where it is worked on: no image travels. So inputs, models and the
output folder must have the same paths on every machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitpose_ros.offline.batch import ATTEMPTS, Watcher
from vitpose_ros.offline.errors import OfflineError, UsageError
from vitpose_ros.offline.items import Item
from vitpose_ros.offline.job import FAILED, Annotator, Job, Outcome


class _Worker:
    """Runs as an actor: loads the networks once, then annotates one item after the other."""

    def __init__(self, job: Job) -> None:
        self._annotator = Annotator(job)

    def ready(self) -> None:
        """Answered once the networks are loaded."""

    def annotate(self, item: Item) -> Outcome:
        """Annotate an item."""
        return self._annotator(item)


class _Pool:
    """Actors that are starting, idle or busy. One that dies is replaced, where there is room."""

    def __init__(self, ray: Any, job: Job) -> None:
        self._job = job
        self._class = ray.remote(num_cpus=max(1, job.parameters.threads))(_Worker)
        self.starting: dict[Any, Any] = {}
        self.idle: list[Any] = []
        self.busy: dict[Any, tuple[Any, Item]] = {}

    def start(self) -> None:
        """Ask for one more actor. It starts as soon as a machine has room."""
        actor = self._class.remote(self._job)
        self.starting[actor.ready.remote()] = actor

    def give(self, item: Item) -> None:
        """Let an idle actor work on an item."""
        actor = self.idle.pop()
        self.busy[actor.annotate.remote(item)] = actor, item


def run_ray(
    items: Sequence[Item], job: Job, watcher: Watcher, address: str, count: int | None
) -> list[Outcome]:
    """Annotate all items on a cluster.

    An item whose actor dies, also with its whole machine, is begun once more elsewhere; then it has
    failed, and the others go on.

    Parameters
    ----------
    items, job, watcher : as of `batch.run_workers`.
    address : of the cluster; "auto" for the one that this machine belongs to, "local" for one of
        this machine's own.
    count : actors; None for one on each CPU of the cluster.

    Raises
    ------
    UsageError : Ray is not installed, or there is no such cluster.
    OfflineError : no actor could start.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError(f"--ray needs Ray: pip install 'ray>=2.40' ({error})") from error
    try:
        ray.init(address=address)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"there is no Ray cluster at '{address}' ({error}): start one with `ray start --head`, "
            "or use --workers on this machine"
        ) from error
    try:
        return _run(ray, items, job, watcher, count)
    finally:
        ray.shutdown()


def _run(
    ray: Any, items: Sequence[Item], job: Job, watcher: Watcher, count: int | None
) -> list[Outcome]:
    job = replace(job, out=Path(job.out).absolute())
    if job.parameters.threads == 0:
        job = replace(job, parameters=replace(job.parameters, threads=1))
    if count is None:
        count = max(1, int(ray.cluster_resources().get("CPU", 1)) // job.parameters.threads)
    pool = _Pool(ray, job)
    for _ in range(min(count, len(items))):
        pool.start()
    waiting = list(items)
    attempts = dict.fromkeys((item.name for item in items), 0)
    outcomes: list[Outcome] = []

    def finished(item: Item, outcome: Outcome) -> None:
        watcher.ended(item, outcome)
        outcomes.append(outcome)
        if outcome.fatal:
            waiting.clear()

    started = False
    while waiting or pool.busy:
        while waiting and pool.idle:
            item = waiting.pop(0)
            attempts[item.name] += 1
            pool.give(item)
        (done,), _ = ray.wait([*pool.starting, *pool.busy], num_returns=1)
        if done in pool.starting:
            actor = pool.starting.pop(done)
            try:
                ray.get(done)
            except ray.exceptions.RayError as error:
                if not started:
                    raise OfflineError(f"no worker could start on the cluster: {error}") from error
                pool.start()
                continue
            started = True
            pool.idle.append(actor)
            continue
        actor, item = pool.busy.pop(done)
        try:
            outcome = ray.get(done)
        except ray.exceptions.RayError as error:
            pool.start()
            reason = type(error).__name__
            if attempts[item.name] < ATTEMPTS:
                watcher.say(f"{item.name}: its worker ended ({reason}): once more")
                waiting.append(item)
            else:
                note = f"its worker ended {ATTEMPTS} times ({reason})"
                finished(item, Outcome(item.name, FAILED, notes=(note,)))
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(actor)
            continue
        pool.idle.append(actor)
        finished(item, outcome)
    return outcomes
