"""The codec of a top-down model, from its entry in the model catalogue."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from vitpose_ros.engines.base import EngineError
from vitpose_ros.keypoints.codec import Codec
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.simcc import SimCCCodec
from vitpose_ros.keypoints.warp import Size
from vitpose_ros.models.catalogue import Entry

TURNED = "turned"
"""Setting of a hand model that was trained on crops in which the hand points up."""

SCORE_SCALE = "score_scale"
"""Setting of an RTMPose whose scores of certain joints are not about 1."""


def codec_of(entry: Entry) -> Codec:
    """The codec of a catalogue entry; EngineError where it has none."""
    try:
        make, known = _CODECS[entry.architecture]
    except KeyError:
        raise EngineError(
            f"'{entry.name}' has the architecture '{entry.architecture}'; top-down models are "
            f"{' and '.join(_CODECS)}"
        ) from None
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
"""For each architecture, what makes its codec, and the settings that an entry may have."""
