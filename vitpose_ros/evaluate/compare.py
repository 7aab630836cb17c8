"""Which image is which, and which found skeleton is which true one: one row per true skeleton."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.assignment import assign
from vitpose_ros.evaluate import match_hands, palm_length
from vitpose_ros.evaluate.skeletons import Array, Part, Picture, Run, Skeleton, take
from vitpose_ros.geometry import known_median
from vitpose_ros.layouts import HAND21
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.oks import oks
from vitpose_ros.types import JointState

SAME_OKS = 0.5
"""A body is found if its similarity to the true one is at least this, as in AP@.50."""

PALMS_PER_BOX = 0.5
"""A palm's length over the longer side of the box around a hand, for hands of which wrist or middle
finger are not annotated."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pictures:
    """The images of two runs.

    Attributes
    ----------
    pairs : every true image and the found one, None if there is none.
    extra : found images that the truth does not have.
    by : how they were recognised.
    """

    pairs: tuple[tuple[Picture, Picture | None], ...]
    extra: int
    by: str

    @property
    def common(self) -> int:
        """Number of images that both have."""
        return sum(found is not None for _, found in self.pairs)


def match_pictures(truth: Run, found: Run) -> Pictures:
    """Match images by their file names, their COCO ids, or exactly by their stamps.

    Raises
    ------
    OfflineError : no image is in both, or it is not clear which is which.
    """
    for run in (truth, found):
        if not run.pictures:
            raise OfflineError(f"{run.label} has no images, so there is nothing to compare")
    tried: tuple[str, list[Any], list[Any]] | None = None
    for by, keys_of in _ways(truth, found):
        true_keys, found_keys = keys_of(truth), keys_of(found)
        if None in true_keys or None in found_keys:
            continue
        tried = by, true_keys, found_keys
        if not set(true_keys) & set(found_keys):
            continue
        for run, keys in ((truth, true_keys), (found, found_keys)):
            if len(set(keys)) < len(keys):
                repeated = Counter(keys).most_common(1)[0][0]
                raise OfflineError(
                    f"{run.label}: two images have the same {by} ({repeated}), so it is not clear "
                    "which is which: evaluate one recording at a time"
                )
        of_key = dict(zip(found_keys, found.pictures, strict=True))
        pairs = tuple(
            (picture, of_key.get(one))
            for picture, one in zip(truth.pictures, true_keys, strict=True)
        )
        return Pictures(pairs, len(set(found_keys) - set(true_keys)), by)
    if tried is None:
        raise OfflineError(
            f"{truth.label} and {found.label} name their images in different ways (stamps or file "
            "names), so none can be recognised: give COCO files on both sides (annotate --write "
            "coco)"
        )
    by, true_keys, found_keys = tried
    raise OfflineError(
        f"no image is in both: by {by}, {truth.label} has {len(true_keys)} from {true_keys[0]} to "
        f"{true_keys[-1]}, {found.label} has {len(found_keys)} from {found_keys[0]} to "
        f"{found_keys[-1]}. Both have to be of the same recording, with the images' own "
        f"{by}s"
    )


def _ways(truth: Run, found: Run) -> Iterator[tuple[str, Callable[[Run], list[Any]]]]:
    """How images may be recognised: a name for it, and a function that gives all keys of a run."""
    if all(picture.name is not None for run in (truth, found) for picture in run.pictures):
        # Nothing else: a folder of photographs has stamps that only count them.
        yield "file name", lambda run: [picture.name for picture in run.pictures]
        yield "file name", lambda run: [(p.name or "").split("/")[-1] for p in run.pictures]
        return
    yield "stamp", lambda run: [picture.stamp_ns for picture in run.pictures]
    yield "image id", lambda run: [picture.number for picture in run.pictures]


