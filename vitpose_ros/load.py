"""The pipeline with networks from the model store, by their names in the catalogue."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from vitpose_ros.bodies import BodyFinder, BodyReader, MediaPipeBodies, TopDownBodies
from vitpose_ros.detect.load import load_person_detector
from vitpose_ros.detect.palms import PalmDetector
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.hands import HandFinder, HandReader
from vitpose_ros.keypoints.load import PRECISION_CHOICES, TURNED, load_top_down
from vitpose_ros.keypoints.mediapipe_body import BodyLandmarks
from vitpose_ros.keypoints.mediapipe_hand import HandLandmarks
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.keypoints.topdown_hand import TopDownHands
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline, Settings


@dataclass(frozen=True)
class Models:
    """The networks of a pipeline, by their names in the model catalogue.

    Only those that the view needs are looked up: hand_detector unless it is "third_person",
    person_detector and body_model unless it is "egocentric".
    """

    hand_detector: str = "mediapipe-palm-full"
    hand_model: str = "mediapipe-hand-full"
    person_detector: str = "mediapipe-person"
    body_model: str = "mediapipe-body-full"


@dataclass(frozen=True)
class TopDownOptions:
    """How top-down keypoint models (ViTPose, RTMPose) run. MediaPipe's networks know none of it:
    they always run in fp32, since a lower precision moves their joints by pixels.

    Attributes
    ----------
    precision : "fp32", "fp16", "bf16" or "auto"; see `keypoints.load.load_top_down`.
    flip_test : look at each crop mirrored too and take the mean: more exact, at twice the time.

    Raises
    ------
    ValueError : naming the field, what was given and what is accepted.
    """

    precision: str = "fp32"
    flip_test: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISION_CHOICES:
            raise ValueError(
                f"precision: expected one of {', '.join(PRECISION_CHOICES)}, got {self.precision!r}"
            )
        if not isinstance(self.flip_test, bool):
            raise ValueError(f"flip_test: expected true or false, got {self.flip_test!r}")


def load_pipeline(
    store: ModelStore,
    models: Models = Models(),
    settings: Settings | None = None,
    view: str = "egocentric",
    threads: int = 0,
    topdown: TopDownOptions = TopDownOptions(),
) -> Pipeline:
    """The pipeline with networks from the model store.

    Parameters
    ----------
    store : where the models lie.
    models : their names.
    settings : see `Settings`; its defaults when None.
    view : "egocentric", "third_person" or "auto"; see `views`.
    threads : CPU threads for the networks; 0 uses all cores.
    topdown : how ViTPose and RTMPose run.

    Raises
    ------
    ModelError : a name is unknown or of another task, or its file is missing or was altered.
    EngineError : a file cannot be read, is not the network it is taken for, or does not give the
        joints of fp32 in the precision.
    ValueError : the view is unknown, or does not go with the settings.
    """
    ids, settings = itertools.count(), settings or Settings()
    palms = None
    if view != "third_person":
        palms = _hand_detector(store, models.hand_detector, threads)
    reader = _hand_reader(store, models.hand_model, threads, topdown)
    hands = HandFinder(palms, reader, settings.hands, ids)
    if view == "egocentric":
        return Pipeline(hands, view=view, smoothing=settings.smoothing)
    persons = load_person_detector(store, models.person_detector, threads)
    body_reader = _body_reader(store, models.body_model, threads, topdown)
    bodies = BodyFinder(persons, body_reader, settings.persons, ids)
    return Pipeline(hands, bodies, view, settings.smoothing)


def _hand_detector(store: ModelStore, name: str, threads: int) -> PalmDetector:
    path = store.get(name, "hand_detector").path
    return PalmDetector(OpenVinoEngine(path, threads), name)


def _hand_reader(store: ModelStore, name: str, threads: int, how: TopDownOptions) -> HandReader:
    model = store.get(name, "hand_keypoints")
    if model.entry.architecture == "mediapipe":
        return HandLandmarks(OpenVinoEngine(model.path, threads), name)
    # A region of a hand is padded already, and holds the whole hand.
    topdown = _top_down(store, name, "hand_keypoints", threads, how, padding=1.0)
    return TopDownHands(topdown, turned=bool(model.entry.settings.get(TURNED, False)))


def _body_reader(store: ModelStore, name: str, threads: int, how: TopDownOptions) -> BodyReader:
    model = store.get(name, "body_keypoints")
    if model.entry.architecture == "mediapipe":
        return MediaPipeBodies(BodyLandmarks(OpenVinoEngine(model.path, threads), name))
    return TopDownBodies(_top_down(store, name, "body_keypoints", threads, how))


def _top_down(
    store: ModelStore, name: str, task: str, threads: int, how: TopDownOptions, **more: float
) -> TopDown:
    return load_top_down(
        store, name, task, threads, how.precision, flip_test=how.flip_test, **more
    )
