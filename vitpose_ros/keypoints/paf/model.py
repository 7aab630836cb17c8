"""A bottom-up network as a source of bodies."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.persons import MIN_IMAGE_PX
from vitpose_ros.engines.base import Engine, EngineError, TensorSpec
from vitpose_ros.keypoints.bodies import whole_image_body
from vitpose_ros.keypoints.paf.decode import MIN_PEAK, decode
from vitpose_ros.keypoints.paf.fields import FIELDS, Fields
from vitpose_ros.keypoints.pixels import PIXEL_SETTINGS, PIXELS, Pixels, read_pixels
from vitpose_ros.keypoints.recipes import listed
from vitpose_ros.measurements import BodyMeasurement
from vitpose_ros.models.catalogue import Entry
from vitpose_ros.types import ByteArray, FloatArray

Size = tuple[int, int]

_STRIDE = 8
"""Sides of an input must be divisible by this."""


class PafBodies:
    """Finds persons and their joints by heatmaps and part affinity fields, for any number of
    persons in about the same time.

    Parameters
    ----------
    engine : runs the network: one image in, channels first or last; all maps in one output, or the
        heatmaps and the fields in two, channels first or last.
    name : the network's name in the model catalogue.
    fields : what its maps are.
    size : (width, height) of its input, px; for a network that takes any size, the largest.
    pixels : how the network reads pixels.

    Attributes
    ----------
    format : the kind of network.

    Raises
    ------
    EngineError : the network's inputs or outputs do not fit.
    """

    format = "part affinity fields"

    def __init__(
        self,
        engine: Engine,
        name: str,
        fields: Fields,
        size: Size,
        pixels: Pixels = PIXELS["bgr"],
    ) -> None:
        self.name, self.engine, self.layout = name, engine.name, fields.layout
        self._run, self._fields, self._size, self._pixels = engine.run, fields, size, pixels
        self._input, self._channels_last = _image_input(engine.inputs, name, size)
        self._any_size = engine.inputs[0].shape[1:].count(None) >= 2
        self._outputs = _map_outputs(engine, name, fields, self._blank())

    def __call__(self, image: ByteArray, threshold: float) -> list[BodyMeasurement]:
        """The persons in an image.

        Parameters
        ----------
        image : (H, W, 3) uint8, BGR.
        threshold : minimum score of a person: the mean heatmap value of its joints, 0 .. 1.

        Returns
        -------
        Bodies, best first. Those without enough joints to be tracked are left out.

        Raises
        ------
        EngineError : the network fails.
        """
        height, width = image.shape[:2]
        if min(width, height) < MIN_IMAGE_PX:
            return []
        canvas, scale = self._canvas(image)
        outputs = self._run({self._input: self._tensor(canvas)})
        maps = np.concatenate([place(outputs[name][0]) for name, place in self._outputs], axis=2)
        xy, score = decode(maps, self._fields)
        stride = np.array(canvas.shape[1::-1]) / maps.shape[1::-1]
        uv = (((xy + 0.5) * stride) / scale - 0.5).astype(np.float32)
        found = [
            whole_image_body(
                self.layout, joints, each, float(each[each > 0].mean()), (width, height), MIN_PEAK
            )
            for joints, each in zip(uv, score, strict=True)
        ]
        return sorted(
            (body for body in found if body is not None and body.score >= threshold),
            key=lambda body: -body.score,
        )

    def _canvas(self, image: ByteArray) -> tuple[ByteArray, npt.NDArray[np.float64]]:
        """The image in the network's input, and its scale along both axes.

        Networks that take any size get the image without bars: some normalise each image by its own
        statistics, which bars would change. Others get it in the top left corner.
        """
        (width, height), (rows, columns) = self._size, image.shape[:2]
        scale = min(width / columns, height / rows)
        inside = max(1, round(columns * scale)), max(1, round(rows * scale))
        if self._any_size:
            inside = _whole(inside[0]), _whole(inside[1])
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        shown: ByteArray = np.asarray(cv2.resize(image, inside, interpolation=how), np.uint8)
        if not self._any_size:
            canvas = np.zeros((height, width, 3), np.uint8)
            canvas[: inside[1], : inside[0]] = shown
            shown = canvas
        return shown, np.array(inside) / (columns, rows)

    def _tensor(self, canvas: ByteArray) -> FloatArray:
        pixels = self._pixels.of_image(canvas)
        if not self._channels_last:
            pixels = pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(pixels[None])

    def _blank(self) -> dict[str, FloatArray]:
        width, height = self._size
        return {self._input: self._tensor(np.full((height, width, 3), 128, np.uint8))}


def paf_bodies(engine: Engine, entry: Entry) -> PafBodies:
    """The model for a loaded network, as described by its catalogue entry.

    Raises
    ------
    EngineError : the entry's layout or settings are not known, or the network does not fit it.
    """
    unknown = sorted(set(entry.settings) - set(PIXEL_SETTINGS))
    if unknown:
        raise EngineError(
            f"'{entry.name}': unknown settings {', '.join(unknown)} in its catalogue entry; "
            f"paf models accept {listed(PIXEL_SETTINGS)}"
        )
    layout = "" if entry.layout is None else entry.layout.name
    if layout not in FIELDS:
        raise EngineError(
            f"'{entry.name}': expected the layout {' or '.join(FIELDS)} for the architecture paf, "
            f"got {layout or 'none'}; correct its catalogue entry"
        )
    size = entry.input_width, entry.input_height
    try:
        pixels = read_pixels(entry.settings, "bgr")
    except ValueError as error:
        raise EngineError(f"'{entry.name}': {error}") from error
    return PafBodies(engine, entry.name, FIELDS[layout], size, pixels)


def _image_input(specs: tuple[TensorSpec, ...], name: str, size: Size) -> tuple[str, bool]:
    """The name of the only input, and whether its channels are last."""
    width, height = size
    if len(specs) == 1:
        for last, shape in ((True, (height, width, 3)), (False, (3, height, width))):
            own = specs[0].shape[1:]
            if len(own) == 3 and all(s in (None, w) for s, w in zip(own, shape, strict=True)):
                return specs[0].name, last
    raise EngineError(
        f"'{name}' cannot be used as a paf model: expected one input (N, {height}, {width}, 3) or "
        f"(N, 3, {height}, {width}); the file has {', '.join(map(str, specs))}. Check the input "
        "size in its catalogue entry"
    )


def _whole(side: int) -> int:
    """The nearest multiple of _STRIDE."""
    return max(1, round(side / _STRIDE)) * _STRIDE


Place = Callable[[FloatArray], FloatArray]


def _map_outputs(
    engine: Engine, name: str, fields: Fields, blank: dict[str, FloatArray]
) -> list[tuple[str, Place]]:
    """The outputs that make up the maps, in order, each with what puts its channels last. Those of
    earlier stages, which some files give too, are not used.
    """
    shapes = {key: value.shape for key, value in engine.run(blank).items()}
    wanted = ([fields.maps], [fields.heatmaps, fields.maps - fields.heatmaps])
    for counts in wanted:
        named = [_with_channels(shapes, count) for count in counts]
        if all(named):
            return [each[-1] for each in named]
    raise EngineError(
        f"'{name}' cannot be used as a paf model: expected {fields.maps} maps for layout "
        f"'{fields.layout.name}' in one output, or {fields.heatmaps} heatmaps and "
        f"{fields.maps - fields.heatmaps} fields in two; the file gives "
        f"{', '.join(f'{key} {shape}' for key, shape in shapes.items())}. Check its layout"
    )


def _with_channels(shapes: dict[str, tuple[int, ...]], count: int) -> list[tuple[str, Place]]:
    found: list[tuple[str, Place]] = []
    for key, shape in shapes.items():
        if len(shape) == 4 and shape[3] == count:
            found.append((key, lambda maps: maps))
        elif len(shape) == 4 and shape[1] == count:
            found.append((key, lambda maps: maps.transpose(1, 2, 0)))
    return found
