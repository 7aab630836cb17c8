"""How each kind of lifting network is fed, and what its numbers mean.

A recipe is told from the network's shapes: MotionBERT reads a sequence with scores, VideoPose3D one
without, a Martinez network a single image. Input pixels are those of a camera without distortion;
outputs are metres in the axes of the optical frame, with the pelvis at 0.

Sources: mmpose's codecs and configurations (motionbert_label, video_pose_lifting,
image_pose_lifting), and the papers: Zhu et al. 2023, Pavllo et al. 2019, Martinez et al. 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.layouts import H36M17
from vitpose_ros.measurements import JointWindow

Array = npt.NDArray[np.float64]

MARTINEZ, VIDEOPOSE3D, MOTIONBERT = "martinez", "videopose3d", "motionbert"

RATE_HZ = 50.0
"""Human3.6M's images per second, which the sequences of these networks have."""

H36M_FOCAL_PX = 1146.0
"""Human3.6M's focal length. A Martinez network knows a person's size in pixels, so its input is
scaled to what Human3.6M's cameras would have seen."""
H36M_WIDTH_PX = 1000.0
"""Human3.6M's image width, used instead where the focal length is not known."""

ADULT_LIMBS_M = 2.8
"""MotionBERT's output has no scale. It gets that of an adult of 1.70 m: the sum of both upper arms,
forearms, thighs and shanks (0.186, 0.146, 0.245 and 0.246 of the height; Drillis and Contini)."""

_LIMBS = [
    (H36M17.index(f"{side}_{a}"), H36M17.index(f"{side}_{b}"))
    for side in ("left", "right")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
]
_PELVIS = 0


