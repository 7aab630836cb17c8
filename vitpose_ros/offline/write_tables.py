"""Skeletons as a Parquet table and as COCO keypoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vitpose_ros.fields import layout_fields, skeleton_array_fields, skeleton_fields
from vitpose_ros.offline.bag_types import SKELETON, SKELETON_ARRAY, typestore
from vitpose_ros.offline.errors import missing_library
from vitpose_ros.offline.recording import Annotated, Annotation
from vitpose_ros.types import Instance, JointState

EMPTY_COLUMNS = (
    *("image", "stamp_ns", "frame_id", "image_frame_id", "image_width", "image_height", "reset"),
    *("smoothing", "prediction_horizon"),
)
"""What a table's metadata tells about images without skeletons, which have no row."""

_ROWS = 4096  # skeletons that are written at once

_VISIBLE, _HIDDEN, _UNLABELLED = 2, 1, 0  # of COCO
_COCO_STATES = {
    JointState.ABSENT: _UNLABELLED,
    JointState.PREDICTED: _HIDDEN,
    JointState.OCCLUDED: _HIDDEN,
    JointState.MEASURED: _VISIBLE,
    JointState.VISIBLE: _VISIBLE,
}


def write_parquet(path: Path, annotation: Annotation, about: dict[str, Any]) -> None:
    """Write a table with one row per skeleton.

    Its columns are the fields of SkeletonArray and Skeleton, by their names in the messages; before
    them the image's number, name and stamp. Images without skeletons have no row: the metadata
    lists them, and has the number of all images. Unknown numbers are NaN, as in the messages.

    Parameters
    ----------
    path : the file.
    annotation : what was found.
    about : goes into the file's metadata as JSON, with the layouts.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise missing_library(error) from error
    layouts = [_plain(layout_fields(layout)) for layout in annotation.layouts]
    notes = {
        **about,
        "layouts": layouts,
        "images": len(annotation.images),
        "empty_images": _empty_images(annotation),
    }
    schema = _schema(pa).with_metadata({"vitpose_ros": json.dumps(notes, allow_nan=False)})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for row in _rows(annotation):
            rows.append(row)
            if len(rows) == _ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema))


def _rows(annotation: Annotation) -> Iterator[dict[str, Any]]:
    for number, image in enumerate(annotation.images):
        of_image = _of_image(number, image, annotation)
        for one in image.instances:
            yield {**of_image, **skeleton_fields(one)}


def _of_image(number: int, image: Annotated, annotation: Annotation) -> dict[str, Any]:
    """The columns that all rows of an image have in common."""
    return {
        "image": number,
        "image_name": image.name,
        "stamp_ns": image.stamp_ns,
        "frame_id": image.frame_id,
        "image_frame_id": image.frame_id,
        **skeleton_array_fields(
            image.size,
            image.models,
            image.reset,
            image.view,
            annotation.smoothing,
            annotation.horizon_s,
        ),
    }


def _empty_images(annotation: Annotation) -> dict[str, list[Any]]:
    """Images without skeletons, which have no row: these of their columns."""
    rows = [
        _of_image(number, image, annotation)
        for number, image in enumerate(annotation.images)
        if not image.instances
    ]
    return {name: [row[name] for row in rows] for name in EMPTY_COLUMNS}


def _schema(pa: Any) -> Any:
    """The columns' types, from the messages' own definitions."""
    columns = [
        pa.field("image", pa.int64()),
        pa.field("image_name", pa.string()),
        pa.field("stamp_ns", pa.int64()),
        pa.field("frame_id", pa.string()),
    ]
    from rosbags.interfaces import Nodetype

    fielddefs = typestore().fielddefs
    for message in (SKELETON_ARRAY, SKELETON):
        for name, (kind, described) in fielddefs[message][1]:
            is_list = kind in (Nodetype.ARRAY, Nodetype.SEQUENCE)
            element, of = described[0] if is_list else (kind, described)
            if element != Nodetype.BASE or name == "processing_time":
                continue  # header and skeletons; and nobody waited for the message
            column = _type(pa, of[0])
            columns.append(pa.field(name, pa.list_(column) if is_list else column))
    return pa.schema(columns)


def _type(pa: Any, name: str) -> Any:
    return pa.type_for_alias({"float32": "float"}.get(name, name))


def write_coco(path: Path, annotation: Annotation) -> None:
    """Write COCO keypoints: one category per layout, one annotation per skeleton.

    A joint is labelled visible (2) where it was measured, hidden (1) where it was inferred or
    predicted, and absent joints are 0, 0, 0. Beyond COCO, images have stamp_ns, and annotations
    have score, track_id and side, and for each joint keypoint_scores and keypoint_std_px, null
    where not known.

    Parameters
    ----------
    path : the file.
    annotation : what was found.
    """
    categories = {
        layout.name: {
            "id": number,
            "name": layout.name,
            "supercategory": layout.kind,
            "keypoints": list(layout.joints),
            "skeleton": [[a + 1, b + 1] for a, b in layout.edges],
        }
        for number, layout in enumerate(annotation.layouts, 1)
    }
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(annotation.images, 1):
        images.append(
            {
                "id": number,
                "file_name": image.name,
                "width": image.size[0],
                "height": image.size[1],
                "stamp_ns": image.stamp_ns,
            }
        )
        for one in image.instances:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": categories[one.layout.name]["id"],
                    **_coco(one),
                }
            )
    content = {
        "images": images,
        "annotations": annotations,
        "categories": list(categories.values()),
    }
    path.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")


def _coco(one: Instance) -> dict[str, Any]:
    joints = one.keypoints
    known = joints.state != JointState.ABSENT
    uv = np.where(known[:, None], joints.uv, 0.0).round(3)
    states = [_COCO_STATES[JointState(int(state))] for state in joints.state]
    x, y, width, height = (round(float(side), 3) for side in joints.box())
    return {
        "keypoints": [
            number
            for (u, v), state in zip(uv.tolist(), states, strict=True)
            for number in (round(u, 3), round(v, 3), state)
        ],
        "num_keypoints": int(known.sum()),
        "bbox": [x, y, width, height],
        "area": round(width * height, 3),
        "iscrowd": 0,
        "score": round(float(one.score), 6),
        "keypoint_scores": _known(joints.score, 4),
        "keypoint_std_px": _known(joints.uv_std, 3),
        "track_id": one.track_id,
        "side": one.side.name.lower(),
    }


def _known(values: np.ndarray, digits: int) -> list[float | None]:
    """Numbers for JSON: None where not known."""
    return [None if value != value else round(value, digits) for value in values.tolist()]


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields for JSON: lists for arrays, None for unknown numbers."""
    plain = {}
    for name, value in fields.items():
        if isinstance(value, np.ndarray):
            value = [None if number != number else number for number in value.tolist()]
        plain[name] = value
    return plain
