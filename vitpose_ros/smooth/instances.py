"""The instances of an image as they are published: smoothed and, where chosen, corrected by
biomechanics and predicted ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from vitpose_ros.layouts import Layout
from vitpose_ros.smooth.biomechanics import Biomechanics
from vitpose_ros.smooth.predict import ahead
from vitpose_ros.smooth.settings import SmoothingSettings
from vitpose_ros.smooth.smoother import Smoother
from vitpose_ros.types import Instance, TrackState


class InstanceSmoother:
    """Smooths the instances of all layouts of a camera.

    Parameters
    ----------
    layouts : of the instances, in the order in which they are published.
    smoothing : see `SmoothingSettings`.
    biomechanics : keep bone lengths, and joints within their limits, in metres.
    horizon_s : predict joints so far ahead of the image; see `predict.ahead`.
    """

    def __init__(
        self,
        layouts: Iterable[Layout],
        smoothing: SmoothingSettings,
        biomechanics: bool = False,
        horizon_s: float = 0.0,
    ) -> None:
        self._biomechanics, self._horizon_s = biomechanics, horizon_s
        self._steps = {
            layout.name: (Smoother(layout, smoothing), Biomechanics(layout)) for layout in layouts
        }

    def update(
        self, smoothing: SmoothingSettings, biomechanics: bool, horizon_s: float = 0.0
    ) -> None:
        """Use other settings from the next image on; what is known of the tracks is kept."""
        for smoother, bones in self._steps.values():
            smoother.update(smoothing)
            if biomechanics and not self._biomechanics:
                bones.reset()
        self._biomechanics, self._horizon_s = biomechanics, horizon_s

    def reset(self) -> None:
        """Forget everything."""
        for smoother, bones in self._steps.values():
            smoother.reset()
            bones.reset()

    def __call__(self, stamp_ns: int, instances: Sequence[Instance]) -> list[Instance]:
        """The instances of an image as they are published.

        Parameters
        ----------
        stamp_ns : of the image.
        instances : with their tracks; lost ones have no joints of this image.

        Returns
        -------
        Those with a known joint, in the order of the layouts; `raw` stays as it is.
        """
        published = []
        for name, (smoother, bones) in self._steps.items():
            same = [i for i in instances if i.layout.name == name]
            ids = [i.track_id for i in same]
            seen = [None if i.track_state is TrackState.LOST else i.raw for i in same]
            joints = smoother(stamp_ns, list(zip(ids, seen, strict=True)))
            if self._biomechanics:
                joints = bones(stamp_ns, ids, joints, [i.side for i in same])
            if self._horizon_s > 0:
                joints = [
                    None if one is None else ahead(one, velocity, self._horizon_s)
                    for one, velocity in zip(joints, smoother.velocities(), strict=True)
                ]
            published += [
                replace(instance, keypoints=one)
                for instance, one in zip(same, joints, strict=True)
                if one is not None
            ]
        return published
