"""The networks of a process: loaded once, shared by the pipelines of all cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vitpose_ros.detect.hand_boxes import HandBox
from vitpose_ros.detect.palms import Palm
from vitpose_ros.detect.persons import PersonDetector
from vitpose_ros.geometry import letterbox_region
from vitpose_ros.layouts import HAND21, Layout
from vitpose_ros.measurements import BodyMeasurement, HandMeasurement, ShapeReader
from vitpose_ros.types import ByteArray, Crop, Region

FIRST_BATCHES = (1, 2)
"""The most frequent numbers of hands or bodies in a batch."""


class HandDetector(Protocol):
    """Finds hands: MediaPipe's palms, or boxes."""

    name: str
    """The network's name in the model catalogue."""

    def __call__(
        self, crops: Sequence[Crop], threshold: float
    ) -> Sequence[Sequence[Palm | HandBox]]:
        """For each window, its hands with at least this score, best first."""
        ...


class HandReader(Protocol):
    """Measures the joints of hands: MediaPipe's landmarks, or a top-down model."""

    name: str
    """The network's name in the model catalogue."""
    engine: str
    """Name of the engine, for display."""
    turned: bool
    """Whether it needs crops in which the hand points up."""
    tells_presence: bool
    """Whether a measurement's presence is a probability that the network was trained to give."""

    def __call__(self, crops: Sequence[Crop]) -> list[HandMeasurement | None]:
        """One measurement for each crop (a rotated square), in their order; None for no hand."""
        ...


class BodyReader(Protocol):
    """Measures the joints of bodies, and defines the regions that its network needs."""

    name: str
    """The network's name in the model catalogue."""
    engine: str
    """Name of the engine, for display."""
    layout: Layout

    def regions(self, detector: PersonDetector, image: ByteArray, threshold: float) -> list[Region]:
        """Regions of detected persons, in the form this reader's network needs, best first."""
        ...

    def __call__(self, crops: Sequence[Crop]) -> list[BodyMeasurement | None]:
        """One measurement for each crop, in their order; None for no body."""
        ...


class BodyFinder(Protocol):
    """Finds and measures bodies in one pass over the whole image: a one-stage or a bottom-up
    network.
    """

    name: str
    """The network's name in the model catalogue."""
    engine: str
    """Name of the engine, for display."""
    layout: Layout
    format: str
    """What kind of network it is, for display."""

    def __call__(self, image: ByteArray, threshold: float) -> list[BodyMeasurement]:
        """The bodies in an image with at least this score, best first."""
        ...


@dataclass(frozen=True)
class Networks:
    """The networks, by task. Not thread-safe.

    Attributes
    ----------
    hand_reader : measures hands.
    hand_detector : finds hands directly; None if only the hands of bodies are measured, in third
        person.
    person_detector, body_reader : find and measure bodies in two stages; None if bodies are not
        measured, or by body_finder.
    shape_reader : estimates the shape of bodies from their joints over time; None for the shape
        that the body's own network gives, if it gives one.
    body_finder : finds and measures bodies in one stage; None for two stages.
    """

    hand_reader: HandReader
    hand_detector: HandDetector | None = None
    person_detector: PersonDetector | None = None
    body_reader: BodyReader | None = None
    shape_reader: ShapeReader | None = None
    body_finder: BodyFinder | None = None

    @property
    def measures_bodies(self) -> bool:
        """Whether bodies can be measured."""
        return self.body_finder is not None or (
            self.person_detector is not None and self.body_reader is not None
        )

    @property
    def bodies(self) -> BodyFinder | BodyReader | None:
        """The network that gives the joints of bodies."""
        return self.body_finder or self.body_reader

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the networks in the model catalogue."""
        everything = (
            self.hand_detector,
            self.hand_reader,
            self.person_detector,
            self.body_reader,
            self.shape_reader,
            self.body_finder,
        )
        return tuple(network.name for network in everything if network is not None)

    @property
    def engine(self) -> str:
        """Names of the keypoint networks' engines, for display."""
        hands, bodies = self.hand_reader, self.bodies
        if bodies is None or bodies.engine == hands.engine:
            return hands.engine
        return f"{bodies.engine} ({bodies.name}) and {hands.engine} ({hands.name})"

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layouts that measurements can have."""
        return (HAND21,) if self.bodies is None else (self.bodies.layout, HAND21)

    def warm_up(self) -> None:
        """Run each network once, because first runs are slow; keypoint networks with each batch
        size in FIRST_BATCHES.

        Raises
        ------
        EngineError : a network fails.
        """
        image = np.zeros((480, 640, 3), np.uint8)
        whole = Crop(image, letterbox_region(640, 480))
        if self.hand_detector is not None:
            self.hand_detector([whole], 0.5)
        if self.person_detector is not None:
            self.person_detector(image, 0.5)
        if self.body_finder is not None:
            self.body_finder(image, 0.5)
        for count in FIRST_BATCHES:
            self.hand_reader([whole] * count)
            if self.body_reader is not None:
                self.body_reader([whole] * count)
        if self.shape_reader is not None:
            self.shape_reader.warm_up()
