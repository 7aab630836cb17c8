"""Creates person detectors by their names in the model catalogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vitpose_ros.detect.detr import DetrDetector
from vitpose_ros.detect.mediapipe_person import MediaPipePersonDetector
from vitpose_ros.detect.persons import PersonDetector
from vitpose_ros.detect.yolox import YoloxDetector
from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.models.catalogue import Entry

if TYPE_CHECKING:
    from vitpose_ros.models.store import ModelStore


def load_person_detector(store: ModelStore, name: str, threads: int = 0) -> PersonDetector:
    """A person detector with a network from the model store.

    Parameters
    ----------
    store : the model store.
    name : a catalogue entry with the task person_detector.
    threads : CPU threads for the network; 0 uses all cores.

    Raises
    ------
    ModelError : the name is unknown, or its file is missing or was altered.
    EngineError : the file cannot be read, or the network does not fit its entry.
    """
    model = store.get(name, "person_detector")
    return person_detector(OpenVinoEngine(model.path, threads), model.entry)


def person_detector(engine: Engine, entry: Entry) -> PersonDetector:
    """The detector for a loaded network, as described by its catalogue entry.

    Raises
    ------
    EngineError : the entry's architecture or settings are unknown, or the network does not fit it.
    """
    try:
        make = _ARCHITECTURES[entry.architecture]
    except KeyError:
        raise EngineError(
            f"'{entry.name}' has the architecture '{entry.architecture}'; person detectors can be "
            f"{', '.join(_ARCHITECTURES)}. Choose another model, or correct its catalogue entry"
        ) from None
    return make(engine, entry)


def _mediapipe(engine: Engine, entry: Entry) -> PersonDetector:
    _check_settings(entry, ())
    return MediaPipePersonDetector(engine, entry.name)


def _yolox(engine: Engine, entry: Entry) -> PersonDetector:
    _check_settings(entry, ("person_class",))
    person = _person_class(entry)
    return YoloxDetector(engine, entry.name, _size(entry), 0 if person is None else person)


def _detr(engine: Engine, entry: Entry) -> PersonDetector:
    _check_settings(entry, ("normalise", "person_class"))
    normalise = entry.settings.get("normalise", "none")
    return DetrDetector(engine, entry.name, _size(entry), normalise, _person_class(entry))


_ARCHITECTURES: dict[str, Callable[[Engine, Entry], PersonDetector]] = {
    "mediapipe": _mediapipe,
    "yolox": _yolox,
    "detr": _detr,
}


def _size(entry: Entry) -> tuple[int, int]:
    return entry.input_width, entry.input_height


def _person_class(entry: Entry) -> int | None:
    value = entry.settings.get("person_class")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise EngineError(
            f"'{entry.name}': settings.person_class: expected a whole number, got {value!r}"
        )
    return value


def _check_settings(entry: Entry, known: tuple[str, ...]) -> None:
    unknown = sorted(set(entry.settings) - set(known))
    if unknown:
        raise EngineError(
            f"'{entry.name}': unknown settings {', '.join(unknown)} in its catalogue entry; "
            f"{entry.architecture} detectors accept {', '.join(known) or 'none'}"
        )
