"""Top-down keypoint models by their names in the model catalogue: ViTPose and RTMPose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.keypoints.choose import ENGINES, choose_engine
from vitpose_ros.keypoints.cpu_precision import PRECISION_CHOICES
from vitpose_ros.keypoints.recipes import codec_of
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.models.catalogue import Entry

if TYPE_CHECKING:
    from vitpose_ros.models.store import ModelStore


@dataclass(frozen=True)
class TopDownOptions:
    """How top-down keypoint models (ViTPose, RTMPose) run. MediaPipe's networks know none of it:
    they always run on the CPU in fp32, since a lower precision moves their joints by pixels.

    Attributes
    ----------
    engine : one of `choose.ENGINES`.
    gpu : the GPU's number, 0 or more.
    precision : "fp32", "fp16", "bf16" (CPU only) or "auto"; see `choose.choose_engine`.
    flip_test : look at each crop mirrored too and take the mean: more exact, at twice the time.

    Raises
    ------
    ValueError : naming the field, what was given and what is accepted.
    """

    engine: str = "auto"
    gpu: int = 0
    precision: str = "auto"
    flip_test: bool = False

    def __post_init__(self) -> None:
        for name, choices in (("engine", ENGINES), ("precision", PRECISION_CHOICES)):
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
        if isinstance(self.gpu, bool) or not isinstance(self.gpu, int) or self.gpu < 0:
            raise ValueError(f"gpu: expected a whole number of at least 0, got {self.gpu!r}")
        if not isinstance(self.flip_test, bool):
            raise ValueError(f"flip_test: expected true or false, got {self.flip_test!r}")


def load_top_down(
    store: ModelStore,
    name: str,
    task: str | None = None,
    threads: int = 0,
    how: TopDownOptions = TopDownOptions(),
    tell: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> TopDown:
    """A top-down model with a network from the model store.

    Parameters
    ----------
    store : where the models lie.
    name : in the model catalogue.
    task : what it is needed for, e.g. "body_keypoints"; a model of another task is refused.
    threads : CPU threads for the network; 0 uses all cores.
    how : engine, precision and flip test. A lower precision is compared with fp32 first, which
        takes a moment.
    tell : gets the sentence that says which engine was chosen, and why.
    options : of `TopDown`, e.g. padding.

    Raises
    ------
    ModelError : the name is unknown or of another task, or its file is missing or was altered.
    EngineError : the file cannot be read, is not the network it is taken for, or does not give the
        joints of float32 in the precision that was asked for; or the engine that was asked for
        cannot be used here.
    """
    model = store.get(name, task)
    chosen = choose_engine(model, how.engine, how.precision, threads, how.gpu)
    tell(chosen.why)
    return top_down(chosen.engine, model.entry, flip_test=how.flip_test, **options)


def top_down(engine: Engine, entry: Entry, **options: Any) -> TopDown:
    """The model that a catalogue entry describes, around a loaded network.

    Raises
    ------
    EngineError : the entry is of another architecture, lacks a layout or an input size, or the
        network is another one.
    """
    if entry.layout is None:
        raise EngineError(f"'{entry.name}' gives no joints: it is a model of the task {entry.task}")
    return TopDown(engine, codec_of(entry), entry.layout, entry.name, **options)
