"""The command itself: what it refuses before it loads anything, and what it shows."""

from __future__ import annotations

import io

import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.cli.train import Shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "My Hands"), "the name 'My Hands' is not valid"),
        (("--out", "hands", "--threads", "999"), "--threads: expected 0 to 256, got 999"),
        (("--out", "hands", "--workers", "-1"), "--workers: expected 0 to 256, got -1"),
    ],
)
def test_options_out_of_range_are_a_usage_error(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", "coco.json", "--from", "scratch", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_input_that_is_no_size_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--data", "x", "--from", "scratch", "--out", "o", "--input", "128"])
    assert stopped.value.code == 2
    assert "expected WIDTHxHEIGHT such as 192x256, got '128'" in capsys.readouterr().err


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def test_a_log_gets_a_line_every_ten_seconds_with_the_time_left():
    stream, clock = io.StringIO(), Clock()
    shown = Shown(stream, clock=clock)
    for step in range(1, 31):  # of 3700, a second each; the first one is no rate
        clock.now_s += 1.0
        shown.step(step, 3700, 100, 0.5, float(step))
    assert stream.getvalue().splitlines() == [
        "epoch 1, step 10 of 100: loss 0.500, 1 h 01 min left",
        "epoch 1, step 20 of 100: loss 0.500, 1 h 01 min left",
        "epoch 1, step 30 of 100: loss 0.500, 1 h 01 min left",
    ]


def test_the_time_left_of_a_resumed_run_is_that_of_its_own_pace():
    stream, clock = io.StringIO(), Clock()
    shown = Shown(stream, clock=clock)
    for step in range(901, 932):  # 900 steps took 10,000 s on another day
        clock.now_s += 1.0
        shown.step(step, 1000, 100, 0.5, 10_000.0 + step - 900)
    assert (
        stream.getvalue().splitlines()[-1].endswith("step 30 of 100: loss 0.500, 1 min 10 s left")
    )


def test_a_terminal_gets_one_line_that_is_rewritten():
    stream, clock = io.StringIO(), Clock()
    stream.isatty = lambda: True
    shown = Shown(stream, clock=clock)
    for step in range(1, 4):
        clock.now_s += 1.0
        shown.step(step, 3, 3, 0.5, float(step))
    shown.say("epoch 1 of 1")
    assert stream.getvalue().count("\n") == 1 and stream.getvalue().endswith("epoch 1 of 1\n")


def test_a_quiet_run_shows_nothing():
    stream = io.StringIO()
    shown = Shown(stream, quiet=True)
    shown.say("epoch 1 of 1")
    assert not stream.getvalue()
