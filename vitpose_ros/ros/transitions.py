"""Transitions of a lifecycle node that say what went wrong in them."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Protocol, TypeVar

from rclpy.context import Context
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from vitpose_ros.engines.base import EngineError
from vitpose_ros.models.errors import ModelError


class RefusalError(RuntimeError):
    """A transition cannot be made, for a reason that the text explains to the user."""


class Reporting(Protocol):
    """What a node needs for its transitions to be reported."""

    @property
    def context(self) -> Context:
        """Ends with the process."""
        ...

    def refuse(self, reason: str) -> None:
        """Say why a transition was not made."""
        ...

    def undo(self, transition: str) -> None:
        """Let go of what "configure" or "activate" had taken up before it failed."""
        ...


NodeType = TypeVar("NodeType", bound=Reporting)
Transition = Callable[[NodeType, LifecycleState], TransitionCallbackReturn]


def reported(transition: Transition[NodeType]) -> Transition[NodeType]:
    """Make an exception in a transition a failed transition with its reason in the log.

    rclpy by itself turns it into an error state without a word.
    """

    @wraps(transition)
    def wrapper(node: NodeType, state: LifecycleState) -> TransitionCallbackReturn:
        name = transition.__name__.removeprefix("on_")
        try:
            return transition(node, state)
        except (RefusalError, ModelError, EngineError) as refusal:
            node.refuse(f"{name} refused: {refusal}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the node lives on and says so
            if not node.context.ok():  # Ctrl-C while it was at work: nothing is wrong
                return TransitionCallbackReturn.FAILURE
            node.refuse(
                f"{name} failed: {type(error).__name__}: {error}\n{traceback.format_exc()}"
                "The node stays as it was. If the message above does not name the remedy, please "
                "report it with this text."
            )
        node.undo(name)
        return TransitionCallbackReturn.FAILURE

    return wrapper
