"""Shared memory of real nodes: the doctor names what a killed one leaves, and nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray

from vitpose_ros.doctor.host import Host

TIMEOUT_S = 45.0


def segments_of(pid: int) -> set[str]:
    """The Fast DDS segments whose lock file a process has open."""
    names = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        found = re.search(r"/dev/shm/(fast\w+_[0-9a-f]{16})_el$", os.readlink(file))
        names |= {found[1]} if found else set()
    return names


def test_segments_are_leftovers_once_their_node_was_killed_and_not_before(
    graph: Any, start: Callable[..., Any]
) -> None:
    if "fastrtps" not in rclpy.get_rmw_implementation_identifier():
        pytest.skip("the segments are those of Fast DDS")
    statuses = graph.listen(DiagnosticArray, "/diagnostics")
    options = ("-p", "width:=64", "-p", "height:=64")
    node = start("synthetic_camera", "--ros-args", "-r", f"__ns:={graph.namespace}", *options)

    def reported() -> bool:
        return any(s.name.startswith(graph.namespace) for m in statuses.messages for s in m.status)

    graph.wait_for(reported, "the camera's diagnostics", TIMEOUT_S)
    segments = segments_of(node.process.pid)
    assert segments
    assert not segments & set(Host().leftover_segments(settled_s=0.0))
    node.process.kill()
    node.process.wait()
    left = Host().leftover_segments(settled_s=0.0)
    try:
        assert segments <= set(left)
        assert all(left[name] > 0 for name in segments)
    finally:
        for name in segments:
            for path in (f"/dev/shm/{name}", f"/dev/shm/{name}_el"):
                Path(path).unlink(missing_ok=True)
