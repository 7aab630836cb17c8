"""Worker processes: a crash costs the item that caused it, and nothing else."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest

from vitpose_ros.offline.batch import run_here, run_workers
from vitpose_ros.offline.items import find_items
from vitpose_ros.offline.job import DONE, FAILED, Job
from vitpose_ros.parameters.file import load_parameters


class Killer:
    """Kills the worker whenever it works on an item of this name."""

    def __init__(self, name: str, times: int = 99) -> None:
        self.name, self.times = name, times
        self.said: list[str] = []

    def say(self, text):
        self.said.append(text)

    def progress(self, item, done, expected):
        if item.name == self.name and self.times:
            self.times -= 1
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)
                child.join()

    def ended(self, item, outcome):
        self.said.append(f"{item.name} {outcome.status}")


@pytest.fixture
def recordings(models, make_bag, hands, tmp_path):
    for name in ("a", "b", "c"):
        make_bag(tmp_path / "in" / name, {"/image": ("raw", "bgr8", hands[:4])})
    return find_items([tmp_path / "in"], tmp_path / "out")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("times", "status"), [(99, FAILED), (1, DONE)])
def test_an_item_that_kills_its_worker_is_tried_once_more_and_the_others_go_on(
    recordings, tmp_path, times, status
):
    killer = Killer("b", times)
    job = Job(tmp_path / "out", load_parameters(None))
    outcomes = {o.name: o for o in run_workers(recordings, job, killer, 1)}
    assert {name: o.status for name, o in outcomes.items()} == {"a": DONE, "b": status, "c": DONE}
    assert any("b: its worker ended (signal 9" in text for text in killer.said)
    if status == FAILED:
        assert "ended 2 times (signal 9, as when memory runs out)" in outcomes["b"].notes[0]
    made = sorted(p.parent.name for p in (tmp_path / "out").glob("*/annotation.json"))
    assert made == ["a", "c"] if status == FAILED else ["a", "b", "c"]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_workers_make_what_one_process_makes(recordings, tmp_path, tree):
    parameters = load_parameters(None, {"threads": 1})
    run_here(recordings, Job(tmp_path / "here", parameters), Killer(""))
    run_workers(recordings, Job(tmp_path / "there", parameters), Killer(""), 2)
    here, there = (
        {n: d for n, d in tree(tmp_path / o).items() if ".annotate" not in n}
        for o in ("here", "there")
    )
    assert len(here) == 12 and here == there


@pytest.mark.slow
def test_a_worker_that_cannot_start_ends_the_run_with_the_reason(recordings, tmp_path):
    parameters = load_parameters(None, {"hand_model": "no-such-model"})
    (outcome,) = run_workers(recordings, Job(tmp_path / "out", parameters), Killer(""), 2)[:1]
    assert outcome.status == FAILED and outcome.fatal and "no-such-model" in outcome.notes[0]
