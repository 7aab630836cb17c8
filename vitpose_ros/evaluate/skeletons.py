"""Skeletons as evaluation compares them, and their parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import (
    COCO17,
    COCO_WHOLEBODY133,
    FACE_START,
    HAND21,
    LEFT_HAND_START,
    RIGHT_HAND_START,
    Layout,
)
from vitpose_ros.limits import hand_starts
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.offline.read_skeletons import Recorded
from vitpose_ros.types import NO_ID, ByteArray, Instance, JointState, Side

Array = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Skeleton:
    """One body or hand.

    Attributes
    ----------
    layout : of its K joints.
    uv : (K, 2) px; NaN where unknown.
    state : (K,) values of JointState; ABSENT where uv is NaN.
    xyz, shape : (K, 3) m; NaN where unknown.
    box : (x, y, width, height), px: as annotated, else around the joints.
    area_px2 : of the object, for OKS; NaN if unknown.
    score : confidence; NaN if unknown.
    side, track_id : as in `types.Instance`.
    lost : not measured in this image, only predicted.
    crowd : as in COCO: it neither has to be found nor is wrong to find.
    """

    layout: Layout
    uv: Array
    state: ByteArray
    xyz: Array
    shape: Array
    box: Box
    area_px2: float
    score: float = float("nan")
    side: Side = Side.UNKNOWN
    track_id: int = NO_ID
    lost: bool = False
    crowd: bool = False


@dataclass(frozen=True)
class Picture:
    """The skeletons of one image.

    Attributes
    ----------
    skeletons : all of them.
    stamp_ns, name, number : how the image is told from others: its time, its file's name, its id
        in a COCO file; None where there is none.
    frame_id : of metric coordinates; "" if there are none.
    reset : no track id of earlier images continues.
    """

    skeletons: tuple[Skeleton, ...]
    stamp_ns: int | None = None
    name: str | None = None
    number: int | None = None
    frame_id: str = ""
    reset: bool = False


@dataclass(frozen=True)
class Run:
    """All skeletons of a file.

    Attributes
    ----------
    label : the file, for people.
    pictures : its images, in order.
    layouts : of its skeletons.
    is_coco : a COCO file, with annotated areas.
    notes : sentences for people.
    """

    label: str
    pictures: tuple[Picture, ...]
    layouts: tuple[Layout, ...]
    is_coco: bool = False
    notes: tuple[str, ...] = ()


def of_recording(recorded: Recorded, raw: bool = False) -> Run:
    """An annotated recording.

    Parameters
    ----------
    recorded : as read.
    raw : take the measured joints instead of the smoothed ones.

    Raises
    ------
    OfflineError : joints are extrapolated beyond their stamps.
    """
    label = str(recorded.path) + (f":{recorded.topic}" if recorded.topic else "")
    ahead = max((image.horizon_s for image in recorded.images), default=0.0)
    if ahead > 0 and not raw:
        raise OfflineError(
            f"{label}: joints are extrapolated {1e3 * ahead:.0f} ms beyond the stamps of their "
            "images (prediction_horizon), so nothing of the same time can be compared: add --raw "
            "for the measured joints, or record with prediction_horizon 0"
        )
    pictures = tuple(
        Picture(
            tuple(_of_instance(one, raw) for one in image.instances),
            stamp_ns=image.stamp_ns,
            frame_id=image.frame_id,
            reset=image.reset,
        )
        for image in recorded.images
    )
    return Run(label, pictures, recorded.layouts, notes=recorded.notes)


def _of_instance(one: Instance, raw: bool) -> Skeleton:
    joints = one.raw if raw else one.keypoints
    box = joints.box()
    return Skeleton(
        one.layout,
        joints.uv.astype(np.float64),
        joints.state,
        joints.xyz.astype(np.float64),
        joints.shape_xyz.astype(np.float64),
        box,
        box[2] * box[3],
        one.score,
        one.side,
        one.track_id,
        one.is_lost,
    )


# --- parts -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """What is evaluated together: a layout, or a part of the whole body.

    Attributes
    ----------
    name : for people and JSON.
    layout : its joints.
    first : its first joint in coco_wholebody133; None for a layout of its own.
    side : of a hand that is part of the whole body.
    """

    name: str
    layout: Layout
    first: int | None = None
    side: Side = Side.UNKNOWN


def _slice(name: str, first: int, end: int) -> Layout:
    whole = COCO_WHOLEBODY133
    inside = {
        field: tuple(
            (a - first, b - first)
            for a, b in getattr(whole, field)
            if first <= a < end and first <= b < end
        )
        for field in ("edges", "flip_pairs")
    }
    return Layout(name, "body", whole.joints[first:end], sigmas=whole.sigmas[first:end], **inside)


WHOLE_BODY_PARTS = (
    Part("body", COCO17, 0),
    Part("feet", _slice("feet", len(COCO17), FACE_START), len(COCO17)),
    Part("face", _slice("face", FACE_START, LEFT_HAND_START), FACE_START),
    Part("lefthand", HAND21, LEFT_HAND_START, Side.LEFT),
    Part("righthand", HAND21, RIGHT_HAND_START, Side.RIGHT),
    Part("wholebody", COCO_WHOLEBODY133, 0),
)
"""As in the evaluation of COCO-WholeBody."""


def parts_of(layout: Layout) -> tuple[Part, ...]:
    """What is evaluated where the truth has this layout."""
    return WHOLE_BODY_PARTS if layout is COCO_WHOLEBODY133 else (Part(layout.name, layout),)


def lacking(part: Part, layouts: Iterable[Layout]) -> tuple[str, ...] | None:
    """The joints of a part that none of the layouts has; None if they have nothing of it."""
    best: tuple[str, ...] | None = None
    for layout in layouts:
        if part.layout is HAND21 and hand_starts(layout):
            return ()
        if layout.kind != part.layout.kind:
            continue
        order = _order(layout, part.layout)
        missing = tuple(
            name for name, at in zip(part.layout.joints, order, strict=True) if at is None
        )
        if len(missing) < len(order) and (best is None or len(missing) < len(best)):
            best = missing
    return best


def take(picture: Picture, part: Part, separate_hands: bool) -> list[Skeleton]:
    """What a picture's skeletons have of a part, in the part's joints.

    Parameters
    ----------
    picture : of an image.
    part : what is evaluated.
    separate_hands : hands are skeletons of their own, so those of whole bodies are left out.
    """
    found = []
    for one in picture.skeletons:
        if part.layout is not HAND21:
            if (picked := _by_name(one, part)) is not None:
                found.append(picked)
        elif one.layout is HAND21:
            if part.side in (Side.UNKNOWN, one.side):
                found.append(one)
        elif not separate_hands:
            found += [
                _pick(one, range(first, first + len(HAND21)), HAND21, side)
                for first, side in zip(
                    hand_starts(one.layout), (Side.LEFT, Side.RIGHT), strict=False
                )
                if part.side in (Side.UNKNOWN, side)
            ]
    return found


def _by_name(one: Skeleton, part: Part) -> Skeleton | None:
    if one.layout is part.layout:
        return one
    order = _order(one.layout, part.layout)
    if one.layout.kind != part.layout.kind or all(at is None for at in order):
        return None
    return _pick(one, order, part.layout, one.side)


def _pick(one: Skeleton, order: Iterable[int | None], layout: Layout, side: Side) -> Skeleton:
    at = np.array([-1 if joint is None else joint for joint in order])
    known = at >= 0

    def chosen(values: Array) -> Array:
        return np.where(known[:, None], values[at], np.nan)

    return replace(
        one,
        layout=layout,
        uv=chosen(one.uv),
        state=np.where(known, one.state[at], JointState.ABSENT).astype(np.uint8),
        xyz=chosen(one.xyz),
        shape=chosen(one.shape),
        side=side,
    )


@lru_cache(maxsize=64)
def _order(source: Layout, target: Layout) -> tuple[int | None, ...]:
    """For each joint of the target its index in the source."""
    at = {name: index for index, name in enumerate(source.joints)}
    return tuple(at.get(name) for name in target.joints)
