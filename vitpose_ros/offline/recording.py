"""A recording through the pipeline: every image, then, with the future known, who is who and
smoothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vitpose_ros.layouts import Layout
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.offline.settle import settle
from vitpose_ros.offline.source import Source, read_ahead
from vitpose_ros.parameters.table import Parameters
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.settings import HANDS_OF_A_PERSON
from vitpose_ros.smooth.settings import PRESETS
from vitpose_ros.smooth.whole import TEXT, WholeSmoother
from vitpose_ros.types import Instance, View


@dataclass(frozen=True)
class Annotated:
    """What was found in one image.

    Attributes
    ----------
    stamp_ns, frame_id, size : of the image; size is (width, height), px.
    log_ns : when the recording received it.
    name : how datasets refer to it.
    instances, models, reset, view : see `pipeline.Result`.
    """

    stamp_ns: int
    frame_id: str
    size: tuple[int, int]
    log_ns: int
    name: str
    instances: tuple[Instance, ...]
    models: tuple[str, ...]
    reset: bool
    view: View


@dataclass(frozen=True)
class Annotation:
    """A whole recording.

    Attributes
    ----------
    images : in order.
    layouts : that the instances can have.
    smoothing, horizon_s : the fields of SkeletonArray.
    """

    images: list[Annotated]
    layouts: tuple[Layout, ...]
    smoothing: str
    horizon_s: float


def annotate(
    source: Source,
    make_pipeline: Callable[[Settings], Pipeline],
    parameters: Parameters,
    *,
    as_live: bool = False,
    static: bool = False,
    tell: Callable[[int], None] = lambda done: None,
) -> Annotation:
    """Find what is in every image of a recording.

    Parameters
    ----------
    source : the images.
    make_pipeline : a pipeline that has seen no image.
    parameters : those of the live node.
    as_live : decide image by image, as the live node does when it misses none.
    static : the images have nothing to do with each other.
    tell : called with the number of images done.

    Raises
    ------
    OfflineError : no image could be used.
    """
    settings = parameters.settings()
    if static:
        settings = replace(settings, hands=replace(settings.hands, static=True))
    if not as_live:
        settings = replace(
            settings, smoothing=PRESETS["none"], biomechanics=False, prediction_horizon_s=0.0
        )
    try:
        pipeline = make_pipeline(settings)
    except ValueError as error:  # the view does not fit the settings
        raise OfflineError(str(error)) from error
    images: list[Annotated] = []
    for shot in read_ahead(iter(source)):
        frame = shot.frame
        result = pipeline(frame)
        images.append(
            Annotated(
                frame.stamp_ns,
                frame.frame_id,
                (frame.width, frame.height),
                shot.log_ns,
                shot.name,
                result.instances,
                result.models,
                result.reset,
                result.view,
            )
        )
        tell(len(images))
    if not images:
        reasons = "; ".join(source.losses.sentences()) or "it has none"
        raise OfflineError(f"no image could be used: {reasons}")
    if static:
        return Annotation(images, pipeline.layouts, "none", 0.0)
    if as_live:
        return Annotation(
            images, pipeline.layouts, parameters.smoothing_text, parameters.prediction_horizon
        )
    return _settled(images, pipeline.layouts, parameters)


def _settled(
    images: list[Annotated], layouts: tuple[Layout, ...], parameters: Parameters
) -> Annotation:
    """With identities and joints that know the future."""
    stamps = [image.stamp_ns for image in images]
    found = settle(
        stamps,
        [image.instances for image in images],
        [image.reset for image in images],
        one_person=parameters.max_hands <= HANDS_OF_A_PERSON,
    )
    wanted = parameters.settings()
    smoother = WholeSmoother(layouts, wanted.smoothing, wanted.biomechanics)
    smoothed = smoother(stamps, found)
    text = "none" if parameters.smoothing_text == "none" else TEXT
    pairs = zip(images, smoothed, strict=True)
    return Annotation(
        [replace(image, instances=tuple(one)) for image, one in pairs], layouts, text, 0.0
    )
