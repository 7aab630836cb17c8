"""A program with one node ends when it is asked to, whatever it is doing at that moment."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from rclpy.node import Node

from vitpose_ros.ros.start import SIGNALS, StartError, run_node

SIGNAL_NAMES = [number.name for number in SIGNALS]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """pytest's own handlers come back after the test."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


def ask(name: str) -> None:
    os.kill(os.getpid(), signal.Signals[name])


class Careless:
    """An object in whose destructor a signal arrives: Python drops the exception."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __del__(self) -> None:
        ask(self.name)


class Probe(Node):
    """A node that gets signals at one moment of its life."""

    destroyed = 0

    def __init__(self, name: str, moment: str) -> None:
        super().__init__("probe", use_global_arguments=False)
        self.name, self.moment = name, moment
        if moment == "construction":
            ask(name)
        self.create_timer(0.01, self._on_timer)

    def _on_timer(self) -> None:
        if self.moment == "destructor":
            Careless(self.name)
        else:
            ask(self.name)

    def destroy_node(self) -> None:
        Probe.destroyed += 1
        if self.moment == "end":
            ask(self.name)
        super().destroy_node()


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", SIGNAL_NAMES)
@pytest.mark.parametrize("moment", ["construction", "callback", "destructor", "end"])
def test_a_signal_ends_the_program_once_and_cleanly(name: str, moment: str) -> None:
    Probe.destroyed = 0
    assert run_node(lambda: Probe(name, moment), []) == 0
    assert Probe.destroyed == (0 if moment == "construction" else 1)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SIGNAL_NAMES)
def test_a_second_signal_does_not_interrupt_what_ends_the_work(name: str) -> None:
    finished = []

    def serve(node: Node, going: object) -> int:
        try:
            ask(name)
        finally:
            ask(name)  # as ros2 launch's own after the user's Ctrl-C
            finished.append(node)
        return 0

    assert run_node(lambda: Probe(name, "callback"), [], serve) == 0
    assert len(finished) == 1


def test_what_prevents_the_start_is_said_with_the_programs_name(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make() -> Node:
        raise StartError("there is no camera: plug one in")

    monkeypatch.setattr("sys.argv", ["/opt/some_program"])
    assert run_node(make, []) == 2
    assert capfd.readouterr().err.endswith("some_program: there is no camera: plug one in\n")
