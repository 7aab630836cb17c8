"""The codecs of networks with one heatmap per joint: ViTPose, SimpleBaseline, HRNet, AlphaPose, ...

They differ in the lattice, in how a maximum becomes a position, and in whether values are heat or
logits. `CODECS` names the pairs of the first two that networks are trained with:

- on UDP's lattice, the outermost pixels of crop and map coincide; on the classic one, the map's
  pixel x lies at `stride` x of the crop. A network does not say which one it was trained with, but
  mirrored crops tell: see `keypoints.mirror`;
- the step from the maximum is DARK's, below, or one of those in `keypoints.peaks`.

DARK (distribution-aware; Zhang et al., CVPR 2020) in UDP's form is one Newton step on the logarithm
of the blurred map. Ours departs from the official code in three ways:

- Near the border, a blur that reaches over the map's edge would have to invent values there, which
  moves peaks by up to half a pixel. So the kernel is shortened along an axis until it fits, and at
  the edge itself the 3-point stencil is shifted into the map.
- The step is taken only from a maximum of the blurred map (negative definite Hessian), and is at
  most one heatmap pixel long: on a map without a peak the formula gives thousands of pixels.
- Only the 13x13 pixels around the maximum are blurred, since no others are used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.keypoints.codec import Decoded
from vitpose_ros.keypoints.peaks import integral, quarter
from vitpose_ros.keypoints.pixels import IMAGENET, Pixels
from vitpose_ros.keypoints.warp import Size
from vitpose_ros.types import FloatArray

BLUR_SIGMA_PX = 2.0
"""The blur's standard deviation, equal to that of the training's Gaussians, heatmap px."""

MAX_STEP_PX = 1.0
"""The largest distance of a joint from its map's maximum, heatmap px."""

RADIUS = 5
"""The blur's radius: the official kernel has 11 taps."""

LOWEST, HIGHEST = 1e-3, 50.0
"""Values are clipped to these before the logarithm."""

_LEAST_HEAT = 1e-6  # of an encoded logit

_CHUNK = 4096  # joints refined at a time, to bound the memory

_OFFSETS = np.arange(-RADIUS, RADIUS + 1)
WINDOW = np.arange(-RADIUS - 1, RADIUS + 2)
"""(13,): offsets of the pixels that the stencil's values are computed from."""


def _kernel(radius: int) -> npt.NDArray[np.float64]:
    """(3, 13): weights of those pixels in the stencil's three blurred values."""
    taps = np.where(np.abs(_OFFSETS) <= radius, np.exp(-0.5 * (_OFFSETS / BLUR_SIGMA_PX) ** 2), 0)
    return np.stack([np.pad(taps / taps.sum(), (shift, 2 - shift)) for shift in range(3)])


KERNELS = np.stack([_kernel(radius) for radius in range(RADIUS + 1)])
"""(6, 3, 13): the same for each radius of the blur."""


@dataclass(frozen=True)
class Kind:
    """A codec's lattice and step.

    Attributes
    ----------
    udp : whether the lattice is UDP's.
    step : "dark", "quarter" or "integral".
    meaning : what it is, and whose, for people.
    """

    udp: bool
    step: str
    meaning: str


CODECS = {
    "udp": Kind(True, "dark", "UDP's lattice and DARK: ViTPose, Sapiens, files named _udp_"),
    "classic": Kind(False, "quarter", "a quarter pixel: SimpleBaseline, HRNet, TinyPose"),
    "dark": Kind(False, "dark", "the classic lattice and DARK: files named _dark_"),
    "integral": Kind(False, "integral", "the mean around the maximum: AlphaPose, integral heads"),
}
"""By the name in a catalogue entry."""

WINDOW_SIGMAS = 3.0
"""Half the side of the square whose mean "integral" takes, over the Gaussians' sigma."""


