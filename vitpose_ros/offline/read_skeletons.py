"""Skeletons back from files: what `vitpose_ros annotate` wrote, or a bag of the node's messages.

    recorded = read_skeletons(Path("annotated/take"))
    for image in recorded.images:
        for one in image.instances:
            print(image.stamp_ns, one.layout.name, one.side, one.track_id, one.keypoints.uv)

Instances are those of the pipeline (`types.Instance`): smoothed joints in `keypoints`, measured
ones in `raw`, unknown joints ABSENT with NaN coordinates.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vitpose_ros.fields import instance_from_fields, layout_from_fields
from vitpose_ros.ingest.stamps import stamp_ns
from vitpose_ros.layouts import LAYOUTS, Layout
from vitpose_ros.offline.bag import BAG_SUFFIXES, Bag
from vitpose_ros.offline.bag_types import LAYOUT_ARRAY, SKELETON, SKELETON_ARRAY, typestore
from vitpose_ros.offline.errors import OfflineError, missing_library
from vitpose_ros.offline.items import MANIFEST
from vitpose_ros.offline.write_bag import SKELETONS
from vitpose_ros.offline.write_tables import EMPTY_COLUMNS
from vitpose_ros.types import Instance

BAG_NAME, TABLE_NAME = "skeletons", "skeletons.parquet"
"""In a finished item's folder."""


@dataclass(frozen=True)
class RecordedImage:
    """The skeletons of one image.

    Attributes
    ----------
    stamp_ns : of the image, ns.
    frame_id : of metric coordinates (xyz).
    image_frame_id : of the image: the camera's optical frame.
    size : (width, height), px.
    reset : tracking restarted: no id of earlier images continues.
    smoothing, horizon_s : how joints were filtered, and how far they were extrapolated beyond the
        stamp, as in SkeletonArray.
    instances : the skeletons; empty if nothing was found.
    """

    stamp_ns: int
    frame_id: str
    image_frame_id: str
    size: tuple[int, int]
    reset: bool
    smoothing: str
    horizon_s: float
    instances: tuple[Instance, ...]


@dataclass(frozen=True)
class Recorded:
    """A whole recording.

    Attributes
    ----------
    path : the bag or table that was read.
    topic : of the messages; "" for a table.
    images : every processed image, in the order of the recording.
    layouts : that instances can have. A known layout is the object of `layouts.LAYOUTS`.
    about : how it was made, from annotation.json or the table's metadata: `settings`, `input`,
        `episodes` and so on; empty for a bag of the live node.
    notes : sentences about what was lost, for people.
    """

    path: Path
    topic: str
    images: tuple[RecordedImage, ...]
    layouts: tuple[Layout, ...]
    about: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_skeletons(path: Path, topic: str = "") -> Recorded:
    """Read every skeleton of a recording into memory.

    Parameters
    ----------
    path : a folder that annotate wrote (its bag is read, else its table), a bag (folder, .mcap or
        .db3; of a file that was cut off, every whole message), or skeletons.parquet.
    topic : of the SkeletonArray messages, if a bag has several; by default annotate's own.

    Raises
    ------
    OfflineError : there is nothing to read, it is not clear which topic, or it is damaged.
    """
    if not path.exists():
        raise OfflineError(f"{path} does not exist")
    if path.is_dir() and (path / MANIFEST).is_file():
        inner = [one for one in (path / BAG_NAME, path / TABLE_NAME) if one.exists()]
        if not inner:
            raise OfflineError(
                f"{path} has neither a bag nor a table: annotate with --write bag or parquet"
            )
        path = inner[0]
        if path.name == BAG_NAME and not topic:
            topic = SKELETONS  # with --with-input, the bag may have those of the live node, too
    about = _manifest(path.parent)
    if path.suffix == ".parquet":
        if topic:
            raise OfflineError(f"{path} is a table, which has no topics: leave out {topic}")
        return _from_table(path, about)
    if path.is_file() and path.suffix.lower() not in BAG_SUFFIXES:
        raise OfflineError(
            f"{path} is of no known kind. Accepted are folders that annotate wrote, bags (folders, "
            f"{', '.join(BAG_SUFFIXES)}) and {TABLE_NAME}"
        )
    with tempfile.TemporaryDirectory() as work:
        bag = Bag(path, Path(work))
        try:
            return _from_bag(bag, topic, about)
        finally:
            bag.close()


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an annotated item; empty if the folder is none."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise OfflineError(f"{folder / MANIFEST} cannot be read: {error}") from error
    return content if isinstance(content, dict) else {}


# --- bags --------------------------------------------------------------------------------------


def _from_bag(bag: Bag, topic: str, about: dict[str, Any]) -> Recorded:
    connections = _skeleton_connections(bag, topic)
    name = str(connections[0].topic)
    store = typestore()
    known = store.hash_rihs01(SKELETON_ARRAY)
    for connection in connections:
        if connection.digest and connection.digest != known:
            raise OfflineError(
                f"{bag.path}: the messages on {name} are those of another version of vitpose_ros: "
                "annotate the recording again, or read it with that version"
            )
    layouts = _bag_layouts(bag, store)
    images: list[RecordedImage] = []
    for _, _, data in bag.messages(connections):
        try:
            message = store.deserialize_cdr(data, SKELETON_ARRAY)
            found = _instances(message.skeletons, layouts)
        except (ValueError, KeyError, IndexError) as error:
            raise OfflineError(
                f"{bag.path}: message {len(images) + 1} on {name} cannot be used: {error}"
            ) from error
        images.append(
            RecordedImage(
                stamp_ns(message),
                message.header.frame_id,
                message.image_frame_id,
                (int(message.image_width), int(message.image_height)),
                bool(message.reset),
                message.smoothing,
                float(message.prediction_horizon),
                found,
            )
        )
    if not images:
        raise OfflineError(f"{bag.path}: there is no message on {name}")
    return Recorded(bag.path, name, tuple(images), tuple(layouts.values()), about, tuple(bag.notes))


