"""What a check says: one line for people, and the same as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    """As it should be."""
    NOTE = "note"
    """Nothing is wrong, but it decides what works."""
    WARNING = "warning"
    """It works, but worse than it could, or only in part."""
    PROBLEM = "problem"
    """The node will not work, or not do what it is asked to."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    section : the heading it stands under.
    name : what was looked at.
    level : how bad it is.
    value : what was found, for people.
    remedy : what to do about it; empty where there is nothing to do.
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
        """As plain values."""
        return {**asdict(self), "level": self.level.value}


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level among findings; OK without any."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)