@dataclass(frozen=True)
class HeatmapCodec:
    """Joints as Gaussians.

    Attributes
    ----------
    input_size : (width, height) of the network's input, px.
    map_size : (width, height) of the heatmaps, px; at least 3 each.
    sigma : the Gaussians' standard deviation, heatmap px.
    kind : one of CODECS.
    logits : whether the network gives logits; their sigmoid is the heat.
    pixels : how the network reads pixels.

    Raises
    ------
    ValueError : a size or sigma is out of range, or the kind is unknown.
    """

    input_size: Size = (192, 256)
    map_size: Size = (48, 64)
    sigma: float = 2.0
    kind: str = "udp"
    logits: bool = False
    pixels: Pixels = IMAGENET

    output_names = ("heatmaps",)

    def __post_init__(self) -> None:
        if self.kind not in CODECS:
            raise ValueError(
                f"HeatmapCodec: expected one of {', '.join(CODECS)}, got {self.kind!r}"
            )
        if min(self.input_size) < 2 or min(self.map_size) < 3 or not 0 < self.sigma < np.inf:
            raise ValueError(
                "HeatmapCodec: expected an input of at least 2x2, a map of at least 3x3 pixels and "
                f"a positive sigma, got {self.input_size}, {self.map_size}, {self.sigma}"
            )

    @property
    def udp(self) -> bool:
        """Whether crop and map have UDP's lattice."""
        return CODECS[self.kind].udp

    @property
    def step(self) -> str:
        """How a maximum becomes a position."""
        return CODECS[self.kind].step

    @property
    def radius(self) -> int:
        """Half the side of the square whose mean "integral" takes, heatmap px."""
        return max(1, round(WINDOW_SIGMAS * self.sigma))

    @property
    def shift(self) -> int:
        """By how many pixels the map of a mirrored crop is shifted after mirroring it back: on the
        classic lattice, mirroring moves a joint by 1 - 1 / stride pixels to the left.
        """
        return 0 if self.udp or self.map_size[0] > self.input_size[0] / 2 else 1

    @property
    def px_per_map_px(self) -> npt.NDArray[np.float64]:
        """(2,): input pixels per heatmap pixel. On UDP's lattice, the ends coincide."""
        ends = 1.0 if self.udp else 0.0
        return (np.array(self.input_size) - ends) / (np.array(self.map_size) - ends)

    def output_shapes(self, joints: int) -> tuple[tuple[int, ...], ...]:
        """See `Codec.output_shapes`."""
        return ((joints, self.map_size[1], self.map_size[0]),)

    def encode(self, xy: npt.NDArray) -> tuple[FloatArray, ...]:
        """See `Codec.encode`: (N, K, H, W), 1 at a joint."""
        centre = np.asarray(xy, np.float64) / self.px_per_map_px
        along = [
            np.exp(-0.5 * ((np.arange(size) - centre[..., axis, None]) / self.sigma) ** 2)
            for axis, size in enumerate(self.map_size)
        ]
        maps = np.nan_to_num(along[1][..., :, None] * along[0][..., None, :], nan=0.0)
        if self.logits:
            heat = np.clip(maps, _LEAST_HEAT, 1 - _LEAST_HEAT)
            maps = np.log(heat / (1 - heat))
        return (maps.astype(np.float32),)

    def decode(self, outputs: Sequence[FloatArray]) -> Decoded:
        """Joints from (N, K, H, W) maps; the score is the map's maximum before the blur.

        A joint is absent where its map has a value that is not finite, or none above 0.
        """
        (maps,) = outputs
        if self.logits:
            maps = heat_of(maps)
        count, joints, height, width = maps.shape
        flat = maps.reshape(count, joints, height * width)
        # int64, and per map: an index into all maps together would exceed float32's integers.
        index = flat.argmax(axis=2).astype(np.int64)
        score = flat.max(axis=2)
        with np.errstate(invalid="ignore", over="ignore"):
            present = np.isfinite(flat.sum(axis=2)) & (score > 0)
        xy = np.full((count, joints, 2), np.nan)
        crops, which = np.nonzero(present)
        for start in range(0, len(crops), _CHUNK):
            n, k = crops[start : start + _CHUNK], which[start : start + _CHUNK]
            y, x = np.divmod(index[n, k], width)
            xy[n, k] = self._refined(maps, n, k, x, y) * self.px_per_map_px
        return Decoded(xy, np.where(present, score, 0).astype(np.float32))

    def unmirror(
        self,
        outputs: Sequence[FloatArray],
        permutation: Sequence[int],
        direct: Sequence[FloatArray],
    ) -> list[FloatArray]:
        """See `Codec.unmirror`. UDP's lattice is symmetric: nothing is shifted. Otherwise, the
        first columns have no counterpart and come from `direct`.
        """
        maps = outputs[0][:, list(permutation), :, ::-1]
        if not self.shift:
            return [maps]
        return [np.concatenate([direct[0][..., : self.shift], maps[..., : -self.shift]], axis=3)]

    def _refined(
        self, maps: FloatArray, n: npt.NDArray, k: npt.NDArray, x: npt.NDArray, y: npt.NDArray
    ) -> npt.NDArray[np.float64]:
        """Positions of maxima, heatmap px; see `refine`."""
        if self.step == "quarter":
            return quarter(maps, n, k, x, y)
        if self.step == "integral":
            return integral(maps, n, k, x, y, self.radius)
        return refine(maps, n, k, x, y)


