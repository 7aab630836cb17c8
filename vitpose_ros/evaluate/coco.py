"""COCO keypoints: files of annotations, and lists of results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitpose_ros.evaluate.skeletons import Array, Box, Picture, Run, Skeleton
from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133, FINGERS, HAND21, LAYOUTS, Layout
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.types import NO_ID, JointState, Side

_PARTS = ("foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
"""COCO-WholeBody's fields beside `keypoints`, in the order of coco_wholebody133."""

_STATES = np.array(
    [JointState.ABSENT, JointState.OCCLUDED, JointState.VISIBLE], np.uint8
)  # by COCO's v

_HAND_NAMES = (
    "wrist",
    *(
        f"{finger}{joint}"
        for finger in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
        for joint in range(1, 5)
    ),
)
"""hand21's joints as OneHand10K, FreiHAND and COCO-WholeBody-Hand name them."""

_LAYOUTS = {layout.joints: layout for layout in reversed(tuple(LAYOUTS.values()))} | {
    _HAND_NAMES: HAND21
}
assert len(_HAND_NAMES) == 1 + 4 * len(FINGERS)


@dataclass(frozen=True)
class Category:
    """What the annotations of a category are.

    Attributes
    ----------
    layout : of their joints.
    whole_body : the joints are spread over several fields, as in COCO-WholeBody.
    """

    layout: Layout
    whole_body: bool = False


@dataclass(frozen=True)
class CocoFile:
    """A file that was read.

    Attributes
    ----------
    run : its skeletons.
    categories : its categories by id.
    """

    run: Run
    categories: Mapping[int, Category]


