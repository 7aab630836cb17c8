"""The codec of RTMPose: one curve over x and one over y per joint.

Source: SimCC (Li et al., ECCV 2022). The curves have `split` bins per pixel. As in mmpose, a
joint's score is the smaller of its two maxima, here divided by `score_scale`. Curves are trained
through a softmax, so their height depends on the training: RTMPose and DWPose learn curves of
height 1 (both sides of the loss are multiplied by 10), RTMW of height 10 (only the label is;
mmpose, configs/wholebody_2d_keypoint/rtmpose/cocktail14: KLDiscretLoss, beta 1, label_beta 10), and
users report 3 to 8 for visible joints (mmpose#2939). None of these is a probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.keypoints.codec import Decoded
from vitpose_ros.keypoints.pixels import IMAGENET, Pixels
from vitpose_ros.keypoints.warp import Size
from vitpose_ros.types import FloatArray


@dataclass(frozen=True)
class SimCCCodec:
    """Joints as two curves.

    Attributes
    ----------
    input_size : (width, height) of the network's input, px.
    split : bins per pixel.
    score_scale : the height of a curve at a joint that the network is certain of.
    pixels : how the network reads pixels.

    Raises
    ------
    ValueError : a size, the split or the scale is out of range.
    """

    input_size: Size = (192, 256)
    split: int = 2
    score_scale: float = 1.0
    pixels: Pixels = IMAGENET

    udp = False
    output_names = ("simcc_x", "simcc_y")

    def __post_init__(self) -> None:
        if min(self.input_size) < 2 or self.split < 1 or not 0 < self.score_scale < np.inf:
            raise ValueError(
                "SimCCCodec: expected an input of at least 2x2 pixels, a split of at least 1 and "
                f"a positive score_scale, got {self.input_size}, {self.split}, {self.score_scale}"
            )

    @property
    def sigma(self) -> tuple[float, float]:
        """The Gaussians' standard deviations along x and y, bins: the square root of an eighth of
        the side's pixels, as in mmpose's configurations (4.9 for 192, 5.66 for 256, 6 for 288, 6.93
        for 384).
        """
        width, height = self.input_size
        return (width / 8) ** 0.5, (height / 8) ** 0.5

    def output_shapes(self, joints: int) -> tuple[tuple[int, ...], ...]:
        """See `Codec.output_shapes`."""
        return tuple((joints, size * self.split) for size in self.input_size)

    def encode(self, xy: npt.NDArray) -> tuple[FloatArray, ...]:
        """See `Codec.encode`: (N, K, x bins) and (N, K, y bins), `score_scale` at a joint."""
        bins = np.asarray(xy, np.float64) * self.split
        known = ~np.isnan(bins.sum(axis=-1, keepdims=True))
        curves = []
        for axis, (size, sigma) in enumerate(zip(self.input_size, self.sigma, strict=True)):
            away = np.arange(size * self.split) - bins[..., axis, None]
            curve = self.score_scale * np.exp(-0.5 * (away / sigma) ** 2)
            curves.append(np.where(known, curve, 0.0).astype(np.float32))
        return tuple(curves)

    def decode(self, outputs: Sequence[FloatArray]) -> Decoded:
        """Joints from the two curves, to the nearest bin (half a pixel for a split of 2).

        A joint is absent where a curve has a value that is not finite, or none above 0.
        """
        x, y = outputs
        places = np.stack([x.argmax(axis=2), y.argmax(axis=2)], axis=2) / self.split
        score = np.minimum(x.max(axis=2), y.max(axis=2))
        with np.errstate(invalid="ignore", over="ignore"):
            finite = np.isfinite(x.sum(axis=2)) & np.isfinite(y.sum(axis=2))
            present = finite & (score > 0)
        places[~present] = np.nan
        score = np.where(present, score / self.score_scale, 0)
        return Decoded(places, score.astype(np.float32))

    def unmirror(
        self,
        outputs: Sequence[FloatArray],
        permutation: Sequence[int],
        direct: Sequence[FloatArray],
    ) -> list[FloatArray]:
        """See `Codec.unmirror`.

        Pixel x becomes W - 1 - x in a mirrored crop, so with two bins per pixel, bin b becomes
        2 (W - 1) - b. mmpose reverses the whole curve, b to 2 W - 1 - b, which is half a pixel off.
        The bins beyond the last pixel's centre have no counterpart and come from `direct`.
        """
        order = list(permutation)
        x, y = (curves[:, order] for curves in outputs)
        mirrored = direct[0].copy()
        bins = (self.input_size[0] - 1) * self.split + 1
        mirrored[:, :, :bins] = x[:, :, bins - 1 :: -1]
        return [mirrored, y]
