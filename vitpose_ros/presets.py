"""Presets: one word chooses detectors, models, engine, precision and batch for the hardware here.

A single choice that differs from its default wins over the preset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vitpose_ros.engines.trt.library import JETSON
from vitpose_ros.factory import Models
from vitpose_ros.keypoints.engine_selection import has_gpu
from vitpose_ros.keypoints.factory import TopDownOptions
from vitpose_ros.settings import HandSettings

CPU, JETSON_GPU, GPU = "cpu", "jetson", "gpu"

_WHY = {
    CPU: "no NVIDIA GPU was found",
    JETSON_GPU: "this is a Jetson",
    GPU: "an NVIDIA GPU was found",
}
"""The kinds of hardware, with the reason for each."""


@dataclass(frozen=True)
class Preset:
    """What a preset chooses on a kind of hardware.

    Attributes
    ----------
    models : names of the networks; their input sizes are in the catalogue.
    precision : of top-down models.
    tiles : `HandSettings.search_tiles_per_frame`: the hand detector's batch is this and one.
    engine : of top-down models.
    max_batch : the largest batch to build an engine for: `vitpose_ros engine build --max-batch`.
    """

    models: Models
    precision: str = "auto"
    tiles: int = 1
    engine: str = "auto"
    max_batch: int = 1


_LITE = ("mediapipe-palm-lite", "mediapipe-hand-lite")
_FULL = ("mediapipe-palm-full", "mediapipe-hand-full")
_MEDIAPIPE = ("mediapipe-person", "mediapipe-body-full")

TABLE: Mapping[str, Mapping[str, Preset]] = {
    CPU: {
        "lightweight": Preset(Models(*_LITE, *_MEDIAPIPE), engine="openvino"),
        "balanced": Preset(Models(*_FULL, *_MEDIAPIPE), engine="openvino"),
        "performance": Preset(
            Models(*_FULL, "yolox-tiny-humanart", "rtmpose-m"), tiles=2, engine="openvino"
        ),
        "exact": Preset(
            Models(*_FULL, "yolox-m-humanart", "rtmpose-l-384"), "fp32", 4, engine="openvino"
        ),
    },
    JETSON_GPU: {
        "lightweight": Preset(Models(*_LITE, "mediapipe-person", "rtmpose-s"), max_batch=4),
        "balanced": Preset(Models(*_FULL, "mediapipe-person", "rtmpose-m"), max_batch=4),
        "performance": Preset(
            Models(*_FULL, "yolox-tiny-humanart", "vitpose-plus-s"), tiles=2, max_batch=8
        ),
        "exact": Preset(
            Models(*_FULL, "yolox-s-humanart", "vitpose-plus-b"), "fp32", 4, max_batch=8
        ),
    },
    GPU: {
        "lightweight": Preset(Models(*_LITE, "mediapipe-person", "rtmpose-m"), max_batch=8),
        "balanced": Preset(
            Models(*_FULL, "yolox-tiny-humanart", "vitpose-plus-s"), max_batch=16
        ),
        "performance": Preset(
            Models(*_FULL, "yolox-s-humanart", "vitpose-plus-b"), tiles=2, max_batch=16
        ),
        "exact": Preset(
            Models(*_FULL, "yolox-m-humanart", "vitpose-plus-l"), "fp32", 4, max_batch=16
        ),
    },
}
"""What each preset chooses on each kind of hardware. Detectors and MediaPipe's networks run on the
CPU everywhere. Of hand models, only MediaPipe's was measured on real hands here; body models are
chosen by their published accuracy.
"""

_TILES = "search_tiles_per_frame"

NONE = ""
"""No preset: each parameter as it is."""

PRESETS = (NONE, *TABLE[CPU])
"""The values of the parameter `preset`."""


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why, in a sentence; "" without a preset."""

    models: Models
    topdown: TopDownOptions
    tiles: int
    reason: str


def hardware_here() -> str:
    """The kind of this machine's hardware; no library is loaded to find out."""
    if not has_gpu():
        return CPU
    return JETSON_GPU if JETSON.exists() else GPU


def choose(
    preset: str, models: Models, topdown: TopDownOptions, tiles: int, hardware: str | None = None
) -> Choice:
    """Apply a preset to what a user has set.

    Parameters
    ----------
    preset : one of PRESETS.
    models, topdown, tiles : as set; what differs from its default stays.
    hardware : a key of TABLE; None for this machine.

    Raises
    ------
    ValueError : the preset is unknown.
    """
    if preset not in PRESETS:
        known = ", ".join(PRESETS[1:])
        raise ValueError(f"preset: expected one of {known}, or '' for none, got {preset!r}")
    if preset == NONE:
        return Choice(models, topdown, tiles, "")
    hardware = hardware or hardware_here()
    row = TABLE[hardware][preset]
    given = {**_names(models), **_run(topdown), _TILES: tiles}
    default = {**_names(Models()), **_run(TopDownOptions())}
    default[_TILES] = HandSettings().search_tiles_per_frame
    wanted = {**_names(row.models), "engine": row.engine, "precision": row.precision}
    wanted[_TILES] = row.tiles
    kept = [name for name in wanted if given[name] != default[name]]
    used = {**wanted, **{name: given[name] for name in kept}}
    reason = (
        f"preset {preset}: {used['hand_detector']} and {used['hand_model']}; "
        f"{used['person_detector']} and {used['body_model']}; engine {used['engine']}, precision "
        f"{used['precision']}, batches to {row.max_batch}, search tiles {used[_TILES]}, since "
        f"{_WHY[hardware]}"
    )
    if kept:
        reason += f"; set by hand: {', '.join(kept)}"
    return Choice(
        replace(models, **{name: used[name] for name in _names(models)}),
        replace(topdown, **{name: used[name] for name in _run(topdown)}),
        used[_TILES],
        reason,
    )


def _names(models: Models) -> dict[str, Any]:
    names = ("hand_detector", "hand_model", "person_detector", "body_model")
    return {name: getattr(models, name) for name in names}


def _run(topdown: TopDownOptions) -> dict[str, Any]:
    return {"engine": topdown.engine, "precision": topdown.precision}
