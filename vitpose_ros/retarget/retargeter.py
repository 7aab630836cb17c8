"""What turns an operator's hand into joint angles of a robot hand: one interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Retargeted:
    """The result of one call.

    Attributes
    ----------
    joints : (N,) rad, in the order of `Retargeter.joint_names`; always finite.
    valid : (N,) bool. False: nothing is known about this joint now, and it has to hold.
    remark : why joints are not valid, in words; "" if nothing has to be said.
    """

    joints: Array
    valid: BoolArray
    remark: str = ""


class Retargeter(Protocol):
    """Maps a hand to a robot's joints.

    Attributes
    ----------
    joint_names : names of the N joints that it moves.
    lower, upper : (N,) their position limits, rad.
    """

    joint_names: tuple[str, ...]
    lower: Array
    upper: Array

    def __call__(self, points: Array, valid: BoolArray, dt_s: float) -> Retargeted:
        """Joint angles for a hand.

        Parameters
        ----------
        points : (21, 3) m, in hand21's order, in the operator frame.
        valid : (21,) bool, which of them may be used. NaN is never used.
        dt_s : time since the call before, by the images' stamps.
        """
        ...

    def reset(self, joints: Array) -> None:
        """Continue from these joint angles (N,), rad: those that were measured."""
        ...

    def watch(self) -> None:
        """Called regularly, also without a hand: a chance to end what hangs."""
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...
