"""The verdict about a measured episode, with its reasons in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitpose_ros.quality.thresholds import (
    ACCEPT,
    AUTO_SHARE,
    SIDES,
    VERDICTS,
    Check,
    Thresholds,
)

Episode = Mapping[str, Any]
"""One of the episodes of quality.json."""


def judge(episode: Episode, thresholds: Thresholds) -> dict[str, Any]:
    """Compare an episode's figures with their limits.

    Returns
    -------
    verdict : the worst of its checks.
    reasons : a sentence for each check that flags or rejects, the worst first.
    badness : see docs/quality.md; higher is worse.
    judged : the hands whose coverage counts.
    checks : name, hand, value, unit, limits and verdict of every check; verdict is None where the
        figure is not known.
    """
    judged = _judged(episode["hands"], thresholds)
    checks, sentences, levels = [], [], []
    for check in thresholds.checks:
        for hand in judged if check.of_hand else (None,):
            value = _value(episode, check, hand)
            verdict, level = check.verdict(value), check.level(value)
            levels.append(level)
            checks.append(
                {
                    "name": check.name,
                    "hand": hand,
                    "value": value,
                    "unit": check.unit,
                    "flag": check.flag,
                    "reject": check.reject,
                    "verdict": verdict,
                }
            )
            if value is not None and verdict in VERDICTS[1:]:
                sentences.append((level, check.reason(value, hand)))
    verdicts = [VERDICTS.index(one["verdict"]) for one in checks if one["verdict"]]
    worst = VERDICTS[max(verdicts, default=VERDICTS.index(ACCEPT))]
    reasons = [text for _, text in sorted(sentences, key=lambda pair: -pair[0])]
    if not episode["images"]:
        reasons.insert(0, "no image lies between its marks: their stamps may be of another clock")
    elif not episode["hand_images"]:
        reasons.insert(0, "no hand was found")
    return {
        "verdict": worst,
        "reasons": reasons,
        "badness": round(max(levels, default=0.0) + 0.01 * sum(levels), 3),
        "judged": list(judged),
        "checks": checks,
    }


def _judged(hands: Mapping[str, Any], thresholds: Thresholds) -> tuple[str, ...]:
    """The hands that count: as asked for, else those that are seen, else the best seen."""
    if thresholds.hands is not None:
        return thresholds.hands
    there = tuple(side for side in SIDES if hands[side]["coverage"] >= AUTO_SHARE)
    return there or (max(SIDES, key=lambda side: float(hands[side]["coverage"])),)


def _value(episode: Episode, check: Check, hand: str | None) -> float | None:
    found: Any = episode if hand is None else episode["hands"][hand]
    for key in check.place:
        if found is None:
            return None
        found = found[key]
    return None if found is None else float(found)
