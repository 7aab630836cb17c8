from __future__ import annotations

import io
import threading

import pytest

from vitpose_ros.models.progress import (
    PlainProgress,
    QuietProgress,
    RichProgress,
    make_progress,
    size_text,
    watched,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_what_shows_the_progress_fits_the_stream():
    pytest.importorskip("rich", reason="needs rich: python3 -m pip install rich")
    assert isinstance(make_progress(Terminal(), quiet=True), QuietProgress)
    assert isinstance(make_progress(Terminal()), RichProgress)
    assert isinstance(make_progress(io.StringIO()), PlainProgress)


def test_without_rich_a_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rich.console", None)
    assert isinstance(make_progress(Terminal()), PlainProgress)


def test_plain_progress_writes_a_line_every_few_seconds():
    now, told = [0.0], io.StringIO()
    progress = PlainProgress(told, interval_s=5, clock=lambda: now[0])
    progress.start("net", 2_000_000)
    for second in range(11):
        now[0] = float(second)
        progress.advance(second * 100_000)
    progress.finish()
    assert told.getvalue().splitlines() == [
        "net: 2.0 MB",
        "net: 500.0 kB of 2.0 MB (25 %)",
        "net: 1.0 MB of 2.0 MB (50 %)",
    ]


def test_plain_progress_does_without_a_total():
    now, told = [0.0], io.StringIO()
    progress = PlainProgress(told, interval_s=5, clock=lambda: now[0])
    progress.start("net", None)
    now[0] = 6.0
    progress.advance(10)
    assert told.getvalue().splitlines() == ["net", "net: 10 B"]


def test_a_bar_shows_the_label_and_notes_and_can_be_used_twice():
    pytest.importorskip("rich", reason="needs rich: python3 -m pip install rich")
    told = Terminal()
    progress = make_progress(told)
    for label in ("first", "second"):
        progress.start(label, 100)
        progress.advance(50)
        progress.note(f"news of [{label}]")
        progress.finish()
    assert "news of [first]" in told.getvalue()
    assert "second" in told.getvalue()


def test_the_growth_of_a_file_in_a_watched_folder_is_reported(tmp_path):
    class Waiting(QuietProgress):
        seen = threading.Event()

        def advance(self, done):
            if done == 7:
                self.seen.set()

    progress = Waiting()
    with watched(tmp_path, progress, interval_s=0.001):
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "file").write_bytes(b"1234567")
        assert progress.seen.wait(30)


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "unknown"), (0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (5_478_917, "5.5 MB"),
     (3_600_000_000, "3.60 GB")],
)  # fmt: skip
def test_sizes_are_told_in_units_for_people(size, text):
    assert size_text(size) == text
