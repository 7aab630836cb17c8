"""Reads COCO keypoints: those that people labelled, and those that `vitpose_ros annotate` found."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.geometry import Box
from vitpose_ros.layouts import LAYOUTS, Layout
from vitpose_ros.train.errors import TrainError
from vitpose_ros.types import NO_ID

LABELS_NAME = "coco.json"
"""What a folder is searched for."""

_WHOLE_BODY = ("foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
"""COCO-WholeBody's fields after `keypoints`, in the order of coco_wholebody133."""

_LEAST_PX = 4.0  # shorter sides show nothing


@dataclass(frozen=True)
class LabelFile:
    """One annotation file.

    Attributes
    ----------
    path : the file.
    below : the file's folder, relative to the folder that was searched; "." if the file itself was
        named.
    sha256 : of its content.
    """

    path: Path
    below: Path
    sha256: str


@dataclass(frozen=True)
class LabelledImage:
    """An image that has labels, or in which there is nothing to label.

    Attributes
    ----------
    file : index of its annotation file.
    name : the `file_name`.
    size : (width, height), px.
    stamp_ns : its time, if it is one of a recording.
    boxes : of everything in it, labelled or not.
    """

    file: int
    name: str
    size: tuple[int, int]
    stamp_ns: int | None
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Label:
    """The joints of one object in an image.

    Attributes
    ----------
    image : index of the image.
    uv : (K, 2) float64, px; NaN where there is no label.
    std_px : (K,) float64, px, the labels' own standard deviation; 0 where not known.
    box : (x, y, width, height), px.
    area : px^2, the object's size for OKS.
    track_id : NO_ID without a track.
    """

    image: int
    uv: npt.NDArray[np.float64]
    std_px: npt.NDArray[np.float64]
    box: Box
    area: float
    track_id: int = NO_ID


