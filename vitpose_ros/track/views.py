"""Which view is used for the next image: hands directly, or persons first."""

from __future__ import annotations

from vitpose_ros.measurements import BodyMeasurement
from vitpose_ros.types import JointState, View

MODES = ("egocentric", "third_person", "auto")

PROBE_S = 0.4
"""`auto` checks for persons at this interval: in the egocentric view it also looks for them only
then."""

TO_PERSONS = 3
"""This many checks in a row must find a person before `auto` changes to third person."""

SAME_TRUNK = 0.1
"""Largest `BodyMeasurement.disagreement` of a person."""

TO_HANDS_S = 2.0
"""`auto` returns to the egocentric view when no person was seen for this time."""


class ViewChooser:
    """Chooses the view of each image by what was seen before.

    Both changes need evidence over time, of different lengths, so that the view never flickers: a
    person passing through a first-person view, or a person hidden for a moment, changes nothing.

    Parameters
    ----------
    mode : one of MODES; all but "auto" are constant.

    Raises
    ------
    ValueError : another mode.
    """

    def __init__(self, mode: str) -> None:
        if mode not in MODES:
            raise ValueError(f"view: expected one of {', '.join(MODES)}, got {mode!r}")
        self._mode = mode
        self.now = View.THIRD_PERSON if mode == "third_person" else View.EGOCENTRIC
        """The view for the next image."""
        self._seen_in_a_row = 0
        self._last_probe_ns: int | None = None
        self._last_seen_ns: int | None = None

    def reset(self) -> None:
        """Time jumped: keep the view, forget the evidence."""
        self._seen_in_a_row = 0
        self._last_probe_ns = self._last_seen_ns = None

    def probe_is_due(self, stamp_ns: int) -> bool:
        """Whether to check this image for persons."""
        if self._mode != "auto":
            return False
        last = self._last_probe_ns
        return last is None or (stamp_ns - last) * 1e-9 >= PROBE_S

    def observe(self, stamp_ns: int, person_seen: bool) -> None:
        """Note whether an image that was checked for persons shows one."""
        if self._mode != "auto":
            return
        self._last_probe_ns = stamp_ns
        self._seen_in_a_row = self._seen_in_a_row + 1 if person_seen else 0
        if person_seen or self._last_seen_ns is None:
            self._last_seen_ns = stamp_ns
        if self.now is View.EGOCENTRIC:
            if self._seen_in_a_row >= TO_PERSONS:
                self.now = View.THIRD_PERSON
        elif (stamp_ns - self._last_seen_ns) * 1e-9 > TO_HANDS_S:
            self.now = View.EGOCENTRIC


def is_person(body: BodyMeasurement) -> bool:
    """Whether a body is a person in front of the camera, and not an arm of its wearer.

    It shows both shoulders, and the face or a hip; and two more readings of it put them in the same
    places, which they do not if the network invented a body in an arm.
    """
    joints = body.keypoints
    seen = {
        name
        for name, state in zip(joints.layout.joints, joints.state, strict=True)
        if state >= JointState.MEASURED
    }
    trunk = {"left_shoulder", "right_shoulder"} <= seen
    trunk &= bool({"nose", "left_eye", "right_eye", "left_hip", "right_hip"} & seen)
    return trunk and body.disagreement <= SAME_TRUNK  # NaN compares false
