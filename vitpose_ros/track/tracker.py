"""The second step of the core, and the plan for the first: who is who in the images of one camera.

The tracker knows geometry and time, and no network. `Tracker.plan` says where to look in an image,
`Tracker.associate` gives what was measured there its identity.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from vitpose_ros.geometry import letterbox_region
from vitpose_ros.layouts import Layout
from vitpose_ros.measurements import FramePlan, Measurements
from vitpose_ros.settings import HandSettings, PersonSettings
from vitpose_ros.track.body_tracks import BodyTracks
from vitpose_ros.track.clock import FrameClock
from vitpose_ros.track.hand_tracks import HandTracks
from vitpose_ros.track.search import TileSearch, search_windows
from vitpose_ros.track.views import ViewChooser, is_person
from vitpose_ros.track.whole_body import refine_hands
from vitpose_ros.types import Frame, Instance, Region, View

LOOK_S = 0.1
"""Interval at which the hand detector looks for hands of no body in third person; and, if only it
tells sides, for those of tracked hands."""

MOST_CROPS = 64
"""Maximum number of tracked hands of bodies to read per image."""


class Tracker:
    """Hands and bodies of one camera from image to image.

    Parameters
    ----------
    view : "egocentric", "third_person" or "auto"; see `views`.
    body_layout : of the bodies; None where none are measured.

    Raises
    ------
    ValueError : the view is unknown.
    """

    def __init__(self, view: str, body_layout: Layout | None) -> None:
        ids = itertools.count()
        self._views = ViewChooser(view)
        self._hands = HandTracks(ids)
        self._bodies = None if body_layout is None else BodyTracks(ids, body_layout)
        self._search = TileSearch()
        self._clock = FrameClock()
        self._looked_ns: int | None = None

    def reset(self) -> None:
        """Restart at the next image. Ids are never reused."""
        self._clock.ask_reset()
        self._forget()

    def plan(self, frame: Frame, hands: HandSettings, persons: PersonSettings) -> FramePlan:
        """Where to look in an image."""
        if hands.static:  # each image stands alone
            self._forget()
        reset = not hands.static and self._clock.start(frame)
        if reset:
            self._forget()
        view, stamp_ns = self._views.now, frame.stamp_ns
        egocentric = view is View.EGOCENTRIC
        most = hands.max_hands if egocentric else MOST_CROPS
        hand_crops, lost_ids = self._hands.crops(stamp_ns, most)
        followed = any(crop.track_id not in lost_ids for crop in hand_crops)
        body_crops: list[Region] = []
        persons_below, check = None, False
        probe = self._bodies is not None and self._views.probe_is_due(stamp_ns)
        if self._bodies is not None and (not egocentric or probe):
            body_crops, lost_bodies = self._bodies.crops(stamp_ns, persons.max_persons)
            persons_below, lost_ids = self._bodies.detect_below(persons), lost_ids | lost_bodies
            check = probe or self._bodies.check_is_due()
        look = self._look_is_due(stamp_ns)
        windows: tuple[Region, ...] = ()
        if egocentric or look:
            windows = self._windows(frame, hands, followed)
        return FramePlan(
            view=view,
            hands=hands,
            persons=persons,
            reset=reset,
            hand_crops=tuple(hand_crops),
            hand_windows=windows,
            body_crops=tuple(body_crops),
            persons_below=persons_below,
            sides_due=look,
            check_persons=check,
            lost_ids=lost_ids,
        )

    def associate(
        self, frame: Frame, plan: FramePlan, measured: Measurements, models: tuple[str, str]
    ) -> list[Instance]:
        """Give what was measured in an image its identity.

        Parameters
        ----------
        frame, plan, measured : of the image.
        models : the names of the networks that measured hands and bodies.

        Returns
        -------
        Bodies, then hands, of each kind the oldest tracks first; lost ones included.
        """
        hand_model, body_model = models
        if measured.hands_searched and not plan.hands.static:
            self._search.advance()
        bodies: list[Instance] | None = None
        if self._bodies is not None and measured.bodies is not None:
            bodies = self._bodies.associate(
                frame.stamp_ns, measured.bodies, plan, measured.persons_searched, body_model
            )
        if plan.check_persons and measured.bodies is not None:
            self._views.observe(frame.stamp_ns, any(map(is_person, measured.bodies)))
        if plan.view is View.EGOCENTRIC:
            bodies = None  # measured only to choose the view
        hands, missed = self._hands.associate(
            frame, measured.hands, self._persons(bodies), plan.hands, hand_model
        )
        for region in missed:
            self._search.lost(region, frame.stamp_ns)
        return [*(refine_hands(body, hands) for body in bodies or ()), *hands]

    def _persons(self, bodies: Sequence[Instance] | None) -> list[Instance] | None:
        """The bodies that can have hands; None in first person."""
        if self._bodies is None or bodies is None:
            return None
        return [body for body in bodies if self._bodies.is_person(body.track_id)]

    def _windows(self, frame: Frame, hands: HandSettings, followed: bool) -> tuple[Region, ...]:
        """Where the hand detector looks: the whole image, and tiles for small hands."""
        width, height = frame.width, frame.height
        if hands.static and hands.search:
            return (letterbox_region(width, height), *search_windows(width, height))
        if not hands.search:
            return (letterbox_region(width, height),)
        count = hands.search_tiles_per_frame
        return self._search.windows(width, height, count, frame.stamp_ns, followed)

    def _look_is_due(self, stamp_ns: int) -> bool:
        due = self._looked_ns is None or (stamp_ns - self._looked_ns) * 1e-9 >= LOOK_S
        if due:
            self._looked_ns = stamp_ns
        return due

    def _forget(self) -> None:
        self._looked_ns = None
        self._hands.reset()
        self._search.reset()
        self._views.reset()
        if self._bodies is not None:
            self._bodies.reset()
