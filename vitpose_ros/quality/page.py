"""The page that shows all episodes, worst first: one file, without any other."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitpose_ros.offline.errors import missing_library
from vitpose_ros.quality import plots
from vitpose_ros.quality.measure import BLURRED
from vitpose_ros.quality.motion import HAND_LIMIT, METRES_LIMIT
from vitpose_ros.quality.thresholds import ACCEPT, AUTO, SIDES, VERDICTS, Check, Thresholds

GENERATOR = "vitpose_ros report"
"""The page's mark: only a page that has it is replaced."""

_COLUMNS = (
    ("left", "share of the images in which the left hand is measured"),
    ("right", "share of the images in which the right hand is measured"),
    ("dropout", "longest dropout of a judged hand"),
    ("jumps/min", "jumps per minute"),
    ("sides/min", "changes of side per minute"),
    ("ids/min", "changes of identity per minute"),
    ("bones", "spread of bone lengths"),
    ("blur", "share of blurred hand images"),
    ("lost", "share of lost images"),
    ("length", "duration"),
)
_EVENTS = 30  # listed on the page; quality.json has more


@dataclass(frozen=True)
class Entry:
    """An episode on the page.

    Attributes
    ----------
    name : the recording's, with the episode's number if it has several.
    episode : as in quality.json.
    folder : in which its pictures lie.
    no_pictures : why the images could not be read; "" if they were.
    """

    name: str
    episode: Mapping[str, Any]
    folder: Path
    no_pictures: str