@dataclass(frozen=True)
class Recipe:
    """How a network is fed.

    Attributes
    ----------
    architecture : MARTINEZ, VIDEOPOSE3D or MOTIONBERT.
    images : length of the window.
    now : the index in the window of the image that the output belongs to. Later ones do not exist
        yet: they repeat it.
    rate_hz : images per second of the window.
    input_shape, output_shape : of one sample.
    statistics : for MARTINEZ: means and deviations of input (J * 2,) px and output (J * 3,) mm.
    """

    architecture: str
    images: int
    now: int
    rate_hz: float
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    statistics: tuple[Array, Array, Array, Array] | None = None

    def encode(self, window: Array, seen: JointWindow) -> npt.NDArray[np.float32]:
        """One sample of the network's input from joints (images, 17, 3): px and score; `seen` tells
        the camera.
        """
        uv, score = window[..., :2], window[..., 2:]
        if self.statistics is not None:
            mean, std, _, _ = self.statistics
            known = np.isfinite(seen.focal_px)
            scale = H36M_FOCAL_PX / seen.focal_px if known else H36M_WIDTH_PX / seen.width
            flat = (uv - uv[:, _PELVIS : _PELVIS + 1])[:, -(len(mean) // 2) :].ravel() * scale
            return np.asarray((flat - mean) / std, np.float32).reshape(self.input_shape)
        centred = uv / seen.width * 2 - (1.0, seen.height / seen.width)
        if self.architecture == MOTIONBERT:
            centred = np.concatenate([centred, score], axis=-1)
        return np.asarray(centred, np.float32).reshape(self.input_shape)

    def decode(self, output: npt.NDArray[np.float32]) -> Array:
        """(17, 3) m from one sample of the network's output."""
        if self.statistics is not None:
            _, _, mean, std = self.statistics
            joints = (output.astype(np.float64).ravel() * std + mean).reshape(-1, 3) * 1e-3
            if len(joints) < len(H36M17):
                joints = np.concatenate([np.zeros((1, 3)), joints])
        else:
            sequence = output.reshape(self.output_shape).astype(np.float64)
            joints = sequence[self.now if len(sequence) == self.images else 0]
        joints = joints - joints[_PELVIS]
        if self.architecture == MOTIONBERT:
            limbs = sum(float(np.linalg.norm(joints[a] - joints[b])) for a, b in _LIMBS)
            joints = joints * (ADULT_LIMBS_M / limbs if limbs > 0 else np.nan)
        return joints


def recognise(
    name: str,
    architecture: str,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    settings: Mapping[str, Any],
) -> Recipe:
    """The recipe of a network, from its shapes.

    Parameters
    ----------
    name : of the model, for errors.
    architecture : what the catalogue calls it; it has to agree with the shapes.
    inputs, outputs : of the network.
    settings : of the catalogue entry. `rate_hz`: images per second of the window (50).
        `output_image`, for VideoPose3D: "middle", or "last" for a causal network. `mean_2d`,
        `std_2d`, `mean_3d`, `std_3d`, for Martinez: the statistics that it was trained with.

    Raises
    ------
    EngineError : the shapes are not those of a lifting network, or do not fit the catalogue.
    """
    if len(inputs) != 1 or len(outputs) != 1:
        raise _misfit(name, inputs, outputs)
    given, taken = inputs[0].shape[1:], outputs[0].shape[1:]
    if None in given or None in taken:
        raise EngineError(
            f"the lifting network '{name}' leaves sizes open ({inputs[0]} to {outputs[0]}): export "
            "it for a fixed number of images; only the batch may vary"
        )
    shape = tuple(int(size) for size in given if size is not None)
    result = tuple(int(size) for size in taken if size is not None)
    kind = _kind(shape, result)
    if kind is None:
        raise _misfit(name, inputs, outputs)
    if kind != architecture:
        raise EngineError(
            f"the lifting network '{name}' has the shapes of {kind} ({inputs[0]} to {outputs[0]}), "
            f"but its catalogue entry says architecture: {architecture}"
        )
    rate_hz = float(settings.get("rate_hz", RATE_HZ))
    if kind == MARTINEZ:
        statistics = _statistics(name, settings, shape, result)
        return Recipe(kind, 1, 0, RATE_HZ, shape, result, statistics)
    images = shape[0]
    if not 1.0 <= rate_hz <= 1000.0:
        raise EngineError(f"'{name}': settings.rate_hz: expected 1 to 1000 Hz, got {rate_hz:g}")
    place = settings.get("output_image", "last" if kind == MOTIONBERT else "middle")
    if place not in ("middle", "last") or (kind == MOTIONBERT and place != "last"):
        raise EngineError(
            f"'{name}': settings.output_image: expected 'middle' or 'last' for VideoPose3D; "
            f"MotionBERT's is always 'last'; got {place!r}"
        )
    return Recipe(
        kind, images, images - 1 if place == "last" else images // 2, rate_hz, shape, result
    )


def _kind(shape: tuple[int, ...], result: tuple[int, ...]) -> str | None:
    joints = len(H36M17)
    if len(shape) == 3 and shape[1:] == (joints, 3) and result == shape:
        return MOTIONBERT
    if len(shape) == 3 and shape[1:] == (joints, 2) and result in ((1, joints, 3), (joints, 3)):
        return VIDEOPOSE3D
    flat, flat_out = int(np.prod(shape)), int(np.prod(result))
    single = len(shape) == 1 or (len(shape) == 2 and shape[1] == 2)
    if single and flat in (2 * joints, 2 * joints - 2) and flat_out in (3 * joints, 3 * joints - 3):
        return MARTINEZ
    return None


def _statistics(
    name: str, settings: Mapping[str, Any], shape: tuple[int, ...], result: tuple[int, ...]
) -> tuple[Array, Array, Array, Array]:
    expected = {
        "mean_2d": int(np.prod(shape)),
        "std_2d": int(np.prod(shape)),
        "mean_3d": int(np.prod(result)),
        "std_3d": int(np.prod(result)),
    }
    found = []
    for key, count in expected.items():
        values = np.array(settings.get(key, ()), np.float64)
        positive = not key.startswith("std") or bool((values > 0).all())
        if values.shape != (count,) or not np.isfinite(values).all() or not positive:
            raise EngineError(
                f"'{name}': settings.{key}: expected {count} numbers"
                f"{' above 0' if key.startswith('std') else ''}, those of the network's training "
                f"({'px' if key.endswith('2d') else 'mm'}, joint by joint), got "
                f"{len(np.atleast_1d(values))}"
            )
        found.append(values)
    return found[0], found[1], found[2], found[3]


def _misfit(name: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> EngineError:
    return EngineError(
        f"'{name}' is no lifting network that is known here: it has the inputs "
        f"{', '.join(map(str, inputs))} and the outputs {', '.join(map(str, outputs))}. Known are "
        "MotionBERT (N, images, 17, 3) to (N, images, 17, 3), VideoPose3D (N, images, 17, 2) to "
        "(N, 1, 17, 3), and Martinez (N, 34) to (N, 51), or without the pelvis (N, 32) to (N, 48)"
    )
