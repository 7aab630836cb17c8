"""Top-down keypoints: regions of an image in, the joints of the object in each out.

ViTPose and RTMPose, bodies, whole bodies and hands alike: they differ in codec, layout and numbers
only. The codec also decides the warp, so that the two never disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import DeviceEngine, Engine, EngineError, TensorSpec
from vitpose_ros.keypoints.backend import Backend, CpuBackend, SharedImages
from vitpose_ros.keypoints.codec import Codec
from vitpose_ros.keypoints.warp import (
    IMAGENET,
    PADDING,
    Normalisation,
    crop_region,
    crop_to_image,
    map_points,
    shows_image,
)
from vitpose_ros.layouts import Layout
from vitpose_ros.types import ByteArray, FloatArray, JointState, Keypoints, Region

VISIBLE_THRESHOLD = 0.3
"""A joint of at least this score is taken for seen; the usual threshold of top-down models."""

PRESENT_THRESHOLD = 0.05
"""A joint of a lower score is absent: the maximum of a map that shows nothing reaches as far."""


class TopDown:
    """Finds the joints of the object in each region.

    The state of a joint: ABSENT when its score is below `present_threshold` or the network gave
    nothing usable for it (a value that is not finite, no value above 0); OCCLUDED, that is
    inferred, when its score is below `visible_threshold` or it lies outside the image; VISIBLE
    otherwise. Scores of a network are no probabilities and may exceed 1; they are cut there.

    Where the engine's tensors are on a GPU, crops and decoding are too. `submit` begins with an
    image and gives a function that collects the joints, so that the next image's upload and crops
    can go on meanwhile; a call does both.

    Not for use from several threads at a time.

    Parameters
    ----------
    engine : runs the network: one input (N, 3, height, width), outputs as the codec has them.
    codec : the meaning of the outputs; says the input's size and the warp too.
    layout : the joints, in the order of the network's outputs.
    name : the network's name in the model catalogue.
    normalisation : of the pixel values.
    padding : how much larger than a region its crop is; 1 for regions that are padded already.
    flip_test : run each crop mirrored too and take the mean: more exact, at twice the time.
    visible_threshold, present_threshold : scores; see above.
    max_batch : most crops that go through the network at once.
    on_device : whether to crop and decode in torch where the engine's tensors are, for an
        `engines.base.DeviceEngine`; None does so where that is a GPU.
    images : lets several models share the images that they upload; None to upload each.

    Raises
    ------
    EngineError : when the network's input or outputs do not fit the codec and the layout.
    ValueError : when a number is out of its range.
    """

    def __init__(
        self,
        engine: Engine,
        codec: Codec,
        layout: Layout,
        name: str,
        normalisation: Normalisation = IMAGENET,
        padding: float = PADDING,
        flip_test: bool = False,
        visible_threshold: float = VISIBLE_THRESHOLD,
        present_threshold: float = PRESENT_THRESHOLD,
        max_batch: int = 16,
        on_device: bool | None = None,
        images: SharedImages | None = None,
    ) -> None:
        if not 0 <= present_threshold <= visible_threshold <= 1:
            raise ValueError(
                "thresholds: expected 0 <= present_threshold <= visible_threshold <= 1, got "
                f"{present_threshold} and {visible_threshold}"
            )
        if not 1 <= padding <= 4:
            raise ValueError(f"padding: expected a number from 1 to 4, got {padding!r}")
        if max_batch < 1:
            raise ValueError(f"max_batch: expected 1 or more, got {max_batch!r}")
        self.name = name
        self.engine = engine.name
        self.layout = layout
        self._codec = codec
        self._padding = padding
        self._visible, self._present = visible_threshold, present_threshold
        self._backend = _backend(
            on_device,
            images,
            engine=engine,
            codec=codec,
            input_name=_input_name(engine, codec, name),
            output_names=_output_names(engine, codec, layout, name),
            normalisation=normalisation,
            permutation=layout.flip_permutation() if flip_test else None,
            max_batch=max_batch,
        )

    def __call__(self, image: ByteArray, regions: Sequence[Region]) -> list[Keypoints]:
        """Find the joints in each region.

        Parameters
        ----------
        image : (H, W, 3) uint8, BGR.
        regions : around one object each; they may be turned, and reach beyond the image, where the
            network sees zeros (black before the normalisation).

        Returns
        -------
        One set of joints for each region, in their order. A region that lies outside the image, or
        is so large that the image vanishes in it, has every joint absent, and no network is run.

        Raises
        ------
        EngineError : when the network fails.
        """
        return self.submit(image, regions)()

    def submit(
        self, image: ByteArray, regions: Sequence[Region]
    ) -> Callable[[], list[Keypoints]]:
        """Begin to find the joints in each region; the function that is given waits for them.

        Parameters and errors are those of a call, errors of the network may come from the function
        too. The image may be changed as soon as this returns.
        """
        height, width = image.shape[:2]
        shown = [crop_region(r, self._codec.input_size, self._padding) for r in regions]
        seen = [
            i
            for i, (region, crop) in enumerate(zip(regions, shown, strict=True))
            if shows_image(region, crop, width, height)
        ]
        found = [Keypoints.absent(self.layout)] * len(regions)
        if not seen:
            return lambda: found
        matrices = crop_to_image([shown[i] for i in seen], self._codec.input_size, self._codec.udp)
        pending = self._backend.submit(image, matrices)

        def collect() -> list[Keypoints]:
            decoded = pending()
            uv = map_points(matrices, decoded.xy).astype(np.float32)
            joints = self._keypoints(uv, decoded.score, width, height)
            for i, keypoints in zip(seen, joints, strict=True):
                found[i] = keypoints
            return found

        return collect

    def _keypoints(
        self, uv: FloatArray, score: FloatArray, width: int, height: int
    ) -> list[Keypoints]:
        """Joints of a batch, (N, K, 2) px of the image, with their states."""
        present = (score >= self._present) & np.isfinite(uv).all(axis=2)
        u, v = uv[..., 0], uv[..., 1]
        inside = (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)
        state = np.where(inside & (score >= self._visible), JointState.VISIBLE, JointState.OCCLUDED)
        state = np.where(present, state, JointState.ABSENT).astype(np.uint8)
        uv = np.where(present[..., None], uv, np.float32(np.nan))
        score = np.where(present, np.minimum(score, np.float32(1)), np.float32(0))
        return [Keypoints(self.layout, *joints) for joints in zip(uv, score, state, strict=True)]


def _backend(
    on_device: bool | None,
    images: SharedImages | None,
    engine: Engine,
    max_batch: int,
    **options: Any,
) -> Backend:
    """Where crops are made and decoded."""
    limit: int | None = getattr(engine, "max_batch", None)
    options["max_batch"] = min(max_batch, limit or max_batch)
    device = getattr(engine, "device", None)
    if on_device is None:
        on_device = device is not None and device.type == "cuda"
    if not on_device:
        return CpuBackend(engine, **options)
    if device is None:
        raise EngineError(
            f"{engine.name} keeps its tensors in the CPU's memory: leave out on_device, or take "
            "the engine tensorrt or torch"
        )
    from vitpose_ros.keypoints.torch_backend import TorchBackend  # late: torch is not everywhere

    return TorchBackend(cast(DeviceEngine, engine), images=images, **options)


def _input_name(engine: Engine, codec: Codec, name: str) -> str:
    width, height = codec.input_size
    if len(engine.inputs) != 1 or not _fits(engine.inputs[0], (3, height, width)):
        raise EngineError(
            f"'{name}' has the inputs {_listed(engine.inputs)}; accepted is one input "
            f"(N, 3, {height}, {width}): check the input size that the catalogue names for it"
        )
    return engine.inputs[0].name


def _output_names(engine: Engine, codec: Codec, layout: Layout, name: str) -> list[str]:
    """The outputs' names in the codec's order; EngineError when they are not the codec's."""
    specs = engine.outputs
    if sorted(spec.name for spec in specs) == sorted(codec.output_names):
        by_name = {spec.name: spec for spec in specs}
        specs = tuple(by_name[wanted] for wanted in codec.output_names)
    wanted = codec.output_shapes(len(layout))
    if len(specs) == len(wanted) and any(None in spec.shape[1:] for spec in specs):
        specs = _tried(engine, codec, specs)
    if len(specs) != len(wanted) or not all(map(_fits, specs, wanted)):
        accepted = ", ".join(f"(N, {', '.join(map(str, shape))})" for shape in wanted)
        raise EngineError(
            f"'{name}' has the outputs {_listed(specs)}; accepted is {accepted}, for the "
            f"{len(layout)} joints of layout '{layout.name}' in a {type(codec).__name__} of "
            f"{codec.input_size[0]}x{codec.input_size[1]}: name the layout, the architecture and "
            "the input size that this network was made for"
        )
    return [spec.name for spec in specs]


def _tried(engine: Engine, codec: Codec, specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The outputs with the shapes that a run on an empty crop gives: the file leaves them open."""
    width, height = codec.input_size
    empty: npt.NDArray[np.float32] = np.zeros((1, 3, height, width), np.float32)
    outputs = engine.run({engine.inputs[0].name: empty})
    return tuple(TensorSpec(spec.name, (None, *outputs[spec.name].shape[1:])) for spec in specs)


def _fits(spec: TensorSpec, shape: tuple[int, ...]) -> bool:
    return len(spec.shape) == len(shape) + 1 and all(
        have in (None, want) for have, want in zip(spec.shape[1:], shape, strict=True)
    )


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(map(str, specs)) or "none"
