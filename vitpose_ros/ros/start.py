"""How a program of this package starts ROS, runs its node, and ends.

SIGINT and SIGTERM raise KeyboardInterrupt in the main thread. rclpy's own handlers are not used:
they shut the context down from another thread, while an image is published or a robot brakes; and
an executor that they wake may go on waiting before the context is shut down, so that the signal is
lost.
"""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from vitpose_ros.models.errors import ModelError

LEVELS = ("debug", "info", "warn", "error", "fatal")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
WAIT_S = 0.1
"""Python handles a signal between two waits for messages: how long one of them lasts at most. A
timer of the node ends it. A time-out would, too, but makes rclpy create a timer for every wait.
"""

ASKED_TO_END = threading.Event()
"""Set by the first signal: its exception gets lost in a destructor, and becomes another one where
an extension module is being loaded.
"""


class StartError(RuntimeError):
    """A program cannot start; the text says why and what to do."""


_CANNOT_START = (StartError, ModelError, ParameterException, NameValidationException)
NodeType = TypeVar("NodeType", bound=Node)
Going = Callable[[], bool]


def run_node(
    make: Callable[[], NodeType],
    arguments: Sequence[str] | None,
    serve: Callable[[NodeType, Going], int] | None = None,
) -> int:
    """The whole of a program with one node.

    Parameters
    ----------
    make : creates the node. StartError, ModelError or rclpy's errors of parameters and names mean
        that the program cannot start.
    arguments : of the program; None for those of the process.
    serve : runs the node while its second argument is true, and returns the exit code. By default,
        a life-cycle node with `autostart` is activated, and the node spins.

    Returns
    -------
    The exit code: that of `serve`, 0 if the process was asked to end, 2 if it could not start.
    """
    node: NodeType | None = None
    try:
        try:
            start_ros(arguments)
            _interrupt_once()
            node = make()
        except _CANNOT_START as error:
            sys.stderr.write(f"{Path(sys.argv[0]).name}: {error}\n")
            return 2
        return (serve or _serve)(node, lambda: not ASKED_TO_END.is_set())
    except KeyboardInterrupt:
        return 0
    finally:
        end_ros(node)


def autostart(node: Node) -> None:
    """Configure and activate a life-cycle node that is to do so by itself."""
    if (
        isinstance(node, LifecycleNode)
        and getattr(node, "autostart", False)
        and node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    ):
        node.trigger_activate()


def spin(node: Node, going: Going) -> None:
    """Run a node's callbacks while `going` is true."""
    node.create_timer(WAIT_S, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))
    executor = rclpy.get_global_executor()
    executor.add_node(node)
    while going():
        executor.spin_once()


def _serve(node: Node, going: Going) -> int:
    autostart(node)
    spin(node, going)
    return 0


def _interrupt_once() -> None:
    """From now on the first signal raises KeyboardInterrupt, and others do nothing: at a terminal,
    `ros2 launch` sends its own after the user's.
    """

    def interrupt(number: int, frame: object) -> None:
        if not ASKED_TO_END.is_set():
            ASKED_TO_END.set()
            raise KeyboardInterrupt

    for number in SIGNALS:
        signal.signal(number, interrupt)


def start_ros(arguments: Sequence[str] | None) -> None:
    """Initialise rclpy's default context.

    Raises
    ------
    StartError : an argument, a parameter file or the log folder is unusable.
    """
    try:
        rclpy.init(
            args=None if arguments is None else list(arguments),
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except RuntimeError as error:  # RCLError, and UnknownROSArgsError for unknown options
        rclpy.try_shutdown()
        raise StartError(explain(error)) from error
    for number in SIGNALS:  # also of a script's `program &`, which would ignore SIGINT
        signal.signal(number, signal.default_int_handler)


def end_ros(node: Node | None = None) -> None:
    """Destroy a node and shut rclpy down. Further requests to end change nothing any more."""
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: None)
    if node is not None:
        node.destroy_node()
    rclpy.try_shutdown()
    ASKED_TO_END.clear()


def explain(error: Exception) -> str:
    """What is wrong, in one sentence, instead of rcl's chain of messages and source lines."""
    text = re.sub(r", at \S+:\d+", "", str(error)).removeprefix("failed to initialize rcl: ")
    if type(error).__name__ == "UnknownROSArgsError":
        return f"unknown options after --ros-args: {text}"
    if found := re.search(r"params file: '--params-file (.*?)'\. Error: (.*)", text, re.DOTALL):
        path, reason = found.groups()
        if not Path(path).is_file():
            return f"there is no parameter file '{path}'"
        return (
            f"the parameter file '{path}' cannot be read: {reason.strip()}. It must be YAML of the "
            "form of this package's config/pose.yaml"
        )
    if found := re.search(r"(remap|override) rule: '(.*)'\. Error", text, re.DOTALL):
        form = "-r FROM:=TO with valid names" if found[1] == "remap" else "-p NAME:=VALUE"
        return f"'{found[2]}' cannot be read: write {form}"
    if found := re.search(r"log level: '--log-level (.*?)'", text):
        return f"unknown log level '{found[1]}': accepted is one of {', '.join(LEVELS)}"
    if found := re.search(r"log(?:ging)? directory(?: '(.*?)')?", text):
        where = f"to '{found[1]}'" if found[1] else "anywhere, because this user has no home folder"
        return (
            f"ROS cannot write its log {where}; set ROS_LOG_DIR to a folder that this user may "
            "write, such as ROS_LOG_DIR=/tmp/ros_log, or give the user a home: HOME=/tmp"
        )
    return text.strip() or type(error).__name__
