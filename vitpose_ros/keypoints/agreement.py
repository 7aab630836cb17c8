"""How far one engine's joints are from another's on the same network: the gate before use.

A network in lower precision, or in an engine built for one machine, is accepted only after it
agreed with its float32 self on this machine. Published faults of this kind affect whole networks
(an overflow in a layer norm spoils every map), so a few crops suffice to detect them. Joints are
compared only on crops in which the network finds some.
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
"""Largest difference of an output value, as a fraction of the reference's largest value, or of 1
where that is larger: the height of a full heatmap.
"""

JOINT_LIMIT_PX = 0.1
"""Largest distance of the share MOST of the confident joints, px of the crop. ViTPose-L in float16
stays within 0.07 px for 95 % of the joints (vitpose-inference-bench).
"""

MOST = 0.98
"""The share of the joints that JOINT_LIMIT_PX applies to. On a flat map whose highest pixels differ
in the last digits, the maximum is chance in any precision: in float16, one of 162 joints of
vitpose-tiny-synthetic moved by 0.68 px for this reason, the next one by 0.05.
"""

WORST_LIMIT_PX = 4.0
"""No confident joint may be farther away than this, px of the crop: one heatmap pixel."""

SCORE_LIMIT = 0.02
"""Largest difference of the score of a joint that either engine is confident of: a fifteenth of the
usual threshold.
"""

SURE = 0.3
"""A joint of at least this score is confident."""


@dataclass(frozen=True)
class Agreement:
    """How well two engines agree.

    Attributes
    ----------
    output : largest difference of an output value, as a fraction (see OUTPUT_LIMIT); infinite where
        either engine has a value that is not finite.
    joint_px : the share MOST of the reference's confident joints is within this distance, px of the
        crop; of fewer than 50 joints, all are. Infinite where the other engine lacks such a joint,
        0 where the reference has no confident one.
    joints : the number of confident joints of the reference.
    score : largest difference of the score of a joint that either engine is confident of.
    worst_px : the distance of the farthest joint, px of the crop.
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
            f"outputs by {self.output:.2g} (limit {OUTPUT_LIMIT}), joints by {self.joint_px:.2g} "
            f"px (limit {JOINT_LIMIT_PX}), the farthest by {self.worst_px:.2g} px (limit "
            f"{WORST_LIMIT_PX}), scores by {self.score:.2g} (limit {SCORE_LIMIT}), over "
            f"{self.joints} confident joints"
        )


def compare(engine: Engine, reference: Engine, codec: Codec, crops: FloatArray) -> Agreement:
    """Run both on the same crops, (N, 3, height, width) normalised, and compare.

    An engine with a limited batch gets the first crop alone and the others in batches: both are
    used, and an engine may be wrong at one size only.
    """
    wanted = _outputs(reference, codec, crops)
    given = _outputs(engine, codec, crops)
    output = 0.0
    for a, b in zip(wanted, given, strict=True):
        scale = max(float(np.abs(a).max()), 1.0)
        worst = float(np.abs(a - b).max()) / scale  # NaN where either one is not finite
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
    """An engine's outputs for all crops, in the codec's order where the names match."""
    name = engine.inputs[0].name
    runs = [engine.run({name: crops[part]}) for part in parts(engine, len(crops))]
    names = [spec.name for spec in engine.outputs]
    if sorted(names) == sorted(codec.output_names):
        names = list(codec.output_names)
    return [np.concatenate([run[name] for run in runs]) for name in names]


def parts(engine: Engine, count: int) -> Iterator[slice]:
    """The batches in which an engine gets a number of crops: all at once, or, where its batch is
    limited, the first one alone and the others in full batches.
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
    """Crops without content, but with the statistics of images: (count, 3, height, width), smooth
    noise of zero mean and unit spread, from fine to coarse grain.
    """
    rng = np.random.default_rng(seed)
    crops = np.empty((count, 3, size[1], size[0]), np.float32)
    for i, crop in enumerate(crops):
        for plane in crop:
            noise = rng.standard_normal(plane.shape).astype(np.float32)
            plane[:] = cv2.GaussianBlur(noise, (0, 0), 2.0 * 2**i)
            plane -= plane.mean()  # a small crop covers little more than one coarse grain
            plane /= max(float(plane.std()), 1e-6)
    return crops
