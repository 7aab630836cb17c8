"""The result of a check: a line of text, and the same as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    """Nothing to do."""
    NOTE = "note"
    """Not a fault, but it affects what works."""
    WARNING = "warning"
    """It works, but worse than it could, or only partly."""
    PROBLEM = "problem"
    """The node will not work, or not as configured."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    section : the heading it is listed under.
    name : what was checked.
    level : how serious it is.
    value : what was found.
    remedy : what to do about it; empty where nothing needs to be done.
    """

    section: str
    name: str
    level: Level
    value: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.level in (Level.WARNING, Level.PROBLEM) and not self.remedy:
            raise ValueError(f"{self.section}, {self.name}: a {self.level.value} needs a remedy")

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return {**asdict(self), "level": self.level.value}


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level among the findings; OK when there are none."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)
