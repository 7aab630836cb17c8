"""Creates top-down keypoint models (ViTPose, RTMPose) by their names in the model catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.keypoints.cpu_precision import PRECISION_CHOICES
from vitpose_ros.keypoints.engine_selection import ENGINES, select_engine
from vitpose_ros.keypoints.recipes import codec_of
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.keypoints.warp import PADDING
from vitpose_ros.models.catalogue import Entry

if TYPE_CHECKING:
    from vitpose_ros.models.store import ModelStore


@dataclass(frozen=True)
class TopDownOptions:
    """How top-down models run. They do not apply to MediaPipe's networks, which always run on the
    CPU in fp32: a lower precision moves their joints by pixels.

    Attributes
    ----------
    engine : one of `engine_selection.ENGINES`.
    gpu : the GPU's number, 0 or more.
    precision : "fp32", "fp16", "bf16" (CPU only) or "auto"; see `engine_selection.select_engine`.
    flip_test : run each crop mirrored, too, and average: more accurate, at twice the time.

    Raises
    ------
    ValueError : names the field, what was given and what is accepted.
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


def create_top_down(
    store: ModelStore,
    name: str,
    task: str | None = None,
    threads: int = 0,
    options: TopDownOptions = TopDownOptions(),
    padding: float = PADDING,
    report: Callable[[str], None] = lambda text: None,
) -> TopDown:
    """A top-down model with its network from the model store.

    Parameters
    ----------
    store : of the models.
    name : in the model catalogue.
    task : what it is needed for, e.g. "body_keypoints"; a model of another task is refused.
    threads : CPU threads for the network; 0 uses all cores.
    options : engine, precision and flip test. A precision below fp32 is compared with it first,
        which takes some seconds.
    padding : how much larger than a region its crop is; see `TopDown`.
    report : receives the text that says which engine was selected, and why.

    Raises
    ------
    ModelError : the name is unknown or of another task, or its file is missing or altered.
    EngineError : the file cannot be read or holds another network, the requested engine cannot be
        used here, or the requested precision differs from float32.
    """
    model = store.get(name, task)
    selection = select_engine(model, options.engine, options.precision, threads, options.gpu)
    report(selection.reason)
    return assemble_top_down(selection.engine, model.entry, padding, options.flip_test)


def assemble_top_down(
    engine: Engine, entry: Entry, padding: float = PADDING, flip_test: bool = False
) -> TopDown:
    """The model that a catalogue entry describes, around a loaded network.

    Raises
    ------
    EngineError : the entry is of another architecture or lacks a layout or an input size, or the
        network does not fit it.
    """
    if entry.layout is None:
        raise EngineError(
            f"'{entry.name}' cannot be used for joints: it has the task {entry.task}. Choose a "
            "ViTPose or RTMPose model"
        )
    return TopDown(
        engine, codec_of(entry), entry.layout, entry.name, padding=padding, flip_test=flip_test
    )