@dataclass(frozen=True)
class Labels:
    """All labels of one layout.

    Attributes
    ----------
    layout : of the joints.
    files, images, labels : what was read.
    found : whether a network found the joints, rather than people.
    dropped : number of objects that are not used, by reason.
    """

    layout: Layout
    files: tuple[LabelFile, ...]
    images: tuple[LabelledImage, ...]
    labels: tuple[Label, ...]
    found: bool
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over the files."""
        return hashlib.sha256("".join(file.sha256 for file in self.files).encode()).hexdigest()


def read_labels(
    paths: Sequence[Path], layout: str | None = None, least_score: float = 0.5
) -> Labels:
    """Read annotation files.

    Parameters
    ----------
    paths : files, and folders that are searched for coco.json.
    layout : the joints to read; None if the files have one layout only.
    least_score : of joints that a network found: those with a lower one are not labels, nor are
        hidden and predicted ones.

    Raises
    ------
    TrainError : a file cannot be read, is not COCO keypoints, or has other joints.
    """
    files = [
        LabelFile(path, below, hashlib.sha256(path.read_bytes()).hexdigest())
        for path, below in _files(paths)
    ]
    contents = [_content(file.path) for file in files]
    wanted = _choose(contents, files, layout)
    images: list[LabelledImage] = []
    labels: list[Label] = []
    dropped: Counter[str] = Counter()
    found = False
    for number, (file, content) in enumerate(zip(files, contents, strict=True)):
        reader = _Reader(file.path, wanted, least_score, dropped)
        categories = reader.categories(content["categories"])
        places = reader.images(content, number, images)
        for annotation in content["annotations"]:
            if annotation.get("category_id") not in categories:
                continue
            label = reader.label(annotation, places)
            found |= "score" in annotation
            if label is not None:
                labels.append(label)
    if not labels:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise TrainError(
            f"{_names(files)}: no object with labelled joints of the layout '{wanted.name}'"
            + (f" ({reasons})" if reasons else "")
            + ". A joint counts where its third number is 1 or 2 and, if a network found it, its "
            f"score is at least {least_score} (--min-score)"
        )
    return Labels(wanted, tuple(files), tuple(images), tuple(labels), found, dict(dropped))


class _Reader:
    """Reads one file; its errors name the file."""

    def __init__(
        self, path: Path, layout: Layout, least_score: float, dropped: Counter[str]
    ) -> None:
        self._path, self._layout, self._least = path, layout, least_score
        self._dropped = dropped

    def categories(self, content: Iterable[Mapping[str, Any]]) -> set[Any]:
        """Ids of the categories that have the layout's joints."""
        return {item["id"] for item in content if self._layout in fitting(item)} or {
            item["id"] for item in content if _agrees(item, self._layout, self._path)
        }

    def images(
        self, content: Mapping[str, Any], number: int, images: list[LabelledImage]
    ) -> dict[Any, int]:
        """Append the file's images; the index of each by its id."""
        boxes: dict[Any, list[Box]] = {}
        for annotation in content["annotations"]:
            box = _box(annotation)
            if box is not None:
                boxes.setdefault(annotation.get("image_id"), []).append(box)
        places = {}
        for item in content["images"]:
            try:
                size = int(item["width"]), int(item["height"])
                name = str(item["file_name"])
            except (KeyError, TypeError, ValueError) as error:
                raise TrainError(
                    f"{self._path}: an image lacks {error}; expected are id, file_name, width and "
                    "height"
                ) from error
            places[item["id"]] = len(images)
            found = tuple(boxes.get(item["id"], ()))
            images.append(LabelledImage(number, name, size, item.get("stamp_ns"), found))
        return places

    def label(self, annotation: Mapping[str, Any], places: Mapping[Any, int]) -> Label | None:
        """The label in an annotation, or None and a count of the reason."""
        where = f"{self._path}, annotation {annotation.get('id')}"
        if annotation.get("image_id") not in places:
            raise TrainError(
                f"{where}: there is no image {annotation.get('image_id')} in this file; the file "
                "is incomplete, or was put together from several"
            )
        if annotation.get("iscrowd"):
            return self._drop("crowds")
        rows = self._joints(annotation, where)
        if rows is None:
            return self._drop("without keypoints")
        uv = rows[:, :2].copy()
        labelled = (rows[:, 2] > 0) & np.isfinite(uv).all(axis=1)
        std_px = np.zeros(len(uv))
        if "score" in annotation:  # a network's: what it inferred is no label
            if float(annotation["score"]) < self._least:
                return self._drop("with a low score")
            scores = _numbers(annotation, "keypoint_scores", len(uv), where)
            labelled &= (rows[:, 2] == 2) & ~(scores < self._least)
            std_px = np.nan_to_num(_numbers(annotation, "keypoint_std_px", len(uv), where))
        if not labelled.any():
            return self._drop("without a visible joint")
        uv[~labelled] = np.nan
        box = _box(annotation) or _around(uv)
        if min(box[2:]) < _LEAST_PX:
            return self._drop("too small")
        area = float(annotation.get("area") or 0) or box[2] * box[3]
        track = annotation.get("track_id", NO_ID)
        return Label(places[annotation["image_id"]], uv, std_px, box, area, int(track))

    def _joints(self, annotation: Mapping[str, Any], where: str) -> npt.NDArray[np.float64] | None:
        """(K, 3), or None if nothing was labelled."""
        numbers = list(annotation.get("keypoints") or ())
        count = len(self._layout)
        if self._layout.name == "coco_wholebody133" and len(numbers) == 3 * 17:
            for name in _WHOLE_BODY:
                numbers += annotation.get(name) or ()
        if not numbers:
            return None
        if len(numbers) != 3 * count:
            raise TrainError(
                f"{where}: keypoints has {len(numbers)} numbers; the {count} joints of the layout "
                f"'{self._layout.name}' need {3 * count} (x, y, visibility of each). Choose the "
                "layout with --layout"
            )
        try:
            return np.array(numbers, np.float64).reshape(count, 3)
        except (TypeError, ValueError) as error:
            raise TrainError(f"{where}: keypoints has something that is no number") from error

    def _drop(self, reason: str) -> Label | None:
        self._dropped[reason] += 1
        return None


def fitting(category: Mapping[str, Any]) -> list[Layout]:
    """The layouts whose joints have a category's names, the one of its own name first."""
    names = tuple(category.get("keypoints") or ())
    same = [layout for layout in LAYOUTS.values() if layout.joints == names]
    return sorted(same, key=lambda layout: layout.name != category.get("name"))


