"""Reads one object in several crops, as they are and mirrored: what is right stays in its place.

The height of heatmaps alone does not tell how a network reads pixels: with values 255 times too
large, a network of rendered hands gives maps 2.6 high, at random places.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import Engine
from vitpose_ros.keypoints.channels import channels_first
from vitpose_ros.keypoints.recipes import TURNED, codec_of
from vitpose_ros.keypoints.warp import PADDING, crop_region, crop_to_image, cut_crops, map_points
from vitpose_ros.models.add.kinds import Fit
from vitpose_ros.models.add.samples import Sample
from vitpose_ros.types import FloatArray

_VIEWS = ((0, 0, 1), (0.03, 0.02, 1), (-0.02, -0.03, 0.95), (0, 0.02, 1.06))
"""Shift and scale of each crop, as fractions of the region."""

_NEAR = 0.05
"""A joint is in its place within this share of the crop's width of its median place."""

_FOUND = 0.2
"""A joint of at least this score is found."""


@dataclass(frozen=True)
class Readings:
    """Joints of V crops and of the same V crops mirrored: len(_VIEWS) of each object.

    Attributes
    ----------
    first : of the network's outputs: (V, ...) of the crops.
    mirrored : the same of the mirrored crops.
    places : (2, V, K, 2): of both, in the image, in units of the width of the first crop.
    scores : (2, V, K).
    """

    first: FloatArray
    mirrored: FloatArray
    places: npt.NDArray[np.float64]
    scores: FloatArray

    @property
    def steady(self) -> float:
        """The share of the joints that lie at the same place in all crops, 0 .. 1."""
        each = self.places.reshape(2, -1, len(_VIEWS), *self.places.shape[2:])
        with np.errstate(invalid="ignore"):
            away = np.linalg.norm(each - np.median(each, axis=(0, 2), keepdims=True), axis=-1)
        return float((away <= _NEAR).mean())  # NaN compares false

    @property
    def evidence(self) -> float:
        """How well the network reads its input: the mean score of the joints, where one above 1
        counts as its inverse, times `steady`.
        """
        score = np.clip(np.nan_to_num(self.scores), 1e-6, None)
        return float(np.minimum(score, 1 / score).mean()) * self.steady

    @property
    def agreement(self) -> float:
        """The share of the joints found that lie at the same place in the mirrored crops, 0 .. 1;
        0 where fewer than half are found.
        """
        found = self.scores.min(axis=0) >= _FOUND
        if found.mean() < 0.5:
            return 0.0
        away = np.linalg.norm(self.places[0] - self.places[1], axis=2)
        return float((away[found] <= _NEAR).mean())


def read_crops(engine: Engine, fit: Fit, sample: Sample) -> Readings:
    """Read the object of a top-down network in crops that are slightly moved, and mirrored.

    Raises
    ------
    EngineError : the network fails.
    """
    layout, codec = fit.entry.layout, codec_of(fit.entry)
    assert layout is not None
    hand = fit.entry.task == "hand_keypoints"
    network = channels_first(engine, codec, len(layout))
    names = [spec.name for spec in network.outputs]
    if sorted(names) == sorted(codec.output_names):
        names = list(codec.output_names)
    (width, height), order = codec.input_size, list(layout.flip_permutation())
    raw: tuple[list[FloatArray], list[FloatArray]] = ([], [])
    places, scores = np.zeros((2, 0, len(layout), 2)), np.zeros((2, 0, len(layout)), np.float32)
    for region in sample.turned if hand and fit.entry.settings.get(TURNED) else sample.regions:
        unit = crop_region(region, codec.input_size, 1.0 if hand else PADDING).width
        for dx, dy, scale in _VIEWS:
            moved = replace(
                region,
                cx=region.cx + dx * region.width,
                cy=region.cy + dy * region.height,
                width=region.width * scale,
                height=region.height * scale,
            )
            shown = crop_region(moved, codec.input_size, 1.0 if hand else PADDING)
            matrices = crop_to_image([shown], codec.input_size, codec.udp)
            crop = np.empty((1, 3, height, width), np.float32)
            cut_crops(sample.image, matrices, crop, codec.pixels)
            both, heights = [], []
            for flip in (False, True):
                given = np.ascontiguousarray(crop[..., ::-1]) if flip else crop
                outputs = network.run({network.inputs[0].name: given})
                raw[flip].append(outputs[names[0]])
                found = codec.decode([outputs[name] for name in names])
                xy, score = found.xy, found.score[0]
                if flip:
                    xy, score = ([width - 1, 0] + xy * [-1, 1])[:, order], score[order]
                both.append(map_points(matrices, xy) / unit)
                heights.append(score)
            places = np.concatenate([places, np.stack(both)], axis=1)
            scores = np.concatenate([scores, np.stack(heights)[:, None]], axis=1)
    return Readings(np.concatenate(raw[0]), np.concatenate(raw[1]), places, scores)
