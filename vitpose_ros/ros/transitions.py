"""Life-cycle transitions that report why they failed or are refused."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from vitpose_ros.engines.base import EngineError
from vitpose_ros.models.errors import ModelError
from vitpose_ros.ros.start import ASKED_TO_END


class RefusalError(RuntimeError):
    """A transition is not possible; the text tells the user why."""


class Reporting(Protocol):
    """What `reported` needs of a node."""

    def refuse(self, reason: str) -> None:
        """Report why a transition was not made."""
        ...

    def undo(self, transition: str) -> None:
        """Release what "configure" or "activate" had acquired before it failed."""
        ...


NodeType = TypeVar("NodeType", bound=Reporting)
Transition = Callable[[NodeType, LifecycleState], TransitionCallbackReturn]


def reported(transition: Transition[NodeType]) -> Transition[NodeType]:
    """Turn an exception in a transition into a failed transition, with its reason in the log.

    rclpy by itself goes to the error state and logs nothing.
    """

    @wraps(transition)
    def wrapper(node: NodeType, state: LifecycleState) -> TransitionCallbackReturn:
        name = transition.__name__.removeprefix("on_")
        try:
            return transition(node, state)
        except (RefusalError, ModelError, EngineError) as refusal:
            node.refuse(f"{name} refused: {refusal}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the node survives and reports it
            if ASKED_TO_END.is_set():  # during the transition: nothing is wrong
                return TransitionCallbackReturn.FAILURE
            node.refuse(
                f"{name} failed: {type(error).__name__}: {error}\n{traceback.format_exc()}"
                "The node stays as it was. If the message above does not name the remedy, please "
                "report it with this text."
            )
        node.undo(name)
        return TransitionCallbackReturn.FAILURE

    return wrapper


def refuse_impossible_requests(node: LifecycleNode) -> None:
    """Refuse a request for a transition that the node's state does not have, and log the reason.

    In rclpy, such a request ends the process when it names the transition by its id alone, as
    nav2's lifecycle manager does (`Failed to trigger lifecycle state machine transition`).
    """
    # rclpy offers no public way to do this. Without these attributes, the request is answered as
    # rclpy answers it.
    service: Any = getattr(node, "_service_change_state", None)
    machine: Any = getattr(node, "_state_machine", None)
    if service is None or machine is None:
        return
    answer = service.callback

    def guarded(request: Any, response: Any) -> Any:
        possible = {entry[0]: entry[1] for entry in machine.available_transitions}
        wanted = request.transition
        if wanted.label in possible.values() or (not wanted.label and wanted.id in possible):
            return answer(request, response)
        node.get_logger().error(
            f"transition {repr(wanted.label) if wanted.label else wanted.id} is not possible in "
            f"state '{machine.current_state[1]}'; possible are: {', '.join(possible.values())}"
        )
        response.success = False
        return response

    service.callback = guarded
