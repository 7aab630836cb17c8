"""Top-down keypoints: crops in, the joints of the object in each out.

This covers ViTPose and RTMPose, bodies, whole bodies and hands: they differ only in codec, layout
and numbers. The codec also decides the warp, so that the two never disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import DeviceEngine, Engine, EngineError, TensorSpec
from vitpose_ros.keypoints.backend import Backend, CpuBackend
from vitpose_ros.keypoints.codec import Codec
from vitpose_ros.keypoints.warp import (
    PADDING,
    crop_region,
    crop_to_image,
    map_points,
    shows_image,
)
from vitpose_ros.layouts import Layout
from vitpose_ros.types import Crop, FloatArray, JointState, Keypoints

MEASURED_THRESHOLD = 0.3
"""A joint of at least this score is measured; the usual threshold of top-down models."""

PRESENT_THRESHOLD = 0.05
"""A joint of a lower score is absent: the maximum of an empty map reaches up to here."""


class TopDown:
    """Finds the joints of the object in each crop.

    A joint is ABSENT where its score is below PRESENT_THRESHOLD or its outputs are unusable (not
    finite, or none above 0); OCCLUDED where its score is below MEASURED_THRESHOLD or it lies
    outside the image; else MEASURED, since these networks do not tell visible joints from hidden
    ones. The network's scores are not probabilities and may exceed 1; they are clipped to 1.

    Where the engine's tensors are on a GPU, crops are cut and decoded there, too.

    Not thread-safe.

    Parameters
    ----------
    engine : runs the network: one input (N, 3, height, width), and the codec's outputs.
    codec : decodes the outputs; also decides the input size and the warp.
    layout : the joints, in the order of the network's outputs.
    name : the network's name in the model catalogue.
    padding : the crop's size over the region's; 1 for regions that are already padded.
    flip_test : run each crop mirrored, too, and average: more accurate, at twice the time.
    max_batch : largest batch of the network; more crops are split.
    on_device : whether to crop and decode in torch, on the device of an
        `engines.base.DeviceEngine`; None does so where that is a GPU.

    Raises
    ------
    EngineError : the network's input or outputs do not fit the codec and the layout.
    ValueError : a number is out of range.
    """

    def __init__(
        self,
        engine: Engine,
        codec: Codec,
        layout: Layout,
        name: str,
        padding: float = PADDING,
        flip_test: bool = False,
        max_batch: int = 16,
        on_device: bool | None = None,
    ) -> None:
        if not 1 <= padding <= 4:
            raise ValueError(f"padding: expected a number from 1 to 4, got {padding!r}")
        if max_batch < 1:
            raise ValueError(f"max_batch: expected 1 or more, got {max_batch!r}")
        self.name = name
        self.engine = engine.name
        self.layout = layout
        self._codec = codec
        self._padding = padding
        self._backend = _backend(
            on_device,
            engine=engine,
            codec=codec,
            input_name=_input_name(engine, codec, name),
            output_names=_output_names(engine, codec, layout, name),
            permutation=layout.flip_permutation() if flip_test else None,
            max_batch=max_batch,
        )

    def __call__(self, crops: Sequence[Crop]) -> list[Keypoints]:
        """Find the joints in each crop. Crops of several images share the network's batches.

        Parameters
        ----------
        crops : regions around one object each. They may be rotated and reach beyond the image,
            where the network sees black.

        Returns
        -------
        The joints of each crop, in order, px of its image. Where a region lies outside its image,
        or is so large that the image vanishes in it, every joint is absent and no network runs.

        Raises
        ------
        EngineError : the network fails.
        """
        shown = [crop_region(c.region, self._codec.input_size, self._padding) for c in crops]
        sizes = np.array([crop.image.shape[1::-1] for crop in crops]).reshape(-1, 2)
        readable = [
            i
            for i, (crop, (width, height)) in enumerate(zip(crops, sizes, strict=True))
            if shows_image(crop.region, shown[i], width, height)
        ]
        found = [Keypoints.absent(self.layout)] * len(crops)
        if not readable:
            return found
        matrices = crop_to_image(
            [shown[i] for i in readable], self._codec.input_size, self._codec.udp
        )
        decoded = self._backend([crops[i].image for i in readable], matrices)
        uv = map_points(matrices, decoded.xy).astype(np.float32)
        joints = self._keypoints(uv, decoded.score, sizes[readable])
        for i, keypoints in zip(readable, joints, strict=True):
            found[i] = keypoints
        return found

    def _keypoints(self, uv: FloatArray, score: FloatArray, sizes: npt.NDArray) -> list[Keypoints]:
        """Joints with their states, from (N, K, 2) px of images of the (N, 2) sizes."""
        present = (score >= PRESENT_THRESHOLD) & np.isfinite(uv).all(axis=2)
        inside = ((uv >= -0.5) & (uv < sizes[:, None] - 0.5)).all(axis=2)
        measured = inside & (score >= MEASURED_THRESHOLD)
        state = np.where(measured, JointState.MEASURED, JointState.OCCLUDED)
        state = np.where(present, state, JointState.ABSENT).astype(np.uint8)
        uv = np.where(present[..., None], uv, np.float32(np.nan))
        score = np.where(present, np.minimum(score, np.float32(1)), np.float32(0))
        return [Keypoints(self.layout, *joints) for joints in zip(uv, score, state, strict=True)]


def _backend(on_device: bool | None, engine: Engine, max_batch: int, **options: Any) -> Backend:
    """Crops and decoding on the CPU, or on the engine's device."""
    limit: int | None = getattr(engine, "max_batch", None)
    options["max_batch"] = min(max_batch, limit or max_batch)
    device = getattr(engine, "device", None)
    if on_device is None:
        on_device = device is not None and device.type == "cuda"
    if not on_device:
        return CpuBackend(engine, **options)
    if device is None:
        raise EngineError(
            f"{engine.name} keeps its tensors in the CPU's memory: set on_device to False, or use "
            "the engine tensorrt or torch"
        )
    from vitpose_ros.keypoints.torch_backend import TorchBackend  # late: torch may be missing

    return TorchBackend(cast(DeviceEngine, engine), **options)