def _choose(
    contents: Sequence[Mapping[str, Any]], files: Sequence[LabelFile], name: str | None
) -> Layout:
    """The layout that was named, or the only one that has annotations."""
    if name is not None:
        if name not in LAYOUTS:
            raise TrainError(f"--layout: '{name}' is unknown; known are {', '.join(LAYOUTS)}")
        return LAYOUTS[name]
    layouts: dict[str, Layout] = {}
    others: list[Mapping[str, Any]] = []
    for content in contents:
        used = {annotation.get("category_id") for annotation in content["annotations"]}
        whole = any("lefthand_kpts" in one for one in content["annotations"][:1000])
        for category in content["categories"]:
            if category["id"] not in used or not category.get("keypoints"):
                continue
            fits = fitting(category)
            if fits and whole and fits[0].name == "coco17":
                fits = [LAYOUTS["coco_wholebody133"]]
            if fits:
                layouts[fits[0].name] = fits[0]
            else:
                others.append(category)
    if len(layouts) == 1:
        return next(iter(layouts.values()))
    if layouts:
        raise TrainError(
            f"{_names(files)}: there are joints of the layouts {', '.join(layouts)}; choose one "
            "with --layout"
        )
    if not others:
        raise TrainError(
            f"{_names(files)}: no annotated category has keypoints; this is not a file of COCO "
            "keypoints (boxes or masks alone cannot train a keypoint network)"
        )
    joints = [str(joint) for joint in others[0]["keypoints"]]
    alike = [layout.name for layout in LAYOUTS.values() if len(layout) == len(joints)]
    raise TrainError(
        f"{_names(files)}: the {len(joints)} joints of the category '{others[0].get('name')}' "
        f"({', '.join(joints[:4])}, ...) are those of no layout. "
        + (
            f"If they are in the order of {' or '.join(alike)}, give that with --layout"
            if alike
            else "A network for them needs a new layout (CONTRIBUTING.md, Adding)"
        )
    )


def _agrees(category: Mapping[str, Any], layout: Layout, path: Path) -> bool:
    """Whether a category with other names may be read as the layout that the user named."""
    names = tuple(str(name) for name in category.get("keypoints") or ())
    if layout.name == "coco_wholebody133" and names == LAYOUTS["coco17"].joints:
        return True
    if len(names) != len(layout):
        return False
    for i, (theirs, ours) in enumerate(zip(names, layout.joints, strict=True)):
        if theirs != ours and theirs in layout.joints:
            raise TrainError(
                f"{path}: joint {i} of the category '{category.get('name')}' is '{theirs}', but "
                f"that of the layout '{layout.name}' is '{ours}': the joints are in another order. "
                "Choose the layout that fits with --layout, or reorder them"
            )
    return True


def _files(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    found: list[tuple[Path, Path]] = []
    for path in paths:
        if path.is_dir():
            below = sorted(path.rglob(LABELS_NAME))
            if not below:
                raise TrainError(
                    f"{path} has no {LABELS_NAME} in it or below it. Name the annotation file "
                    "itself, or make one: vitpose_ros annotate INPUT -o OUT --write coco"
                )
            found += [(file, file.parent.relative_to(path)) for file in below]
        elif path.is_file():
            found.append((path, Path()))
        else:
            raise TrainError(f"{path} does not exist")
    return found


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainError(f"{path} cannot be read as JSON: {error}") from error
    parts = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(p), list) for p in parts):
        raise TrainError(
            f"{path} is not a file of COCO keypoints: expected are the lists {', '.join(parts)}"
        )
    return content


def _box(annotation: Mapping[str, Any]) -> Box | None:
    box = annotation.get("bbox")
    try:
        x, y, width, height = (float(side) for side in box or ())
    except (TypeError, ValueError):
        return None
    return (x, y, width, height) if width > 0 and height > 0 else None


def _around(uv: npt.NDArray[np.float64]) -> Box:
    low, high = np.nanmin(uv, axis=0), np.nanmax(uv, axis=0)
    (x, y), (width, height) = low.tolist(), (high - low).tolist()
    return x, y, width, height


def _numbers(
    annotation: Mapping[str, Any], name: str, count: int, where: str
) -> npt.NDArray[np.float64]:
    """A number per joint; NaN where it is null, and everywhere if the field is missing."""
    values = annotation.get(name)
    if values is None:
        return np.full(count, np.nan)
    if len(values) != count:
        raise TrainError(f"{where}: {name} has {len(values)} numbers for {count} joints")
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _names(files: Sequence[LabelFile]) -> str:
    rest = f" and {len(files) - 2} more" if len(files) > 2 else ""
    return ", ".join(str(file.path) for file in files[:2]) + rest
