"""Lifting networks: from the 2D joints of a body over time to its shape in metres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.keypoints.lifting_joints import reading_matrix, shape_order
from vitpose_ros.keypoints.lifting_recipes import MARTINEZ, Recipe, recognise
from vitpose_ros.layouts import H36M17, Layout
from vitpose_ros.measurements import JointWindow
from vitpose_ros.models.catalogue import Entry
from vitpose_ros.models.store import ModelStore
from vitpose_ros.types import FloatArray

Array = npt.NDArray[np.float64]


class ShapeNetwork:
    """A lifting network for the bodies of one layout.

    Parameters
    ----------
    engine : runs the network.
    entry : its catalogue entry.
    recipe : how it is fed; see `recipes.recognise`.
    layout : of the bodies.

    Attributes
    ----------
    needed, offsets_s : see `lift.body_shapes.ShapeReader`.

    Raises
    ------
    EngineError : the network reads other joints than it needs, or than the bodies have.
    """

    def __init__(self, engine: Engine, entry: Entry, recipe: Recipe, layout: Layout) -> None:
        self.name, self.engine = entry.name, engine.name
        reads = entry.layout
        assert reads is not None  # the catalogue requires it
        if recipe.architecture == MARTINEZ and reads is not H36M17:
            raise EngineError(
                f"'{entry.name}': a Martinez network reads the layout h36m17, not '{reads.name}'"
            )
        try:
            self._reading = reading_matrix(reads, layout)
        except ValueError as error:
            raise EngineError(f"'{entry.name}': {error}") from error
        self.needed = np.asarray((self._reading > 0).any(axis=0))
        self.offsets_s = np.minimum(np.arange(recipe.images) - recipe.now, 0) / recipe.rate_hz
        self._order = shape_order(layout)
        self._engine, self._recipe = engine, recipe

    def __call__(self, windows: Sequence[JointWindow]) -> list[FloatArray]:
        """Shapes (K, 3) float32, m, in the order of the windows; NaN for joints that the network
        does not give.
        """
        if not windows:
            return []
        recipe = self._recipe
        samples = [recipe.encode(self._read(window.joints), window) for window in windows]
        batch = np.ascontiguousarray(np.stack(samples))
        (spec,), (result,) = self._engine.inputs, self._engine.outputs
        output = self._engine.run({spec.name: batch})[result.name]
        shapes = []
        for sample in output:
            joints = recipe.decode(sample)
            shape = np.where(self._order[:, None] >= 0, joints[self._order], np.nan)
            shapes.append(shape.astype(np.float32))
        return shapes

    def _read(self, window: Array) -> Array:
        return np.einsum("jk,tkc->tjc", self._reading, np.where(self.needed[:, None], window, 0.0))

    @property
    def span_text(self) -> str:
        """The images that it reads, for people."""
        images, recipe = len(self.offsets_s), self._recipe
        if images == 1:
            return "from one image"
        later = images - 1 - recipe.now
        repeated = f", the last repeated {later} times" if later else ""
        return f"from {images} images at {recipe.rate_hz:g} Hz{repeated}"

    def warm_up(self) -> None:
        """Run the network once, because a first run is slow."""
        window = np.ones((self._recipe.images, self._reading.shape[1], 3))
        self([JointWindow(window, 640, 480, np.nan)])


def load_lifting_network(
    store: ModelStore, name: str, layout: Layout, threads: int = 0
) -> ShapeNetwork:
    """A lifting network from the model store, for bodies of a layout.

    Raises
    ------
    ModelError : the name is unknown or of another task, or its file is missing or altered.
    EngineError : the file cannot be read, holds no lifting network, or does not fit its catalogue
        entry or the layout.
    """
    model = store.get(name, "body_lifting")
    engine = OpenVinoEngine(model.path, threads)
    entry = model.entry
    recipe = recognise(name, entry.architecture, engine.inputs, engine.outputs, entry.settings)
    return ShapeNetwork(engine, entry, recipe, layout)
