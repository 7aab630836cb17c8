"""What a run tells about itself."""

from __future__ import annotations

import io
from pathlib import Path

from vitpose_ros.offline.items import VIDEO, Item
from vitpose_ros.offline.job import DONE, FAILED, SKIPPED, Outcome
from vitpose_ros.offline.meter import Meter


def items(tmp_path: Path, *sizes: int) -> list[Item]:
    made = []
    for number, size in enumerate(sizes):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(bytes(size))
        made.append(Item(path, str(number), VIDEO))
    return made


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_rate_and_time_left_follow_the_sizes_of_the_inputs(tmp_path):
    one, other = items(tmp_path, 1000, 3000)
    out, clock = io.StringIO(), Clock()
    meter = Meter([one, other], out, clock=clock)
    meter.progress(one, 0, 100)
    clock.now_s += 5.0
    meter.progress(one, 100, 100)
    meter.ended(one, Outcome("0", DONE, 100, 7))
    clock.now_s += 15.0
    meter.progress(other, 300, 600)
    # 1000 and half of 3000 bytes took 20 s; 1500 are left
    assert meter.text() == "1 of 2 done, 400 images, 20.0 images/s, time left 12 s"
    assert "0: 100 images, 7 skeletons\n" in out.getvalue()


def test_the_first_image_after_a_slow_start_tells_no_rate(tmp_path):
    (item,) = items(tmp_path, 10)
    out, clock = io.StringIO(), Clock()
    meter = Meter([item], out, clock=clock)
    clock.now_s += 60.0  # networks are loaded
    meter.progress(item, 1, 100)
    assert out.getvalue() == ""
    clock.now_s += 10.0
    meter.progress(item, 51, 100)
    assert out.getvalue() == "0 of 1 done, 51 images, 5.1 images/s, time left 10 s\n"


def test_what_was_finished_before_does_not_count_as_work(tmp_path):
    one, other = items(tmp_path, 9000, 1000)
    clock = Clock()
    meter = Meter([one, other], io.StringIO(), clock=clock)
    meter.ended(one, Outcome("0", SKIPPED))
    meter.progress(other, 0, 100)
    clock.now_s += 10.0
    meter.progress(other, 50, 100)
    assert meter.text().endswith("time left 10 s")


def test_a_quiet_run_tells_failures_alone(tmp_path):
    one, other = items(tmp_path, 1, 1)
    out = io.StringIO()
    meter = Meter([one, other], out, quiet=True, clock=Clock())
    meter.say("an engine was chosen")
    meter.ended(one, Outcome("0", DONE, 10, 10))
    meter.ended(other, Outcome("1", FAILED, notes=("the reason",)))
    assert out.getvalue() == "1: FAILED: the reason\n"