class Page:
    """Collects episodes; of each, only its HTML is kept.

    Parameters
    ----------
    thresholds : what the episodes were judged by.

    Raises
    ------
    OfflineError : jinja2 is not installed.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self._environment = _environment()
        self._details = self._environment.get_template("details.html")
        self._thresholds = thresholds
        self._checks = {check.name: check for check in thresholds.checks}
        self._rows: list[dict[str, Any]] = []
        self._folders: set[Path] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, entry: Entry) -> None:
        """Add an episode. Everything that comes from files is escaped."""
        pictures = _pictures(entry)
        row = _row(entry, pictures, self._checks)
        row["details"] = self._details.render(_detail(entry, pictures, self._checks))
        self._rows.append(row)
        self._folders.add(entry.folder)

    def verdicts(self) -> Counter[str]:
        """Number of episodes with each verdict."""
        return Counter(row["verdict"] for row in self._rows)

    def html(self, title: str, failed: Sequence[tuple[str, str]]) -> str:
        """The page, the worst episode first.

        Parameters
        ----------
        title : the folder's name.
        failed : name and reason of recordings that could not be reported.
        """
        thresholds = self._thresholds
        rows = sorted(self._rows, key=lambda row: (-row["badness"], row["name"]))
        counts = self.verdicts()
        html: str = self._environment.get_template("page.html").render(
            generator=GENERATOR,
            folder=title,
            failed=failed,
            items=len(self._folders),
            hands=AUTO if thresholds.hands is None else ", ".join(thresholds.hands),
            thresholds=[
                {
                    "name": one.name,
                    "than": "below" if one.least else "above",
                    "flag": one.shown(one.flag),
                    "reject": one.shown(one.reject),
                }
                for one in thresholds.checks
            ],
            filters=[("all", len(rows)), *((name, counts[name]) for name in reversed(VERDICTS))],
            columns=[
                _column("episode", "", number=False, left=True),
                _column("verdict", "by badness", left=True, sorted=True),
                _column("reasons", "by their number", left=True),
                *(_column(name, text) for name, text in _COLUMNS),
            ],
            rows=rows,
            details=_json([row["details"] for row in rows]),
        )
        return html


def _column(name: str, title: str, **how: bool) -> dict[str, Any]:
    return {"name": name, "title": title, "number": True, "left": False, "sorted": False, **how}


def _environment() -> Any:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise missing_library(error) from error
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )


def _json(details: Sequence[str]) -> Any:
    """For a script element: no '<' ends it, or begins a comment in it."""
    from markupsafe import Markup

    return Markup(json.dumps(details).replace("<", "\\u003c"))


def _pictures(entry: Entry) -> list[dict[str, Any]]:
    """What is shown of an episode: all pictures of one that needs a look, else one."""
    found = entry.episode["pictures"]
    if entry.episode["verdict"] == ACCEPT:
        found = found[-1:]
    return [
        {
            "text": one["text"],
            "at_s": one["at_s"],
            "data": "data:image/jpeg;base64,"
            + base64.b64encode((entry.folder / one["file"]).read_bytes()).decode("ascii"),
        }
        for one in found
    ]


def _row(
    entry: Entry, pictures: Sequence[Mapping[str, Any]], checks: Mapping[str, Check]
) -> dict[str, Any]:
    episode = entry.episode
    worst: dict[str, float] = {}
    for one in episode["checks"]:
        if one["value"] is not None:
            pair = (one["value"], worst.get(one["name"], one["value"]))
            worst[one["name"]] = min(pair) if checks[one["name"]].least else max(pair)
    hands = episode["hands"]
    values: list[tuple[float | None, str]] = [
        (hands["left"]["coverage"], "coverage"),
        (hands["right"]["coverage"], "coverage"),
        *(
            (worst.get(name), name)
            for name in (
                *("dropout_s", "jumps_per_min", "side_changes_per_min", "id_changes_per_min"),
                *("bone_spread", "blurred", "lost_images", "duration_s"),
            )
        ),
    ]
    return {
        "name": entry.name,
        "id": entry.name,
        "verdict": episode["verdict"],
        "badness": episode["badness"],
        "reasons": episode["reasons"],
        "picture": pictures[0]["data"] if pictures else "",
        "cells": [
            ("" if value is None else value, _cell(checks[name], value)) for value, name in values
        ],
    }


def _cell(check: Check, value: float | None) -> str:
    """A figure in a column whose head tells what is counted."""
    return f"{value:.3g}" if check.unit == "per min" and value is not None else check.shown(value)


def _detail(
    entry: Entry, pictures: Sequence[Mapping[str, Any]], checks: Mapping[str, Check]
) -> dict[str, Any]:
    from markupsafe import Markup

    episode = entry.episode
    duration_s = float(episode["duration_s"])
    names = [n for n in SIDES if n in episode["judged"] or episode["hands"][n]["missing"] < 1]
    limits = (
        ("speed_palms_s", "Speed of the hands, palms/s", HAND_LIMIT),
        ("speed_m_s", "Speed of the hands, m/s", METRES_LIMIT),
        ("blur", "Blur of the hands, 0 to 1", BLURRED),
    )
    curves = [
        (title, plots.curve(episode["curves"][name], duration_s, limit, title))
        for name, title, limit in limits
        if episode["curves"].get(name)
    ]
    return {
        "episode": episode,
        "pictures": pictures,
        "no_pictures": entry.no_pictures,
        "timeline": Markup(
            plots.timeline(episode["hands"], names, duration_s)
        ),
        "plots": [(title, Markup(plot)) for title, plot in curves],
        "facts": _facts(episode),
        "checks": [_check(one, checks[one["name"]]) for one in episode["checks"]],
        "events": _events(episode),
    }


def _check(one: Mapping[str, Any], check: Check) -> dict[str, str]:
    name = one["name"] if one["hand"] is None else f"{one['name']}, {one['hand']} hand"
    return {
        "name": name,
        "value": check.shown(one["value"]),
        "flag": check.shown(one["flag"]),
        "reject": check.shown(one["reject"]),
        "verdict": one["verdict"] or "not known",
    }


def _facts(episode: Mapping[str, Any]) -> list[str]:
    timing, bones = episode["timing"], episode["bones"]
    rate = timing["rate_hz"]
    facts = [f"{episode['images']} images", f"{episode['duration_s']:.2f} s"]
    facts += [] if rate is None else [f"{rate:.1f} images/s"]
    facts.append(f"{timing['lost_images']} images lost")
    for name in SIDES:
        away = episode["hands"][name]["out_of_view"]
        if away["count"]:
            facts.append(f"{name} hand out of view for {away['total_s']:.1f} s")
    if bones is not None:
        where = "metres" if bones["space"] == "metres" else "the network's 3D shape"
        worst = f"{100 * bones['worst_spread']:.0f} %"
        facts.append(f"bones from {where}, the worst is {bones['worst']} ({worst})")
    if episode["reprojection"]:
        facts.append(f"reprojection error {episode['reprojection']['px']:.2f} px")
    return facts


def _events(episode: Mapping[str, Any]) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    for one in episode["jumps"]["listed"]:
        what = one["joint"] or ("hand, in metres," if one["kind"] == "metres" else "hand")
        found.append((one["at_s"], f"{one['hand']} {what} jumps: {one['value']:.3g} {one['unit']}"))
    for key, text in (("side_changes", "side"), ("id_changes", "identity")):
        for one in episode[key]["listed"]:
            before, after = one["from"], one["to"]
            ends = [f"{end['hand']} #{end['track_id']}" for end in (before, after)]
            found.append((one["at_s"], f"{text} changes: {ends[0]} becomes {ends[1]}"))
    return sorted(found)[:_EVENTS]
