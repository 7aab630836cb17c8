"""Divides labels into those that are learned from and those that the network is judged by.

Neighbouring images of a recording are nearly the same, so a network that is judged by the
neighbours of what it has learned looks better than it is. The unit is therefore never the image if
something larger is known: recordings (annotation files, or folders of images), else the tracks of
one recording that are never seen together, else its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from vitpose_ros.train.errors import TrainError
from vitpose_ros.train.labels import Label, Labels
from vitpose_ros.types import NO_ID

SHARE = 0.15
"""Of the labels, about how many are for validation."""

GAP_NS = 1_000_000_000
"""Between the two parts of one recording."""

RECORDINGS, FOLDERS, TRACKS, TIME, IMAGES = (
    *("recordings", "folders of images", "tracks", "time", "images"),
)
"""By what labels are divided, the best first."""


@dataclass(frozen=True)
class Split:
    """Labels in two parts.

    Attributes
    ----------
    train, validation : no image is in both.
    by : what was divided: RECORDINGS, FOLDERS, TRACKS, TIME or IMAGES.
    """

    train: Labels
    validation: Labels
    by: str


def split(labels: Labels, seed: int) -> Split:
    """Divide labels by the largest unit that there are several of.

    Raises
    ------
    TrainError : there are too few for two parts.
    """
    files = [labels.images[label.image].file for label in labels.labels]
    folders = [
        str(PurePosixPath(labels.images[label.image].name).parent) for label in labels.labels
    ]
    recorded = all(labels.images[label.image].stamp_ns is not None for label in labels.labels)
    if len(set(files)) > 1:
        return _by(labels, files, RECORDINGS, seed)
    if len(set(folders)) > 1 and not recorded:
        return _by(labels, folders, FOLDERS, seed)
    if recorded:
        together = _together(labels)
        if len(set(together)) > 1:
            return _by(labels, together, TRACKS, seed)
        return _by_time(labels)
    return _by(labels, [label.image for label in labels.labels], IMAGES, seed)


def _by(labels: Labels, units: Sequence[object], by: str, seed: int) -> Split:
    """Random whole units for validation: at least one, and about SHARE of the labels."""
    rng = np.random.default_rng((seed, 15))
    sizes = Counter(units)
    names = list(sizes)
    if len(names) < 2:
        raise _few(labels)
    wanted = SHARE * len(units)
    held: set[object] = set()
    count = 0
    for i in rng.permutation(len(names)):
        size = sizes[names[i]]
        if count + size / 2 <= wanted:
            held.add(names[i])
            count += size
    if not held:  # all are large
        held = {min(names, key=lambda name: sizes[name])}
    chosen = np.array([unit in held for unit in units])
    return Split(_part(labels, ~chosen), _part(labels, chosen), by)


def _together(labels: Labels) -> list[int]:
    """For each label a number: labels of one track, and of tracks that share a span of time, have
    the same one.
    """
    times = [labels.images[label.image].stamp_ns or 0 for label in labels.labels]
    spans: dict[int, list[int]] = {}
    for label, time_ns in zip(labels.labels, times, strict=True):
        if label.track_id == NO_ID:
            return [0] * len(times)
        first, last = spans.setdefault(label.track_id, [time_ns, time_ns])
        spans[label.track_id] = [min(first, time_ns), max(last, time_ns)]
    group, end_ns = -1, -(2**62)
    groups = {}
    for track, (first, last) in sorted(spans.items(), key=lambda item: item[1]):
        group += first > end_ns + GAP_NS
        end_ns = max(end_ns, last)
        groups[track] = group
    return [groups[label.track_id] for label in labels.labels]


def _by_time(labels: Labels) -> Split:
    """The last part of a recording is for validation; between the parts is a gap."""
    times = np.array([labels.images[label.image].stamp_ns for label in labels.labels], np.int64)
    border = np.sort(times)[int((1 - SHARE) * len(times))]
    before, after = times < border - GAP_NS, times >= border
    if not (before.any() and after.any()):
        raise _few(labels)
    return Split(_part(labels, before), _part(labels, after), TIME)


def _part(labels: Labels, chosen: np.ndarray) -> Labels:
    kept = tuple(label for label, is_in in zip(labels.labels, chosen, strict=True) if is_in)
    return with_labels(labels, kept)


def with_labels(labels: Labels, kept: Sequence[Label]) -> Labels:
    """The same files with some of their labels, and only the images that have one."""
    used = sorted({label.image for label in kept})
    place = {old: new for new, old in enumerate(used)}
    return replace(
        labels,
        images=tuple(labels.images[i] for i in used),
        labels=tuple(replace(label, image=place[label.image]) for label in kept),
    )


def _few(labels: Labels) -> TrainError:
    return TrainError(
        f"{len(labels.labels)} labelled objects in {len(labels.images)} images of one short "
        "recording cannot be divided for training and validation; give other labels with --val"
    )
