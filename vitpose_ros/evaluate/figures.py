"""Figures of a comparison. Each knows of how many it is the mean, and which share they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.evaluate.compare import Mask, Rows
from vitpose_ros.evaluate.skeletons import Array
from vitpose_ros.layouts import HAND21, Layout
from vitpose_ros.lift.infer import aligned
from vitpose_ros.types import NO_ID, JointState, Side

PCK_BOXES = (0.05, 0.1, 0.2)
"""Thresholds of PCK, longer sides of the true box."""

JOINT_PCK = 0.1
"""The threshold of `joint_rows`."""

AUC_PX, AUC_MM = 30.0, 50.0
"""Upper ends of AUC."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes
    ----------
    name : for JSON; ends in its unit.
    label, unit : for people.
    value : None where there is nothing to measure.
    count, of : the denominator, e.g. 1204 "joints".
    share : of all that the truth has of these, in all of its images; None if there are none.
    """

    name: str
    label: str
    unit: str
    value: float | None
    count: int
    of: str
    share: float | None


def _mean(name: str, label: str, unit: str, values: Array, of: str, whole: int) -> Figure:
    """The mean of the known values, of `whole` that the truth has."""
    known = values[np.isfinite(values)]
    value = float(known.mean()) if known.size else None
    return Figure(name, label, unit, value, known.size, of, known.size / whole if whole else None)


def _share(name: str, label: str, yes: int, count: int, of: str, whole: int) -> Figure:
    value = yes / count if count else None
    return Figure(name, label, "", value, count, of, count / whole if whole else None)


def figures(rows: Rows, difference: bool = False) -> list[Figure]:
    """All figures of a comparison.

    Parameters
    ----------
    rows : what was compared.
    difference : neither side is the truth.
    """
    found = [*_objects(rows, difference), *_joints(rows, difference)]
    return [*found, *_metres(rows, difference)]


def joint_errors(rows: Rows) -> Array:
    """(N, K) px; NaN for joints that do not count or were not found."""
    return np.asarray(np.linalg.norm(rows.found_uv - rows.true_uv, axis=2))


def counted(rows: Rows) -> Mask:
    """(N, K) true joints that count."""
    return np.asarray(np.isfinite(rows.true_uv).all(axis=2))


# --- skeletons ---------------------------------------------------------------------------------


def _objects(rows: Rows, difference: bool) -> Iterator[Figure]:
    kind = "hands" if rows.part.layout is HAND21 else f"{rows.part.layout.kind}s"
    kind = kind.replace("bodys", "bodies")
    count, seen = len(rows.seen), int(rows.seen.sum())
    label = "in both" if difference else "found"
    yield _share("found", f"{label}, of the {kind}", int(rows.matched.sum()), seen, kind, count)
    if rows.lost.any():
        yield _share(
            "found_lost", "  of these only predicted (LOST)", int(rows.lost.sum()),
            int(rows.matched.sum()), kind, count,
        )  # fmt: skip
    label = "only in the second" if difference else f"false, of the found {kind}"
    everywhere = rows.found + rows.elsewhere
    of = f"{kind} of the second" if difference else f"found {kind}"
    yield _share("false", label, rows.false, rows.found, of, everywhere)
    if part_has_sides(rows):
        sided = rows.matched & (rows.true_side != Side.UNKNOWN) & (rows.found_side != Side.UNKNOWN)
        right = int((sided & (rows.true_side == rows.found_side)).sum())
        label = "same side" if difference else "side accuracy"
        yield _share("side_accuracy", label, right, int(sided.sum()), kind, count)
    if rows.part.layout.flip_pairs:
        yield _left_right(rows, difference)
    if (rows.true_id != NO_ID).any() and (rows.found_id != NO_ID).any():
        switches, tracked = _id_switches(rows)
        share = tracked / count if count else None
        yield Figure("id_switches", "id switches", "", float(switches), tracked, kind, share)


def part_has_sides(rows: Rows) -> bool:
    """Whether sides can be compared: a part of a whole body has its side by definition."""
    return (
        rows.part.layout is HAND21
        and rows.part.side is Side.UNKNOWN
        and bool((rows.true_side != Side.UNKNOWN).any())
    )


def _left_right(rows: Rows, difference: bool) -> Figure:
    """Left and right joints that are not exchanged: straight is not farther than crossed."""
    left, right = np.array(rows.part.layout.flip_pairs).T

    def apart(a: npt.NDArray, b: npt.NDArray) -> Array:
        return np.asarray(np.linalg.norm(rows.true_uv[:, a] - rows.found_uv[:, b], axis=2))

    straight = apart(left, left) + apart(right, right)
    crossed = apart(left, right) + apart(right, left)
    known = np.isfinite(straight) & np.isfinite(crossed)
    both = counted(rows)[:, left] & counted(rows)[:, right]
    label = "left and right the same" if difference else "left and right not exchanged"
    good = int((known & (straight <= crossed)).sum())
    return _share("left_right", label, good, int(known.sum()), "pairs", int(both.sum()))


def _id_switches(rows: Rows) -> tuple[int, int]:
    """How often a true skeleton continues under another id, and how many rows have both ids.

    An id that changes because tracking restarted (`reset`) is no switch.
    """
    known = rows.matched & (rows.true_id != NO_ID) & (rows.found_id != NO_ID)
    last: dict[tuple[int, int], tuple[int, int]] = {}
    switches = 0
    for n in np.flatnonzero(known):
        who = int(rows.true_epoch[n]), int(rows.true_id[n])
        mine = int(rows.found_epoch[n]), int(rows.found_id[n])
        before = last.get(who, mine)
        switches += before[0] == mine[0] and before[1] != mine[1]
        last[who] = mine
    return switches, int(known.sum())


# --- joints in the image -----------------------------------------------------------------------


def _joints(rows: Rows, difference: bool) -> Iterator[Figure]:
    whole, error = counted(rows), joint_errors(rows)
    total, shown = int(whole.sum()), int((whole & rows.seen[:, None]).sum())
    have = np.isfinite(error)
    label = "joints in both" if difference else "joints found"
    yield _share("joints_found", label, int(have.sum()), shown, "joints", total)
    name, label = ("difference", "difference") if difference else ("epe", "EPE")
    yield _mean(f"{name}_px", label, "px", error, "joints", total)
    known = error[have]
    median = float(np.median(known)) if known.size else None
    share = known.size / total if total else None
    yield Figure(f"{name}_median_px", f"{label}, median", "px", median, known.size, "joints", share)
    states = [state for state in JointState if (rows.found_state[have] == state).any()]
    if len(states) > 1:
        for state in reversed(states):
            chosen = np.where(rows.found_state == state, error, np.nan)
            yield _mean(
                f"{name}_{state.name.lower()}_px", f"  of {state.name} joints", "px", chosen,
                "joints", total,
            )  # fmt: skip
    boxes, sized = _in_boxes(rows)
    for threshold in PCK_BOXES:
        good = int((sized & (boxes <= threshold)).sum())
        label = f"within {threshold:g} boxes" if difference else f"PCK@{threshold:g} box"
        name = f"{'within' if difference else 'pck'}_{threshold:g}_box"
        yield _share(name, label, good, int(sized.sum()), "joints", total)
    area = _area_under_curve(error, whole & rows.seen[:, None], AUC_PX)
    yield _mean("auc_30px", f"AUC 0 to {AUC_PX:g} px", "", area, "joints", total)
    if (triples := _acceleration_errors(rows, rows.true_uv, rows.found_uv)) is not None:
        yield _acceleration("acceleration_px_s2", "px/s^2", triples, difference)


def joint_rows(rows: Rows) -> list[dict[str, Any]]:
    """Of each joint: its errors, the share within JOINT_PCK boxes, the share that was found, and of
    how many true joints in images that both have. None where there is nothing to measure.
    """
    error, whole = joint_errors(rows), counted(rows) & rows.seen[:, None]
    made = []
    for index, name in enumerate(rows.part.layout.joints):
        mine, joints = error[np.isfinite(error[:, index]), index], int(whole[:, index].sum())
        sized = whole[:, index] & np.isfinite(rows.box_px)
        within = int((sized & (error[:, index] <= JOINT_PCK * rows.box_px)).sum())
        made.append(
            {
                "joint": name,
                "mean_px": float(mine.mean()) if mine.size else None,
                "median_px": float(np.median(mine)) if mine.size else None,
                "within_box": within / int(sized.sum()) if sized.any() else None,
                "found": mine.size / joints if joints else None,
                "joints": joints,
            }
        )
    return made


def _in_boxes(rows: Rows) -> tuple[Array, Mask]:
    """(N, K) errors in longer sides of the true box, and which count. A joint that was not found is
    infinitely far away: leaving out hard joints does not pay.
    """
    error = joint_errors(rows)
    boxes = np.where(np.isfinite(error), error, np.inf) / rows.box_px[:, None]
    return boxes, counted(rows) & (rows.seen & np.isfinite(rows.box_px))[:, None]


def pck_curve(rows: Rows, thresholds: Array) -> Array:
    """The share of true joints within each of these distances, longer sides of the box."""
    boxes, sized = _in_boxes(rows)
    known = np.sort(boxes[sized])
    return np.searchsorted(known, thresholds, side="right") / max(known.size, 1)


def _acceleration_errors(rows: Rows, true: Array, found: Array) -> tuple[Array, int] | None:
    """|acceleration of found - of true| of each joint, per s^2, and how many the truth has.

    Of the same true skeleton (its id) in three consecutive images that both have. A gap of more
    than twice the usual time voids the three. None where ids or stamps are unknown.
    """
    if rows.stamp_ns is None or not (rows.true_id != NO_ID).any():
        return None
    common = np.flatnonzero(rows.in_common)
    if common.size < 3:
        return None
    time_s = (rows.stamp_ns - rows.stamp_ns[0]) * 1e-9
    place = {int(image): n for n, image in enumerate(common)}
    step_s = np.diff(time_s[common])
    usual_s = float(np.median(step_s))
    row_of = {
        (int(rows.true_epoch[n]), int(rows.true_id[n]), place[int(rows.image[n])]): n
        for n in np.flatnonzero(rows.seen & (rows.true_id != NO_ID))
    }
    parts, whole = [], 0
    away = found - true
    for (epoch, who, at), n in row_of.items():
        before, after = row_of.get((epoch, who, at - 1)), row_of.get((epoch, who, at + 1))
        if before is None or after is None:
            continue
        first_s, second_s = step_s[at - 1], step_s[at]
        if not 0 < min(first_s, second_s) <= max(first_s, second_s) <= 2 * usual_s:
            continue
        three = [before, n, after]
        whole += int(np.isfinite(true[three]).all(axis=(0, 2)).sum())
        # Differences are linear: the error of the acceleration is the acceleration of the error.
        slope = (away[after] - away[n]) / second_s - (away[n] - away[before]) / first_s
        parts.append(np.linalg.norm(2 * slope / (first_s + second_s), axis=1))
    return (np.concatenate(parts), whole) if parts else None


# --- metres ------------------------------------------------------------------------------------


def _metres(rows: Rows, difference: bool) -> Iterator[Figure]:
    true, found = rows.true_xyz, rows.found_xyz
    whole = int(np.isfinite(true).all(axis=2).sum())
    word, name = ("difference", "difference") if difference else ("MPJPE", "mpjpe")

    def mean(name: str, label: str, error: Array) -> Figure:
        return _mean(f"{name}_mm", label, "mm", 1e3 * error, "joints", whole)

    if np.isfinite(found - true).any():
        if all(a == b for a, b in rows.frames):
            away = found - true
            yield mean(name, f"{word}, in the frame", np.linalg.norm(away, axis=2))
            if roots := _roots(rows.part.layout):
                where = "wrist" if rows.part.layout is HAND21 else "hips"
                rooted = np.linalg.norm(away - away[:, roots].mean(axis=1, keepdims=True), axis=2)
                yield mean(f"{name}_root", f"{word}, {where} aligned", rooted)
                counts = np.isfinite(true).all(axis=2) & rows.seen[:, None]
                area = _area_under_curve(1e3 * rooted, counts, AUC_MM)
                label = f"AUC 0 to {AUC_MM:g} mm, {where} aligned"
                yield _mean("auc_50mm", label, "", area, "joints", whole)
            if (triples := _acceleration_errors(rows, true, found)) is not None:
                yield _acceleration("acceleration_m_s2", "m/s^2", triples, difference)
        yield mean(f"pa_{name}", f"PA-{word}", _aligned_errors(true, found))
    if not difference and np.isfinite(rows.found_shape - true).any():
        error = _aligned_errors(true, rows.found_shape)
        yield mean("shape_pa_mpjpe", "PA-MPJPE of shape", error)


def _area_under_curve(error: Array, counts: Mask, most: float) -> Array:
    """What each joint adds to the area under the curve of shares from 0 to `most`, as its part of
    the whole: NaN where it does not count, 0 where it was not found.
    """
    known = np.where(np.isfinite(error), error, np.inf)
    return np.where(counts, np.clip(1 - known / most, 0, 1), np.nan)


def _acceleration(name: str, unit: str, triples: tuple[Array, int], difference: bool) -> Figure:
    label = "acceleration difference" if difference else "acceleration error"
    return _mean(name, label, unit, triples[0], "joints at 3 times", triples[1])


def _roots(layout: Layout) -> list[int]:
    """The joints whose mean is the root: the wrist, the pelvis, or both hips."""
    for names in (("wrist",), ("pelvis",), ("left_hip", "right_hip")):
        if all(name in layout.joints for name in names):
            return [layout.index(name) for name in names]
    return []


def _aligned_errors(true: Array, found: Array) -> Array:
    """(N, K) distances after the similarity transform (rotation without reflection, translation and
    scale) that brings each found skeleton nearest to the true one; NaN where that is not defined.
    """
    errors = np.full(true.shape[:2], np.nan)
    for error, goal, shape in zip(errors, true, found, strict=True):
        if (moved := aligned(shape, goal, scaled=True)) is not None:
            error[:] = np.linalg.norm(moved - goal, axis=1)
    return errors