def _skeleton_connections(bag: Bag, topic: str) -> list[Any]:
    found: dict[str, list[Any]] = {}
    for connection in bag.topics:
        if connection.msgtype == SKELETON_ARRAY:
            found.setdefault(connection.topic, []).append(connection)
    listed = ", ".join(sorted(found))
    if topic:
        if topic not in found:
            has = f"its topics of this type are {listed}" if found else "it has none at all"
            raise OfflineError(f"{bag.path} has no {SKELETON_ARRAY} on '{topic}'; {has}")
        return found[topic]
    if not found:
        raise OfflineError(
            f"{bag.path} has no topic of type {SKELETON_ARRAY}: run `vitpose_ros annotate` on it "
            "first, and give what that wrote"
        )
    if len(found) > 1:
        raise OfflineError(
            f"{bag.path} has {len(found)} topics of skeletons: name one, as in "
            f"{bag.path}:{min(found)} (it has {listed})"
        )
    return next(iter(found.values()))


def _bag_layouts(bag: Bag, store: Any) -> dict[str, Layout]:
    """The layouts that the bag describes, by name."""
    connections = [c for c in bag.topics if c.msgtype == LAYOUT_ARRAY]
    layouts: dict[str, Layout] = {}
    if connections:
        for _, _, data in bag.messages(connections):
            for one in store.deserialize_cdr(data, LAYOUT_ARRAY).layouts:
                layouts[one.name] = layout_from_fields(one)
    return layouts


def _instances(skeletons: Any, layouts: dict[str, Layout]) -> tuple[Instance, ...]:
    """Instances of messages or rows; layouts that are known but not described are added."""
    found = []
    for one in skeletons:
        if one.layout not in layouts:
            if one.layout not in LAYOUTS:
                raise ValueError(
                    f"layout '{one.layout}' is not known, and the recording does not describe it"
                )
            layouts[one.layout] = LAYOUTS[one.layout]
        found.append(instance_from_fields(one, layouts[one.layout]))
    return tuple(found)


# --- tables ------------------------------------------------------------------------------------


def _from_table(path: Path, manifest: dict[str, Any]) -> Recorded:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise missing_library(error) from error
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise OfflineError(f"{path} cannot be read as a Parquet table: {error}") from error
    with file:
        fields = [name for name, _ in typestore().fielddefs[SKELETON][1]]
        needed = {*EMPTY_COLUMNS, *fields}
        if missing := needed - set(file.schema_arrow.names):
            raise OfflineError(
                f"{path} is no table of skeletons as `vitpose_ros annotate` writes it: it has no "
                f"column {', '.join(sorted(missing)[:3])}"
            )
        about = json.loads((file.schema_arrow.metadata or {}).get(b"vitpose_ros", b"{}"))
        layouts = {
            one["name"]: layout_from_fields(SimpleNamespace(**one))
            for one in about.pop("layouts", [])
        }
        images = dict(_empty(about.pop("empty_images", {})))
        for rows in _by_image(file):
            try:
                found = _instances([SimpleNamespace(**row) for row in rows], layouts)
            except ValueError as error:
                raise OfflineError(f"{path} cannot be used: {error}") from error
            images[rows[0]["image"]] = _image(rows[0], found)
    ordered = tuple(images[number] for number in sorted(images))
    notes = []
    if (unknown := about.get("images", len(ordered)) - len(ordered)) > 0:
        notes.append(
            f"{path}: {unknown} images without skeletons are missing, because an older version "
            "wrote the table without their stamps: annotate again, or read the bag"
        )
    return Recorded(path, "", ordered, tuple(layouts.values()), {**manifest, **about}, tuple(notes))


def _by_image(file: Any) -> Iterator[list[dict[str, Any]]]:
    """The rows of each image with skeletons; those of an image are next to each other."""
    rows: list[dict[str, Any]] = []
    for batch in file.iter_batches(batch_size=1024):
        for row in batch.to_pylist():
            if rows and rows[0]["image"] != row["image"]:
                yield rows
                rows = []
            rows.append(row)
    if rows:
        yield rows


def _image(values: dict[str, Any], found: tuple[Instance, ...]) -> RecordedImage:
    return RecordedImage(
        values["stamp_ns"],
        values["frame_id"],
        values["image_frame_id"],
        (values["image_width"], values["image_height"]),
        values["reset"],
        values["smoothing"],
        values["prediction_horizon"],
        found,
    )


def _empty(columns: dict[str, list[Any]]) -> Iterator[tuple[int, RecordedImage]]:
    """Numbers and images without skeletons, which have no row."""
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        yield row["image"], _image(row, ())