def _input_name(engine: Engine, codec: Codec, name: str) -> str:
    width, height = codec.input_size
    if len(engine.inputs) != 1 or not engine.inputs[0].fits((3, height, width)):
        raise EngineError(
            f"'{name}' has the inputs {_listed(engine.inputs)}; expected one input "
            f"(N, 3, {height}, {width}). Check the input size in its catalogue entry"
        )
    return engine.inputs[0].name


def _output_names(engine: Engine, codec: Codec, layout: Layout, name: str) -> list[str]:
    """The outputs' names in the codec's order; EngineError where they are not the codec's."""
    specs = engine.outputs
    if sorted(spec.name for spec in specs) == sorted(codec.output_names):
        by_name = {spec.name: spec for spec in specs}
        specs = tuple(by_name[wanted] for wanted in codec.output_names)
    wanted = codec.output_shapes(len(layout))
    if len(specs) == len(wanted) and any(None in spec.shape[1:] for spec in specs):
        specs = _tried(engine, codec, specs)
    if len(specs) != len(wanted) or not all(map(TensorSpec.fits, specs, wanted)):
        expected = ", ".join(f"(N, {', '.join(map(str, shape))})" for shape in wanted)
        raise EngineError(
            f"'{name}' has the outputs {_listed(specs)}; expected {expected}, for the "
            f"{len(layout)} joints of layout '{layout.name}' in a {type(codec).__name__} of "
            f"{codec.input_size[0]}x{codec.input_size[1]}. Set the layout, architecture and input "
            "size in its catalogue entry to those that the network was trained for"
        )
    return [spec.name for spec in specs]


def _tried(engine: Engine, codec: Codec, specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The outputs with the shapes of a trial run, where the file leaves them open."""
    width, height = codec.input_size
    empty: npt.NDArray[np.float32] = np.zeros((1, 3, height, width), np.float32)
    outputs = engine.run({engine.inputs[0].name: empty})
    return tuple(TensorSpec(spec.name, (None, *outputs[spec.name].shape[1:])) for spec in specs)


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(map(str, specs)) or "none"
