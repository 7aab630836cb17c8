"""The pipeline with networks from the model store, by their names in the catalogue."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from vitpose_ros.bodies import BodyFinder, BodyReader, MediaPipeBodies, TopDownBodies
from vitpose_ros.detect.load import load_person_detector
from vitpose_ros.detect.palms import PalmDetector
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.hands import HandFinder, HandReader
from vitpose_ros.keypoints.load import TopDownOptions, load_top_down
from vitpose_ros.keypoints.mediapipe_body import BodyLandmarks
from vitpose_ros.keypoints.mediapipe_hand import HandLandmarks
from vitpose_ros.keypoints.recipes import TURNED
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


def load_pipeline(
    store: ModelStore,
    models: Models = Models(),
    settings: Settings | None = None,
    view: str = "egocentric",
    threads: int = 0,
    topdown: TopDownOptions | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Pipeline:
    """The pipeline with networks from the model store.

    Parameters
    ----------
    store : where the models lie.
    models : their names.
    settings : see `Settings`; its defaults when None.
    view : "egocentric", "third_person" or "auto"; see `views`.
    threads : CPU threads for the networks; 0 uses all cores.
    topdown : how ViTPose and RTMPose run; its defaults when None.
    tell : gets a sentence for each of these: which engine was chosen, and why.

    Raises
    ------
    ModelError : a name is unknown or of another task, or its file is missing or was altered.
    EngineError : a file cannot be read, is not the network it is taken for, or does not give the
        joints of fp32 in the precision that was asked for; or the engine that was asked for cannot
        be used here.
    ValueError : the view is unknown, or does not go with the settings.
    """
    ids, settings = itertools.count(), settings or Settings()
    palms = None
    if view != "third_person":
        palms = _hand_detector(store, models.hand_detector, threads)
    how = topdown or TopDownOptions()
    load = partial(load_top_down, store, threads=threads, how=how, tell=tell)
    reader = _hand_reader(store, models.hand_model, threads, load)
    hands = HandFinder(palms, reader, settings.hands, ids)
    over_time = settings.smoothing, settings.biomechanics
    if view == "egocentric":
        return Pipeline(hands, None, view, *over_time, settings.prediction_horizon_s)
    persons = load_person_detector(store, models.person_detector, threads)
    body_reader = _body_reader(store, models.body_model, threads, load)
    bodies = BodyFinder(persons, body_reader, settings.persons, ids)
    return Pipeline(hands, bodies, view, *over_time, settings.prediction_horizon_s)


def _hand_detector(store: ModelStore, name: str, threads: int) -> PalmDetector:
    path = store.get(name, "hand_detector").path
    return PalmDetector(OpenVinoEngine(path, threads), name)


def _hand_reader(
    store: ModelStore, name: str, threads: int, load: Callable[..., TopDown]
) -> HandReader:
    model = store.get(name, "hand_keypoints")
    if model.entry.architecture == "mediapipe":
        return HandLandmarks(OpenVinoEngine(model.path, threads), name)
    # A region of a hand is padded already, and holds the whole hand.
    topdown = load(name, "hand_keypoints", padding=1.0)
    return TopDownHands(topdown, turned=bool(model.entry.settings.get(TURNED, False)))


def _body_reader(
    store: ModelStore, name: str, threads: int, load: Callable[..., TopDown]
) -> BodyReader:
    model = store.get(name, "body_keypoints")
    if model.entry.architecture == "mediapipe":
        return MediaPipeBodies(BodyLandmarks(OpenVinoEngine(model.path, threads), name))
    return TopDownBodies(load(name, "body_keypoints"))
