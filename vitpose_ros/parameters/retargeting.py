"""Node parameters of the outputs for robots: which are published, and where a pinch begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vitpose_ros.parameters.spec import RUN, ParameterSpec
from vitpose_ros.retarget.pinch import PinchSettings

OUTPUTS = ("wrist_pose", "tf", "joints", "joint_angles", "pinch", "openxr", "xr_teleop")
"""What can be published; docs/retargeting.md describes each."""


@dataclass(frozen=True)
class RetargetingParameters:
    """A snapshot of their values. Fields are named as the parameters; RETARGETING_TABLE has units
    and ranges.
    """

    outputs: str
    joint_map: str
    pinch_close: float
    pinch_open: float
    grasp_close: float
    grasp_open: float

    def chosen_outputs(self) -> frozenset[str]:
        """The names in `outputs`.

        Raises
        ------
        ValueError : one is unknown or stands twice, or `joint_map` is given without its output.
        """
        names = self.outputs.replace(",", " ").split()
        for name in names:
            if name not in OUTPUTS:
                raise ValueError(
                    f"outputs: unknown output '{name}'; accepted are {', '.join(OUTPUTS)}, "
                    "separated by spaces"
                )
            if names.count(name) > 1:
                raise ValueError(f"outputs: '{name}' stands twice; remove one of them")
        if self.joint_map and "joint_angles" not in names:
            raise ValueError(
                "joint_map: it maps the output 'joint_angles', which is not in outputs; add it, "
                "or leave joint_map empty"
            )
        return frozenset(names)

    def pinch_settings(self) -> PinchSettings:
        """Where pinch and grasp begin and end; ValueError if limits are in the wrong order."""
        return PinchSettings(self.pinch_close, self.pinch_open, self.grasp_close, self.grasp_open)


_PINCH = PinchSettings()

RETARGETING_TABLE: Mapping[str, ParameterSpec] = {
    "outputs": ParameterSpec(
        "",
        "What to publish for robots besides skeletons: names separated by spaces, of "
        f"{', '.join(OUTPUTS)}. Empty: nothing. Topics cost time only while subscribed to.",
    ),
    "joint_map": ParameterSpec(
        "",
        "YAML file that maps joint_angles to the joints of a robot, published on "
        "mapped_joint_angles. Empty: not mapped.",
    ),
    "pinch_close": ParameterSpec(
        _PINCH.pinch_close_m,
        "Distance of the tips of thumb and index finger below which a pinch begins, m, for a hand "
        "of adult size; scaled with the hand.",
        low=0.001,
        high=0.2,
        changes=RUN,
    ),
    "pinch_open": ParameterSpec(
        _PINCH.pinch_open_m,
        "The same distance, above which a pinch ends, m. Greater than pinch_close.",
        low=0.001,
        high=0.2,
        changes=RUN,
    ),
    "grasp_close": ParameterSpec(
        _PINCH.grasp_close_rad,
        "Mean flexion of the four fingers, each the sum of its three joints, above which a grasp "
        "begins, rad.",
        low=0.1,
        high=5.0,
        changes=RUN,
    ),
    "grasp_open": ParameterSpec(
        _PINCH.grasp_open_rad,
        "The same flexion, below which a grasp ends, rad. Less than grasp_close.",
        low=0.1,
        high=5.0,
        changes=RUN,
    ),
}
"""All parameters of the outputs for robots."""
