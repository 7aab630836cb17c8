from __future__ import annotations

import io

import pytest

from vitpose_ros.engines.trt.progress import BuildProgress, duration_text


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_of_a_log_come_every_interval_and_say_phase_step_and_time():
    clock, stream = Clock(), io.StringIO()
    progress = BuildProgress(stream, "net", interval_s=10, clock=clock)
    progress.phase("Building", 5, None)
    progress.phase("Tactics", 200, "Building")
    for second in range(31):
        clock.now = float(second)
        progress.step("Tactics", 4 * second)
        progress.tick()
    assert stream.getvalue().splitlines() == [
        "net: 10 s; Building: step 1 of 5 > Tactics (20 % of its steps)",
        "net: 20 s; Building: step 1 of 5 > Tactics (40 % of its steps)",
        "net: 30 s; Building: step 1 of 5 > Tactics (60 % of its steps)",
    ]


def test_the_estimate_is_the_last_builds_time_and_says_so():
    clock = Clock()
    progress = BuildProgress(None, "net", expected_s=200, clock=clock)
    clock.now = 50
    assert progress.line() == "net: 50 s, about 2 min 30 s left if it takes as long as last time"
    clock.now = 260
    assert progress.line() == "net: 4 min 20 s (last time it took 3 min 20 s)"


def test_without_an_earlier_build_there_is_no_estimate():
    progress = BuildProgress(None, "net", clock=Clock())
    progress.phase("Building", 4, None)
    progress.step("Building", 2)
    assert "left" not in progress.line() and "step 4 of 4" in progress.line()


def test_a_terminal_has_one_line_that_is_written_over_and_wiped():
    clock, stream = Clock(), Terminal()
    progress = BuildProgress(stream, "net", clock=clock)
    for second in range(4):
        clock.now = float(second)
        progress.tick()
    progress.finish()
    written = stream.getvalue()
    assert "\n" not in written
    assert written.split("\r")[1:-1] == ["net: 1 s", "net: 2 s", "net: 3 s", " " * 8]


def test_phases_that_end_or_were_never_begun_do_not_disturb():
    progress = BuildProgress(None, "net", clock=Clock())
    progress.phase("Building", 4, None)
    progress.end("Building")
    progress.end("Building")
    assert progress.step("Unknown", 3) is True
    assert progress.line() == "net: 0 s"


def test_a_cancelled_build_is_told_to_stop():
    progress = BuildProgress(None, "net", clock=Clock())
    progress.phase("Building", 4, None)
    assert progress.step("Building", 0) is True
    progress.cancelled = True
    assert progress.step("Building", 1) is False


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")],
)
def test_durations_are_for_people(seconds, text):
    assert duration_text(seconds) == text
