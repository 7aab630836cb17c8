"""Creates pipelines and their networks from the names of models in the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from vitpose_ros.detect.factory import load_hand_detector, load_person_detector
from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.keypoints.bodies import MediaPipeBodies, TopDownBodies
from vitpose_ros.keypoints.factory import TopDownOptions, create_top_down
from vitpose_ros.keypoints.lifting_network import load_lifting_network
from vitpose_ros.keypoints.mediapipe_body import BodyLandmarks
from vitpose_ros.keypoints.mediapipe_hand import HandLandmarks
from vitpose_ros.keypoints.onestage import one_stage
from vitpose_ros.keypoints.paf import paf_bodies
from vitpose_ros.keypoints.recipes import TURNED
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.keypoints.topdown_hand import TopDownHands
from vitpose_ros.keypoints.uncertainty import hand_uncertainty
from vitpose_ros.measure import Networks
from vitpose_ros.measure.networks import BodyFinder, BodyReader, HandReader
from vitpose_ros.models.catalogue import Entry
from vitpose_ros.models.store import LocalModel, ModelStore
from vitpose_ros.pipeline import Pipeline, Settings


@dataclass(frozen=True)
class Models:
    """The networks of a pipeline, by their names in the model catalogue.

    hand_model is always loaded; person_detector, body_model and lifting_model (none if empty)
    unless the view is "egocentric". A one-stage body_model needs no person_detector. In third
    person, a body_model of animals needs no hand_detector: no hands are searched for.
    """

    hand_detector: str = "mediapipe-palm-full"
    hand_model: str = "mediapipe-hand-full"
    person_detector: str = "mediapipe-person"
    body_model: str = "mediapipe-body-full"
    lifting_model: str = ""


def load_pipeline(
    store: ModelStore,
    models: Models = Models(),
    settings: Settings | None = None,
    view: str = "egocentric",
    threads: int = 0,
    topdown: TopDownOptions | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Pipeline:
    """A pipeline for one camera, with networks from the model store.

    Parameters
    ----------
    store : the model store.
    models : names of the models.
    settings : see `Settings`; None for the defaults.
    view : "egocentric", "third_person" or "auto"; see `track.views`.
    threads : CPU threads for the networks; 0 uses all cores.
    topdown : engine and precision of ViTPose and RTMPose; None for the defaults.
    tell : called for each ViTPose or RTMPose network with a sentence that names its engine and the
        reason for it.

    Raises
    ------
    ModelError : a name is unknown or has another task, or its file is missing or was altered.
    EngineError : a file cannot be read, its network does not fit the catalogue entry, or does not
        reproduce the joints of fp32 in the requested precision; the requested engine cannot be
        used on this machine; or the body model reads animals, and the view is "auto" or the person
        detector finds none.
    ValueError : the view is unknown, or does not fit the settings.
    """
    networks = load_networks(store, models, view, threads, topdown, tell)
    return Pipeline(networks, settings, view)


def load_networks(
    store: ModelStore,
    models: Models = Models(),
    view: str = "egocentric",
    threads: int = 0,
    topdown: TopDownOptions | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Networks:
    """The networks that a view needs, for the pipelines of one or several cameras.

    Parameters and errors are those of `load_pipeline`.
    """
    options = topdown or TopDownOptions()
    load = partial(create_top_down, store, threads=threads, options=options, report=tell)
    palms = persons = bodies = finder = shapes = None
    kind = ""
    hands = _hand_reader(store, models.hand_model, threads, load, options.flip_test)
    if view != "egocentric":
        model = store.get(models.body_model, "body_keypoints")
        kind = "" if model.entry.layout is None else model.entry.layout.kind
        if kind == "animal" and view == "auto":
            raise EngineError(
                "the view 'auto' switches between hands and persons, and the body model "
                f"'{models.body_model}' reads animals; choose the view 'third_person'"
            )
        if model.entry.architecture in _BODY_FINDERS:
            make = _BODY_FINDERS[model.entry.architecture]
            finder = make(OpenVinoEngine(model.path, threads), model.entry)
            layout = finder.layout
            tell(
                f"{finder.name}: {finder.format}, bodies in one stage on {finder.engine}; "
                "person_detector is not used"
            )
        else:
            persons = load_person_detector(store, models.person_detector, threads, kind)
            bodies = _body_reader(model, threads, load)
            layout = bodies.layout
        if models.lifting_model:
            shapes = load_lifting_network(store, models.lifting_model, layout, threads)
            licence = store.catalogue.get(models.lifting_model).licence
            tell(
                f"{shapes.name}: shape of bodies {shapes.span_text}; "
                f"licence of its weights: {licence}"
            )
    if view != "third_person" or kind != "animal":
        palms = load_hand_detector(store, models.hand_detector, threads)
    return Networks(hands, palms, persons, bodies, shapes, finder)


_BODY_FINDERS: dict[str, Callable[[Engine, Entry], BodyFinder]] = {
    "onestage": one_stage,
    "paf": paf_bodies,
}


def _hand_reader(
    store: ModelStore, name: str, threads: int, load: Callable[..., TopDown], flip_test: bool
) -> HandReader:
    model = store.get(name, "hand_keypoints")
    if model.entry.architecture == "mediapipe":
        return HandLandmarks(OpenVinoEngine(model.path, threads), name)
    # Hand regions already include padding.
    topdown = load(name, "hand_keypoints", padding=1.0)
    turned = bool(model.entry.settings.get(TURNED, False))
    # Scores are calibrated for single runs: averaging two of them flattens the heatmaps.
    return TopDownHands(topdown, turned, None if flip_test else hand_uncertainty(name))


def _body_reader(model: LocalModel, threads: int, load: Callable[..., TopDown]) -> BodyReader:
    name = model.entry.name
    if model.entry.architecture == "mediapipe":
        return MediaPipeBodies(BodyLandmarks(OpenVinoEngine(model.path, threads), name))
    return TopDownBodies(load(name, "body_keypoints"))