def read_coco(path: Path, truth: CocoFile | None = None) -> CocoFile:
    """Read a file of COCO keypoints.

    A joint with v = 0 is ABSENT, with v = 1 OCCLUDED, with v = 2 VISIBLE. In a list of results, v
    has no meaning: a joint is MEASURED unless it is at 0, 0 with v = 0.

    Parameters
    ----------
    path : of the file.
    truth : to whose images and categories a list of results refers.

    Raises
    ------
    OfflineError : the file has another schema, or numbers that are none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OfflineError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise OfflineError(f"{path} is no JSON file: {error}") from error
    try:
        if isinstance(content, list):
            return _results(path, content, truth)
        return _annotations(path, content)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        missing = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
        raise OfflineError(
            f"{path} is no file of COCO keypoints: {missing}. Accepted are objects with images, "
            "annotations and categories (with the names of their keypoints), and lists of results "
            "with image_id, category_id, keypoints and score"
        ) from error


def _annotations(path: Path, content: dict[str, Any]) -> CocoFile:
    annotations = content["annotations"]
    whole = {one["category_id"] for one in annotations if all(part in one for part in _PARTS)}
    categories = {
        one["id"]: Category(COCO_WHOLEBODY133, True)
        if one["id"] in whole
        else Category(_layout(path, one))
        for one in content["categories"]
        if one.get("keypoints")
    }
    if not categories:
        raise OfflineError(
            f"{path}: no category names its keypoints; add them, in their order: "
            f'"keypoints": {json.dumps(COCO17.joints[:3])[:-1]}, ...]'
        )
    of_image: dict[int, list[Skeleton]] = {image["id"]: [] for image in content["images"]}
    for one in annotations:
        if one["category_id"] not in categories or "keypoints" not in one:
            continue
        if one["image_id"] not in of_image:
            raise OfflineError(
                f"{path}: annotation {one['id']} is of image {one['image_id']}, which is not among "
                "the images of the file"
            )
        made = _skeleton(path, one, categories[one["category_id"]], is_result=False)
        of_image[one["image_id"]].append(made)
    pictures = tuple(
        Picture(
            tuple(of_image[image["id"]]),
            stamp_ns=image.get("stamp_ns"),
            name=image.get("file_name"),
            number=image["id"],
        )
        for image in sorted(content["images"], key=lambda image: int(image["id"]))
    )
    layouts = {category.layout.name: category.layout for category in categories.values()}
    return CocoFile(Run(str(path), pictures, tuple(layouts.values()), True), categories)


def _results(path: Path, content: list[Any], truth: CocoFile | None) -> CocoFile:
    if truth is None:
        raise OfflineError(
            f"{path} is a list of results, which does not tell what its images and categories are: "
            "give the annotations that they belong to with --truth"
        )
    of_image: dict[int, list[Skeleton]] = {}
    layouts: dict[str, Layout] = {}
    for number, one in enumerate(content):
        category = truth.categories.get(one["category_id"])
        if category is None:
            raise OfflineError(
                f"{path}: result {number} is of category {one['category_id']}, which "
                f"{truth.run.label} does not have"
            )
        made = _skeleton(path, {"id": number, **one}, category, is_result=True)
        layouts[made.layout.name] = made.layout
        of_image.setdefault(one["image_id"], []).append(made)
    known = [int(picture.number or 0) for picture in truth.run.pictures]
    if strange := sorted(set(of_image) - set(known)):
        raise OfflineError(
            f"{path}: {len(strange)} images, the first with id {strange[0]}, are not among those "
            f"of {truth.run.label}: they belong to other annotations"
        )
    # A list names no image in which nothing was found: each of the truth was searched.
    pictures = tuple(Picture(tuple(of_image.get(number, ())), number=number) for number in known)
    used = tuple(layouts.values()) or truth.run.layouts
    return CocoFile(Run(str(path), pictures, used, True), truth.categories)


def _layout(path: Path, category: dict[str, Any]) -> Layout:
    names = tuple(str(name).lower() for name in category["keypoints"])
    if names in _LAYOUTS:
        return _LAYOUTS[names]
    alike = [layout.name for layout in LAYOUTS.values() if set(layout.joints) == set(names)]
    hint = f", whose names it has in another order: {alike[0]}" if alike else ""
    raise OfflineError(
        f"{path}: category '{category.get('name')}' has {len(names)} keypoints, "
        f"{', '.join(names[:4])}, ...: they are no layout of this package{hint}. Known are "
        f"{', '.join(sorted(LAYOUTS))}; `annotate --write coco` writes the names of their joints"
    )


def _skeleton(path: Path, one: dict[str, Any], category: Category, is_result: bool) -> Skeleton:
    layout, values = category.layout, list(one["keypoints"])
    if category.whole_body and len(values) == 3 * len(COCO17):
        values += [number for part in _PARTS for number in one.get(part, ())]
        if len(values) == 3 * len(COCO17):
            layout = COCO17  # results of the body alone
    if is_result and layout is COCO17 and len(values) == 3 * len(COCO_WHOLEBODY133):
        layout = COCO_WHOLEBODY133
    what = f"{'result' if is_result else 'annotation'} {one['id']}"
    if len(values) != 3 * len(layout):
        raise OfflineError(
            f"{path}: {what} has {len(values)} numbers for its keypoints, expected "
            f"{3 * len(layout)}: x, y and v of the {len(layout)} joints of {layout.name}"
        )
    table = np.array(values, np.float64).reshape(-1, 3)
    numbers = [*values, *one.get("bbox", ()), one.get("area", 0.0), one.get("score", 0.0)]
    if not np.isfinite(np.array(numbers, np.float64)).all():
        raise OfflineError(
            f"{path}: {what} has NaN or infinite numbers: a joint that is not known is 0, 0, 0; "
            "correct the file, or leave the annotation out"
        )
    uv, seen = table[:, :2], table[:, 2]
    if is_result:
        state = np.where(table.any(axis=1), JointState.MEASURED, JointState.ABSENT)
    else:
        state = _STATES[np.clip(seen, 0, 2).astype(int)]
    known = state != JointState.ABSENT
    uv = np.where(known[:, None], uv, np.nan)
    unknown: Array = np.full((len(layout), 3), np.nan)
    # COCO takes a result's box from all of its joints, those at 0, 0 included.
    box = one["bbox"] if "bbox" in one else _box(table[:, :2] if is_result else uv)
    return Skeleton(
        layout,
        uv,
        state.astype(np.uint8),
        unknown,
        unknown,
        _checked_box(path, what, box),
        float(one.get("area", "nan")),
        float(one.get("score", "nan")),
        _side(one),
        int(one.get("track_id", NO_ID)),
        crowd=bool(one.get("iscrowd", 0)),
    )


def _checked_box(path: Path, what: str, box: Sequence[float]) -> Box:
    if len(box) != 4:
        raise OfflineError(f"{path}: {what}: expected x, y, width and height as bbox, got {box}")
    x, y, width, height = (float(number) for number in box)
    return x, y, width, height


def _side(one: dict[str, Any]) -> Side:
    """As annotate writes it, or as hand datasets do (hand_type)."""
    name = str(one.get("side", one.get("hand_type", "unknown"))).upper()
    return Side[name] if name in Side.__members__ else Side.UNKNOWN


def _box(uv: Array) -> Box:
    """The box around the known joints; NaN if there are none."""
    known = uv[np.isfinite(uv).all(axis=1)]
    if not len(known):
        return (float("nan"),) * 4
    (x0, y0), (x1, y1) = known.min(axis=0), known.max(axis=0)
    return float(x0), float(y0), float(x1 - x0), float(y1 - y0)
