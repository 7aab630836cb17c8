"""Where the time of an image goes: each stage of a pipeline, timed from outside.

The networks and methods of one pipeline are wrapped; nothing in the core knows about it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vitpose_ros.pipeline import Pipeline
from vitpose_ros.types import Frame

PLAN, ASSOCIATE, SMOOTH = "plan", "associate", "smooth"
PALMS, HANDS, PERSONS, BODIES = "palms", "hand joints", "persons", "body joints"
NETWORK = ", its network"
"""Ends the name of the part of a stage that the engine takes; the rest is cropping and decoding."""


@dataclass(frozen=True)
class Stage:
    """A stage of a pipeline.

    Attributes
    ----------
    name : for display.
    share_of_images : how often it ran.
    median_ms, p95_ms : of the images in which it ran; all its runs in one image together.
    mean_ms : over all images, so that these sum up to an image's time.
    """

    name: str
    share_of_images: float
    median_ms: float
    p95_ms: float
    mean_ms: float


class Stopwatch:
    """Sums the time that wrapped calls take in the current image, by name."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.now: dict[str, float] = {}
        self._clock = clock

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, timed."""

        def run(*arguments: Any, **options: Any) -> Any:
            begun = self._clock()
            try:
                return call(*arguments, **options)
            finally:
                self.now[name] = self.now.get(name, 0.0) + self._clock() - begun

        return run


class _Timed:
    """A network whose calls are timed; the rest is the network's own."""

    def __init__(self, network: Any, call: Callable[..., Any]) -> None:
        self._network, self._call = network, call

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._call(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


def measure_stages(
    pipeline: Pipeline, frames: Iterable[Frame], warm_up: int = 10
) -> tuple[Stage, ...]:
    """Run a pipeline on images, and time its stages.

    Parameters
    ----------
    pipeline : not used afterwards: its parts stay wrapped.
    frames : the images, in order.
    warm_up : how many first images do not count.

    Returns
    -------
    The stages in the order of their first run, then the rest and the whole.

    Raises
    ------
    ValueError : there are no images after the first `warm_up`.
    """
    watch = Stopwatch()
    _wrap(pipeline, watch)
    images: list[dict[str, float]] = []
    for frame in frames:
        watch.now = {}
        begun = time.perf_counter()
        pipeline(frame)
        images.append({**watch.now, "whole image": time.perf_counter() - begun})
    images = images[warm_up:]
    if not images:
        raise ValueError(f"expected more than {warm_up} images")
    names = list(dict.fromkeys(n for image in images for n in image if n != "whole image"))
    outer = [name for name in names if not name.endswith(NETWORK)]
    for image in images:
        image["rest"] = image["whole image"] - sum(image.get(name, 0.0) for name in outer)
    return tuple(_stage(name, images) for name in (*names, "rest", "whole image"))


def _stage(name: str, images: list[dict[str, float]]) -> Stage:
    taken_ms = 1e3 * np.array([image[name] for image in images if name in image])
    return Stage(
        name,
        len(taken_ms) / len(images),
        float(np.median(taken_ms)),
        float(np.percentile(taken_ms, 95)),
        float(taken_ms.sum() / len(images)),
    )


def _wrap(pipeline: Pipeline, watch: Stopwatch) -> None:
    """Time the pipeline's own steps, each network, and each network's engine."""
    networks = pipeline.networks
    parts = {"hand_detector": PALMS, "hand_reader": HANDS, "body_reader": BODIES}
    wrapped = {}
    for field, name in parts.items():
        network = getattr(networks, field)
        if network is not None:
            _time_engine(network, watch, name)
            wrapped[field] = _Timed(network, watch.timed(name, network))
    if networks.person_detector is not None and networks.body_reader is not None:
        _time_engine(networks.person_detector, watch, PERSONS)
        reader: Any = networks.body_reader  # it asks the detector, whose class matters to it
        reader.regions = watch.timed(PERSONS, reader.regions)
    pipeline.networks = replace(networks, **wrapped)
    for method, name in (("_plan", PLAN), ("_associate", ASSOCIATE), ("_smooth", SMOOTH)):
        setattr(pipeline, method, watch.timed(name, getattr(pipeline, method)))


def _time_engine(part: Any, watch: Stopwatch, name: str, depth: int = 3) -> None:
    """Time the runs of the engine inside a network, wherever it is kept."""
    for inner in list(vars(part).values()):
        if callable(getattr(inner, "run", None)):
            inner.run = watch.timed(name + NETWORK, inner.run)
        elif depth and type(inner).__module__.startswith("vitpose_ros.") and hasattr(
            inner, "__dict__"
        ):
            _time_engine(inner, watch, name, depth - 1)
