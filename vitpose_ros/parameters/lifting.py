"""Node parameters of metric coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vitpose_ros.lift.settings import LARGEST_HAND_M, LiftSettings
from vitpose_ros.parameters.spec import RUN, ParameterSpec


@dataclass(frozen=True)
class LiftingParameters:
    """A snapshot of their values. Fields are named as the parameters; LIFTING_TABLE has units and
    ranges.
    """

    depth_topic: str
    skin_scale: float
    hand_size: float
    target_frame: str

    def lift_settings(self) -> LiftSettings:
        """The settings that the pipeline takes."""
        return LiftSettings(skin_scale=self.skin_scale, hand_size_m=self.hand_size)


_DEFAULT = LiftSettings()

LIFTING_TABLE: Mapping[str, ParameterSpec] = {
    "depth_topic": ParameterSpec(
        "",
        "Depth image that is aligned to the colour image (sensor_msgs/Image, 16UC1 in mm or 32FC1 "
        "in m; or a topic that ends in /compressedDepth). Empty: none.",
    ),
    "skin_scale": ParameterSpec(
        _DEFAULT.skin_scale,
        "How far joints lie behind the skin that depth measures, in units of the built-in table; 0 "
        "leaves them on the skin.",
        low=0.0,
        high=3.0,
        changes=RUN,
    ),
    "hand_size": ParameterSpec(
        _DEFAULT.hand_size_m,
        "Length of the hands, flat, from the crease of the wrist to the tip of the middle finger, "
        "0.08 to 0.3 m. It gives the distance of hands without depth. 0: not known.",
        low=0.0,
        high=LARGEST_HAND_M,
        changes=RUN,
    ),
    "target_frame": ParameterSpec(
        "",
        "TF frame of all metric coordinates, at the image's stamp. Empty: the camera's optical "
        "frame.",
    ),
}
"""All parameters of lifting."""
