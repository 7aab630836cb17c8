"""Top-down keypoint models by their names in the model catalogue: ViTPose and RTMPose."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.engines.openvino import PRECISIONS, OpenVinoEngine
from vitpose_ros.keypoints.agreement import require
from vitpose_ros.keypoints.codec import Codec
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.simcc import SimCCCodec
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.keypoints.warp import Size
from vitpose_ros.models.catalogue import Entry

if TYPE_CHECKING:
    from vitpose_ros.models.store import ModelStore


PRECISION_CHOICES = (*PRECISIONS, "auto")
"""The precisions of a top-down model; "auto" chooses between fp16 and fp32."""

TURNED = "turned"
"""The setting of a hand model that was trained on crops in which the hand points up."""

SCORE_SCALE = "score_scale"
"""The setting of an RTMPose whose scores are not about 1 for a joint that it is sure of."""


def load_top_down(
    store: ModelStore,
    name: str,
    task: str | None = None,
    threads: int = 0,
    precision: str = "fp32",
    **options: Any,
) -> TopDown:
    """A top-down model with a network from the model store.

    Parameters
    ----------
    store : where the models lie.
    name : in the model catalogue.
    task : what it is needed for, e.g. "body_keypoints"; a model of another task is refused.
    threads : CPU threads for the network; 0 uses all cores.
    precision : one of PRECISION_CHOICES. The lower ones are compared with fp32 first, which takes
        a moment, and refused where they differ. "auto" is fp16 where the CPU has it and the network
        is not refused, else fp32; `TopDown.engine` says which. It never is bf16, whose 8 bits move
        joints of the tiny ViTPose by up to 0.13 px of the crop for 95 of 100, and single ones by
        px.
    options : of `TopDown`, e.g. flip_test.

    Raises
    ------
    ModelError : the name is unknown or of another task, or its file is missing or was altered.
    EngineError : the file cannot be read, is not the network it is taken for, or does not give the
        joints of float32 in the precision.
    """
    model = store.get(name, task)
    exact = OpenVinoEngine(model.path, threads)
    topdown = top_down(exact, model.entry, **options)
    if precision == "fp32":
        return topdown
    try:
        lower = OpenVinoEngine(model.path, threads, "fp16" if precision == "auto" else precision)
        require(lower, exact, codec_of(model.entry), name)
    except EngineError:
        if precision != "auto":
            raise
        return topdown
    return top_down(lower, model.entry, **options)


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


def codec_of(entry: Entry) -> Codec:
    """The codec of a catalogue entry; EngineError when it has none."""
    try:
        make, known = _CODECS[entry.architecture]
    except KeyError:
        raise EngineError(
            f"'{entry.name}' is of the architecture '{entry.architecture}'; top-down keypoints are "
            f"those of {' and '.join(_CODECS)}"
        ) from None
    if entry.input_width is None or entry.input_height is None:
        raise EngineError(
            f"'{entry.name}' has no input size; add `input: {{width: ..., height: ...}}` to its "
            "catalogue entry"
        )
    if unknown := sorted(set(entry.settings) - set(known)):
        raise EngineError(
            f"'{entry.name}': unknown settings {', '.join(unknown)} in its catalogue entry; "
            f"{entry.architecture} takes {' and '.join(known)}"
        )
    return make((entry.input_width, entry.input_height), entry)


def _vitpose(size: Size, entry: Entry) -> Codec:
    del entry
    return HeatmapCodec(size, (size[0] // 4, size[1] // 4))


def _rtmpose(size: Size, entry: Entry) -> Codec:
    scale = entry.settings.get(SCORE_SCALE, 1.0)
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < inf:
        raise EngineError(
            f"'{entry.name}': {SCORE_SCALE}: expected a number above 0, got {scale!r}"
        )
    return SimCCCodec(size, score_scale=float(scale))


_CODECS: dict[str, tuple[Callable[[Size, Entry], Codec], tuple[str, ...]]] = {
    "vitpose": (_vitpose, (TURNED,)),
    "rtmpose": (_rtmpose, (TURNED, SCORE_SCALE)),
}
"""What makes each architecture's codec, and the settings that an entry of it may have."""
