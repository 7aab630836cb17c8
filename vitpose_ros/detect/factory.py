"""Creates detectors of persons, animals and hands by their names in the model catalogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vitpose_ros.detect.boxes import (
    BoxDetector,
    ChooseClasses,
    classes_of,
    coco_animals,
    coco_person,
)
from vitpose_ros.detect.detr import DetrDetector
from vitpose_ros.detect.hand_boxes import HandBoxes
from vitpose_ros.detect.mediapipe_person import MediaPipePersonDetector
from vitpose_ros.detect.palms import PalmDetector
from vitpose_ros.detect.persons import PersonDetector
from vitpose_ros.detect.rtmdet import RtmdetDetector
from vitpose_ros.detect.yolox import YoloxDetector
from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.models.catalogue import Entry

if TYPE_CHECKING:
    from vitpose_ros.models.store import ModelStore

HandDetectors = PalmDetector | HandBoxes

_ARCHITECTURES = ("mediapipe", "yolox", "rtmdet", "detr")
_PERSON_SETTINGS = ("person_class", "animal_classes")
_HAND_SETTINGS = ("hand_class", "left_class", "right_class")


def load_person_detector(
    store: ModelStore, name: str, threads: int = 0, kind: str = "body"
) -> PersonDetector:
    """A detector of persons or animals with a network from the model store.

    Parameters
    ----------
    store : the model store.
    name : a catalogue entry with the task person_detector.
    threads : CPU threads for the network; 0 uses all cores.
    kind : of the layout that reads what is found: "body" for persons, or "animal".

    Raises
    ------
    ModelError : the name is unknown, or its file is missing or was altered.
    EngineError : the file cannot be read, the network does not fit its entry, or it finds no
        animals.
    """
    model = store.get(name, "person_detector")
    return person_detector(OpenVinoEngine(model.path, threads), model.entry, kind)


def load_hand_detector(store: ModelStore, name: str, threads: int = 0) -> HandDetectors:
    """A hand detector with a network from the model store; see `load_person_detector`."""
    model = store.get(name, "hand_detector")
    return hand_detector(OpenVinoEngine(model.path, threads), model.entry)


def person_detector(engine: Engine, entry: Entry, kind: str = "body") -> PersonDetector:
    """The detector of persons or animals for a loaded network, as described by its catalogue entry;
    see `load_person_detector`.

    Raises
    ------
    EngineError : the entry's architecture or settings are unknown, the network does not fit it, or
        it finds no animals.
    """
    if entry.architecture == "mediapipe":
        if kind == "animal":
            raise EngineError(
                f"'{entry.name}' finds persons only, and the body model reads animals. Choose a "
                "person_detector trained on all of COCO, such as yolox-s"
            )
        _check_settings(entry, ())
        return MediaPipePersonDetector(engine, entry.name)
    classes = _animals(entry) if kind == "animal" else _persons(entry)
    return _by_boxes(engine, entry, "person", _PERSON_SETTINGS, classes)


def hand_detector(engine: Engine, entry: Entry) -> HandDetectors:
    """The hand detector for a loaded network; see `person_detector`."""
    if entry.architecture == "mediapipe":
        _check_settings(entry, ())
        return PalmDetector(engine, entry.name)
    return HandBoxes(_by_boxes(engine, entry, "hand", _HAND_SETTINGS, _hands(entry)))


def _by_boxes(
    engine: Engine, entry: Entry, finds: str, settings: tuple[str, ...], classes: ChooseClasses
) -> BoxDetector:
    name, size = entry.name, (entry.input_width, entry.input_height)
    if entry.architecture == "detr":
        _check_settings(entry, ("normalise", *settings))
        normalise = entry.settings.get("normalise", "none")
        return DetrDetector(engine, name, size, normalise, classes)
    makers: dict[str, Callable[..., BoxDetector]] = {
        "yolox": YoloxDetector,
        "rtmdet": RtmdetDetector,
    }
    if entry.architecture not in makers:
        raise EngineError(
            f"'{name}' has the architecture '{entry.architecture}'; {finds} detectors can be "
            f"{', '.join(_ARCHITECTURES)}. Choose another model, or correct its catalogue entry"
        )
    _check_settings(entry, settings)
    return makers[entry.architecture](engine, name, size, classes)


def _persons(entry: Entry) -> ChooseClasses:
    """The class of persons: given, or by COCO's numbers."""
    given = _class(entry, "person_class")
    if given is not None:
        return classes_of(given)
    return coco_person if entry.architecture == "detr" else classes_of(0)


def _animals(entry: Entry) -> ChooseClasses:
    """The classes of animals: given, or by COCO's numbers."""
    given = entry.settings.get("animal_classes")
    if given is None:
        return coco_animals
    if not isinstance(given, list) or not given or not all(map(_is_class, given)):
        raise EngineError(
            f"'{entry.name}': settings.animal_classes: expected a list of whole numbers such as "
            f"[15, 16], got {given!r}"
        )
    return classes_of(*given)


def _hands(entry: Entry) -> ChooseClasses:
    """The classes of hands: given, or the only class of a network with one."""
    hand, left, right = (_class(entry, name) for name in _HAND_SETTINGS)
    if hand is None and left is not None and right is not None and left != right:
        return classes_of(left, right)
    if hand is not None and left is None and right is None:
        return classes_of(hand)
    remedy = (
        "give the class of hands in its catalogue entry, settings: {hand_class: NUMBER}, or, for a "
        "network that tells the sides, {left_class: NUMBER, right_class: ANOTHER NUMBER}"
    )
    if any(value is not None for value in (hand, left, right)):
        given = ", ".join(
            f"{n}: {entry.settings[n]}" for n in _HAND_SETTINGS if n in entry.settings
        )
        raise EngineError(f"'{entry.name}': settings: got {given}; {remedy}")

    def only(count: int | None, name: str) -> tuple[int, ...]:
        if count == 1:
            return (0,)
        has = "does not tell its number of classes" if count is None else f"has {count} classes"
        raise EngineError(f"'{name}' {has}; {remedy}")

    return only


def _class(entry: Entry, name: str) -> int | None:
    value = entry.settings.get(name)
    if value is not None and not _is_class(value):
        raise EngineError(
            f"'{entry.name}': settings.{name}: expected a whole number, got {value!r}"
        )
    return value


def _is_class(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_settings(entry: Entry, known: tuple[str, ...]) -> None:
    unknown = sorted(set(entry.settings) - set(known))
    if unknown:
        raise EngineError(
            f"'{entry.name}': unknown settings {', '.join(unknown)} in its catalogue entry; "
            f"{entry.architecture} detectors accept {', '.join(known) or 'none'}"
        )
