"""A one-stage network as a source of bodies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitpose_ros.detect.persons import MIN_IMAGE_PX
from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.keypoints.bodies import whole_image_body
from vitpose_ros.keypoints.onestage.base import Signature, Size
from vitpose_ros.keypoints.onestage.recognise import recognise
from vitpose_ros.layouts import Layout
from vitpose_ros.measurements import BodyMeasurement
from vitpose_ros.models.catalogue import Entry
from vitpose_ros.types import ByteArray, FloatArray


class OneStage:
    """Finds persons and their joints in one pass of a network over the whole image.

    Joint states follow the rules of `keypoints.topdown.TopDown`.

    Parameters
    ----------
    engine : runs the network; the format is told by its inputs and outputs, see `recognise`.
    name : the network's name in the model catalogue.
    layout : of its joints.
    size : (width, height) of its input, px.
    person_class : class number of persons, in networks with several classes.

    Attributes
    ----------
    format : the format's title.
    classes : the network's number of classes, where that follows from the layout; else None.

    Raises
    ------
    EngineError : the network fits no format, or several.
    """

    def __init__(
        self, engine: Engine, name: str, layout: Layout, size: Size, person_class: int = 0
    ) -> None:
        self.name, self.engine, self.layout = name, engine.name, layout
        signature = Signature(engine.inputs, engine.outputs, layout, size, person_class)
        self._run, self._format = engine.run, recognise(signature, name)
        self.format, self.classes = self._format.title, self._format.classes

    def __call__(self, image: ByteArray, threshold: float) -> list[BodyMeasurement]:
        """The persons in an image.

        Parameters
        ----------
        image : (H, W, 3) uint8, BGR.
        threshold : minimum score of a person, 0 .. 1.

        Returns
        -------
        Bodies, best first. Those without enough joints to be tracked are left out.

        Raises
        ------
        EngineError : the network fails.
        """
        height, width = image.shape[:2]
        if min(width, height) < MIN_IMAGE_PX:
            return []
        placed = self._format.prepare(image)
        persons = self._format.read(self._run(placed.tensors), placed)
        persons = persons.pick(persons.score >= threshold)  # NaN compares false
        persons = persons.pick(np.argsort(-persons.score, kind="stable"))
        joint_scores: Sequence[FloatArray | None] = [None] * len(persons.score)
        if persons.joint_score is not None:
            joint_scores = list(persons.joint_score.astype(np.float32))
        rows = zip(
            persons.uv.astype(np.float32),
            joint_scores,
            persons.score.tolist(),
            persons.std.astype(np.float32),
            strict=True,
        )
        bodies = [
            whole_image_body(self.layout, uv, joints, score, (width, height), std=std)
            for uv, joints, score, std in rows
        ]
        return [body for body in bodies if body is not None]


def one_stage(engine: Engine, entry: Entry) -> OneStage:
    """The model for a loaded network, as described by its catalogue entry.

    Raises
    ------
    EngineError : the entry lacks a layout or an input size, or has settings that are not known; or
        the network does not fit it.
    """
    unknown = sorted(set(entry.settings) - {"person_class"})
    if unknown:
        raise EngineError(
            f"'{entry.name}': unknown settings {', '.join(unknown)} in its catalogue entry; "
            "one-stage models accept person_class"
        )
    person = entry.settings.get("person_class", 0)
    if isinstance(person, bool) or not isinstance(person, int) or person < 0:
        raise EngineError(
            f"'{entry.name}': settings.person_class: expected a whole number of at least 0, got "
            f"{person!r}"
        )
    if entry.layout is None:
        raise EngineError(f"'{entry.name}' has no layout in its catalogue entry; add it")
    size = entry.input_width, entry.input_height
    return OneStage(engine, entry.name, entry.layout, size, person)
