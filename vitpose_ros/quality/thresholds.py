"""The limits of an episode's quality: one table, and files that change it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from vitpose_ros.offline.errors import UsageError

ACCEPT, FLAG, REJECT = "accept", "flag", "reject"
VERDICTS = (ACCEPT, FLAG, REJECT)
"""From best to worst."""

SIDES = ("left", "right", "unknown")
AUTO = "auto"

AUTO_SHARE = 0.2
"""With `hands: auto`, a hand is judged that is measured in at least this share of the images."""


@dataclass(frozen=True)
class Check:
    """One figure and its limits.

    Attributes
    ----------
    name : its key in threshold files and in quality.json.
    place : where the figure stands in an episode of quality.json; with `of_hand` in each hand.
    unit : of the figure; a share is shown in per cent.
    flag, reject : limits; None never flags or rejects.
    text : what it is, in words.
    of_hand : it is judged for each hand.
    least : the limits are lower ones.
    """

    name: str
    place: tuple[str, ...]
    unit: str
    flag: float | None
    reject: float | None
    text: str
    of_hand: bool = False
    least: bool = False

    def verdict(self, value: float | None) -> str | None:
        """What the figure alone says; None where it is not known."""
        if value is None:
            return None
        for limit, verdict in ((self.reject, REJECT), (self.flag, FLAG)):
            if limit is not None and (value < limit if self.least else value > limit):
                return verdict
        return ACCEPT

    def level(self, value: float | None) -> float:
        """How bad the figure is: 0 to 1 when accepted, 1 to 2 when flagged, 2 to 3 when rejected;
        0 where it is not known.
        """
        verdict = self.verdict(value)
        if value is None or verdict is None:
            return 0.0
        sign = -1.0 if self.least else 1.0
        flag, reject = (None if x is None else sign * x for x in (self.flag, self.reject))
        value *= sign
        if verdict == REJECT and reject is not None:
            return 2.0 + min((value - reject) / max(abs(reject), 1e-9), 1.0)
        if verdict == FLAG and flag is not None:
            wide = reject is not None and reject > flag
            return 1.0 + ((value - flag) / (reject - flag) if wide else 0.5)  # type: ignore[operator]
        nearest = flag if flag is not None else reject
        if not nearest:
            return 0.0
        return max(0.0, min(nearest / value if self.least else value / nearest, 1.0))

    def shown(self, value: float | None) -> str:
        """A figure or a limit with its unit."""
        if value is None:
            return "-"
        if self.unit == "share":
            return f"{round(100 * value, 1):g} %"
        return f"{value:.3g} {self.unit}".rstrip()

    def reason(self, value: float, hand: str | None) -> str:
        """The sentence for a figure beyond a limit."""
        verdict = self.verdict(value)
        limit = self.shown(self.reject if verdict == REJECT else self.flag)
        than = "below" if self.least else "above"
        whose = "" if hand is None else f"{hand} hand: "
        return f"{whose}{self.text} {self.shown(value)} ({verdict} {than} {limit})"


CHECKS = (
    Check(
        "coverage",
        ("coverage",),
        "share",
        0.9,
        0.5,
        "measured in images:",
        of_hand=True,
        least=True,
    ),
    Check("dropout_s", ("dropouts", "longest_s"), "s", 0.5, 1.5, "longest dropout", of_hand=True),
    Check("jumps_per_min", ("jumps", "per_min"), "per min", 0.0, 6.0, "jumps:"),
    Check("outliers", ("outliers", "share"), "share", 0.01, 0.05, "joints rejected as outliers:"),
    Check(
        "side_changes_per_min", ("side_changes", "per_min"), "per min", 0.0, 4.0, "side changes:"
    ),
    Check("id_changes_per_min", ("id_changes", "per_min"), "per min", 2.0, None, "id changes:"),
    Check("bone_spread", ("bones", "spread"), "share", 0.2, 0.4, "bone lengths spread by"),
    Check(
        "reprojection_palms", ("reprojection", "palms"), "palms", 0.1, 0.3, "reprojection error"
    ),
    Check("blurred", ("blur", "share"), "share", 0.3, None, "blurred hand images:"),
    Check("lost_images", ("timing", "lost_share"), "share", 0.02, 0.2, "lost images:"),
    Check(
        "gap_s", ("timing", "longest_gap_s"), "s", 0.25, 1.0, "longest interval between images"
    ),
    Check("restarts", ("timing", "restarts"), "", 0.0, None, "restarts of tracking:"),
    Check("duration_s", ("duration_s",), "s", 1.0, 0.2, "duration", least=True),
)
"""The defaults. docs/quality.md says where each comes from."""


@dataclass(frozen=True)
class Thresholds:
    """What episodes are judged by.

    Attributes
    ----------
    checks : as CHECKS, with the limits that apply.
    hands : the sides that an episode must show; None: those that are measured in at least
        AUTO_SHARE of its images.
    """

    checks: tuple[Check, ...] = CHECKS
    hands: tuple[str, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """As in a threshold file."""
        limits = {one.name: {FLAG: one.flag, REJECT: one.reject} for one in self.checks}
        return {"hands": AUTO if self.hands is None else list(self.hands), **limits}


def load_thresholds(path: Path | None) -> Thresholds:
    """The default limits, changed as a YAML file says.

    Parameters
    ----------
    path : a file with some of the keys of `Thresholds.as_dict`; None for the defaults.

    Raises
    ------
    UsageError : the file cannot be read, or something in it has no meaning.
    """
    if path is None:
        return Thresholds()
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"--thresholds: {path} cannot be read: {error}") from error
    if not isinstance(given, Mapping):
        raise UsageError(
            f"--thresholds: {path}: expected lines such as 'coverage: {{flag: 0.9, reject: 0.5}}'"
        )
    known = {one.name: one for one in CHECKS}
    hands: tuple[str, ...] | None = None
    for name, value in given.items():
        if name == "hands":
            hands = _hands(path, value)
        elif name in known:
            known[name] = _limits(path, known[name], value)
        else:
            raise UsageError(
                f"--thresholds: {path} has '{name}'; known are hands, {', '.join(known)}"
            )
    return Thresholds(tuple(known.values()), hands)


def _hands(path: Path, value: Any) -> tuple[str, ...] | None:
    if value == AUTO:
        return None
    sides = [value] if isinstance(value, str) else value
    if not isinstance(sides, list) or not sides or not all(one in SIDES for one in sides):
        raise UsageError(
            f"--thresholds: {path}: hands: expected {AUTO}, one of {', '.join(SIDES)}, or a list "
            f"of them, got {value!r}"
        )
    return tuple(dict.fromkeys(sides))


def _limits(path: Path, check: Check, value: Any) -> Check:
    where = f"--thresholds: {path}: {check.name}"
    if not isinstance(value, Mapping) or not value or not set(value) <= {FLAG, REJECT}:
        raise UsageError(f"{where}: expected {{flag: NUMBER, reject: NUMBER}}, got {value!r}")
    limits = {FLAG: check.flag, REJECT: check.reject, **value}
    for key, limit in limits.items():
        number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
        if limit is not None and not (number and math.isfinite(limit) and limit >= 0):
            raise UsageError(
                f"{where}: {key}: expected a number from 0 on, or null for no limit, got {limit!r}"
            )
    flag, reject = limits[FLAG], limits[REJECT]
    if flag is not None and reject is not None:
        severe, mild = (reject, flag) if check.least else (flag, reject)
        if severe > mild:
            order = "at least" if check.least else "at most"
            raise UsageError(f"{where}: flag ({flag:g}) has to be {order} reject ({reject:g})")
    return replace(check, flag=flag, reject=reject)