@dataclass(frozen=True)
class Rows:
    """N true skeletons of K joints in all images of the truth, and what was found of them.

    Attributes
    ----------
    part : whose joints they are.
    image : (N,) index of the image.
    seen : (N,) the image was processed.
    matched : (N,) the skeleton was found.
    lost : (N,) only predicted.
    true_uv, found_uv : (N, K, 2) px; NaN for joints that do not count or were not found.
    found_state : (N, K).
    true_xyz, found_xyz, found_shape : (N, K, 3) m; NaN where unknown.
    box_px : (N,) the longer side of the true box; NaN if unknown.
    true_side, found_side, true_id, found_id : (N,) as in messages.
    true_epoch, found_epoch : (N,) how often tracking had restarted.
    stamp_ns : of every image of the truth; None if unknown.
    in_common : of every image of the truth, whether it was processed.
    found : skeletons found in the images of the truth, without lost ones.
    false : those that are no true one.
    elsewhere : skeletons found in other images.
    frames : pairs (true, found) of frames of metric coordinates.
    """

    part: Part
    image: npt.NDArray[np.int64]
    seen: Mask
    matched: Mask
    lost: Mask
    true_uv: Array
    found_uv: Array
    found_state: npt.NDArray[np.uint8]
    true_xyz: Array
    found_xyz: Array
    found_shape: Array
    box_px: Array
    true_side: npt.NDArray[np.int64]
    found_side: npt.NDArray[np.int64]
    true_id: npt.NDArray[np.int64]
    found_id: npt.NDArray[np.int64]
    true_epoch: npt.NDArray[np.int64]
    found_epoch: npt.NDArray[np.int64]
    stamp_ns: npt.NDArray[np.int64] | None
    in_common: Mask
    found: int
    false: int
    elsewhere: int
    frames: frozenset[tuple[str, str]]


def compare(pictures: Pictures, truth: Run, found: Run, part: Part, least: JointState) -> Rows:
    """Match the skeletons of a part in every image.

    Parameters
    ----------
    pictures : of both runs.
    truth, found : the runs.
    part : what is compared.
    least : true joints count from this state on.
    """
    true_hands, found_hands = (HAND21 in run.layouts for run in (truth, found))
    rows: list[tuple[Skeleton, Skeleton | None, int, bool, int, int]] = []
    false = count = 0
    true_epoch = found_epoch = 0
    frames = set()
    for number, (true_picture, found_picture) in enumerate(pictures.pairs):
        true_epoch += true_picture.reset
        true = [_counting(one, least) for one in take(true_picture, part, true_hands)]
        wanted = [one for one in true if _has_to_be_found(one)]
        if found_picture is None:
            rows += [(one, None, number, False, true_epoch, found_epoch) for one in wanted]
            continue
        found_epoch += found_picture.reset
        frames.add((true_picture.frame_id, found_picture.frame_id))
        shown = [
            one
            for one in take(found_picture, part, found_hands)
            if (one.state != JointState.ABSENT).any()
        ]
        measured = [one for one in shown if not one.lost]
        whose = _match(wanted, measured, part)
        left = [n for n in range(len(wanted)) if n not in whose]
        lost = [one for one in shown if one.lost]
        again = _match([wanted[n] for n in left], lost, part)
        mine = {n: measured[i] for n, i in whose.items()}
        mine |= {left[n]: lost[i] for n, i in again.items()}
        rows += [
            (one, mine.get(n), number, True, true_epoch, found_epoch)
            for n, one in enumerate(wanted)
        ]
        count += len(measured)
        unclear = [one for one in true if not _has_to_be_found(one)]
        false += sum(
            i not in whose.values() and not any(_covers(one, free) for one in unclear)
            for i, free in enumerate(measured)
        )
    common = {id(picture) for _, picture in pictures.pairs if picture is not None}
    elsewhere = sum(
        sum(not one.lost for one in take(picture, part, found_hands))
        for picture in found.pictures
        if id(picture) not in common
    )
    return _rows(pictures, part, rows, (count, false, elsewhere), frozenset(frames))


def _counting(one: Skeleton, least: JointState) -> Skeleton:
    """A true skeleton with the joints that count."""
    counts = one.state >= least
    uv = np.where(counts[:, None], one.uv, np.nan)
    xyz = np.where(counts[:, None], one.xyz, np.nan)
    return replace(one, uv=uv, xyz=xyz)


