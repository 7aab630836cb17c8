"""Where the files of a LeRobot v3.0 dataset lie, and what a dataset has that is extended."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitpose_ros.export.features import ACTION, STATE, UNITS, Schema
from vitpose_ros.offline.errors import UsageError, missing_library

DATA = "data/chunk-{chunk:03d}/file-{file:03d}.parquet"
VIDEO = "videos/{key}/chunk-{chunk:03d}/file-{file:03d}.mp4"
EPISODES = "meta/episodes/chunk-{chunk:03d}/file-{file:03d}.parquet"
INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
MODALITY, OURS, README = "meta/modality.json", "meta/vitpose_ros.json", "README.md"

REWRITTEN = (INFO, STATS, TASKS, MODALITY, OURS, README)
"""Files that every run writes anew."""

CHUNK = 1000
"""Files in a folder."""


def place(number: int) -> dict[str, int]:
    """The chunk and the file of the n-th file of a kind."""
    return {"chunk": number // CHUNK, "file": number % CHUNK}


def number_of(path: Path) -> int:
    """The inverse of `place`, from a file's path."""
    chunk = re.fullmatch(r"chunk-(\d+)", path.parent.name)
    file = re.fullmatch(r"file-(\d+)", path.stem)
    return int(chunk[1]) * CHUNK + int(file[1]) if chunk and file else -1


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON in which every number is finite."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def tasks_table(pa: Any, tasks: list[str]) -> Any:
    """Tasks by number, as pandas writes a table whose index is `task`, which LeRobot expects."""
    described = {
        "index_columns": ["task"],
        "column_indexes": [
            {
                "name": None,
                "field_name": None,
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": {"encoding": "UTF-8"},
            }
        ],
        "columns": [
            {
                "name": "task_index",
                "field_name": "task_index",
                "pandas_type": "int64",
                "numpy_type": "int64",
                "metadata": None,
            },
            {
                "name": "task",
                "field_name": "task",
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": None,
            },
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    schema = pa.schema(
        [pa.field("task_index", pa.int64()), pa.field("task", pa.string())],
        metadata={"pandas": json.dumps(described)},
    )
    return pa.Table.from_arrays(
        [pa.array(range(len(tasks)), pa.int64()), pa.array(tasks)], schema=schema
    )


@dataclass(frozen=True)
class Existing:
    """A dataset that is extended.

    Attributes
    ----------
    name : what the user calls it.
    fps, features : from info.json.
    episodes, frames : how many it has.
    tasks : in order.
    units : of hands.
    records, histogram : from vitpose_ros.json.
    """

    name: Path
    fps: int
    features: dict[str, Any]
    episodes: int
    frames: int
    tasks: list[str]
    units: str
    records: list[dict[str, Any]]
    histogram: list[list[int]]

    @classmethod
    def read(cls, folder: Path, name: Path) -> Existing:
        """Read it.

        Parameters
        ----------
        folder : where it is, or where its copy is.
        name : what the user calls it.

        Raises
        ------
        UsageError : it is none that `vitpose_ros export lerobot` wrote.
        """
        try:
            import pyarrow.parquet as pq
        except ImportError as error:
            raise missing_library(error) from error
        if not (folder / INFO).is_file():
            raise UsageError(
                f"{name} is no LeRobot dataset (it has no {INFO}): leave out --append, and "
                "choose a folder that does not exist"
            )
        try:
            info = json.loads((folder / INFO).read_text(encoding="utf-8"))
            version = info["codebase_version"]
            if version != "v3.0":
                raise UsageError(
                    f"{name} is a LeRobot dataset of version {version}; episodes can be appended "
                    "to v3.0. LeRobot converts it: python -m lerobot.scripts.convert_dataset_"
                    "v21_to_v30 --repo-id=..."
                )
            if not (folder / OURS).is_file():
                raise UsageError(
                    f"{name} was not written by `vitpose_ros export lerobot` (it has no {OURS}): "
                    "export to a new folder, and merge the two with LeRobot: lerobot-edit-dataset"
                )
            ours = json.loads((folder / OURS).read_text(encoding="utf-8"))
            table = pq.read_table(folder / TASKS).to_pylist()
            tasks = [row["task"] for row in sorted(table, key=lambda row: row["task_index"])]
            existing = cls(
                name,
                info["fps"],
                info["features"],
                info["total_episodes"],
                info["total_frames"],
                tasks,
                ours["units"],
                ours["episodes"],
                ours["image_histogram"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{name} is damaged and cannot be extended: {error!r}") from error
        if (len(existing.records), ours["frames"]) != (existing.episodes, existing.frames):
            raise UsageError(
                f"{name} was changed by another program since: it has {existing.episodes} "
                f"episodes and {existing.frames} frames, and was written with "
                f"{len(existing.records)} and {ours['frames']}. Export to a new folder, and merge "
                "the two with LeRobot: lerobot-edit-dataset"
            )
        return existing

    @property
    def schema(self) -> Schema:
        """What is known of it without its images: the order of the robot's elements."""
        state, action = (tuple(self.features.get(k, {}).get("names", ())) for k in (STATE, ACTION))
        return Schema(self.fps, self.units, "", (0, 0), state, action)

    def check(self, schema: Schema) -> None:
        """Whether episodes of a schema fit it.

        Raises
        ------
        UsageError : they do not.
        """
        advice = "use the options with which it was made, or export to a new folder"
        if self.fps != schema.fps:
            raise UsageError(f"{self.name} has {self.fps} frames per second: {advice}")
        if self.units != schema.units:
            other = next(unit for unit in UNITS if unit != schema.units)
            raise UsageError(f"{self.name} has hands in {other} (--units): {advice}")
        wanted = schema.features()
        for name in (*wanted, *self.features):
            own, new = self.features.get(name), wanted.get(name)
            if own is None or new is None:
                lacking = "the dataset has no" if own is None else "the new episodes have no"
                raise UsageError(
                    f"{self.name}: {lacking} {name} (--state, --action, --camera): {advice}"
                )
            if own != new:
                raise UsageError(
                    f"{self.name}: {name} differs: {_first_difference(own, new)}: {advice}"
                )


def _first_difference(own: dict[str, Any], new: dict[str, Any]) -> str:
    for field in ("dtype", "shape", "names", "info"):
        if own.get(field) != new.get(field):
            return f"its {field} is {own.get(field)}, that of the new episodes {new.get(field)}"
    return "its description is another one"
