"""What detectors by boxes have in common: a network finds boxes of some of its classes, which are
persons, animals or hands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.persons import person_regions
from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.types import ByteArray, FloatArray, Region

COCO_IDS = 91
"""Networks with this number of classes number them by COCO's ids, where a person is 1. In others,
a person is 0.
"""

COCO_ANIMALS: Mapping[int, tuple[int, ...]] = {80: tuple(range(14, 24)), 91: tuple(range(16, 26))}
"""COCO's animals, by the number of classes: bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe.
"""

ChooseClasses = Callable[["int | None", str], "tuple[int, ...]"]
"""Chooses classes of a network by their number (None if the file does not tell it) and the
network's name, for errors."""


@dataclass(frozen=True)
class Boxes:
    """What a network finds in an image.

    Attributes
    ----------
    corners : (N, 4) x0, y0, x1, y1, px of the image.
    scores : (N, C) for the classes that were asked for, 0 .. 1.
    """

    corners: npt.NDArray
    scores: npt.NDArray


class BoxDetector:
    """A network that finds boxes. As a person detector, it is called with an image.

    Attributes
    ----------
    name : the network's name in the model catalogue.
    classes : the class indices that it looks for.
    """

    name: str
    classes: tuple[int, ...]

    def boxes(self, image: ByteArray, threshold: float) -> Boxes:
        """Each object of the classes once.

        Parameters
        ----------
        image : (H, W, 3) uint8, BGR, of any size.
        threshold : minimum score of the object's best class, 0 .. 1.

        Raises
        ------
        EngineError : the network fails.
        """
        raise NotImplementedError

    def __call__(self, image: ByteArray, threshold: float) -> list[Region]:
        """Find persons; see `detect.persons.PersonDetector`."""
        found, (height, width) = self.boxes(image, threshold), image.shape[:2]
        return person_regions(found.corners, found.scores.max(axis=1, initial=0.0), width, height)


def classes_of(*wanted: int) -> ChooseClasses:
    """These classes."""

    def choose(count: int | None, name: str) -> tuple[int, ...]:
        for one in wanted:
            if count is not None and not 0 <= one < count:
                raise EngineError(
                    f"'{name}' has {count} classes, 0 to {count - 1}, and its catalogue entry "
                    f"asks for class {one}; correct the settings of the entry"
                )
        return wanted

    return choose


FIRST_CLASS = classes_of(0)
"""The person in COCO, and the only class of a network with one."""


def coco_person(count: int | None, name: str) -> tuple[int, ...]:
    """Persons in networks trained on COCO; EngineError if the number of classes is unknown."""
    if count is None:
        raise EngineError(
            f"'{name}' does not tell its number of classes; give the class of persons in its "
            "catalogue entry: settings: {person_class: NUMBER}"
        )
    return (1,) if count == COCO_IDS else (0,)


def coco_animals(count: int | None, name: str) -> tuple[int, ...]:
    """Animals in networks trained on COCO; EngineError for any other number of classes."""
    if count is None:
        has = "does not tell its number of classes"
    elif count in COCO_ANIMALS:
        return COCO_ANIMALS[count]
    else:
        has = f"has {count} classes" if count > 1 else "has a single class"
    raise EngineError(
        f"'{name}' cannot be used as a detector of animals: it {has}, and animals are known only "
        "among COCO's 80 (or 91 with its gaps). Choose a person_detector trained on all of COCO, "
        "such as yolox-s, or, if the network finds animals, give their classes in its catalogue "
        "entry: settings: {animal_classes: [NUMBER, ...]}"
    )


def suppressed_outputs(specs: Sequence[TensorSpec]) -> tuple[str, str] | None:
    """Names of MMDeploy's outputs, boxes (N, boxes, 5) and classes (N, boxes), which are already
    suppressed; None for other outputs.
    """
    boxes = [spec.name for spec in specs if len(spec.shape) == 3 and spec.shape[2] == 5]
    classes = [spec.name for spec in specs if len(spec.shape) == 2]
    return (boxes[0], classes[0]) if len(boxes) == len(classes) == 1 and len(specs) == 2 else None


def read_suppressed(
    outputs: Mapping[str, FloatArray],
    names: tuple[str, str],
    classes: Sequence[int],
    threshold: float,
) -> Boxes:
    """Boxes from MMDeploy's outputs, corners in input px. Each box has the score of its own class,
    and 0 for the others.
    """
    rows, of_rows = outputs[names[0]][0], outputs[names[1]][0]
    kept = np.isfinite(rows).all(axis=1) & np.isin(of_rows, classes) & (rows[:, 4] >= threshold)
    scores = np.where(of_rows[kept, None] == np.asarray(classes), rows[kept, 4:5], 0.0)
    return Boxes(rows[kept, :4], scores)
