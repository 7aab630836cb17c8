"""Top-down keypoints: regions of an image in, the joints of the object in each out.

ViTPose and RTMPose, bodies, whole bodies and hands alike: they differ in codec, layout and numbers
only. The codec also decides the warp, so that the two never disagree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import Engine, EngineError, TensorSpec
from vitpose_ros.keypoints.codec import Codec
from vitpose_ros.keypoints.warp import (
    IMAGENET,
    PADDING,
    Normalisation,
    crop_region,
    crop_to_image,
    cut_crops,
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
        self._engine = engine
        self._codec = codec
        self._normalisation = normalisation
        self._padding = padding
        self._flip_test = flip_test
        self._visible, self._present = visible_threshold, present_threshold
        width, height = codec.input_size
        self._input = _input_name(engine, codec, name)
        self._tensor = np.empty((max_batch, 3, height, width), np.float32)
        self._outputs = _output_names(engine, codec, layout, name)

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
        height, width = image.shape[:2]
        shown = [crop_region(r, self._codec.input_size, self._padding) for r in regions]
        seen = [
            i
            for i, (region, crop) in enumerate(zip(regions, shown, strict=True))
            if shows_image(region, crop, width, height)
        ]
        found = [_nothing(self.layout)] * len(regions)
        for start in range(0, len(seen), len(self._tensor)):
            batch = seen[start : start + len(self._tensor)]
            matrices = crop_to_image(
                [shown[i] for i in batch], self._codec.input_size, self._codec.udp
            )
            tensor = self._tensor[: len(batch)]
            cut_crops(image, matrices, self._normalisation, tensor)
            decoded = self._codec.decode(self._run(tensor))
            uv = map_points(matrices, decoded.xy).astype(np.float32)
            for i, keypoints in zip(
                batch, self._keypoints(uv, decoded.score, width, height), strict=True
            ):
                found[i] = keypoints
        return found

    def _run(self, tensor: FloatArray) -> list[FloatArray]:
        """The network's outputs in the codec's order; the mean of both with the flip test."""
        direct = self._infer(tensor)
        if not self._flip_test:
            return direct
        mirrored = self._infer(np.ascontiguousarray(tensor[..., ::-1]))
        turned = self._codec.unmirror(mirrored, self.layout.flip_permutation(), direct)
        return [(a + b) * np.float32(0.5) for a, b in zip(direct, turned, strict=True)]

    def _infer(self, tensor: FloatArray) -> list[FloatArray]:
        outputs = self._engine.run({self._input: tensor})
        return [outputs[name] for name in self._outputs]

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


def _nothing(layout: Layout) -> Keypoints:
    count = len(layout)
    return Keypoints(
        layout,
        np.full((count, 2), np.nan, np.float32),
        np.zeros(count, np.float32),
        np.full(count, JointState.ABSENT, np.uint8),
    )


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
