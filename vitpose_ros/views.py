"""How an image is looked at: hands directly, or persons first; and the choice between the two."""

from __future__ import annotations

from enum import IntEnum

MODES = ("egocentric", "third_person", "auto")

PROBE_S = 0.4
"""While hands are found directly, `auto` looks for persons this often."""

TO_PERSONS = 3
"""So many looks in a row must show a person before `auto` turns to persons."""

TO_HANDS_S = 2.0
"""`auto` turns back to hands when no person was seen for this time."""


class View(IntEnum):
    """How an image was looked at; the values of SkeletonArray.msg."""

    EGOCENTRIC = 1
    THIRD_PERSON = 2


class ViewChooser:
    """Decides for each image how to look at it, by what was seen before.

    Both turns need evidence over time, and of different lengths, so that the view never flickers:
    a person who passes through a first-person view, or one who is hidden for a moment, changes
    nothing.

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
        """Whether persons are to be looked for in this image beside the hands."""
        if self._mode != "auto" or self.now is View.THIRD_PERSON:
            return False
        last = self._last_probe_ns
        return last is None or (stamp_ns - last) * 1e-9 >= PROBE_S

    def observe(self, stamp_ns: int, person_seen: bool) -> None:
        """Take in whether a person was seen in an image in which persons were looked for."""
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
