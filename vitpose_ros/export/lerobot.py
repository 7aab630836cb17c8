"""LeRobot v3.0 datasets, written with pyarrow and PyAV alone.

The format is that of lerobot 0.6: tables and videos that hold many episodes each, numbered within
chunks, and meta/ that tells where each episode lies. All tables below data/ belong to the dataset,
whether meta/ mentions them or not, so an unfinished one must never be there: see `staging`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.camera import CameraModel
from vitpose_ros.export.card import card, described
from vitpose_ros.export.episodes import Episode
from vitpose_ros.export.features import Column, Schema, counters
from vitpose_ros.export.lerobot_files import (
    DATA,
    EPISODES,
    INFO,
    MODALITY,
    OURS,
    README,
    STATS,
    TASKS,
    VIDEO,
    Existing,
    number_of,
    place,
    tasks_table,
    write_json,
)
from vitpose_ros.export.stats import Histogram, exact, plain
from vitpose_ros.export.tables import Tables
from vitpose_ros.export.video import VideoFile, even
from vitpose_ros.offline.errors import OfflineError, missing_library

DATA_MB, VIDEO_MB = 100, 200
"""A file that has grown beyond this is the last one's; LeRobot's defaults."""

_ROWS_OF_EPISODES = 1000  # per file
_SAMPLED = 10  # every tenth image counts for the statistics of images

SchemaOf = Callable[[Episode], Schema]


class LeRobotWriter:
    """Adds episodes to a dataset.

    Parameters
    ----------
    folder : of the dataset: empty, or a dataset's copy.
    existing : what is in it; None: nothing.
    schema_of : the schema of a new dataset, from its first episode. Of an existing one, the schema
        that its first new episode would have, which is compared.
    task : in words, of every episode.
    """

    def __init__(
        self, folder: Path, existing: Existing | None, schema_of: SchemaOf, task: str
    ) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise missing_library(error) from error
        self._pa, self._pq = pa, pq
        self._folder, self._existing, self._schema_of = folder, existing, schema_of
        self.schema: Schema | None = None
        self.tasks = list(existing.tasks) if existing else []
        if task not in self.tasks:
            self.tasks.append(task)
        self._task = task
        self.episodes = existing.episodes if existing else 0
        self.frames = existing.frames if existing else 0
        self._records: list[dict[str, Any]] = list(existing.records) if existing else []
        self._known = {(one["sha256"], one["start_ns"]) for one in self._records}
        self._rows: list[dict[str, Any]] = []
        self._histogram = Histogram(existing.histogram if existing else None)
        self._own = Histogram()  # of the episode that is being written
        self._frame = 0  # of it
        self._video: VideoFile | None = None
        self._video_number = self._data_number = 0
        self._table: Any = None
        self._files: list[Path] = []  # tables of this run

    # --- what Export calls ---------------------------------------------------------------------

    def knows(self, sha256: str, start_ns: int) -> bool:
        """Whether the dataset has an episode already."""
        return (sha256, start_ns) in self._known

    def accept(self, episode: Episode) -> None:
        """See `episodes.Sink`. The first episode decides the schema of a new dataset."""
        known = self.schema
        if known is None and self._existing is not None:
            known = self._existing.schema
        wanted = _in_order(self._schema_of(episode), known)
        if self.schema is None:
            if self._existing is not None:
                self._existing.check(wanted)
            wanted.columns(episode)
            self.schema = wanted
            return
        if wanted.size != self.schema.size:
            raise OfflineError(
                f"its images are {wanted.size[0]}x{wanted.size[1]} px, those of the dataset "
                f"{self.schema.size[0]}x{self.schema.size[1]}: export it to a dataset of its own"
            )
        for name, own, given in (
            ("--state", self.schema.state, wanted.state),
            ("--action", self.schema.action, wanted.action),
        ):
            if own != given:
                raise OfflineError(f"{name}: {_difference(own, given)}")
        self.schema.columns(episode)

    def image(self, image: npt.NDArray[np.uint8], starts: bool) -> None:
        """See `episodes.Sink`."""
        schema = self._chosen
        if starts:
            self._own, self._frame = Histogram(), 0
            if self._video is not None and self._video.size_bytes() > VIDEO_MB * 1e6:
                self._video.close()
                self._video = None
        if self._video is None:
            self._video_number = self._next(VIDEO.format(key=schema.video, **place(0)))
            path = self._folder / VIDEO.format(key=schema.video, **place(self._video_number))
            self._video = VideoFile(path, schema.size, schema.fps)
        if self._frame % _SAMPLED == 0:
            width, height = even(schema.size)
            self._own.add(image[:height, :width])
        self._video.add(image, starts)
        self._frame += 1

    def end(self, episode: Episode, camera: CameraModel | None) -> None:
        """See `episodes.Sink`."""
        schema = self._chosen
        assert self._video is not None
        count, index = len(episode.frames), self.episodes
        columns = schema.columns(episode)
        task_index = self.tasks.index(self._task)
        columns |= counters(index, self.frames, count, schema.fps, task_index)
        self._write_rows(columns, schema)
        data, video = place(self._data_number), place(self._video_number)
        last = self._video.frames
        key = f"videos/{schema.video}"
        row: dict[str, Any] = {
            "episode_index": index,
            "tasks": [self._task],
            "length": count,
            "data/chunk_index": data["chunk"],
            "data/file_index": data["file"],
            "dataset_from_index": self.frames,
            "dataset_to_index": self.frames + count,
            f"{key}/chunk_index": video["chunk"],
            f"{key}/file_index": video["file"],
            f"{key}/from_timestamp": (last - count) / schema.fps,
            f"{key}/to_timestamp": last / schema.fps,
        }
        row |= _stats_of(columns)
        for stat, value in plain(self._own.stats(count)).items():
            row[f"stats/{schema.video}/{stat}"] = value
        self._rows.append(row)
        self._histogram.counts += self._own.counts
        self._records.append(described(index, episode, camera))
        self._known.add((episode.sha256, episode.start_ns))
        self.episodes, self.frames = index + 1, self.frames + count

    # --- files ---------------------------------------------------------------------------------

    @property
    def _chosen(self) -> Schema:
        assert self.schema is not None, "accept comes first"
        return self.schema

    def _next(self, pattern: str) -> int:
        """The number of the next file of a kind; `pattern` is the path of the first one."""
        folder = self._folder / pattern
        found = [number_of(path) for path in folder.parent.parent.glob(f"*/*{folder.suffix}")]
        return max(found, default=-1) + 1

    def _write_rows(self, columns: dict[str, Column], schema: Schema) -> None:
        pa = self._pa
        features = schema.features()
        arrays, fields = [], []
        for name, feature in features.items():
            if feature["dtype"] == "video":
                continue
            values = columns[name].values
            kind = pa.type_for_alias({"float32": "float"}.get(feature["dtype"], feature["dtype"]))
            flat = pa.array(values.ravel(), kind)
            if feature["shape"] != [1]:
                flat = pa.FixedSizeListArray.from_arrays(flat, feature["shape"][0])
            arrays.append(flat)
            fields.append(pa.field(name, flat.type))
        table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
        if self._table is not None:
            path = self._folder / DATA.format(**place(self._data_number))
            if path.stat().st_size > DATA_MB * 1e6:
                self._table.close()
                self._table = None
        if self._table is None:
            self._data_number = self._next(DATA.format(**place(0)))
            path = self._folder / DATA.format(**place(self._data_number))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._table = self._pq.ParquetWriter(path, table.schema)
            self._files.append(path)
        self._table.write_table(table)  # one group of rows per episode, which is read alone

    def remarks(self) -> list[str]:
        """What the user should know about the dataset."""
        found = []
        for option, names in (("--state", self._chosen.state), ("--action", self._chosen.action)):
            if len(names) == 1:
                found.append(
                    f"{option} has the one element {names[0]}: LeRobot's policies need at least "
                    "two, since it gives single numbers without a dimension; name further topics"
                )
        return found

    def abandon(self) -> None:
        """Close the files, whatever is in them: after an error."""
        if self._video is not None:
            self._video.abandon()
        if self._table is not None:
            self._table.close()

    def finish(self, tell: Callable[[str], None] = lambda text: None) -> None:
        """Complete the dataset: its videos, its tables and meta/.

        Parameters
        ----------
        tell : called with a sentence before what may take long.
        """
        schema, pa = self._chosen, self._pa
        assert self._video is not None and self._table is not None
        self._video.close()
        self._table.close()
        self._video = self._table = None
        tables = Tables(pa, self._pq, self._folder, schema.features())
        tell(f"statistics of {self.frames} frames")
        first = self.episodes - len(self._rows)
        for index, changed in tables.fill(self._files).items():
            self._rows[index - first] |= _stats_of(changed)
        for begin in range(0, len(self._rows), _ROWS_OF_EPISODES):
            number = place(self._next(EPISODES.format(**place(0))))
            path = self._folder / EPISODES.format(**number)
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [
                {
                    **row,
                    "meta/episodes/chunk_index": number["chunk"],
                    "meta/episodes/file_index": number["file"],
                }
                for row in self._rows[begin : begin + _ROWS_OF_EPISODES]
            ]
            self._pq.write_table(pa.Table.from_pylist(rows), path)
        self._pq.write_table(tasks_table(pa, self.tasks), self._folder / TASKS)
        info = {
            "codebase_version": "v3.0",
            "robot_type": None,
            "total_episodes": self.episodes,
            "total_frames": self.frames,
            "total_tasks": len(self.tasks),
            "chunks_size": 1000,
            "data_files_size_in_mb": DATA_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": schema.fps,
            "splits": {"train": f"0:{self.episodes}"},
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
            "features": schema.features(),
        }
        write_json(self._folder / INFO, info)
        of_images = {schema.video: plain(self._histogram.stats(self.frames))}
        write_json(self._folder / STATS, of_images | tables.stats())
        write_json(self._folder / MODALITY, schema.modality())
        ours = {
            "format": 1,
            "units": schema.units,
            "frames": self.frames,
            "image_histogram": self._histogram.counts.tolist(),
            "episodes": self._records,
        }
        write_json(self._folder / OURS, ours)
        text = card(schema, self.tasks, self.episodes, self.frames, self._records)
        (self._folder / README).write_text(text, encoding="utf-8")


def _stats_of(columns: dict[str, Column]) -> dict[str, Any]:
    """The statistics of an episode's values, as columns of its row."""
    return {
        f"stats/{name}/{stat}": value
        for name, one in columns.items()
        for stat, value in plain(exact(one.values, one.valid)).items()
    }


def _in_order(schema: Schema, known: Schema | None) -> Schema:
    """The schema with the robot's elements in the order of a known one, where they are the same:
    several publishers of a topic may come in any order.
    """
    if known is None:
        return schema
    orders = {
        name: getattr(known, name)
        for name in ("state", "action")
        if set(getattr(known, name)) == set(getattr(schema, name))
    }
    return replace(schema, **orders)


def _difference(own: tuple[str, ...], given: tuple[str, ...]) -> str:
    missing = [name for name in own if name not in given]
    extra = [name for name in given if name not in own]
    parts = []
    if missing:
        parts.append(f"the recording lacks {', '.join(missing)}")
    if extra:
        parts.append(f"the dataset lacks {', '.join(extra)}")
    return (
        f"{' and '.join(parts) or 'the order differs'}; all episodes of a dataset have the same "
        "elements. Export it to a dataset of its own"
    )
