"""The codecs' decoding in torch, for outputs on a GPU; see `heatmap` and `simcc`.

All sizes follow from the outputs' shapes, so that the CPU never waits for the GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from vitpose_ros.engines.base import EngineError
from vitpose_ros.keypoints.codec import Codec
from vitpose_ros.keypoints.heatmap import (
    HIGHEST,
    KERNELS,
    LOWEST,
    RADIUS,
    WINDOW,
    HeatmapCodec,
    newton_step,
)
from vitpose_ros.keypoints.simcc import SimCCCodec

Outputs = Sequence[torch.Tensor]
Decode = Callable[[Outputs], torch.Tensor]
"""From outputs in the codec's order to (N, K, 3) float32: x and y in px of the crop, NaN where
absent, and the score, 0 where absent.
"""
Unmirror = Callable[[Outputs, Outputs], list[torch.Tensor]]
"""`Codec.unmirror`: from the outputs of mirrored crops and of the crops themselves."""

ABSENT = (float("nan"), float("nan"), 0.0)

_CHUNK = 16384  # maps refined at a time, to bound the memory


def make_decode(codec: Codec, device: torch.device) -> Decode:
    """A function that decodes a codec's outputs on a device.

    Raises
    ------
    EngineError : the codec cannot be decoded in torch.
    """
    if isinstance(codec, HeatmapCodec):
        return _Heatmaps(codec, device)
    if isinstance(codec, SimCCCodec):
        return _Curves(codec, device)
    raise EngineError(f"{type(codec).__name__} cannot be decoded on a GPU: set on_device to False")


def make_unmirror(codec: Codec, permutation: Sequence[int], device: torch.device) -> Unmirror:
    """A function that unmirrors a codec's outputs on a device."""
    order = torch.tensor(list(permutation), device=device)
    if isinstance(codec, HeatmapCodec):
        shift = codec.shift

        def unmirror_maps(mirrored: Outputs, direct: Outputs) -> list[torch.Tensor]:
            maps = mirrored[0][:, order].flip(3)
            if not shift:
                return [maps]
            return [torch.cat([direct[0][..., :shift], maps[..., :-shift]], dim=3)]

        return unmirror_maps
    assert isinstance(codec, SimCCCodec)
    bins = (codec.input_size[0] - 1) * codec.split + 1

    def unmirror(mirrored: Outputs, direct: Outputs) -> list[torch.Tensor]:
        x, y = (curves[:, order] for curves in mirrored)
        return [torch.cat([x[:, :, :bins].flip(2), direct[0][:, :, bins:]], dim=2), y]

    return unmirror


class _Heatmaps:
    """See `heatmap.HeatmapCodec.decode`; positions are float64, as there."""

    def __init__(self, codec: HeatmapCodec, device: torch.device) -> None:
        self._px = torch.tensor(codec.px_per_map_px, device=device)
        self._kernels = torch.tensor(KERNELS, device=device)
        self._window = torch.tensor(WINDOW, device=device)
        self._absent = torch.tensor(ABSENT, device=device)
        self._logits, self._step = codec.logits, codec.step
        self._steps = torch.arange(-codec.radius, codec.radius + 1, device=device)

    def __call__(self, outputs: Outputs) -> torch.Tensor:
        (maps,) = outputs
        if self._logits:
            maps = maps.sigmoid()
        count, joints, height, width = maps.shape
        flat = maps.reshape(count * joints, height * width)
        score, index = flat.max(dim=1)  # int64, and per map: no index exceeds its type
        present = flat.sum(dim=1).isfinite() & (score > 0)
        parts = [
            self._refine(flat[i : i + _CHUNK], index[i : i + _CHUNK], width, height)
            for i in range(0, len(flat), _CHUNK)
        ]
        xy = (torch.cat(parts) * self._px).float()
        found = torch.cat([xy, score[:, None]], dim=1)
        return found.where(present[:, None], self._absent).reshape(count, joints, 3)

    def _refine(
        self, flat: torch.Tensor, index: torch.Tensor, width: int, height: int
    ) -> torch.Tensor:
        """See `heatmap.HeatmapCodec._refined`: (M, 2) float64, heatmap px."""
        y = torch.div(index, width, rounding_mode="floor")
        x = index - y * width
        if self._step == "quarter":
            return self._quarter(flat, x, y, width, height)
        if self._step == "integral":
            return self._integral(flat, x, y, width, height)
        columns, centre_x, blur_x = self._stencil(x, width)
        rows, centre_y, blur_y = self._stencil(y, height)
        places = rows[:, :, None] * width + columns[:, None, :]
        window = flat.gather(1, places.flatten(1)).reshape(places.shape).double()
        values = blur_y @ window @ blur_x.transpose(1, 2)
        log = values.clamp(LOWEST, HIGHEST).log()
        step_x, step_y = newton_step(log, centre_x - x, centre_y - y, torch.where)
        return torch.stack([x + step_x, y + step_y], dim=1)

    def _quarter(
        self, flat: torch.Tensor, x: torch.Tensor, y: torch.Tensor, width: int, height: int
    ) -> torch.Tensor:
        """See `peaks.quarter`."""
        inner = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
        place = y.clamp(1, height - 2) * width + x.clamp(1, width - 2)
        around = torch.stack([place + 1, place - 1, place + width, place - width], dim=1)
        right, left, below, above = flat.gather(1, around).double().unbind(dim=1)
        step = torch.stack([(right - left).sign(), (below - above).sign()], dim=1) / 4
        return torch.stack([x, y], dim=1) + step * inner[:, None]

    def _integral(
        self, flat: torch.Tensor, x: torch.Tensor, y: torch.Tensor, width: int, height: int
    ) -> torch.Tensor:
        """See `peaks.integral`."""
        steps, far = self._steps, self._steps.abs()
        across = far <= torch.minimum(x, width - 1 - x)[:, None]
        down = far <= torch.minimum(y, height - 1 - y)[:, None]
        columns = (x[:, None] + steps).clamp(0, width - 1)
        rows = (y[:, None] + steps).clamp(0, height - 1)
        places = rows[:, :, None] * width + columns[:, None, :]
        window = flat.gather(1, places.flatten(1)).reshape(places.shape).double().clamp(min=0)
        weights = window * (down[:, :, None] & across[:, None, :])
        along = steps.double()
        offset = torch.stack([weights.sum(1) @ along, weights.sum(2) @ along], dim=1)
        return torch.stack([x, y], dim=1) + offset / weights.sum((1, 2))[:, None]

    def _stencil(
        self, place: torch.Tensor, size: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `heatmap._stencil`."""
        centre = place.clamp(1, size - 2)
        radius = torch.minimum(place - 1, size - 2 - place).clamp(0, RADIUS)
        pixels = (centre[:, None] + self._window).clamp(0, size - 1)
        return pixels, centre, self._kernels[radius]


class _Curves:
    """See `simcc.SimCCCodec.decode`."""

    def __init__(self, codec: SimCCCodec, device: torch.device) -> None:
        self._split, self._scale = codec.split, codec.score_scale
        self._absent = torch.tensor(ABSENT, device=device)

    def __call__(self, outputs: Outputs) -> torch.Tensor:
        (score_x, x), (score_y, y) = (curves.max(dim=2) for curves in outputs)
        score = torch.minimum(score_x, score_y)
        finite = outputs[0].sum(dim=2).isfinite() & outputs[1].sum(dim=2).isfinite()
        present = finite & (score > 0)
        found = torch.stack([x / self._split, y / self._split, score / self._scale], dim=2)
        return found.where(present[..., None], self._absent)