def _has_to_be_found(one: Skeleton) -> bool:
    """Whether it is no crowd, and a joint of it counts."""
    return not one.crowd and bool(np.isfinite(one.uv).any())


def _match(true: Sequence[Skeleton], found: Sequence[Skeleton], part: Part) -> dict[int, int]:
    """For each true skeleton that was found, the index of the found one."""
    if not true or not found:
        return {}
    if part.layout is HAND21:
        matches = match_hands(
            [one.uv for one in true],
            [one.uv for one in found],
            [_palm_px(one) for one in true],
        )
        return {a: b for a, b, _ in matches}
    similar = np.array([[_similarity(a, b) for b in found] for a in true])
    return dict(assign(np.where(similar >= SAME_OKS, 1 - similar, np.inf)))


def _similarity(true: Skeleton, found: Skeleton) -> float:
    area = true.area_px2
    if not (np.isfinite(area) and area > 0):
        area = true.box[2] * true.box[3]
    if not (np.isfinite(area) and area > 0):
        return 0.0
    return oks(true.uv, found.uv, area, true.layout.sigmas)  # NaN compares false


def _palm_px(one: Skeleton) -> float:
    palm = palm_length(one.uv)
    if np.isfinite(palm) and palm > 0:
        return palm
    known = one.uv[np.isfinite(one.uv).all(axis=1)]
    return PALMS_PER_BOX * float(np.ptp(known, axis=0).max())


def _covers(unclear: Skeleton, found: Skeleton) -> bool:
    """Whether a found skeleton lies in the box of one that need not be found."""
    x, y, width, height = unclear.box
    u, v = known_median(found.uv.T)
    return bool(x <= u <= x + width and y <= v <= y + height)


def _rows(
    pictures: Pictures,
    part: Part,
    rows: Sequence[tuple[Skeleton, Skeleton | None, int, bool, int, int]],
    counts: tuple[int, int, int],
    frames: frozenset[tuple[str, str]],
) -> Rows:
    joints = len(part.layout)
    nothing = {size: np.full((joints, size), np.nan) for size in (2, 3)}

    def stack(values: list[npt.NDArray], size: int) -> npt.NDArray:
        return np.stack(values) if values else np.empty((0, joints, size))

    def column(values: list[int]) -> npt.NDArray[np.int64]:
        return np.array(values, np.int64)

    found = [one for _, one, *_ in rows]
    stamps = [picture.stamp_ns for picture, _ in pictures.pairs]
    return Rows(
        part=part,
        image=column([row[2] for row in rows]),
        seen=np.array([row[3] for row in rows], bool),
        matched=np.array([one is not None for one in found], bool),
        lost=np.array([one is not None and one.lost for one in found], bool),
        true_uv=stack([row[0].uv for row in rows], 2),
        found_uv=stack([nothing[2] if one is None else one.uv for one in found], 2),
        found_state=np.array(
            [np.zeros(joints) if one is None else one.state for one in found], np.uint8
        ).reshape(-1, joints),
        true_xyz=stack([row[0].xyz for row in rows], 3),
        found_xyz=stack([nothing[3] if one is None else one.xyz for one in found], 3),
        found_shape=stack([nothing[3] if one is None else one.shape for one in found], 3),
        box_px=np.array([_box_px(row[0]) for row in rows], np.float64),
        true_side=column([int(row[0].side) for row in rows]),
        found_side=column([0 if one is None else int(one.side) for one in found]),
        true_id=column([row[0].track_id for row in rows]),
        found_id=column([-1 if one is None else one.track_id for one in found]),
        true_epoch=column([row[4] for row in rows]),
        found_epoch=column([row[5] for row in rows]),
        stamp_ns=None if None in stamps else np.array(stamps, np.int64),
        in_common=np.array([one is not None for _, one in pictures.pairs], bool),
        found=counts[0],
        false=counts[1],
        elsewhere=counts[2],
        frames=frames,
    )


def _box_px(one: Skeleton) -> float:
    side = max(one.box[2], one.box[3])
    return side if side > 0 else float("nan")
