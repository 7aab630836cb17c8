"""Which part of the core may import which: data flows one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import vitpose_ros.types

ROOT = Path(vitpose_ros.types.__file__).parent
FORBIDDEN = {
    "track": ("detect", "engines", "keypoints", "lift", "measure", "models", "smooth"),
    "lift": ("detect", "engines", "keypoints", "measure", "models", "smooth", "track"),
    "measure": ("lift", "track", "smooth"),
    "smooth": ("detect", "engines", "keypoints", "lift", "measure", "track"),
    "detect": ("keypoints", "lift", "measure", "track", "smooth"),
    "engines": ("detect", "lift", "measure", "track", "smooth"),
    "retarget": ("detect", "engines", "keypoints", "measure", "track"),
    "train": ("detect", "lift", "measure", "retarget", "smooth", "track"),
}
EDGES = ("cli", "doctor", "ros")


def imported(path):
    """(top, room) of the modules that a file imports: room is what follows vitpose_ros."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "vitpose_ros":
            names = [f"vitpose_ros.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            top, _, rest = name.partition(".")
            yield top, rest.partition(".")[0] if top == "vitpose_ros" else ""


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_none_that_comes_later_on_a_frames_path(room):
    for path in (ROOT / room).rglob("*.py"):
        for _, other in imported(path):
            assert other not in FORBIDDEN[room], path


def test_the_core_imports_no_ros_and_none_of_the_edges():
    checked = 0
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] in (*EDGES, "msg"):
            continue
        checked += 1
        for top, room in imported(path):
            assert top not in ("rclpy", "launch", "launch_ros", "sensor_msgs"), path
            assert room not in (*EDGES, "msg"), path
    assert checked > 50


def test_only_the_command_line_trains():
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] not in ("cli", "train"):
            assert "train" not in {room for _, room in imported(path)}, path
