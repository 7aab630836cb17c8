from __future__ import annotations

import io

import pytest

from vitpose_ros.models.progress import (
    BarProgress,
    LogProgress,
    Progress,
    make_progress,
    size_text,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere():
    assert type(make_progress(Terminal(), quiet=True)) is Progress
    assert isinstance(make_progress(Terminal()), BarProgress)
    assert isinstance(make_progress(io.StringIO()), LogProgress)


def test_a_log_gets_a_line_every_few_seconds():
    now, told = [0.0], io.StringIO()
    progress = LogProgress(told, interval_s=5, clock=lambda: now[0])
    progress.start("net", 2_000_000)
    for second in range(11):
        now[0] = float(second)
        progress.advance(second * 100_000)
    progress.finish()
    assert told.getvalue().splitlines() == [
        "net: 2.0 MB",
        "net: 500.0 kB of 2.0 MB",
        "net: 1.0 MB of 2.0 MB",
    ]


def test_a_log_needs_no_total():
    now, told = [0.0], io.StringIO()
    progress = LogProgress(told, interval_s=5, clock=lambda: now[0])
    progress.start("net", None)
    now[0] = 6.0
    progress.advance(10)
    assert told.getvalue().splitlines() == ["net", "net: 10 B"]


def test_a_bar_shows_the_label_and_notes_and_can_be_used_twice():
    told = Terminal()
    progress = make_progress(told)
    for label in ("first", "second"):
        progress.start(label, 100)
        progress.advance(50)
        progress.note(f"news of [{label}]")
        progress.finish()
    assert "news of [first]" in told.getvalue()
    assert "second" in told.getvalue()


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "unknown"), (0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (5_478_917, "5.5 MB"),
     (3_600_000_000, "3.60 GB")],
)  # fmt: skip
def test_sizes_have_readable_units(size, text):
    assert size_text(size) == text
