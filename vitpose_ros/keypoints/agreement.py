"""How far one engine's joints lie from another's on the same network, and the gate before use.

A network in a lower precision, or in an engine built for one machine, is accepted only after it
agreed with its float32 self on this very machine. Published faults of this kind are of whole
networks (an overflow in a layer norm spoils every map), so a few crops suffice to see them; joints
are only compared on crops that show something to the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.keypoints.codec import Codec
from vitpose_ros.keypoints.warp import Size
from vitpose_ros.types import FloatArray

OUTPUT_LIMIT = 0.02
"""Largest difference of an output's value, as a fraction of the reference's largest one, or of 1
where that is larger: a full heatmap's height.
"""

JOINT_LIMIT_PX = 0.1
"""Largest distance of a joint that the reference is sure of, px of the crop, but for the 2 of 100
that are farthest away. ViTPose-L in float16 stays within 0.07 px for 95 of 100 joints
(vitpose-inference-bench).
"""

MOST = 0.98
"""The share of the joints that JOINT_LIMIT_PX is for. On a flat map whose highest pixels differ in
the last digits, which of them is the maximum is chance in any precision: in float16 one joint of
162 of vitpose-tiny-synthetic moved by 0.68 px so, the next one by 0.05.
"""

WORST_LIMIT_PX = 4.0
"""No joint may be farther away than this, px of the crop: a pixel of the heatmap."""

SCORE_LIMIT = 0.02
"""Largest difference of the score of a joint that one of the two is sure of: a fifteenth of the
usual threshold.
"""

SURE = 0.3
"""The reference is sure of a joint of at least this score."""


@dataclass(frozen=True)
class Agreement:
    """How well two engines agree.

    Attributes
    ----------
    output : largest difference of an output's value, as a fraction (see OUTPUT_LIMIT); infinite
        where one has a value that is not finite.
    joint_px : within this distance are the share MOST of the joints that the reference is sure of,
        px of the crop; of fewer than 50 joints, all. Infinite where the other has no such joint,
        and 0 where the reference is sure of none.
    joints : how many joints the reference was sure of.
    score : largest difference of the score of a joint that one of the two is sure of.
    worst_px : the distance of the farthest joint.
    """

    output: float
    joint_px: float
    joints: int
    score: float = 0.0
    worst_px: float = 0.0

    @property
    def good(self) -> bool:
        """Whether all figures are within their limits."""
        return (
            self.output <= OUTPUT_LIMIT
            and self.joint_px <= JOINT_LIMIT_PX
            and self.worst_px <= WORST_LIMIT_PX
            and self.score <= SCORE_LIMIT
        )

    def __str__(self) -> str:
        return (
            f"outputs by {self.output:.2g} (accepted is {OUTPUT_LIMIT}), joints by "
            f"{self.joint_px:.2g} px (accepted is {JOINT_LIMIT_PX}), the farthest by "
            f"{self.worst_px:.2g} px (accepted is {WORST_LIMIT_PX}), scores by {self.score:.2g} "
            f"(accepted is {SCORE_LIMIT}), of {self.joints} joints that float32 is sure of"
        )


def compare(engine: Engine, reference: Engine, codec: Codec, crops: FloatArray) -> Agreement:
    """Run both on the same crops, (N, 3, height, width) normalised, and compare.

    An engine with a largest batch gets the first crop alone and the others in batches: both are in
    use, and an engine may be wrong at one size only.
    """
    wanted = _outputs(reference, codec, crops)
    given = _outputs(engine, codec, crops)
    output = 0.0
    for a, b in zip(wanted, given, strict=True):
        scale = max(float(np.abs(a).max()), 1.0)
        worst = float(np.abs(a - b).max()) / scale  # NaN where either is not finite
        output = max(output, worst if np.isfinite(worst) else np.inf)
    ours, truth = codec.decode(given), codec.decode(wanted)
    sure = truth.score >= SURE
    away = np.linalg.norm(ours.xy - truth.xy, axis=-1)[sure]
    away = np.sort(np.where(np.isfinite(away), away, np.inf))
    either = sure | (ours.score >= SURE)
    apart = np.abs(ours.score - truth.score)[either]
    apart = np.where(np.isfinite(apart), apart, np.inf)
    most = away[: math.ceil(MOST * len(away))]
    return Agreement(
        output,
        float(most.max(initial=0.0)),
        int(sure.sum()),
        float(apart.max(initial=0.0)),
        float(away.max(initial=0.0)),
    )


def _outputs(engine: Engine, codec: Codec, crops: FloatArray) -> list[FloatArray]:
    """An engine's outputs for all crops, in the codec's order where it knows their names."""
    name = engine.inputs[0].name
    runs = [engine.run({name: crops[part]}) for part in parts(engine, len(crops))]
    names = [spec.name for spec in engine.outputs]
    if sorted(names) == sorted(codec.output_names):
        names = list(codec.output_names)
    return [np.concatenate([run[name] for run in runs]) for name in names]


def parts(engine: Engine, count: int) -> Iterator[slice]:
    """How so many crops are given to an engine: at once, or, where it has a largest batch, the
    first one alone and the others in batches.
    """
    largest = getattr(engine, "max_batch", None)
    if largest is None:
        yield slice(0, count)
        return
    yield slice(0, 1)
    for start in range(1, count, largest):
        yield slice(start, min(start + largest, count))


def require(
    engine: Engine, reference: Engine, codec: Codec, name: str, crops: FloatArray, remedy: str = ""
) -> Agreement:
    """Compare two engines, and refuse the first where it disagrees.

    Parameters
    ----------
    engine, reference : the same network, the reference in float32.
    codec : of the network.
    name : the network's name, for the message.
    crops : (N, 3, height, width), normalised.
    remedy : what to do about an engine that disagrees.

    Raises
    ------
    EngineError : with the figures and the remedy.
    """
    found = compare(engine, reference, codec, crops)
    if not found.good:
        text = f"'{name}' on {engine.name} differs from float32: {found}"
        raise EngineError(f"{text}. {remedy}" if remedy else text)
    return found


def sample_crops(size: Size, count: int = 4, seed: int = 0) -> FloatArray:
    """Crops that look like nothing, but have the statistics of images: (count, 3, height, width),
    smooth noise about zero of unit spread, from fine to coarse grain.
    """
    rng = np.random.default_rng(seed)
    crops = np.empty((count, 3, size[1], size[0]), np.float32)
    for i, crop in enumerate(crops):
        for plane in crop:
            noise = rng.standard_normal(plane.shape).astype(np.float32)
            plane[:] = cv2.GaussianBlur(noise, (0, 0), 2.0 * 2**i)
            plane -= plane.mean()  # of coarse grain a small crop sees little more than one grain
            plane /= max(float(plane.std()), 1e-6)
    return crops