def heat_of(logits: FloatArray) -> FloatArray:
    """The sigmoid, NaN where the network gives NaN."""
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float32))), np.float32)


def refine(
    maps: FloatArray, n: npt.NDArray, k: npt.NDArray, x: npt.NDArray, y: npt.NDArray
) -> npt.NDArray[np.float64]:
    """The subpixel positions of maxima.

    Parameters
    ----------
    maps : (N, K, H, W).
    n, k, x, y : (M,) integers: crop, joint, and the position of the map's maximum.

    Returns
    -------
    (M, 2) float64, heatmap px; at most MAX_STEP_PX from (x, y).
    """
    height, width = maps.shape[2:]
    columns, centre_x, blur_x = _stencil(x, width)
    rows, centre_y, blur_y = _stencil(y, height)
    window = maps[n[:, None, None], k[:, None, None], rows[:, :, None], columns[:, None, :]]
    values = blur_y @ window.astype(np.float64) @ blur_x.transpose(0, 2, 1)
    log = np.log(np.clip(values, LOWEST, HIGHEST))

    step_x, step_y = newton_step(log, centre_x - x, centre_y - y, np.where)
    return np.stack([x + step_x, y + step_y], axis=1)


def newton_step(
    log: Any, offset_x: Any, offset_y: Any, where: Callable[..., Any]
) -> tuple[Any, Any]:
    """One Newton step on the logarithm of maps, from their maxima.

    Parameters
    ----------
    log : (M, 3, 3), rows first, around the stencil's centre; a NumPy array or a torch tensor.
    offset_x, offset_y : (M,) from the maximum to the stencil's centre; 0 except at the map's edge.
    where : NumPy's or torch's function.

    Returns
    -------
    The steps along x and y, (M,) each, at most MAX_STEP_PX long; 0 where there is no maximum.
    """
    middle = log[:, 1, 1]
    dx, dy = (log[:, 1, 2] - log[:, 1, 0]) / 2, (log[:, 2, 1] - log[:, 0, 1]) / 2
    dxx = log[:, 1, 2] - 2 * middle + log[:, 1, 0]
    dyy = log[:, 2, 1] - 2 * middle + log[:, 0, 1]
    dxy = (
        log[:, 2, 2] - log[:, 1, 2] - log[:, 2, 1] + 2 * middle
        - log[:, 1, 0] - log[:, 0, 1] + log[:, 0, 0]
    ) / 2  # fmt: skip
    determinant = dxx * dyy - dxy * dxy
    peak = (dxx < 0) & (dyy < 0) & (determinant > 0)
    divisor = where(peak, determinant, 1.0)
    step_x = where(peak, offset_x - (dyy * dx - dxy * dy) / divisor, 0.0)
    step_y = where(peak, offset_y - (dxx * dy - dxy * dx) / divisor, 0.0)
    length = (step_x * step_x + step_y * step_y) ** 0.5
    shorten = MAX_STEP_PX / where(length > MAX_STEP_PX, length, MAX_STEP_PX)
    return step_x * shorten, step_y * shorten


def _stencil(
    place: npt.NDArray, size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Along one axis: (M, 13) pixels around the stencil, (M,) its centre, and (M, 3, 13) weights of
    the pixels in its three values.
    """
    centre = np.clip(place, 1, size - 2)
    radius = np.clip(np.minimum(place - 1, size - 2 - place), 0, RADIUS)
    return np.clip(centre[:, None] + WINDOW, 0, size - 1), centre, KERNELS[radius]
