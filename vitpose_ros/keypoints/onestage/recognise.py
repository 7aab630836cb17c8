"""Tells one-stage formats apart by a network's inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable

from vitpose_ros.engines.base import EngineError
from vitpose_ros.keypoints.onestage.base import Format, Signature
from vitpose_ros.keypoints.onestage.dekr import dekr
from vitpose_ros.keypoints.onestage.detr import IMAGE_SIZE, RF_COLUMNS, detrpose, rf_detr
from vitpose_ros.keypoints.onestage.movenet import movenet
from vitpose_ros.keypoints.onestage.yolo import rtmo, yolo26_pose, yolo_pose

_FORMATS: tuple[Callable[[Signature], Format | None], ...] = (
    rtmo,
    yolo_pose,
    yolo26_pose,
    rf_detr,
    detrpose,
    movenet,
    dekr,
)


def recognise(signature: Signature, name: str) -> Format:
    """The one format that a network fits.

    Raises
    ------
    EngineError : it fits none or several; the message lists what was found and what is accepted.
    """
    found = [made for make in _FORMATS if (made := make(signature)) is not None]
    if len(found) == 1:
        return found[0]
    has = (
        f"inputs {', '.join(map(str, signature.inputs))} and outputs "
        f"{', '.join(map(str, signature.outputs))}"
    )
    width, height = signature.size
    if found:
        both = " and ".join(each.title for each in found)
        raise EngineError(
            f"'{name}' cannot be used as a one-stage model: its {has} fit {both}, for "
            f"{signature.joints} joints. Export it with fixed sizes, so that they differ"
        )
    raise EngineError(
        f"'{name}' cannot be used as a one-stage model: its {has} fit no known format for "
        f"{signature.joints} joints and an input of {width}x{height} px. {_accepted(signature)}"
    )


def _accepted(signature: Signature) -> str:
    k, (width, height) = signature.joints, signature.size
    maps = f"{height // 4}, {width // 4}"
    return (
        f"Accepted are RTMO (dets (N, M, 5) and keypoints (N, M, {k}, 3)), YOLOv8/11-pose "
        f"(N, 4 + classes + {3 * k}, cells), YOLO26-pose (N, M, {6 + 3 * k}), RF-DETR (dets, "
        f"labels and keypoints (N, M, slots, {RF_COLUMNS})), DETRPose (scores, labels and "
        f"keypoints (N, M, {k}, 2), with the input {IMAGE_SIZE}), MoveNet MultiPose "
        f"(1, M, {5 + 3 * k}), and DEKR (N, {k + 1}, {maps}) with (N, {2 * k}, {maps}). Check the "
        "layout and the input size in its catalogue entry, or choose another export"
    )
