"""The tables of a LeRobot dataset, read again: for its statistics, and to fill in what an episode
never showed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.export.features import WRISTS, Column, blank_of, valid_key
from vitpose_ros.export.stats import Batch, mean_of_valid, of_batches, plain

_BATCH = 65536  # rows read at once

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tables:
    """All tables below a dataset's data/.

    Attributes
    ----------
    arrow, parquet : the modules pyarrow and pyarrow.parquet.
    folder : of the dataset.
    features : as in info.json.
    """

    arrow: Any
    parquet: Any
    folder: Path
    features: dict[str, dict[str, Any]]

    def stats(self) -> dict[str, Any]:
        """The statistics of every feature that is no video, as in stats.json."""
        tables = [name for name, one in self.features.items() if one["dtype"] != "video"]
        return {name: plain(of_batches(self._batches(name))) for name in tables}

    def fill(self, files: Sequence[Path]) -> dict[int, dict[str, Column]]:
        """Put the dataset's mean in place of what an episode never shows, in some of the tables.

        Hands that are not there would otherwise lie at 0, in the camera: far away from all other
        values, and in a policy's normalized inputs farther still. Where the whole dataset has no
        valid value, 0 stays.

        Parameters
        ----------
        files : each group of rows in them is one episode.

        Returns
        -------
        By episode, the new values of the features that changed.
        """
        means = {}
        for name in self.features:
            if blank_of(name, self._width(name)) is not None:
                mean = mean_of_valid(self._batches(name)())
                if mean is not None and np.isfinite(mean).any():
                    means[name] = mean if name not in WRISTS else _unit_turn(mean)
        changed: dict[int, dict[str, Column]] = {}
        for path in files if means else ():
            draft = path.with_suffix(".draft")
            with (
                self.parquet.ParquetFile(path) as file,
                self.parquet.ParquetWriter(draft, file.schema_arrow) as writer,
            ):
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    for name, mean in means.items():
                        table = self._filled(table, name, mean, changed)
                    writer.write_table(table)
            os.replace(draft, path)
        return changed

    def _filled(
        self, table: Any, name: str, mean: FloatArray, changed: dict[int, dict[str, Column]]
    ) -> Any:
        """An episode's table, with a feature's unknown points at the mean."""
        width = self._width(name)
        blank = blank_of(name, width)
        values = _flat(table.column(name).combine_chunks()).reshape(-1, width).copy()
        valid = _flat(table.column(valid_key(name)).combine_chunks()).reshape(len(values), -1)
        points = valid.shape[1]  # joints; a wrist is one
        is_blank = (values == blank).reshape(len(values), points, -1).all(axis=(0, 2))
        unknown = is_blank & ~valid.any(axis=0) & np.isfinite(mean).reshape(points, -1).all(axis=1)
        if not unknown.any():
            return table
        columns = np.repeat(unknown, width // points)
        values[:, columns] = mean[columns].astype(np.float32)
        episode = int(table.column("episode_index")[0].as_py())
        spread = np.repeat(valid.astype(np.bool_), width // points, axis=1)
        changed.setdefault(episode, {})[name] = Column(values, spread)
        array = self.arrow.FixedSizeListArray.from_arrays(self.arrow.array(values.ravel()), width)
        place = table.schema.get_field_index(name)
        return table.set_column(place, table.schema.field(name), array)

    def _width(self, name: str) -> int:
        return int(self.features[name]["shape"][0])

    def _batches(self, name: str) -> Callable[[], Iterator[Batch]]:
        """A function that gives all values of a feature, and which of them are valid."""
        used = valid_key(name) if valid_key(name) in self.features else None
        width = self._width(name)

        def read() -> Iterator[Batch]:
            for path in sorted(self.folder.glob("data/*/*.parquet")):
                with self.parquet.ParquetFile(path) as file:
                    columns = [name] if used is None else [name, used]
                    for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
                        values = _flat(batch.column(name)).reshape(-1, width).astype(np.float64)
                        valid = None
                        if used is not None:
                            valid = _flat(batch.column(used)).reshape(len(values), -1)
                            repeat = width // valid.shape[1]
                            valid = np.repeat(valid.astype(np.bool_), repeat, axis=1)
                        yield values, valid

        return read


def _unit_turn(pose: FloatArray) -> FloatArray:
    """A wrist's mean pose with a quaternion of length 1."""
    length = float(np.linalg.norm(pose[3:]))
    turn = pose[3:] / length if length > 0.1 else np.array((0.0, 0.0, 0.0, 1.0))
    return np.concatenate([pose[:3], turn])


def _flat(array: Any) -> npt.NDArray[Any]:
    flat = array.flatten() if hasattr(array, "flatten") else array
    return np.asarray(flat.to_numpy(zero_copy_only=False))
