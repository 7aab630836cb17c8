from __future__ import annotations

import io
import json
import re

import pytest

from vitpose_ros.bench.recording import Recording
from vitpose_ros.cli import bench
from vitpose_ros.cli.main import main
from vitpose_ros.smooth.settings import PRESETS


@pytest.fixture
def saved(make_recording, tmp_path):
    """The path of a recording."""
    make_recording().save(tmp_path / "r.npz")
    return tmp_path / "r.npz"


def run(capsys, *words):
    """Exit code, stdout and stderr of one command."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as error:
        code = error.code
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.mark.parametrize("words", [("bench",), ("bench", "smoothing", "--help")])
def test_the_help_tells_what_is_measured(capsys, words):
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert "smoothing" in out and "exit codes:" in out


def test_tables_of_all_rows_of_the_scripts_and_of_forecasts_are_shown(capsys, saved):
    code, out, err = run(capsys, "bench", "smoothing", "--recording", saved)
    assert (code, err) == (0, "")
    head, *rows = out.splitlines()
    assert head.startswith("rendered: 8 s with two hands at 30 Hz, 640x480; networks played; ")
    names = {row.split()[0] for row in rows if row}
    others = {"one_euro", "mediapipe_pose", "mmpose_0x", "ema_0.2", "reach"}
    assert {"raw", *list(PRESETS)[1:], *others} <= names
    (raw,) = (row for row in rows if row.startswith("raw "))
    assert re.match(r"raw +1\.000 +-?\d\.\d +1\.000 ", raw)
    assert any(re.match(r"hold the raw pose +0\.\d+ +0\.\d+ +0\.\d+$", row) for row in rows)


def test_the_json_has_three_figures_for_every_filter_and_preset(capsys, saved, tmp_path):
    path = tmp_path / "new" / "figures.json"
    code, _, _ = run(capsys, "bench", "smoothing", "--recording", saved, "--json", path)
    content = json.loads(path.read_text())
    assert code == 0 and list(path.parent.iterdir()) == [path] and list(content) == ["rendered"]
    figures = content["rendered"]
    assert {"default", "raw", "one_euro", *list(PRESETS)[1:]} <= set(figures)
    for row in figures.values():
        assert set(row) == {"accel_ratio", "lag_ms", "error_ratio"}
    assert figures["default"] == figures["balanced"] != figures["steady"]


def test_a_recording_is_made_once_and_read_afterwards(capsys, saved, tmp_path, monkeypatch):
    asked = []

    def record(*what, report):
        asked.append(what)
        report(1, 2, "reach, seed 4")
        return Recording.load(saved)

    monkeypatch.setattr("vitpose_ros.factory.load_pipeline", lambda store: "pipeline")
    monkeypatch.setattr("vitpose_ros.bench.recording.record", record)
    made = tmp_path / "made.npz"
    words = ("--recording", made, "--scripts", "reach,still", "--seeds", "4,5", "--rate", "60")
    first = run(capsys, "bench", "smoothing", *words)
    assert asked == [("pipeline", ("reach", "still"), (4, 5), 60.0)]
    assert first[0] == 0 and first[2] == "reach, seed 4: image 1 of 2\n"
    second = run(capsys, "bench", "smoothing", "--recording", made)
    assert len(asked) == 1 and second[1] == first[1]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--seeds", "a"), 2, "--seeds: expected whole numbers like 2,3, got 'a'"),
        (("--scripts", "juggle"), 2, "unknown script 'juggle'"),
        (("--rate", "0"), 2, "1 or more images per second"),
    ],
)
def test_what_cannot_be_rendered_is_one_sentence(capsys, monkeypatch, words, code, text):
    monkeypatch.setattr("vitpose_ros.factory.load_pipeline", lambda store: None)
    found, out, err = run(capsys, "bench", "smoothing", *words)
    assert (found, out) == (code, "") and text in err


def test_a_file_that_is_no_recording_is_one_sentence(capsys, tmp_path):
    (tmp_path / "r.npz").write_text("no")
    code, out, err = run(capsys, "bench", "smoothing", "--recording", tmp_path / "r.npz")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"vitpose_ros: .*r\.npz is no recording of this version .*\n", err)


def test_without_models_the_command_that_pulls_them_is_named(capsys, tmp_path):
    code, _, err = run(capsys, "bench", "smoothing", "--store", tmp_path)
    assert code == 1 and "vitpose_ros models pull" in err


def test_a_picture_is_refused_before_the_work_when_it_cannot_be_drawn(capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    code, out, err = run(capsys, "bench", "smoothing", "--plot", "p.png")
    assert (code, out) == (1, "") and "pip install 'matplotlib" in err


def test_a_picture_is_drawn(capsys, saved, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "p.png"
    code, out, _ = run(capsys, "bench", "smoothing", "--recording", saved, "--plot", path)
    assert code == 0 and f"picture: {path}" in out and path.stat().st_size > 10_000


def test_elsewhere_than_on_a_terminal_progress_is_a_line_now_and_then(capsys):
    now = [0.0]
    report = bench._lines(lambda: now[0], 5.0)
    for second in range(8):
        now[0] = float(second)
        report(second, 8, "reach")
    assert capsys.readouterr().err == "reach: image 0 of 8\nreach: image 5 of 8\n"


def test_on_a_terminal_progress_is_a_bar_that_goes_away(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    with bench._shown(quiet=False) as report:
        report(3, 8, "reach, seed 2")
    import sys

    assert "reach, seed 2" in sys.stderr.getvalue() and "3/8" in sys.stderr.getvalue()
    with bench._shown(quiet=True) as report:
        assert report is None
