"""The codec of a top-down model, from its entry in the model catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from vitpose_ros.engines.base import EngineError
from vitpose_ros.keypoints.codec import Codec
from vitpose_ros.keypoints.heatmap import CODECS, HeatmapCodec
from vitpose_ros.keypoints.pixels import PIXEL_SETTINGS, Pixels, read_pixels
from vitpose_ros.keypoints.simcc import SimCCCodec
from vitpose_ros.keypoints.warp import Size
from vitpose_ros.models.catalogue import Entry

TURNED = "turned"
"""Setting of a hand model that was trained on crops in which the hand points up."""

SCORE_SCALE = "score_scale"
"""Setting of an RTMPose whose scores of certain joints are not about 1."""


CODEC, STRIDE, SIGMA, LOGITS = "codec", "stride", "sigma", "logits"
"""Settings of a network of heatmaps: one of `heatmap.CODECS`; input pixels per heatmap pixel (4);
the Gaussians' deviation in heatmap pixels (2); whether it gives logits (false). A ViTPose takes
only the first ("udp")."""

EXPERT_CODECS = dict.fromkeys(("aic", "ap10k", "apt36k", "wholebody"), "dark")
"""Of ViTPose+'s heads, those that are not "udp". In the authors' configurations
(ViTAE-Transformer/ViTPose, configs/.../vitPose+_*_udp.py) only COCO and MPII are trained on UDP's
lattice; the pipelines of the other sets have the classic one, in training and in evaluation."""


def codec_of(entry: Entry) -> Codec:
    """The codec of a catalogue entry; EngineError where it has none."""
    try:
        make, known = _CODECS[entry.architecture]
    except KeyError:
        raise EngineError(
            f"'{entry.name}' has the architecture '{entry.architecture}'; top-down models are "
            f"{listed(_CODECS)}"
        ) from None
    if unknown := sorted(set(entry.settings) - set(known)):
        raise EngineError(
            f"'{entry.name}': unknown settings {', '.join(unknown)} in its catalogue entry; "
            f"{entry.architecture} takes {listed(known)}"
        )
    return make((entry.input_width, entry.input_height), entry)


def listed(names: Iterable[str]) -> str:
    """Names in a sentence: "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _vitpose(size: Size, entry: Entry) -> Codec:
    expert = entry.convert.expert if entry.convert else None
    default = EXPERT_CODECS.get(expert or "", "udp")
    return HeatmapCodec(size, (size[0] // 4, size[1] // 4), kind=_kind(entry, default))


def _heatmap(size: Size, entry: Entry) -> Codec:
    settings = entry.settings
    kind, logits = _kind(entry), settings.get(LOGITS, False)
    if not isinstance(logits, bool):
        raise _wrong(entry, LOGITS, "true or false", logits)
    stride = settings.get(STRIDE, 4)
    if not isinstance(stride, int) or isinstance(stride, bool) or not 1 <= stride <= min(size) / 3:
        raise _wrong(entry, STRIDE, f"a whole number from 1 to {min(size) // 3}", stride)
    return HeatmapCodec(
        size,
        (size[0] // stride, size[1] // stride),
        _positive(entry, SIGMA, 2.0),
        kind,
        logits,
        _pixels(entry),
    )


def _rtmpose(size: Size, entry: Entry) -> Codec:
    return SimCCCodec(size, score_scale=_positive(entry, SCORE_SCALE, 1.0), pixels=_pixels(entry))


def _kind(entry: Entry, default: str | None = None) -> str:
    kind = entry.settings.get(CODEC, default)
    if kind not in CODECS:
        meanings = "; ".join(f"{name} ({codec.meaning})" for name, codec in CODECS.items())
        raise _wrong(entry, CODEC, f"one of {meanings}", kind)
    return kind


def _positive(entry: Entry, name: str, default: float) -> float:
    value = entry.settings.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < inf:
        raise _wrong(entry, name, "a number above 0", value)
    return float(value)


def _pixels(entry: Entry) -> Pixels:
    try:
        return read_pixels(entry.settings)
    except ValueError as error:
        raise EngineError(f"'{entry.name}': {error}") from error


def _wrong(entry: Entry, name: str, expected: str, got: Any) -> EngineError:
    return EngineError(f"'{entry.name}': {name}: expected {expected}, got {got!r}")


_CODECS: dict[str, tuple[Callable[[Size, Entry], Codec], tuple[str, ...]]] = {
    "vitpose": (_vitpose, (TURNED, CODEC)),
    "rtmpose": (_rtmpose, (TURNED, SCORE_SCALE, *PIXEL_SETTINGS)),
    "heatmap": (_heatmap, (TURNED, CODEC, STRIDE, SIGMA, LOGITS, *PIXEL_SETTINGS)),
}
"""For each architecture, what makes its codec, and the settings that an entry may have."""
