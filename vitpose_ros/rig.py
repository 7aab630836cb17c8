"""Several calibrated cameras that see the same scene: one batch, common ids, joints in metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from vitpose_ros.lift.triangulate import MAX_CAMERAS
from vitpose_ros.lift.views import Shared, Views
from vitpose_ros.pipeline import Pipeline, Result, process
from vitpose_ros.types import Frame


class Rig:
    """The pipelines of several cameras.

    Each image gives what its camera sees, as with `pipeline.process`. In addition, hands and bodies
    that two or more cameras see have one id in all of them, and joints in metres by triangulation.
    What only one camera sees is lifted by that camera alone.

    Parameters
    ----------
    pipelines : one per camera, each once, all with the same networks; 2 .. MAX_CAMERAS.

    Raises
    ------
    ValueError : too few or too many cameras.
    """

    def __init__(self, pipelines: Sequence[Pipeline]) -> None:
        if not 2 <= len(pipelines) <= MAX_CAMERAS:
            raise ValueError(f"expected 2 to {MAX_CAMERAS} cameras, got {len(pipelines)}")
        self.pipelines = tuple(pipelines)
        self._views = Views()

    @property
    def shared(self) -> Shared:
        """What the cameras of the last call had in common, in the order of their images."""
        return self._views.shared

    def __call__(self, frames: Sequence[Frame | None]) -> list[Result | None]:
        """Process what the cameras saw at one time.

        Parameters
        ----------
        frames : an image of each camera, in the order of the pipelines; None for a camera that has
            none. Their stamps should be the same: what moves in between is an error of the joints.
            `Frame.to_rig` tells where each camera is; one without is not used for triangulation.

        Returns
        -------
        A result for each image, None where there is none.

        Raises
        ------
        ValueError : not one frame for each camera.
        """
        if len(frames) != len(self.pipelines):
            raise ValueError(f"expected {len(self.pipelines)} frames, got {len(frames)}")
        numbers = [number for number, frame in enumerate(frames) if frame is not None]
        results: list[Result | None] = [None] * len(frames)
        found = process(
            [self.pipelines[number] for number in numbers],
            [frame for frame in frames if frame is not None],
            partial(self._views, numbers),
        )
        for number, result in zip(numbers, found, strict=True):
            labelled = self._views.label(number, result.instances)
            results[number] = replace(result, instances=labelled)
        return results
